//! Who may do what, and who did what: API keys, the administrator's password and the audit log, through the public face.

#[cfg(feature = "cli")]
mod api;
#[cfg(feature = "cli")]
mod cli;
mod library;
mod store;

use grantkeeper::access::{Acting, Caller, KeyRefused};
use grantkeeper::connector::{Connector, CreatedKey, NewKey};
use grantkeeper::model::{Action, Actor, RecordedAudit, Timestamp};

/// Somebody who is signed in at the pages.
fn somebody() -> Acting {
    Acting::by(Actor::Session { who: "admin".to_owned(), key: None })
}

async fn key(connector: &Connector, name: &str, may: &str) -> CreatedKey {
    let new = NewKey { name: name.parse().unwrap(), allowances: vec![may.parse().unwrap()], expires: None };
    connector.create_key(new).await.unwrap()
}

async fn code(connector: &Connector, shown: &str) -> &'static str {
    connector.let_in(shown).await.as_ref().map_or_else(KeyRefused::code, |_: &Caller| "in")
}

/// What was done, in its order.
async fn actions(connector: &Connector) -> Vec<Action> {
    log(connector).await.iter().map(|recorded| recorded.entry.action).collect()
}

async fn log(connector: &Connector) -> Vec<RecordedAudit> {
    connector.audit_after(0, 1_000).await.unwrap()
}

fn days(days: i64) -> std::time::Duration {
    std::time::Duration::from_secs(u64::try_from(days * 86_400).unwrap())
}

fn later(now: Timestamp, by: i64) -> Timestamp {
    now + days(by)
}
