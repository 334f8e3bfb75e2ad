//! The bytes of a page of the audit log: what is sealed, and hashed into the page after it.
//!
//! A byte that says the format, and then postcard, with who acted and what they did once for each page: about 60 bytes an entry. Pages of
//! before begin with `{` and are JSON, five times as large; they are read as they are, for their hashes are in the pages behind them.

use crate::model::{
    Action, Actor, ApplicationName, AuditEntry, AuditPage, ConnectionName, KeyName, Outcome, PageHash, ProfileName,
    RequestId, ScriptName, Target, Timestamp, WebhookName,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::IpAddr;
use uuid::Uuid;

/// The first byte of the format.
const PACKED: u8 = 1;

/// Entries of a page at the most, many times what the log puts into one.
const MOST_ENTRIES: usize = 1024;

/// Bytes of what is said of who acted: a name.
const LONGEST_WHO: usize = 256;

/// Bytes of an entry, about.
const ENTRY: usize = 96;

/// The bytes of a page.
pub(super) fn written(
    (first, before, previous): (u64, u64, PageHash),
    entries: &[AuditEntry],
) -> Result<Vec<u8>, String> {
    if entries.len() > MOST_ENTRIES {
        return Err(format!("more than {MOST_ENTRIES} entries"));
    }
    let (mut actors, mut actions) = (Once::default(), Once::default());
    let entries = entries.iter().map(|entry| PackedEntry {
        at: (entry.at.as_second(), entry.at.subsec_nanosecond()),
        actor: actors.place(&entry.actor),
        action: actions.place(&entry.action),
        target: entry.target.as_ref().map(PackedTarget::of),
        outcome: match entry.outcome {
            Outcome::Done => 0,
            Outcome::Refused => 1,
            Outcome::Failed => 2,
        },
        code: entry.code.as_deref().map(Cow::Borrowed),
        detail: entry.detail.as_deref().map(Cow::Borrowed),
        request: entry.request.map(|id| id.0),
        remote: entry.remote,
        times: entry.times,
    });
    let entries: Vec<_> = entries.collect();
    let page = PackedPage {
        first,
        before,
        previous: previous.0,
        actors: actors.0.into_iter().map(PackedActor::of).collect(),
        actions: actions.0.iter().map(|action| Cow::Borrowed(action.as_str())).collect(),
        entries,
    };
    let mut bytes = Vec::with_capacity(128 + ENTRY * page.entries.len());
    bytes.push(PACKED);
    postcard::to_extend(&page, bytes).map_err(|error| error.to_string())
}

/// A page, of its bytes.
pub(super) fn read(bytes: &[u8]) -> Result<AuditPage, String> {
    let Some((&PACKED, packed)) = bytes.split_first() else {
        return serde_json::from_slice(bytes)
            .map_err(|error| format!("{:?} error at byte {}", error.classify(), error.column()));
    };
    let page: PackedPage<'_> = match postcard::take_from_bytes(packed) {
        Ok((page, [])) => page,
        Ok(_) => return Err("bytes after its end".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    // Who acted stands once, and is told with each entry.
    let longest = page.actors.iter().map(PackedActor::length).max().unwrap_or_default();
    if page.entries.len() > MOST_ENTRIES || longest > LONGEST_WHO {
        return Err("more than any page has".to_owned());
    }
    let actions: Option<Vec<Action>> = page.actions.iter().map(|word| action(word)).collect();
    let actions = actions.ok_or("an action that is not known here")?;
    let actors: Vec<Actor> = page.actors.into_iter().map(Actor::from).collect();
    let entries = page.entries.into_iter().map(|entry| {
        Some(AuditEntry {
            at: Timestamp::new(entry.at.0, entry.at.1).ok()?,
            actor: actors.get(usize::from(entry.actor))?.clone(),
            action: *actions.get(usize::from(entry.action))?,
            target: entry.target.map(Target::from),
            outcome: match entry.outcome {
                0 => Outcome::Done,
                1 => Outcome::Refused,
                2 => Outcome::Failed,
                _ => return None,
            },
            code: entry.code.map(Cow::into_owned),
            detail: entry.detail.map(Cow::into_owned),
            request: entry.request.map(RequestId),
            remote: entry.remote,
            times: entry.times,
        })
    });
    let entries: Option<Vec<AuditEntry>> = entries.collect();
    let entries = entries.ok_or("an entry that points nowhere")?;
    Ok(AuditPage { first: page.first, before: page.before, previous: PageHash(page.previous), entries })
}

fn action(word: &str) -> Option<Action> {
    Action::ALL.iter().copied().find(|action| action.as_str() == word)
}

/// What stands in a page once, in the order in which it came.
struct Once<'a, T>(Vec<&'a T>);

impl<T> Default for Once<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, T: PartialEq> Once<'a, T> {
    /// Its place. Who acts now mostly acted before.
    fn place(&mut self, wanted: &'a T) -> u16 {
        let place = self.0.iter().rposition(|known| *known == wanted).unwrap_or_else(|| {
            self.0.push(wanted);
            self.0.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }
}

// The order of fields and of variants is the format: what is new goes behind what is there.

#[derive(Serialize, Deserialize)]
struct PackedPage<'a> {
    first: u64,
    before: u64,
    previous: [u8; 32],
    actors: Vec<PackedActor>,
    #[serde(borrow)]
    actions: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    entries: Vec<PackedEntry<'a>>,
}

#[derive(Serialize, Deserialize)]
struct PackedEntry<'a> {
    /// Seconds since the epoch, and the nanoseconds behind them.
    at: (i64, i32),
    /// Places in the page's lists.
    actor: u16,
    action: u16,
    target: Option<PackedTarget>,
    outcome: u8,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    detail: Option<Cow<'a, str>>,
    request: Option<Uuid>,
    remote: Option<IpAddr>,
    times: u32,
}

#[derive(Serialize, Deserialize)]
enum PackedActor {
    Local { user: Option<u32>, process: Option<u32> },
    Key { id: Uuid, name: KeyName },
    Session { who: String, key: Option<Uuid> },
    System,
    Nobody,
}

#[derive(Serialize, Deserialize)]
enum PackedTarget {
    Connection(ConnectionName),
    Application(ApplicationName),
    Profile { application: ApplicationName, profile: ProfileName },
    Key(KeyName),
    Script(ScriptName),
    Webhook(WebhookName),
    Log { up_to: u64, hash: [u8; 32] },
}

impl PackedActor {
    fn of(actor: &Actor) -> Self {
        match actor.clone() {
            Actor::Local { user, process } => Self::Local { user, process },
            Actor::Key { id, name } => Self::Key { id, name },
            Actor::Session { who, key } => Self::Session { who, key },
            Actor::System => Self::System,
            Actor::Nobody => Self::Nobody,
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Session { who, .. } => who.len(),
            Self::Key { name, .. } => name.as_str().len(),
            Self::Local { .. } | Self::System | Self::Nobody => 0,
        }
    }
}

impl From<PackedActor> for Actor {
    fn from(packed: PackedActor) -> Self {
        match packed {
            PackedActor::Local { user, process } => Self::Local { user, process },
            PackedActor::Key { id, name } => Self::Key { id, name },
            PackedActor::Session { who, key } => Self::Session { who, key },
            PackedActor::System => Self::System,
            PackedActor::Nobody => Self::Nobody,
        }
    }
}

impl PackedTarget {
    fn of(target: &Target) -> Self {
        match target.clone() {
            Target::Connection(name) => Self::Connection(name),
            Target::Application(name) => Self::Application(name),
            Target::Profile { application, profile } => Self::Profile { application, profile },
            Target::Key(name) => Self::Key(name),
            Target::Script(name) => Self::Script(name),
            Target::Webhook(name) => Self::Webhook(name),
            Target::Log { up_to, hash } => Self::Log { up_to, hash: hash.0 },
        }
    }
}

impl From<PackedTarget> for Target {
    fn from(packed: PackedTarget) -> Self {
        match packed {
            PackedTarget::Connection(name) => Self::Connection(name),
            PackedTarget::Application(name) => Self::Application(name),
            PackedTarget::Profile { application, profile } => Self::Profile { application, profile },
            PackedTarget::Key(name) => Self::Key(name),
            PackedTarget::Script(name) => Self::Script(name),
            PackedTarget::Webhook(name) => Self::Webhook(name),
            PackedTarget::Log { up_to, hash } => Self::Log { up_to, hash: PageHash(hash) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(actor: Actor, action: Action, target: Option<Target>) -> AuditEntry {
        AuditEntry {
            at: "2026-11-30T12:00:00.000000007Z".parse().unwrap(),
            actor,
            action,
            target,
            outcome: Outcome::Done,
            code: None,
            detail: None,
            request: None,
            remote: None,
            times: 1,
        }
    }

    fn key(name: &str) -> Actor {
        Actor::Key { id: Uuid::from_u128(7), name: name.parse().unwrap() }
    }

    fn page(entries: Vec<AuditEntry>) -> AuditPage {
        AuditPage { first: 3, before: 2, previous: PageHash([9; 32]), entries }
    }

    fn bytes(page: &AuditPage) -> Vec<u8> {
        written((page.first, page.before, page.previous), &page.entries).unwrap()
    }

    /// Everything that an entry can say.
    fn all_there_is() -> AuditPage {
        let (application, connection) = ("drive".parse().unwrap(), "drive/reports~user".parse().unwrap());
        let targets = [
            Target::Connection(connection),
            Target::Application("slack".parse().unwrap()),
            Target::Profile { application, profile: "default".parse().unwrap() },
            Target::Key("backend".parse().unwrap()),
            Target::Script("OAuthUtil".parse().unwrap()),
            Target::Webhook("ops".parse().unwrap()),
            Target::Log { up_to: 1 << 40, hash: PageHash([3; 32]) },
        ];
        let actors = [
            Actor::Local { user: Some(1000), process: None },
            key("backend"),
            Actor::Session { who: "admin".to_owned(), key: Some(Uuid::from_u128(1)) },
            Actor::System,
            Actor::Nobody,
        ];
        let outcomes = [Outcome::Done, Outcome::Refused, Outcome::Failed];
        let entries = Action::ALL.iter().enumerate().map(|(at, action)| AuditEntry {
            outcome: outcomes[at % outcomes.len()],
            code: (at % 4 == 1).then(|| "not_allowed".to_owned()),
            detail: (at % 5 == 1).then(|| "GET /v1/health".to_owned()),
            request: (at % 2 == 0).then(|| RequestId(Uuid::from_u128(at as u128))),
            remote: [None, Some("192.0.2.7".parse().unwrap()), Some("::1".parse().unwrap())][at % 3],
            times: 1 + at as u32,
            ..entry(actors[at % actors.len()].clone(), *action, targets.get(at % 8).cloned())
        });
        page(entries.collect())
    }

    #[test]
    fn a_page_reads_back_and_one_of_before_is_read_too() {
        let page = all_there_is();
        assert_eq!(read(&bytes(&page)).unwrap(), page);
        assert_eq!(read(&serde_json::to_vec(&page).unwrap()).unwrap(), page);
        let many = (0..64).map(|at| {
            let target = format!("drive/person-{at}").parse().unwrap();
            let told = entry(key("reporting"), Action::TokenRead, Some(Target::Connection(target)));
            AuditEntry { request: Some(RequestId(Uuid::now_v7())), remote: Some("192.0.2.7".parse().unwrap()), ..told }
        });
        let many = self::page(many.collect());
        let (packed, json) = (bytes(&many).len(), serde_json::to_vec(&many).unwrap().len());
        assert!(packed < 64 * 70 && packed * 4 < json, "{packed} and {json}");
    }

    #[test]
    fn a_page_that_would_grow_in_memory_is_refused() {
        let session = |who: &str| Actor::Session { who: who.to_owned(), key: None };
        let many = vec![entry(Actor::System, Action::SignIn, None); MOST_ENTRIES + 1];
        assert!(written((1, 0, PageHash::default()), &many).is_err());
        let long = page(vec![entry(session(&"x".repeat(LONGEST_WHO + 1)), Action::SignIn, None)]);
        assert!(read(&bytes(&long)).is_err());
        let usual = page(vec![entry(session("reporting"), Action::SignIn, None)]);
        assert_eq!(read(&bytes(&usual)).unwrap(), usual);
    }

    /// The format does not change behind the back of those who have pages in it.
    #[test]
    fn a_page_has_the_bytes_that_it_always_had() {
        let drive = Target::Connection("drive/a".parse().unwrap());
        let told = AuditEntry {
            request: Some(RequestId(Uuid::from_u128(5))),
            remote: Some("192.0.2.7".parse().unwrap()),
            ..entry(key("k"), Action::TokenRead, Some(drive))
        };
        let refused = AuditEntry {
            outcome: Outcome::Refused,
            code: Some("no_key".to_owned()),
            ..entry(Actor::Nobody, Action::AccessRefused, None)
        };
        let written: String = bytes(&page(vec![told, refused])).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(written, GOLDEN);
    }

    const GOLDEN: &str = concat!(
        "010302090909090909090909090909090909090909090909090909090909090909090902011000000000000000000000",
        "000000000007016b04020a746f6b656e2e726561640e6163636573732e72656675736564028095ebb00d0e0000010007",
        "64726976652f610000000110000000000000000000000000000000050100c0000207018095ebb00d0e0101000101066e",
        "6f5f6b657900000001",
    );

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&[&[PACKED], bytes.as_slice()].concat());
            let _ = read(&bytes);
        }

        #[test]
        fn a_page_that_was_cut_is_none(cut in 1..400_usize) {
            let whole = bytes(&all_there_is());
            prop_assert!(read(&whole[..whole.len().saturating_sub(cut)]).is_err());
        }
    }
}
