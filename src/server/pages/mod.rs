//! The pages for people: HTML made here, one style sheet and one small script from fixed paths, nothing from anywhere else.
//! Every page works without the script, which only saves reloading.
//!
//! `guard` decides who sees a page and whose forms are taken; `layout` and `parts` are what all pages look like. Each page is a
//! file: it reads the query, makes one or two calls of the connector, and writes what came.

mod acts;
mod application_edit;
mod application_form;
mod applications;
mod assets;
mod connect;
mod connection;
mod events;
mod expires;
mod fields;
mod guard;
mod history;
mod invited;
mod invites;
mod layout;
mod live;
mod overview;
mod parts;
mod playground;
mod plot;
mod rows;
mod samples;
mod scripts;
mod sign_in;
mod tokens;
mod trouble;

use self::invites::Invites;
use super::router::to_its_end;
use super::session::Sessions;
use super::shared::Shared;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

/// What the pages share.
#[derive(Debug, Clone)]
struct Pages {
    shared: Shared,
    sessions: Sessions,
    invites: Invites,
}

/// The pages of a connector, and the way in to them. It answers every path: put it behind the routes of everything else, as
/// their fallback. Who is signed in may do everything.
pub fn router(shared: Shared, sessions: Sessions) -> Router {
    let pages = Pages { shared: shared.clone(), sessions, invites: Invites::default() };
    let inside = Router::new()
        .route("/", get(overview::page))
        .route("/tokens", get(tokens::page))
        .route("/connections/{application}/{name}", get(connection::page))
        .route("/connections/{application}/{name}/refresh", post(acts::refresh))
        .route("/connections/{application}/{name}/revoke", get(acts::ask_to_revoke).post(acts::revoke))
        .route("/credentials/{id}/expires", get(expires::page).post(expires::edit))
        .route("/credentials/{id}/revoke", get(acts::ask_to_revoke_one).post(acts::revoke_one))
        .route("/applications", get(applications::list))
        .route("/new-application", get(application_form::page).post(application_form::make))
        .route("/applications/{name}", get(applications::page))
        .route("/applications/{name}/edit", get(application_edit::page).post(application_edit::edit))
        .route("/applications/{name}/test", post(applications::test))
        .route("/applications/{name}/switch", post(applications::switch))
        .route("/applications/{name}/remove", get(applications::ask_to_remove).post(applications::remove))
        .route("/connect", get(connect::page).post(connect::make))
        .route("/connect/withdraw", post(connect::withdraw))
        .route("/scripts", get(scripts::list))
        .route("/scripts/{name}", get(scripts::page))
        .route("/scripts/{name}/try", post(playground::run))
        .route("/events", get(events::page))
        .route("/live", get(live::stream))
        .route("/sign-out", post(sign_in::out))
        .fallback(trouble::nothing_here)
        .method_not_allowed_fallback(trouble::not_so)
        .layer(from_fn_with_state(pages.clone(), guard::inside));
    Router::new()
        .route("/sign-in", get(sign_in::page).post(sign_in::with_password))
        .route("/sign-in/link", get(sign_in::link_page).post(sign_in::with_link))
        .route("/invite", get(invited::page).post(invited::go_on))
        .route("/assets/{name}", get(assets::give))
        .merge(inside)
        .layer(from_fn_with_state(shared, to_its_end))
        .layer(from_fn(guard::dress))
        .with_state(pages)
}
