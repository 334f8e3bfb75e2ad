//! The ways in.

use super::answer::{Answer, Document, Json, Named, Refusal};
use super::asker::Asker;
use super::outcomes::Wait;
use super::rights::not_yours;
use super::routes::{Routes, post};
use super::shared::Shared;
use crate::api::{
    AbandonRequest, AuthorizationDocument, AuthorizeRequest, AwaitDocument, CompleteRequest, ConnectRequest,
    ConnectionDocument, DeviceDocument, DeviceRequest, PollDocument, PollRequest, Problem, exit_codes,
};
use crate::model::later;
use axum::extract::State;
use axum::http::StatusCode;

/// How long one request waits for a person, in seconds.
const LONGEST_WAIT: u64 = 50;

pub(super) fn routes() -> Routes {
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

async fn complete(asker: Asker, Document(request): Document<CompleteRequest>) -> Answer<ConnectionDocument> {
    // Whose it is, the state says.
    if !asker.administers() && !asker.manages(&asker.awaited(request.callback.expose()).await?.connection) {
        return Err(not_yours());
    }
    Ok(Json(ConnectionDocument::of(&asker.complete(request.callback.expose()).await?)))
}

/// Waits until the person comes back whom a state was given to, for a while: ask again then.
async fn await_person(
    State(shared): State<Shared>,
    Named(_): Named,
    Document(request): Document<AbandonRequest>,
) -> Answer<AwaitDocument> {
    let done = |connection| Ok(Json(AwaitDocument { waiting: false, connection: Some(connection) }));
    let outcome = match shared.outcomes.of(&request.state) {
        Wait::Came(outcome) => return outcome.map_or_else(|problem| Err(Refusal::new(problem)), done),
        Wait::Waits(outcome) => outcome,
        Wait::Full => {
            let detail = "too many wait for people already; ask again later";
            let problem = Problem::new("busy", 503, exit_codes::PASSING, detail);
            return Err(Refusal::new(Problem { retryable: true, ..problem }));
        }
    };
    let until = later(shared.connector.clock().now(), LONGEST_WAIT);
    tokio::select! {
        outcome = outcome => match outcome {
            Ok(Ok(connection)) => done(connection),
            Ok(Err(problem)) => Err(Refusal::new(problem)),
            Err(_) => Ok(Json(AwaitDocument { waiting: true, connection: None })),
        },
        () = shared.connector.clock().sleep_until(until) => Ok(Json(AwaitDocument { waiting: true, connection: None })),
        () = shared.stopped() => Ok(Json(AwaitDocument { waiting: true, connection: None })),
    }
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
