//! The device grant (RFC 8628): a person consents on another machine while this one asks again and again. The oauth2
//! crate's polling ends on an error sent with 200 and on a 5xx that is not JSON, and waits by itself where a clock has
//! to be handed in; so the few rules of section 3.5 are here, as a state that is told each reply.

use super::times::lifetime;
use super::{BodyFormat, Params, RawReply, TokenRequest, classify, read_reply};
use crate::model::{ClientAuthentication, Endpoint, Failure, FailureKind, Secret, Timestamp, later, quoted};
use url::Url;

/// The request for a code (section 3.1).
#[must_use]
pub fn device_request(
    endpoint: &Url,
    scopes: &[String],
    scope_separator: &str,
    client_id: &str,
    client_authentication: ClientAuthentication,
) -> TokenRequest {
    let mut params = Params::new();
    params.put("client_id", client_id);
    if !scopes.is_empty() {
        params.put("scope", scopes.join(scope_separator));
    }
    TokenRequest {
        endpoint: endpoint.clone(),
        method: http::Method::POST,
        params,
        body_format: BodyFormat::Form,
        headers: Vec::new(),
        query: Vec::new(),
        client_authentication,
    }
}

/// What the person is shown, and what polling needs (section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAuthorization {
    /// Sent with each poll.
    pub device_code: Secret,
    /// What the person types; fit to be shown.
    pub user_code: String,
    /// Where they type it.
    pub verification_uri: Endpoint,
    /// The same with the code in it.
    pub verification_uri_complete: Option<Endpoint>,
    /// Seconds until the codes end.
    pub expires_in: u64,
    /// Seconds between two polls.
    pub interval: u64,
}

/// Reads the reply to a [`device_request`].
///
/// # Errors
/// When it is an error, cannot be read, lacks a code, or names a page that is not https: what it names is opened in the
/// person's browser.
pub fn read_device_authorization(reply: &RawReply, now: Timestamp) -> Result<DeviceAuthorization, Failure> {
    let read = read_reply(reply);
    if let Some(failure) = classify(reply, read.as_ref().ok(), now) {
        return Err(failure);
    }
    let params = read.map_err(|unreadable| unreadable.failure(reply.status))?;
    let missing = |name: &str| {
        Failure::new(FailureKind::BadResponse, "no_device_code")
            .with_words(&format!("the reply has no usable {name} (RFC 8628 section 3.2)"))
            .with_status(reply.status)
    };
    // Google's older endpoint writes verification_url.
    let page = |names: [&str; 2]| names.iter().find_map(|name| params.text(name)?.parse::<Endpoint>().ok());
    let seconds = |name| params.get(name).and_then(lifetime);
    Ok(DeviceAuthorization {
        device_code: Secret::new(params.text("device_code").ok_or_else(|| missing("device_code"))?),
        user_code: params.text("user_code").map(quoted).ok_or_else(|| missing("user_code"))?,
        verification_uri: page(["verification_uri", "verification_url"]).ok_or_else(|| missing("verification_uri"))?,
        verification_uri_complete: page(["verification_uri_complete", "verification_url_complete"]),
        expires_in: seconds("expires_in").unwrap_or(DEFAULT_EXPIRES_IN).min(LONGEST_EXPIRES_IN),
        interval: seconds("interval").unwrap_or(DEFAULT_INTERVAL).min(LONGEST_INTERVAL),
    })
}

/// Where polling stands: how long to wait, and until when to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePolling {
    interval: u64,
    ends: Timestamp,
}

/// What to do after a poll.
#[derive(Debug, Clone, PartialEq)]
pub enum PollOutcome {
    /// Poll again after so many seconds.
    Wait(u64),
    /// The token reply: read it with [`super::token_reply`].
    Token(Params),
    /// The person said no.
    Denied(Failure),
    /// The codes have ended: start again.
    Expired,
    /// Something else is wrong, and polling on is of no use.
    Failed(Failure),
}

impl DevicePolling {
    /// Polling of a code that came at `now`.
    #[must_use]
    pub fn new(authorization: &DeviceAuthorization, now: Timestamp) -> Self {
        Self { interval: authorization.interval, ends: later(now, authorization.expires_in) }
    }

    /// Seconds to wait before the first poll.
    #[must_use]
    pub fn interval(&self) -> u64 {
        self.interval
    }

    /// The parameters of a poll (section 3.4), without the client's own.
    #[must_use]
    pub fn params(device_code: &Secret) -> Params {
        [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", device_code.expose())]
            .into_iter()
            .collect()
    }

    /// After a poll that was answered; `params` is what the script or [`read_reply`] made of the reply.
    pub fn answered(&mut self, reply: &RawReply, params: Option<Params>, now: Timestamp) -> PollOutcome {
        let Some(failure) = classify(reply, params.as_ref(), now) else {
            return match params {
                Some(params) => PollOutcome::Token(params),
                // A gateway's page, sent with 200: the next poll may get through.
                None => self.wait(now),
            };
        };
        match failure.code.as_str() {
            "authorization_pending" => self.wait(now),
            "slow_down" => {
                // Section 3.5: by 5 seconds, for this and all later requests.
                self.interval += 5;
                self.wait(now)
            }
            "expired_token" | "code_expired" => PollOutcome::Expired,
            "access_denied" | "authorization_declined" => PollOutcome::Denied(failure),
            _ => match failure.kind {
                FailureKind::Transient | FailureKind::RateLimited | FailureKind::Ambiguous => {
                    self.interval = self.interval.max(failure.retry_after.unwrap_or(0).min(LONGEST_INTERVAL));
                    self.unanswered(now)
                }
                _ => PollOutcome::Failed(failure),
            },
        }
    }

    /// After a poll that was not answered, or by a server in trouble. Section 3.5 asks for exponential backoff.
    pub fn unanswered(&mut self, now: Timestamp) -> PollOutcome {
        self.interval = (self.interval * 2).min(LONGEST_INTERVAL).max(self.interval);
        self.wait(now)
    }

    fn wait(&self, now: Timestamp) -> PollOutcome {
        if later(now, self.interval) < self.ends { PollOutcome::Wait(self.interval) } else { PollOutcome::Expired }
    }
}

/// Seconds; section 3.2.
const DEFAULT_INTERVAL: u64 = 5;
/// Seconds: slower than this, a person thinks that it hangs.
const LONGEST_INTERVAL: u64 = 60;
/// Seconds; `expires_in` is required, and those that leave it out mean some minutes.
const DEFAULT_EXPIRES_IN: u64 = 600;
/// A day, in seconds.
const LONGEST_EXPIRES_IN: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn reply(status: u16, body: &str) -> RawReply {
        RawReply { status, headers: vec![], body: body.as_bytes().to_vec().into() }
    }

    fn polling() -> DevicePolling {
        DevicePolling { interval: 5, ends: later(now(), 300) }
    }

    fn poll(polling: &mut DevicePolling, status: u16, body: &str) -> PollOutcome {
        let reply = reply(status, body);
        let params = read_reply(&reply).ok();
        polling.answered(&reply, params, now())
    }

    #[test]
    fn the_request_names_the_client_and_its_scopes() {
        let endpoint = "https://a.example/device".parse().unwrap();
        let request = device_request(&endpoint, &["a".into(), "b".into()], " ", "cid", ClientAuthentication::None);
        assert_eq!(request.params.to_form(), "client_id=cid&scope=a+b");
    }

    #[test]
    fn a_code_is_read_with_either_spelling_and_the_rfcs_defaults() {
        let read = |page: &str| {
            let body =
                format!("{{\"device_code\":\"dc\",\"user_code\":\"AB\\u001bCD\",\"{page}\":\"https://a.example/d\"}}");
            read_device_authorization(&reply(200, &body), now()).unwrap()
        };
        assert_eq!(read("verification_uri"), read("verification_url"));
        let code = read("verification_uri");
        assert_eq!((code.user_code.as_str(), code.expires_in, code.interval), ("AB CD", 600, 5));
        assert!(!format!("{code:?}").contains("dc\""));
    }

    #[test]
    fn a_page_that_is_not_https_is_not_opened() {
        for page in ["http://a.example/d", "javascript:alert(1)", "file:///etc/passwd", ""] {
            let body = format!("{{\"device_code\":\"dc\",\"user_code\":\"AB\",\"verification_uri\":\"{page}\"}}");
            let failure = read_device_authorization(&reply(200, &body), now()).unwrap_err();
            assert!(failure.words.unwrap().contains("verification_uri"), "{page}");
        }
    }

    #[test]
    fn pending_waits_and_slow_down_waits_five_seconds_more_from_then_on() {
        let mut polling = polling();
        assert_eq!(poll(&mut polling, 400, "{\"error\":\"authorization_pending\"}"), PollOutcome::Wait(5));
        assert_eq!(poll(&mut polling, 400, "{\"error\":\"slow_down\"}"), PollOutcome::Wait(10));
        assert_eq!(poll(&mut polling, 400, "{\"error\":\"authorization_pending\"}"), PollOutcome::Wait(10));
        // GitHub sends its errors with 200, Google with 428 and 403.
        assert_eq!(poll(&mut polling, 200, "error=slow_down"), PollOutcome::Wait(15));
        assert_eq!(poll(&mut polling, 428, "{\"error\":\"authorization_pending\"}"), PollOutcome::Wait(15));
    }

    #[test]
    fn the_end_is_told_apart() {
        assert!(matches!(poll(&mut polling(), 403, "{\"error\":\"access_denied\"}"), PollOutcome::Denied(_)));
        assert_eq!(poll(&mut polling(), 400, "{\"error\":\"expired_token\"}"), PollOutcome::Expired);
        assert!(matches!(poll(&mut polling(), 400, "{\"error\":\"invalid_grant\"}"), PollOutcome::Failed(_)));
        let PollOutcome::Token(params) = poll(&mut polling(), 200, "{\"access_token\":\"at\"}") else { panic!() };
        assert_eq!(params.text("access_token"), Some("at"));
    }

    #[test]
    fn trouble_on_the_way_is_waited_out_twice_as_long_each_time() {
        let mut polling = polling();
        assert_eq!(poll(&mut polling, 502, "<html>bad gateway</html>"), PollOutcome::Wait(10));
        assert_eq!(polling.unanswered(now()), PollOutcome::Wait(20));
        assert_eq!(poll(&mut polling, 200, "<html>guest network</html>"), PollOutcome::Wait(20));
        for _ in 0..9 {
            polling.unanswered(now());
        }
        assert_eq!(polling.interval(), 60);
    }

    #[test]
    fn polling_ends_with_the_code() {
        let mut polling = polling();
        assert_eq!(polling.answered(&reply(503, ""), None, later(now(), 280)), PollOutcome::Wait(10));
        assert_eq!(polling.unanswered(later(now(), 290)), PollOutcome::Expired);
    }
}
