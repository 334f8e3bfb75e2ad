//! The provider of a run, as strict as any: a refresh token that was used before ends the whole grant. It keeps the truth:
//! which token is good, who used it, and whether what that brought is durable at the other side.

use super::network::Network;
use super::world::World;
use grantkeeper::oauth::RawReply;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A refresh token: its grant, and how many came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    pub(super) grant: usize,
    pub(super) index: usize,
}

/// Why a grant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// A used refresh token came again.
    Reuse,
    /// By itself: a person took it away there.
    Itself,
    /// We asked for it.
    Revoked,
}

/// One grant.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// The refresh token that is good.
    pub(super) current: usize,
    pub(super) ended: Option<Ended>,
    rotated_at: u64,
}

/// A request under way, from when it leaves until somebody has its answer or it is given up.
#[derive(Debug, Clone)]
struct Open {
    process: u64,
    held: Held,
    /// By the machines' clock, in seconds: leases go by that.
    since: i64,
}

/// How the provider is made in a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// For how long a used refresh token is forgiven, in seconds; 0 is the strictest rule.
    pub(super) grace: u64,
    /// Whether it rotates at all.
    pub(super) rotates: bool,
    /// How long access tokens live, in seconds.
    pub(super) lifetime: u64,
}

pub(super) struct Provider {
    world: Arc<World>,
    manner: Manner,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    grants: Vec<Grant>,
    access_tokens: usize,
    requests: u64,
    open: BTreeMap<u64, Open>,
    /// How many requests named a refresh token.
    asked: BTreeMap<Held, u32>,
    /// Rotations whose successor is known to be durable at the other side, by the token that was used.
    durable: BTreeSet<Held>,
    /// What was last handed to a process for a grant within its lease, by the token that was used, and when; until it is
    /// durable.
    handed: BTreeMap<(u64, usize), (Held, u64)>,
    processed: u64,
}

/// Seconds of a lease that are certain, from when its request leaves: 120, less what comes before the sending.
const CERTAIN_LEASE: i64 = 100;

impl Provider {
    pub(super) fn new(world: &Arc<World>, manner: Manner) -> Arc<Self> {
        Arc::new(Self { world: Arc::clone(world), manner, books: Mutex::default() })
    }

    /// A person consents: a new grant, and its refresh token.
    pub(super) fn consent(&self) -> String {
        let mut books = self.books();
        books.grants.push(Grant { current: 0, ended: None, rotated_at: 0 });
        text_of(Held { grant: books.grants.len() - 1, index: 0 })
    }

    /// A person takes a grant away.
    pub(super) fn end(&self, grant: usize) {
        self.books().grants[grant].ended.get_or_insert(Ended::Itself);
    }

    pub(super) fn grant(&self, grant: usize) -> Grant {
        self.books().grants[grant].clone()
    }

    /// How many requests named a refresh token.
    pub(super) fn asked(&self, held: Held) -> u32 {
        self.books().asked.get(&held).copied().unwrap_or(0)
    }

    /// How many requests named a refresh token of a grant.
    pub(super) fn asked_of(&self, grant: usize) -> u32 {
        self.books().asked.iter().filter(|(held, _)| held.grant == grant).map(|(_, times)| times).sum()
    }

    /// How many rotations it made.
    pub(super) fn processed(&self) -> u64 {
        self.books().processed
    }

    /// A request with a refresh token leaves a process. Two at a time are never right, unless the first one's lease ran out.
    pub(super) fn leaves(&self, process: u64, held: Held, network: &Network) -> u64 {
        let now = self.world.now().as_second();
        let mut books = self.books();
        let other = books.open.values().find(|open| open.held.grant == held.grant && network.is_alive(open.process));
        if let Some(other) = other.filter(|other| now < other.since + CERTAIN_LEASE) {
            let what = format!("process {process} asks with {held:?} while {other:?} is under way");
            self.world.broken(what);
        }
        if books.durable.contains(&held) && self.manner.rotates {
            self.world.broken(format!("process {process} asks with {held:?}, whose successor is durable"));
        }
        // Its first step is to make what came durable, before anything can go wrong with it.
        let handed = books.handed.iter().find(|(_, (other, _))| *other == held);
        if let Some(((other, _), (_, at))) = handed
            && network.ran_on_after(*other, *at)
        {
            self.world
                .broken(format!("process {process} asks with {held:?}, whose successor process {other} did not keep"));
        }
        books.requests += 1;
        let number = books.requests;
        books.open.insert(number, Open { process, held, since: now });
        *books.asked.entry(held).or_default() += 1;
        number
    }

    /// The answer of a request is there, or it is given up. `handed` says that it holds tokens.
    pub(super) fn is_over(&self, request: u64, handed: bool) {
        let mut books = self.books();
        let Some(open) = books.open.remove(&request) else { return };
        let place = (open.process, open.held.grant);
        // Who slept through its lease finds its entry taken.
        let in_lease = self.world.now().as_second() < open.since + CERTAIN_LEASE;
        match handed {
            true if in_lease => drop(books.handed.insert(place, (open.held, self.world.passed()))),
            true => drop(books.handed.insert(place, (open.held, u64::MAX))),
            false => drop(books.handed.remove(&place)),
        }
    }

    /// What a process was handed last for a grant is durable now.
    pub(super) fn is_durable(&self, process: u64, grant: usize) {
        let mut books = self.books();
        if let Some((held, _)) = books.handed.remove(&(process, grant)) {
            books.durable.insert(held);
        }
    }

    /// Processes a refresh.
    pub(super) fn refresh(&self, held: Held) -> RawReply {
        let now = self.world.passed();
        let mut books = self.books();
        let Some(grant) = books.grants.get_mut(held.grant) else { return refusal("there is no such grant") };
        if grant.ended.is_some() {
            return refusal("the grant has ended");
        }
        if self.manner.rotates && held.index != grant.current {
            let forgiven = held.index + 1 == grant.current && now < grant.rotated_at + self.manner.grace * 1000;
            if !forgiven {
                grant.ended = Some(Ended::Reuse);
                self.world.tell(|| format!("provider: {held:?} was used before; its grant ends"));
                return refusal("the refresh token was used before; the grant has ended");
            }
        } else if self.manner.rotates {
            grant.current += 1;
            grant.rotated_at = now;
        }
        let next = Held { grant: held.grant, index: grant.current };
        books.access_tokens += 1;
        books.processed += 1;
        let access = format!("access-{:05}-{:05}", held.grant, books.access_tokens);
        self.world.tell(|| format!("provider: {held:?} becomes {next:?}"));
        let (lifetime, refresh) = (self.manner.lifetime, text_of(next));
        json(
            200,
            &format!(
                r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":{lifetime},"refresh_token":"{refresh}"}}"#
            ),
        )
    }

    /// Processes a revocation (RFC 7009): of a refresh token, the whole grant.
    pub(super) fn revoke(&self, token: &str) -> RawReply {
        if let Some(held) = held_of(token)
            && let Some(grant) = self.books().grants.get_mut(held.grant)
        {
            grant.ended.get_or_insert(Ended::Revoked);
            self.world.tell(|| format!("provider: grant {} is revoked", held.grant));
        }
        json(200, "{}")
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text_of(held: Held) -> String {
    format!("refresh-{:05}-{:05}", held.grant, held.index)
}

/// The refresh token that a text is.
pub(super) fn held_of(text: &str) -> Option<Held> {
    let (grant, index) = text.strip_prefix("refresh-")?.split_once('-')?;
    Some(Held { grant: grant.parse().ok()?, index: index.parse().ok()? })
}

fn refusal(why: &str) -> RawReply {
    json(400, &format!(r#"{{"error":"invalid_grant","error_description":"{why}"}}"#))
}

/// A reply in JSON.
pub(super) fn json(status: u16, body: &str) -> RawReply {
    reply(status, &[("content-type", "application/json")], body)
}

/// A reply.
pub(super) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> RawReply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    RawReply { status, headers, body: body.as_bytes().to_vec().into() }
}
