//! What travels between the daemon and who asks it: the documents of the `/v1` API, the problems that it answers with, and where
//! its socket is. Both sides import them from here, and the command line prints them with `--json`, so that each shape
//! stands once. No handler and no request is made here. May use `connector` and below.
//!
//! A document is made of what the connector returns ([`ConnectionDocument::of`]), and gives it back where the command line works
//! on with it (`into_…`).

mod access;
mod application;
mod connection;
mod consent;
mod credential;
mod exit_code;
mod health;
mod moving;
mod problem;
mod progress;
mod provider;
mod requests;
mod script;
mod socket;
mod token;
mod upkeep;
mod webhooks;

pub use access::{ApiKeyDocument, AuditQuery, CreateKeyRequest, CreatedKeyDocument, PasswordRequest, VerifyQuery};
pub use application::{ApplicationDocument, AppliedDocument};
pub use connection::{AccountDocument, ConnectionDocument, StateWord};
pub use consent::{
    AbandonRequest, AuthorizationDocument, AuthorizeRequest, AwaitDocument, CompleteRequest, ConnectRequest,
    DeviceDocument, DeviceRequest, PollDocument, PollRequest,
};
pub use credential::{CredentialDocument, ExpiryEdit, NO_INTROSPECTION, RevocationDocument, SaidDocument};
pub use exit_code::{exit_code, exit_code_of, exit_codes};
pub use health::{HealthDocument, SignInDocument};
pub use moving::ImportRequest;
pub use problem::Problem;
pub use progress::Line;
pub use provider::{PageDocument, ProviderDocument};
pub use requests::{
    CredentialsQuery, EventsQuery, LabelsEdit, LabelsRequest, ListQuery, NewestDocument, RefreshQuery, TokenQuery,
};
pub use script::{
    CheckRequest, CheckedDocument, HookDocument, OriginWord, OutcomeDocument, ScriptDocument, ScriptProblem,
    ScriptTextDocument, TriedDocument, TriedToken, TryRequest,
};
pub use socket::{Address, address, socket_file};
pub use token::{RefreshedDocument, RejectedRequest, TokenDocument};
pub use upkeep::{BackupRequest, KeysDocument, RotateRequest};
pub use webhooks::{
    CreateWebhookRequest, EnableRequest, RotateSecretRequest, WebhookDocument, WebhookEditRequest,
    WebhookSecretDocument, WebhookState,
};

/// The API's version: its number stands in every path (`/v1`). Another number is another API.
pub const API: &str = "1";

/// The header in which each side says which API it speaks.
pub const API_HEADER: &str = "grantkeeper-api";

/// The header in which each side says which Grantkeeper it is.
pub const VERSION_HEADER: &str = "grantkeeper-version";

/// This Grantkeeper.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The media type of a problem (RFC 9457).
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// The media type of lines of JSON: events that follow, and calls that tell how far they are.
pub const LINES_TYPE: &str = "application/x-ndjson";

/// The media type of server-sent events, as which a stream is given to who accepts them.
pub const EVENTS_TYPE: &str = "text/event-stream";
