//! The ways in.

use crate::api::{
    AbandonRequest, AuthorizationDocument, AuthorizeRequest, AwaitDocument, CompleteRequest, ConnectRequest,
    ConnectionDocument, DeviceDocument, DeviceRequest, PollDocument, PollRequest, Problem, exit_codes,
};
use crate::model::later;
use crate::server::answer::{Answer, Document, Json, Named, Refusal};
use crate::server::doors::asker::Asker;
use crate::server::doors::rights::not_yours;
use crate::server::outcomes::{Outcome, Wait};
use crate::server::routes::{Routes, post};
use crate::server::shared::Shared;
use axum::extract::State;
use axum::http::StatusCode;

/// How long one request waits for a person, in seconds.
const LONGEST_WAIT: u64 = 50;

pub(in crate::server) fn routes() -> Routes {
    Routes::new()
        .route("/v1/connections/{application}/{name}/authorize", post(authorize))
        .route("/v1/connections/{application}/{name}/abandon", post(abandon))
        .route("/v1/connections/{application}/{name}/device", post(device))
        .route("/v1/connections/{application}/{name}/device/poll", post(poll))
        .route("/v1/connections/{application}/{name}/connect", post(connect))
        .route("/v1/connections/{application}/{name}/await", post(await_person))
        .route("/v1/complete", post(complete))
}

async fn authorize(
    asker: Asker,
    Named(name): Named,
    Document(request): Document<AuthorizeRequest>,
) -> Answer<AuthorizationDocument> {
    let authorization = asker.authorize(&name, request.into_options()).await?;
    Ok(Json(AuthorizationDocument::of(authorization)))
}

async fn complete(
    State(shared): State<Shared>,
    asker: Asker,
    Document(request): Document<CompleteRequest>,
) -> Answer<ConnectionDocument> {
    // Whose it is, the state says.
    if !asker.administers() && !asker.manages(&asker.awaited(request.callback.expose()).await?.connection) {
        return Err(not_yours());
    }
    let completing = shared.outcomes.completing(&request.callback);
    let completed = asker.complete(request.callback.expose()).await;
    completing.tell(&completed);
    Ok(Json(ConnectionDocument::of(&completed?)))
}

/// Waits until the person comes back whom a state was given to, for a while: ask again then.
async fn await_person(
    State(shared): State<Shared>,
    Named(name): Named,
    Document(request): Document<AbandonRequest>,
) -> Answer<AwaitDocument> {
    let mut outcome = match shared.outcomes.of(&request.state) {
        Wait::Came(outcome) => return told(*outcome),
        Wait::Waits(outcome) => outcome,
        Wait::Full => {
            let detail = "too many wait for people already; ask again later";
            let problem = Problem::new("busy", 503, exit_codes::PASSING, detail);
            return Err(Refusal::new(Problem { retryable: true, ..problem }));
        }
    };
    // In this order: what is completed is under way before its state is used up, and told before it is under way no longer.
    if let Err(nobody) = shared.connector.is_awaited(&name, &request.state).await
        && !shared.outcomes.is_coming(&request.state)
    {
        return outcome.try_recv().map_or_else(|_| Err(nobody.into()), told);
    }
    let waits = || Ok(Json(AwaitDocument { waiting: true, connection: None }));
    let until = later(shared.connector.clock().now(), LONGEST_WAIT);
    tokio::select! {
        outcome = outcome => outcome.map_or_else(|_| waits(), told),
        () = shared.connector.clock().sleep_until(until) => waits(),
        () = shared.stopped() => waits(),
    }
}

fn told(outcome: Outcome) -> Answer<AwaitDocument> {
    let connection = outcome.map_err(Refusal::new)?;
    Ok(Json(AwaitDocument { waiting: false, connection: Some(connection) }))
}

async fn abandon(
    asker: Asker,
    Named(name): Named,
    Document(request): Document<AbandonRequest>,
) -> Result<StatusCode, Refusal> {
    asker.abandon_state(&name, &request.state).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn device(
    asker: Asker,
    Named(name): Named,
    Document(request): Document<DeviceRequest>,
) -> Answer<DeviceDocument> {
    let DeviceRequest { profile, labels, other_account } = request;
    let start = asker.start_device(&name, profile.as_ref(), labels, other_account).await?;
    Ok(Json(DeviceDocument::of(start)))
}

async fn poll(asker: Asker, Named(name): Named, Document(request): Document<PollRequest>) -> Answer<PollDocument> {
    let mut start = request.into_start(name, asker.clock().now());
    let poll = asker.poll_device(&mut start).await?;
    Ok(Json(PollDocument::of(&poll, start.interval)))
}

async fn connect(
    asker: Asker,
    Named(name): Named,
    Document(request): Document<ConnectRequest>,
) -> Answer<ConnectionDocument> {
    let options =
        request.into_options().ok_or_else(|| Refusal::bad("give a password or a refresh_token, and not both"))?;
    Ok(Json(ConnectionDocument::of(&asker.connect(&name, options).await?)))
}
