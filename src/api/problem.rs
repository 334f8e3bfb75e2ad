//! Why a request was not done, as RFC 9457 says it.

use super::exit_code::{exit_code, exit_codes};
use crate::connector;
use crate::model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a request was not done (RFC 9457), with what the command line makes of it. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:grantkeeper:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, to what, and what to do next: the sentence that the command line says.
    pub detail: String,
    /// A word for the problem that does not change between versions.
    pub code: String,
    /// Whether the same request may succeed later without anybody doing anything.
    pub retryable: bool,
    /// When it is tried again by itself, and the same request may succeed, where that is known. `Retry-After` says it in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
    /// The exit code of the command line for it.
    pub exit_code: u8,
    /// `urn:uuid:` and the id of the request, which its log lines carry too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl Problem {
    /// A problem with a code, an HTTP status, an exit code and a sentence; not to be tried again.
    #[must_use]
    pub fn new(code: &str, status: u16, exit_code: u8, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:grantkeeper:problem:{code}"),
            title: title(status).to_owned(),
            status,
            detail: detail.into(),
            code: code.to_owned(),
            retryable: false,
            next_try: None,
            exit_code,
            instance: None,
        }
    }

    /// What an error of the library is to who asks over HTTP.
    #[must_use]
    pub fn of(error: &connector::Error) -> Self {
        let exit = exit_code(error);
        let problem = Self::new(error.code(), status_of(error.code(), exit), exit, error.to_string());
        Self { retryable: error.retryable(), next_try: error.next_try(), ..problem }
    }
}

/// The HTTP status of an error: by what its exit code says, and by its code where HTTP knows better.
fn status_of(code: &str, exit: u8) -> u16 {
    match code {
        "changed" | "in_use" | "too_many" | "revoked" | "wrong_grant" | "inactive" => 409,
        "bad_callback" => 400,
        "denied" | "host_not_allowed" => 403,
        "rate_limited" | "transient" => 503,
        "bad_application" | "incomplete_application" | "further_token" | "script" if exit != exit_codes::MISSING => 422,
        _ => match exit {
            exit_codes::USAGE => 400,
            exit_codes::MISSING => 404,
            exit_codes::PASSING => 503,
            exit_codes::PROVIDER => 502,
            // The state that the connection is in does not allow it until a person has acted.
            exit_codes::CONSENT => 409,
            _ => 500,
        },
    }
}

fn title(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Problem")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, FailureKind, ReauthorizationReason};
    use crate::refresh::RefreshError;

    #[test]
    fn a_problem_says_all_that_the_command_line_says() {
        let error = connector::Error::from(RefreshError::ReauthorizationRequired {
            connection: "a/b".parse().unwrap(),
            reason: ReauthorizationReason::Refused,
            failure: Some(Failure::new(FailureKind::ReauthorizationRequired, "invalid_grant")),
        });
        let problem = Problem::of(&error);
        assert_eq!((problem.status, problem.exit_code, problem.retryable), (409, 4, false));
        assert_eq!((problem.code.as_str(), problem.detail.as_str()), (error.code(), error.to_string().as_str()));
        assert_eq!(problem.kind, "urn:grantkeeper:problem:reauthorization_required");
        let again: Problem = serde_json::from_str(&serde_json::to_string(&problem).unwrap()).unwrap();
        assert_eq!(again, problem);
    }
}
