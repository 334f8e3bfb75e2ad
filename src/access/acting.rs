//! In whose name something is done: what the audit log writes beside it.

use super::Caller;
use crate::model::{Action, Actor, AuditEntry, Outcome, RequestId, Target, Timestamp};
use std::net::IpAddr;

/// In whose name something is done, in which request, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acting {
    /// Who.
    pub actor: Actor,
    /// The id of the request.
    pub request: Option<RequestId>,
    /// The address that it came from.
    pub remote: Option<IpAddr>,
}

impl Acting {
    /// A caller, known to the door that they came through.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        Self::by(match caller {
            Caller::Owner { process } => Actor::Local { user: own_user(), process: *process },
            Caller::Key(key) => Actor::Key { id: key.id, name: key.name.clone() },
            Caller::Session { who, key } => Actor::Session { who: who.to_string(), key: *key },
        })
    }

    /// This process, for a command that works with the store itself.
    #[must_use]
    pub fn this_process() -> Self {
        Self::by(Actor::Local { user: own_user(), process: Some(std::process::id()) })
    }

    /// Somebody who could not say who they are.
    #[must_use]
    pub fn nobody() -> Self {
        Self::by(Actor::Nobody)
    }

    /// An actor, in no request.
    #[must_use]
    pub fn by(actor: Actor) -> Self {
        Self { actor, request: None, remote: None }
    }

    /// The same in a request, which came from an address where it came over a network.
    #[must_use]
    pub fn in_request(self, request: RequestId, remote: Option<IpAddr>) -> Self {
        Self { request: Some(request), remote, ..self }
    }

    /// An entry of the audit log, of something that was done.
    #[must_use]
    pub fn entry(&self, action: Action, target: Option<Target>, at: Timestamp) -> AuditEntry {
        self.clone().into_entry(action, target, at)
    }

    /// The same of somebody who does nothing more.
    #[must_use]
    pub fn into_entry(self, action: Action, target: Option<Target>, at: Timestamp) -> AuditEntry {
        AuditEntry {
            at,
            actor: self.actor,
            action,
            target,
            outcome: Outcome::Done,
            code: None,
            detail: None,
            request: self.request,
            remote: self.remote,
            times: 1,
        }
    }
}

/// The user whose process this is.
fn own_user() -> Option<u32> {
    #[cfg(any(feature = "cli", feature = "server"))]
    {
        Some(rustix::process::geteuid().as_raw())
    }
    #[cfg(not(any(feature = "cli", feature = "server")))]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata("/proc/self").ok().map(|process| process.uid())
    }
}
