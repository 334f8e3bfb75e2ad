//! The nouns of Grantkeeper: plain types that cannot hold a wrong value. No I/O, no crypto, nothing imported from
//! another room. Names follow the OAuth RFCs; the ServiceNow words are in the README's table.

mod access;
mod account;
mod application;
mod audit;
mod chance;
mod clock;
mod connection;
mod credential;
mod endpoint;
mod endpoints;
mod event;
mod expiry;
mod failure;
mod habits;
mod names;
mod request;
mod scopes;
mod secret;
mod template;
mod webhook;

pub use access::{Allowance, ApiKey, KeyState, Reach, Right};
pub use account::{Account, Subject};
pub use application::{
    Application, BasicEncoding, ClientAuthentication, ClientRejection, GrantType, Lifespans, Pkce, Profile,
};
pub use audit::{Action, Actor, AuditEntry, AuditPage, NotAHash, Outcome, PageHash, RecordedAudit, Target};
#[cfg(feature = "demo")]
pub use chance::Seeded;
pub use chance::{new_id, new_number, random_share};
pub use clock::{Clock, SystemClock, TestClock, Timestamp};
pub use connection::{
    Connection, ConnectionState, Fields, LONGEST_ON_ITS_WAY, Labels, MOST_FURTHER_TOKENS, ReauthorizationReason,
    Rejection,
};
pub use credential::{Credential, Direction, TokenKind};
pub use endpoint::{Endpoint, EndpointError, HostPattern};
pub(crate) use endpoints::has_whole_host;
pub use endpoints::{Endpoints, Unplaced};
pub use event::{Event, EventKind, RecordedEvent};
pub use expiry::{
    Expiry, ExpirySource, ISSUED_ACCESS_TOKEN_SECONDS, ISSUED_REFRESH_TOKEN_SECONDS, LATEST,
    RECEIVED_ACCESS_TOKEN_SECONDS, RECEIVED_REFRESH_TOKEN_SECONDS, later,
};
pub use failure::{Failure, FailureKind, counted, is_presentable, quoted};
pub use habits::{
    AccountHabits, AuthorizationHabits, CallbackHabits, Habits, Ignored, Method, Places, RefreshHabits, ReplyFormat,
    ReplyHabits, RequestFormat, RequestHabits, TokenHabits, Unit,
};
pub use names::{ApplicationName, ConnectionName, KeyName, NameError, ProfileName, ScriptName, WebhookName};
pub use request::RequestId;
pub use scopes::Scopes;
pub use secret::{Secret, sealed_map, sealed_option, sealed_text};
pub use template::{Part, Placeholder, Template, TemplateError, by_path, of_connection};
pub use webhook::{
    Disabled, DisabledReason, WaitingMessage, Webhook, WebhookAnswer, WebhookProgress, WebhookUrl, WebhookUrlError,
    is_of_the_link,
};
