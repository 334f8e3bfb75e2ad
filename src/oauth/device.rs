//! The device grant (RFC 8628): a person consents on another machine while this one asks again and again. The oauth2
//! crate's polling ends on an error sent with 200 and on a 5xx that is not JSON, and waits by itself where a clock has
//! to be handed in; so the connector asks once a call, and keeps the rules of section 3.5 itself.

use super::times::lifetime;
use super::{Params, RawReply, TokenRequest, classify, read_reply};
use crate::model::{ClientAuthentication, Endpoint, Failure, FailureKind, Secret, Timestamp, quoted};
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
    TokenRequest::post(endpoint, params, client_authentication)
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
}
