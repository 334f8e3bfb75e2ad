//! `audit`: who did what.

use super::args::whole_number;
use super::context::Context;
use super::error::Error;
use super::output::{Field, Tone};
use super::signals::Interrupt;
use super::time;
use crate::access::{AuditFilter, AuditList, Head, Verified};
use crate::events::POLL;
use crate::model::{
    Action, ApplicationName, AuditEntry, Clock as _, ConnectionName, KeyName, Outcome, RecordedAudit, SystemClock,
    Timestamp, counted, later, quoted,
};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use jiff::SignedDuration;

/// Show who did what, oldest first: tokens handed out, changes, refusals. Or check that the log is whole.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  grantkeeper audit --connection google-drive/reports --since 7d\n  \
                        grantkeeper audit --key reporting --action token.read --follow --json\n  \
                        grantkeeper audit --verify\n\n\
                        Entries are kept for 400 days ([audit] keep_days in grantkeeper.toml).")]
pub(super) struct Args {
    /// Only what was done to this connection, APPLICATION/NAME
    #[arg(long, value_name = "CONNECTION")]
    connection: Option<ConnectionName>,
    /// Only what was done to this application, or to one of its connections or profiles
    #[arg(long, visible_alias = "app", value_name = "APPLICATION")]
    application: Option<ApplicationName>,
    /// Only what was done with this API key, or to it
    #[arg(long, value_name = "KEY")]
    key: Option<KeyName>,
    /// Only this action
    #[arg(long, value_name = "ACTION", value_parser = actions())]
    action: Option<Action>,
    /// Only from this time on: 7d (ago), or a time such as 2030-01-31
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// How many at the most, the newest of them. With --follow: how many of the past come first
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = whole_number::<usize>)]
    limit: usize,
    /// Go on with new ones, as they come or within two seconds, until Ctrl-C; with --json one object a line
    #[arg(long, short, conflicts_with = "verify")]
    follow: bool,
    /// Read the whole log, and check that nothing in it was changed, put in or taken out
    #[arg(long, conflicts_with_all = ["connection", "application", "key", "action", "since"])]
    verify: bool,
    /// With --verify: a head that was noted earlier, SEQUENCE:HASH, which must be there as it was
    #[arg(long, value_name = "HEAD", requires = "verify")]
    head: Option<Head>,
}

/// Entries that are read at once: the store is held for one such look.
const PAGE: usize = 500;

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Error> {
    if args.verify {
        return verify(context, args.head).await;
    }
    let filter = AuditFilter {
        connection: args.connection.clone(),
        application: args.application.clone(),
        key: args.key.clone(),
        action: args.action,
        since: args.since.as_deref().map(|text| since(text, context)).transpose()?,
    };
    if args.follow {
        let mut interrupt = Interrupt::new()?;
        let context = &context.minding_interrupts();
        return tokio::select! {
            biased;
            _ = interrupt.wait() => Ok(()),
            ended = follow(context, &args, &filter) => ended,
        };
    }
    let list = newest(context, &args, &filter).await?;
    if !context.output.is_json() {
        list.unread.iter().for_each(|unread| context.output.note(unread));
    }
    let rows = list.entries.iter().map(|recorded| {
        let RecordedAudit { sequence, entry } = recorded;
        [
            sequence.to_string().into(),
            time::local(entry.at, &context.zone).into(),
            who(entry).into(),
            entry.action.as_str().into(),
            what(entry).into(),
            Field::toned(entry.outcome.as_str(), tone(entry.outcome)),
            said(entry).into(),
        ]
    });
    let header = ["NUMBER", "TIME", "WHO", "ACTION", "TO", "OUTCOME", "DETAILS"];
    context.output.table(&list.entries, header, rows.collect(), "there are no such entries")
}

async fn verify(context: &Context, head: Option<Head>) -> Result<(), Error> {
    let verified = context.with(async |desk| desk.verify_audit(head).await).await?;
    context.output.result(&verified, || told(&verified, head))?;
    match verified.findings.len() {
        0 => Ok(()),
        findings => Err(Error::LogNotWhole { findings }),
    }
}

fn told(verified: &Verified, noted: Option<Head>) -> String {
    let mut text = match (verified.first, verified.head) {
        (Some(first), Some(head)) => {
            let mut text = format!(
                "{}, {first} to {}; head {head}\n",
                counted(verified.entries, "entry", "entries"),
                head.sequence
            );
            // Of a log that is not whole nothing is to be noted: it would be blessed.
            if verified.findings.is_empty() {
                if let Some(noted) = noted {
                    text.push_str(&format!("the head that was noted, {}, is in it\n", noted.sequence));
                }
                text.push_str(&format!(
                    "\nNote the head elsewhere now and then: `grantkeeper audit --verify --head {head}` finds\nwhether entries up to it were changed or cut off since by somebody who has the keys.\n"
                ));
            }
            text
        }
        _ => format!("{}\n", counted(verified.entries, "entry", "entries")),
    };
    for restored in &verified.restored {
        text.push_str(&format!("{restored}: a store was restored from a backup; what came after that is in the store that was moved aside\n"));
    }
    for finding in &verified.findings {
        text.push_str(&format!("{}: {}\n", finding.sequence, finding.reason));
    }
    text
}

/// The newest that are wanted, the oldest of them first.
async fn newest(context: &Context, args: &Args, filter: &AuditFilter) -> Result<AuditList, Error> {
    context
        .with(async |desk| {
            let mut list = AuditList { entries: Vec::new(), next: None, unread: Vec::new() };
            while list.entries.len() < args.limit {
                let limit = (args.limit - list.entries.len()).min(PAGE);
                let page = desk.audit(filter, list.next, limit).await?;
                list.entries.extend(page.entries);
                list.unread.extend(page.unread);
                list.next = page.next;
                if list.next.is_none() {
                    break;
                }
            }
            list.entries.reverse();
            Ok(list)
        })
        .await
}

/// Prints what is there, and then what comes. The store is let go of between two looks.
async fn follow(context: &Context, args: &Args, filter: &AuditFilter) -> Result<(), Error> {
    // Before the look at the past: what comes meanwhile is new.
    let mut after = context.with(async |desk| desk.last_audit().await).await?;
    let past = newest(context, args, filter).await?;
    past.entries
        .iter()
        .filter(|recorded| recorded.sequence <= after)
        .try_for_each(|recorded| print(context, recorded))?;
    let mut is_held = false;
    loop {
        match context.with(async |desk| desk.audit_after(after, PAGE).await).await {
            Ok(page) => {
                is_held = false;
                let more = page.len() == PAGE;
                for recorded in page {
                    after = recorded.sequence;
                    if filter.wants(&recorded.entry) {
                        print(context, &recorded)?;
                    }
                }
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
        if let Some(daemon) = context.daemon().await? {
            let path = format!("/audit/stream?after={after}");
            let told = daemon.follow(&path, |recorded: RecordedAudit| {
                after = recorded.sequence;
                if filter.wants(&recorded.entry) { print(context, &recorded) } else { Ok(()) }
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

fn print(context: &Context, recorded: &RecordedAudit) -> Result<(), Error> {
    let RecordedAudit { sequence, entry } = recorded;
    context.output.line(recorded, || {
        let at = time::local(entry.at, &context.zone);
        let (who, what, said) = (who(entry), what(entry), said(entry));
        format!("{sequence}  {at}  {who}  {:<16}  {what}  {}  {said}", entry.action.as_str(), entry.outcome.as_str())
    })
}

/// So long ago, or a time.
fn since(text: &str, context: &Context) -> Result<Timestamp, Error> {
    // One with a sign counts from now on, as everywhere.
    match time::parse_duration(text).ok().filter(|_| !text.starts_with('+')) {
        Some(ago) => {
            let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
            Ok(context.now().checked_sub(ago).unwrap_or(Timestamp::MIN))
        }
        None => time::parse_time(text, context.now(), &context.zone).map_err(|_| {
            Error::Usage(format!(
                "--since: {text:?} is no time; write how long ago (7d, 12h), or a time such as 2030-01-31"
            ))
        }),
    }
}

fn actions() -> impl clap::builder::TypedValueParser<Value = Action> {
    PossibleValuesParser::new(Action::ALL.iter().map(|action| action.as_str()))
        .try_map(|word| Action::from_word(&word).ok_or("there is no such action"))
}

fn who(entry: &AuditEntry) -> String {
    quoted(&entry.actor.to_string())
}

fn what(entry: &AuditEntry) -> String {
    entry.target.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// The rest in a line: `code=forbidden from=127.0.0.1 times=3 request=… 4 grants`.
fn said(entry: &AuditEntry) -> String {
    let mut words = Vec::new();
    words.extend(entry.code.as_ref().map(|code| format!("code={code}")));
    words.extend(entry.remote.map(|remote| format!("from={remote}")));
    words.extend((entry.times > 1).then(|| format!("times={}", entry.times)));
    words.extend(entry.request.as_ref().map(|request| format!("request={request}")));
    words.extend(entry.detail.clone());
    quoted(&words.join(" "))
}

fn tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Done => Tone::Good,
        Outcome::Refused => Tone::Bad,
        Outcome::Failed => Tone::Warning,
    }
}
