//! The way that replies are read when no script says otherwise, which is `oauth`'s.

use crate::model::{Failure, FailureKind, Timestamp};
use crate::oauth::{Params, RawReply};

/// What stands in a body, judged by the body and never by its content type; nothing where no reading fits.
pub(super) fn read(reply: &RawReply) -> Params {
    // For replacement at merge by `oauth::read_reply(reply).unwrap_or_default()`: it is being written beside this.
    let text = String::from_utf8_lossy(&reply.body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with('{') {
        return match serde_json::from_str(text) {
            Ok(serde_json::Value::Object(object)) => Params::from_object(object),
            _ => Params::new(),
        };
    }
    let form = text.contains('=') && !text.contains(['<', '{', '\n', ' ']);
    if form { Params::from_form(text.as_bytes()) } else { Params::new() }
}

/// The failure that a reply tells of, if it does.
pub(super) fn classify(reply: &RawReply, params: &Params, _now: Timestamp) -> Option<Failure> {
    // For replacement at merge by `oauth::classify(reply, params, now)`.
    let code = params.text("error").map(str::to_owned);
    let ok = (200..300).contains(&reply.status);
    let kind = match (code.as_deref(), reply.status) {
        (None, _) if ok => return None,
        (Some("invalid_grant"), _) => FailureKind::ReauthorizationRequired,
        (Some("invalid_client" | "unauthorized_client"), _) => FailureKind::ClientRejected,
        (Some("temporarily_unavailable" | "server_error"), _) | (None, 500..) => FailureKind::Transient,
        (_, 429) => FailureKind::RateLimited,
        (Some(_), _) => FailureKind::RequestRejected,
        (None, _) => FailureKind::BadResponse,
    };
    let failure =
        Failure::new(kind, &code.unwrap_or_else(|| format!("http_{}", reply.status))).with_status(reply.status);
    Some(match params.text("error_description") {
        Some(words) => failure.with_words(words),
        None => failure,
    })
}
