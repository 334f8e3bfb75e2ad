//! What is known of a request beside what it says itself: who sent it and from where, its id, and what stands in its path. It is one thing among the
//! request's extensions, put there by the door and added to on its way: each thing there costs a request room on the heap.

use super::door::Peer;
use crate::access::{Acting, Caller, KeyRefused};
use crate::model::RequestId;
use crate::server::routes::Params;
use axum::http::Extensions;
use std::time::Instant;

/// What is known of a request.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Call {
    /// Who is at the other end; `None` where no door says it.
    pub(in crate::server) peer: Option<Peer>,
    pub(in crate::server) who: Who,
    /// Its id, from when it has one.
    pub(in crate::server) id: Option<RequestId>,
    /// When it began to be answered, from then on: for the log and the figures alone.
    pub(in crate::server) began: Option<Instant>,
    /// What stands in its path, from when that is known.
    pub(in crate::server) params: Option<Params>,
}

/// Who asks, as far as the door can tell.
#[derive(Debug, Clone, Default)]
pub(in crate::server) enum Who {
    /// Nobody who is known.
    #[default]
    Nobody,
    /// A caller.
    Caller(Caller),
    /// Who shows an API key that opens nothing.
    Refused(KeyRefused),
}

impl Call {
    /// From a peer.
    pub(in crate::server) fn from(peer: Peer, who: Who) -> Self {
        Self { peer: Some(peer), who, ..Self::default() }
    }

    /// Of a request, to be added to.
    pub(in crate::server) fn of(extensions: &mut Extensions) -> &mut Self {
        extensions.get_or_insert_default()
    }

    /// The caller.
    pub(in crate::server) fn caller(&self) -> Option<&Caller> {
        match &self.who {
            Who::Caller(caller) => Some(caller),
            Who::Nobody | Who::Refused(_) => None,
        }
    }

    /// In whose name the request is done, for somebody who is known.
    pub(in crate::server) fn acting(&self, caller: &Caller) -> Acting {
        self.within(Acting::of(caller))
    }

    /// The same where a browser comes back, or a stranger asks: nobody's that is known.
    pub(in crate::server) fn by_nobody(&self) -> Acting {
        self.within(Acting::nobody())
    }

    fn within(&self, acting: Acting) -> Acting {
        match self.id {
            Some(id) => acting.in_request(id, self.peer.and_then(Peer::address)),
            None => acting,
        }
    }
}

/// The peer of a request.
pub(in crate::server) fn peer_of(extensions: &Extensions) -> Option<&Peer> {
    extensions.get::<Call>()?.peer.as_ref()
}

/// In whose name a stranger's request is done.
pub(in crate::server) fn by_nobody(extensions: &Extensions) -> Acting {
    extensions.get::<Call>().map_or_else(Acting::nobody, Call::by_nobody)
}
