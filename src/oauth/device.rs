//! The reply of a device authorization endpoint (RFC 8628 section 3.2). Polling is `connector/`'s: one question a call, so
//! that the store is free between two; the crate's own polling ends on replies that are merely odd.

use super::times::lifetime;
use super::{Params, RawReply, classify, read_reply};
use crate::model::{Failure, FailureKind, Secret, Timestamp, quoted};

/// What a person is shown, and the code that is asked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAuthorization {
    /// What we ask with.
    pub device_code: Secret,
    /// What the person types.
    pub user_code: String,
    /// Where they type it.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    /// How long the code lives, in seconds.
    pub expires_in: u64,
    /// Seconds between two questions.
    pub interval: u64,
}

/// The interval when the reply says none (RFC 8628 section 3.2).
const DEFAULT_INTERVAL: u64 = 5;
/// The life of a code when the reply says none, though it must: 10 minutes.
const DEFAULT_LIFE: u64 = 600;
/// The longest life of a code that is believed: a day.
const LONGEST_LIFE: u64 = 86_400;

/// Reads the reply. `verification_url` is taken too (Google).
///
/// # Errors
/// The provider's refusal, or a bad response when a field that must be there is missing.
pub fn read_device_authorization(reply: &RawReply, now: Timestamp) -> Result<DeviceAuthorization, Failure> {
    let params = read_reply(reply);
    if let Some(failure) = classify(reply, params.as_ref().ok(), now) {
        return Err(failure);
    }
    let params = params.map_err(|unreadable| unreadable.failure(reply.status))?;
    let need = |name: &str| {
        let missing = || Failure::new(FailureKind::BadResponse, "no_device_code").with_words(&format!("the reply has no {name}"));
        params.text(name).ok_or_else(missing)
    };
    let uri = params.text("verification_uri").or_else(|| params.text("verification_url"));
    let complete = ["verification_uri_complete", "verification_url_complete"].iter().find_map(|name| params.text(name));
    Ok(DeviceAuthorization {
        device_code: Secret::new(need("device_code")?),
        user_code: quoted(need("user_code")?),
        verification_uri: quoted(uri.map_or_else(|| need("verification_uri"), Ok)?),
        verification_uri_complete: complete.map(quoted),
        expires_in: number(&params, "expires_in").unwrap_or(DEFAULT_LIFE).min(LONGEST_LIFE),
        interval: number(&params, "interval").unwrap_or(DEFAULT_INTERVAL).clamp(1, 60),
    })
}

fn number(params: &Params, name: &str) -> Option<u64> {
    params.get(name).and_then(lifetime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn read(status: u16, body: &str) -> Result<DeviceAuthorization, Failure> {
        let body = Zeroizing::new(body.as_bytes().to_vec());
        read_device_authorization(&RawReply { status, headers: Vec::new(), body }, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn defaults_stand_in_and_googles_name_is_taken() {
        let read = read(200, r#"{"device_code":"d","user_code":"AB-CD","verification_url":"https://a.example/d"}"#).unwrap();
        assert_eq!((read.interval, read.expires_in), (5, 600));
        assert_eq!(read.verification_uri, "https://a.example/d");
    }

    #[test]
    fn a_refusal_is_the_providers_and_a_missing_code_a_bad_response() {
        assert_eq!(read(400, r#"{"error":"invalid_client"}"#).unwrap_err().kind, FailureKind::ClientRejected);
        assert_eq!(read(200, r#"{"user_code":"x"}"#).unwrap_err().kind, FailureKind::BadResponse);
    }

    #[test]
    fn a_user_code_cannot_move_the_cursor() {
        let read = read(200, "{\"device_code\":\"d\",\"user_code\":\"A\\u001b[2JB\",\"verification_uri\":\"u\"}").unwrap();
        assert_eq!(read.user_code, "A [2JB");
    }
}
