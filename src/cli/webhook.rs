//! `webhook`: endpoints that the daemon tells of events.

use super::context::Context;
use super::error::Error;
use super::events::kinds;
use super::output::{Field, Tone};
use super::secrets;
use super::time;
use super::view::{Lines, unknown};
use crate::api::{ApplicationDocument, WebhookDocument, WebhookSecretDocument, WebhookState};
use crate::connector::{NewWebhook, WebhookEdit};
use crate::model::{DisabledReason, EventKind, Reach, WebhookAnswer, WebhookName, WebhookUrl, WebhookUrlError};
use serde_json::json;
use std::str::FromStr;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a webhook, and print its secret once
    #[command(
        after_help = "Examples:\n  grantkeeper webhook add ops https://ops.example.com/hooks/grants --kind reauthorization_required\n  \
                            grantkeeper webhook add drive http://127.0.0.1:9000/ --for 'google-drive/*' > drive.secret\n  \
                            grantkeeper webhook add chat - < chat.url > chat.secret\n\n\
                            The daemon (grantkeeper serve) sends what happens from now on, signed as Standard Webhooks says it. Standard output \
                            has the secret and nothing else; docs/webhooks.md tells how a receiver uses it."
    )]
    Add {
        /// What to call it
        name: WebhookName,
        /// Where its messages go: https, or http on this machine; `-` reads it from standard input
        #[arg(allow_hyphen_values = true)]
        url: Where,
        /// Only events of this kind; given several times, of these kinds
        #[arg(long, value_name = "KIND", value_parser = kinds())]
        kind: Vec<EventKind>,
        /// Only what happens to this: APPLICATION/* or APPLICATION/NAME; may be given several times
        #[arg(long = "for", value_name = "REACH")]
        reach: Vec<Reach>,
    },
    /// List webhooks, without their secrets
    List,
    /// Show how far a webhook has come, and what waits
    Show {
        /// Its name
        name: WebhookName,
    },
    /// Edit where a webhook's messages go, and what it tells of
    Edit {
        /// Its name
        name: WebhookName,
        /// Where its messages go from now on; `-` reads it from standard input
        #[arg(long, value_name = "URL", allow_hyphen_values = true)]
        url: Option<Where>,
        /// Only events of this kind, in place of those before; given several times, of these kinds
        #[arg(long, value_name = "KIND", value_parser = kinds())]
        kind: Vec<EventKind>,
        /// Events of every kind
        #[arg(long, conflicts_with = "kind")]
        all_kinds: bool,
        /// Only what happens to this, in place of what was before: *, APPLICATION/* or APPLICATION/NAME
        #[arg(long = "for", value_name = "REACH")]
        reach: Vec<Reach>,
    },
    /// Give a webhook another secret, and print it once
    RotateSecret {
        /// Its name
        name: WebhookName,
        /// End the old secret now; without this, messages are signed with both for a day
        #[arg(long)]
        at_once: bool,
    },
    /// Have a webhook send again, on from where it stopped
    Enable {
        /// Its name
        name: WebhookName,
        /// Go on with what is new, and drop what waits; also where it is enabled already
        #[arg(long)]
        from_now: bool,
    },
    /// Stop a webhook, until it is enabled
    Disable {
        /// Its name
        name: WebhookName,
    },
    /// Send one signed message that tells of nothing, and say what the endpoint answered
    Test {
        /// Its name
        name: WebhookName,
    },
    /// Remove a webhook with all that waits
    Remove {
        /// Its name
        name: WebhookName,
    },
}

/// Where messages go, as it is named on the command line.
#[derive(Debug, Clone)]
pub(super) enum Where {
    /// Standard input says it: some URLs hold a secret, and every process of the machine can read the command line.
    StandardInput,
    Url(WebhookUrl),
}

impl FromStr for Where {
    type Err = WebhookUrlError;

    fn from_str(text: &str) -> Result<Self, WebhookUrlError> {
        if text == "-" { Ok(Self::StandardInput) } else { Ok(Self::Url(text.parse()?)) }
    }
}

impl Where {
    fn url(self) -> Result<WebhookUrl, Error> {
        match self {
            Self::Url(url) => Ok(url),
            Self::StandardInput => {
                let text = secrets::from_stdin("URL")?;
                text.expose().trim().parse().map_err(|error: WebhookUrlError| Error::Usage(error.to_string()))
            }
        }
    }
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Add { name, url, kind, reach } => {
            let new = NewWebhook { name, url: url.url()?, kinds: kind, reach };
            let made = context.with(async |desk| {
                // Before: the secret is shown once, and nothing may come between it and who is to see it.
                let known = desk.applications().await.ok();
                Ok((known, desk.create_webhook(new).await?))
            });
            let (known, made) = made.await?;
            note_unknown(context, known.as_deref(), &made.webhook);
            let told = told(&made.webhook);
            hand_over(
                context,
                &made,
                &format!("the webhook {} tells of {told}, while `grantkeeper serve` runs", made.webhook.name),
            )
        }
        Command::List => list(context).await,
        Command::Show { name } => {
            let webhook = context.with(async |desk| desk.webhook(&name).await).await?;
            context.output.result(&webhook, || described(&webhook, context))
        }
        Command::Edit { name, url, kind, all_kinds, reach } => {
            let edit = WebhookEdit {
                url: url.map(Where::url).transpose()?,
                kinds: (all_kinds || !kind.is_empty()).then_some(kind),
                reach: (!reach.is_empty()).then_some(reach),
            };
            if edit == WebhookEdit::default() {
                let nothing = "say what is to be edited: --url, --kind, --all-kinds or --for";
                return Err(Error::Usage(nothing.to_owned()));
            }
            let edited = context.with(async |desk| {
                let known = desk.applications().await.ok();
                Ok((known, desk.edit_webhook(&name, edit).await?))
            });
            let (known, webhook) = edited.await?;
            note_unknown(context, known.as_deref(), &webhook);
            let told = told(&webhook);
            context.output.result(&webhook, || format!("the webhook {name} tells {} of {told}\n", webhook.url))
        }
        Command::RotateSecret { name, at_once } => {
            let made = context.with(async |desk| desk.rotate_webhook_secret(&name, at_once).await).await?;
            let old =
                if at_once { "the old one has ended" } else { "messages are signed with the old one too for a day" };
            hand_over(context, &made, &format!("the webhook {name} has another secret; {old}"))
        }
        Command::Enable { name, from_now } => {
            let enabled = context.with(async |desk| {
                let was = desk.webhook(&name).await?.state;
                Ok((was, desk.enable_webhook(&name, from_now).await?))
            });
            let (was, webhook) = enabled.await?;
            context.output.result(&webhook, || match (was == WebhookState::Disabled, from_now) {
                (false, false) => format!("the webhook {name} is enabled already; nothing was changed\n"),
                (_, true) => format!("the webhook {name} is enabled and goes on with what is new\n"),
                (true, false) => format!("the webhook {name} is enabled and goes on from where it stopped\n"),
            })
        }
        Command::Disable { name } => {
            let webhook = context.with(async |desk| desk.disable_webhook(&name).await).await?;
            context.output.result(&webhook, || {
                format!("the webhook {name} is disabled; grantkeeper webhook enable {name} has it go on\n")
            })
        }
        Command::Test { name } => test(context, &name).await,
        Command::Remove { name } => {
            context.with(async |desk| desk.remove_webhook(&name).await).await?;
            let document = json!({ "name": name, "removed": true });
            context.output.result(&document, || format!("the webhook {name} was removed\n"))
        }
    }
}

/// Tells of what a webhook will hear nothing of, for now.
fn note_unknown(context: &Context, known: Option<&[ApplicationDocument]>, webhook: &WebhookDocument) {
    for reach in &webhook.reach {
        if let Some(application) = unknown(known, reach.application()) {
            context.output.note(&format!("{reach} means nothing yet: there is no application {application}"));
        }
    }
}

/// Prints a secret, alone on standard output.
fn hand_over(context: &Context, made: &WebhookSecretDocument, said: &str) -> Result<(), Error> {
    if context.output.is_json() {
        return context.output.result(made, String::new);
    }
    context.output.note(&format!(
        "{said}. Its secret is shown this once: keep it where the receiver keeps secrets, and check signatures with it (docs/webhooks.md)."
    ));
    context.output.verbatim(made.secret.expose())
}

async fn list(context: &Context) -> Result<(), Error> {
    let webhooks = context.with(async |desk| desk.webhooks().await).await?;
    let now = context.now();
    let rows = webhooks.iter().map(|webhook| {
        [
            webhook.name.to_string().into(),
            Field::toned(webhook.state.as_str(), tone(webhook.state)),
            webhook.url.to_string().into(),
            told(webhook).into(),
            webhook.last_delivered.map_or_else(|| "never".to_owned(), |at| time::distance(at, now)).into(),
            webhook.last_answer.as_ref().map_or_else(|| "none".to_owned(), answered).into(),
            waits(webhook).to_string().into(),
        ]
    });
    let header = ["WEBHOOK", "STATE", "URL", "TELLS OF", "LAST DELIVERY", "LAST ANSWER", "WAITING"];
    context.output.table(&webhooks, header, rows.collect(), "there are no webhooks; grantkeeper webhook add makes one")
}

async fn test(context: &Context, name: &WebhookName) -> Result<(), Error> {
    let answer = context.with(async |desk| desk.test_webhook(name).await).await?;
    if let Some(problem) = answer.problem {
        return Err(Error::NotTaken { webhook: name.clone(), problem });
    }
    context
        .output
        .result(&answer, || format!("the test message of {name} was taken: it answered {}\n", answered(&answer)))
}

fn described(webhook: &WebhookDocument, context: &Context) -> String {
    let (now, zone) = (context.now(), &context.zone);
    let at = |time| time::with_distance(time, now, zone);
    let mut lines = Lines::default();
    lines.put("webhook", webhook.name.to_string()).put("state", webhook.state.as_str());
    lines.maybe(
        "disabled",
        webhook.disabled.map(|disabled| match disabled.reason {
            DisabledReason::ByHand => at(disabled.at),
            DisabledReason::Gone => format!("{}: its endpoint answered 410 Gone", at(disabled.at)),
        }),
    );
    lines
        .put("url", webhook.url.to_string())
        .put("tells of", told(webhook))
        .put("made", at(webhook.created))
        .put("secret made", at(webhook.secret_made))
        .put("delivered", webhook.delivered.to_string());
    lines.maybe("last delivery", webhook.last_delivered.map(at));
    lines.maybe(
        "last answer",
        webhook.last_answer.as_ref().map(|answer| {
            let problem = answer.problem.as_deref().map_or_else(|| answered(answer), str::to_owned);
            format!("{}: {problem}", at(answer.at))
        }),
    );
    lines.put("waiting", waits(webhook).to_string());
    for message in &webhook.waiting {
        let times = if message.attempts == 1 { "once".to_owned() } else { format!("{} times", message.attempts) };
        let refused = if message.refused { ", refused" } else { "" };
        // Nothing is sent while it is disabled.
        let again = match webhook.disabled {
            None => format!(", again {}", at(message.next)),
            Some(_) => String::new(),
        };
        lines.put("", format!("event {}, tried {times}{refused}{again}", message.sequence));
    }
    lines.put("given up", webhook.given_up.to_string());
    lines.maybe("", webhook.last_given_up.map(|sequence| format!("the last was event {sequence}")));
    lines.text()
}

/// Messages and events that wait.
fn waits(webhook: &WebhookDocument) -> u64 {
    webhook.waiting.len() as u64 + webhook.behind
}

/// What a webhook tells of, in words.
fn told(webhook: &WebhookDocument) -> String {
    let kinds: Vec<&str> = webhook.kinds.iter().map(|kind| kind.as_str()).collect();
    let reach: Vec<String> = webhook.reach.iter().map(ToString::to_string).collect();
    match (kinds.is_empty(), reach.is_empty()) {
        (true, true) => "everything".to_owned(),
        (false, true) => kinds.join(", "),
        (true, false) => format!("everything of {}", reach.join(", ")),
        (false, false) => format!("{} of {}", kinds.join(", "), reach.join(", ")),
    }
}

fn answered(answer: &WebhookAnswer) -> String {
    answer.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string())
}

fn tone(state: WebhookState) -> Tone {
    match state {
        WebhookState::Active => Tone::Good,
        WebhookState::Failing => Tone::Warning,
        WebhookState::Disabled => Tone::Bad,
    }
}
