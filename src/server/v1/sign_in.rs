//! Links that sign a browser in at the pages, for who may do everything already.

use crate::api::{Problem, SignInDocument, exit_codes};
use crate::model::{Action, Secret, later};
use crate::server::answer::{Answer, Json, Refusal};
use crate::server::doors::asker::Asker;
use crate::server::doors::session::LINK_SECONDS;
use crate::server::routes::{Routes, post};
use crate::server::shared::Shared;
use axum::extract::State;

pub(in crate::server) fn routes() -> Routes {
    Routes::new().route("/v1/sign-in-link", post(link))
}

async fn link(State(shared): State<Shared>, asker: Asker) -> Answer<SignInDocument> {
    let Some(base) = shared.pages_url() else {
        let detail = "the daemon answers on its socket alone, where no browser comes; start it with --listen";
        return Err(Refusal::new(Problem::new("no_pages", 409, exit_codes::OTHER, detail)));
    };
    let now = asker.clock().now();
    let path = shared
        .sessions
        .link_of(asker.key(), now)
        .map_err(|error| Refusal::new(Problem::new("no_link", 500, exit_codes::OTHER, error.to_string())))?;
    let entry = asker.acting.entry(Action::SignIn, None, now).with_detail("a link was made");
    shared.connector.audit_now(entry).await?;
    let url = Secret::new(format!("{}{}", base.as_str().trim_end_matches('/'), path.expose()));
    Ok(Json(SignInDocument { url, expires: later(now, LINK_SECONDS) }))
}
