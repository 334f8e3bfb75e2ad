//! `events`: what happened to connections, and what happens.

use super::args::whole_number;
use super::context::Context;
use super::desk::Desk;
use super::error::Error;
use super::output::{Field, Tone};
use super::signals::Interrupt;
use super::time;
use crate::events::{Back, POLL};
use crate::model::{Clock as _, ConnectionName, Event, EventKind, RecordedEvent, SystemClock, later, quoted};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use serde_json::Value;

/// Show what happened to connections, oldest first: consents, refreshes, failures, ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  grantkeeper events --connection google-drive/reports\n  \
                        grantkeeper events --follow --json --kind reauthorization_required\n\n\
                        Events are kept for 30 days ([events] retention_days in grantkeeper.toml).")]
pub(super) struct Args {
    /// Only those after this number, from the first of them on; without it, the newest
    #[arg(long, value_name = "NUMBER", value_parser = whole_number::<u64>)]
    after: Option<u64>,
    /// How many at the most. With --follow: how many of the past come first, where --after does not say
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = whole_number::<usize>)]
    limit: usize,
    /// Only those of this connection, APPLICATION/NAME
    #[arg(long, value_name = "CONNECTION")]
    connection: Option<ConnectionName>,
    /// Only those of this kind
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    kind: Option<EventKind>,
    /// Go on with new ones, as they come or within two seconds, until Ctrl-C; with --json one object a line
    #[arg(long, short)]
    follow: bool,
}

/// Events that are read at once: the store is held for one such look.
const PAGE: usize = 500;

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Error> {
    if args.follow {
        let mut interrupt = Interrupt::new()?;
        let context = &context.minding_interrupts();
        return tokio::select! {
            biased;
            _ = interrupt.wait() => Ok(()),
            ended = follow(context, &args) => ended,
        };
    }
    let events = context
        .with(async |desk| match args.after {
            Some(after) => first_after(desk, &args, after).await,
            None => Ok(newest(desk, &args).await?.0),
        })
        .await?;
    let rows = events.iter().map(|recorded| {
        let RecordedEvent { sequence, event } = recorded;
        [
            sequence.to_string().into(),
            time::local(event.at, &context.zone).into(),
            Field::toned(event.kind.as_str(), tone(event.kind)),
            subject(event).into(),
            said(event).into(),
        ]
    });
    let header = ["NUMBER", "TIME", "KIND", "CONNECTION", "DETAILS"];
    context.output.table(&events, header, rows.collect(), "there are no such events")
}

/// Prints what is there, and then what comes. The store is let go of between two looks.
async fn follow(context: &Context, args: &Args) -> Result<(), Error> {
    let (mut after, mut is_held) = (args.after, false);
    loop {
        let looked = context
            .with(async |desk| match after {
                Some(after) => {
                    let page = desk.events(after, PAGE).await?;
                    let reached = page.last().map_or(after, |last| last.sequence);
                    let more = page.len() == PAGE;
                    Ok((page.into_iter().filter(|recorded| args.wants(&recorded.event)).collect(), reached, more))
                }
                None => newest(desk, args).await.map(|(events, reached)| (events, reached, false)),
            })
            .await;
        match looked {
            Ok((events, reached, more)) => {
                print(context, &events)?;
                (after, is_held) = (Some(reached), false);
                if more {
                    continue;
                }
            }
            // Somebody works with it; nothing is missed meanwhile.
            Err(error) if error.code() == "store_held" => {
                if !is_held {
                    context.output.note(&format!("{error}; looking again"));
                }
                is_held = true;
            }
            Err(error) => return Err(error),
        }
        // A daemon tells each as it comes.
        if let (Some(reached), Some(daemon)) = (after, context.daemon().await?) {
            let path = format!("/events/stream?after={reached}");
            let told = daemon.follow(&path, |recorded: RecordedEvent| {
                after = Some(recorded.sequence);
                if args.wants(&recorded.event) { print(context, &[recorded]) } else { Ok(()) }
            });
            match told.await {
                // It has ended; another one, or the store itself, goes on.
                Ok(()) | Err(Error::Lost(_)) => {}
                Err(error) => return Err(error),
            }
        }
        SystemClock.sleep_until(later(context.now(), POLL.as_secs())).await;
    }
}

fn print(context: &Context, events: &[RecordedEvent]) -> Result<(), Error> {
    for recorded in events {
        let event = &recorded.event;
        context.output.line(recorded, || {
            let (sequence, at) = (recorded.sequence, time::local(event.at, &context.zone));
            format!("{sequence}  {at}  {:<24}  {}  {}", event.kind.as_str(), subject(event), said(event))
        })?;
    }
    Ok(())
}

/// The first that are wanted after a number.
async fn first_after(desk: &Desk, args: &Args, mut after: u64) -> Result<Vec<RecordedEvent>, Error> {
    let mut wanted = Vec::new();
    while wanted.len() < args.limit {
        let page = desk.events(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.sequence;
        wanted.extend(page.into_iter().filter(|recorded| args.wants(&recorded.event)));
    }
    wanted.truncate(args.limit);
    Ok(wanted)
}

/// The newest that are wanted, and the number of the last event there is.
async fn newest(desk: &Desk, args: &Args) -> Result<(Vec<RecordedEvent>, u64), Error> {
    let last = desk.last_event().await?;
    let (mut until, mut wanted) = (last, Vec::new());
    // Backwards, a page at a time, up to the oldest that is kept.
    while wanted.len() < args.limit && until > 0 {
        let after = until.saturating_sub(PAGE as u64);
        let mut page = desk.events(after, PAGE).await?;
        page.retain(|recorded| recorded.sequence <= until);
        if page.is_empty() {
            // A gap, or the end of what is kept.
            let mut back = Back::from(until);
            while let Some(after) = back.asks() {
                back.told(desk.events(after, 1).await?.first().map(|first| first.sequence));
            }
            let Some(last) = back.found() else { break };
            until = last;
            continue;
        }
        page.retain(|recorded| args.wants(&recorded.event));
        page.append(&mut wanted);
        (wanted, until) = (page, after);
    }
    wanted.drain(..wanted.len().saturating_sub(args.limit));
    Ok((wanted, last))
}

impl Args {
    fn wants(&self, event: &Event) -> bool {
        self.connection.as_ref().is_none_or(|name| event.connection.as_ref() == Some(name))
            && self.kind.is_none_or(|kind| event.kind == kind)
    }
}

pub(super) fn kinds() -> impl clap::builder::TypedValueParser<Value = EventKind> {
    PossibleValuesParser::new(EventKind::ALL.map(EventKind::as_str))
        .try_map(|word| EventKind::from_word(&word).ok_or("there is no such kind"))
}

fn tone(kind: EventKind) -> Tone {
    match kind {
        EventKind::Authorized | EventKind::Refreshed | EventKind::Recovered | EventKind::ClientAccepted => Tone::Good,
        EventKind::Expiring | EventKind::Degraded | EventKind::ScopesMissing | EventKind::AccountChanged => {
            Tone::Warning
        }
        EventKind::ReauthorizationRequired
        | EventKind::RotationLost
        | EventKind::Revoked
        | EventKind::ClientRejected => Tone::Bad,
    }
}

fn subject(event: &Event) -> String {
    event.connection.as_ref().map_or_else(|| event.application.to_string(), ToString::to_string)
}

/// The details in a line: `reason=refused failure.code=invalid_grant`.
fn said(event: &Event) -> String {
    let mut words = Vec::new();
    for (name, value) in &event.details {
        put(&mut words, name, value);
    }
    quoted(&words.join(" "))
}

fn put(words: &mut Vec<String>, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (member, value) in members {
                put(words, &format!("{name}.{member}"), value);
            }
        }
        Value::Array(items) => {
            let items: Vec<_> =
                items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect();
            words.push(format!("{name}={}", items.join(",")));
        }
        Value::String(text) => words.push(format!("{name}={text}")),
        plain => words.push(format!("{name}={plain}")),
    }
}
