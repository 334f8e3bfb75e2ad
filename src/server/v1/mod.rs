//! The calls of the API, a file for each thing that they are about. Handlers are thin: one call of the connector each, in the name of who asks
//! ([`Asker`](super::doors::asker::Asker)). What each needs of them is in `doors/rights.rs`, what travels in `api`.

mod access;
mod applications;
mod connections;
mod consent;
mod credentials;
mod events;
mod health;
mod moving;
pub(super) mod openapi;
mod pages_of;
mod providers;
pub(super) mod proxy;
mod scripts;
mod sign_in;
mod tokens;
mod upkeep;
pub(super) mod webhooks;

use super::routes::Routes;
pub(super) use health::for_everybody;

/// What those answer who are asked by somebody who is known.
pub(super) fn routes() -> Routes {
    Routes::new()
        .merge(health::routes())
        .merge(applications::routes())
        .merge(connections::routes())
        .merge(consent::routes())
        .merge(tokens::routes())
        .merge(credentials::routes())
        .merge(events::routes())
        .merge(access::routes())
        .merge(webhooks::routes())
        .merge(upkeep::routes())
        .merge(providers::routes())
        .merge(scripts::routes())
        .merge(moving::routes())
        .merge(proxy::routes())
        .merge(sign_in::routes())
}
