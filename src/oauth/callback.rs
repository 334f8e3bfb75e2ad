//! What a browser brings back (RFC 6749 section 4.1.2, RFC 9207).

use super::{Params, RawReply, Value, classify};
use crate::model::{Failure, FailureKind, Timestamp, quoted};
use zeroize::Zeroizing;

/// Why a callback is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// Neither a URL nor a query.
    #[error("this is not a callback: paste the whole URL that the browser was sent back to, with everything behind the `?`")]
    NotCallback,
    /// A parameter that must be there once came twice (RFC 6749 section 3.1).
    #[error("the callback carries `{0}` more than once; somebody changed it on its way, connect again")]
    Doubled(&'static str),
    /// Another issuer answered.
    #[error("the callback comes from the issuer {got:?}, and {expected:?} was asked; this is how a mix-up attack looks (RFC 9207), do not go on")]
    WrongIssuer {
        /// Who answered.
        got: String,
        /// Who was asked.
        expected: String,
    },
    /// The issuer is promised and missing.
    #[error("the callback does not say which issuer it comes from, and this provider promises to (RFC 9207); connect again")]
    NoIssuer,
    /// It names an issuer, and the application knows none to compare with.
    #[error("the callback says it comes from {0:?}, and the application names no issuer to compare with; set endpoints.issuer in its file")]
    UnknownIssuer(String),
}

/// What a callback says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callback {
    /// It may carry a code.
    Code,
    /// It carries an error: the person or the provider said no.
    Denied(Failure),
}

/// Reads the URL that a browser was sent back to, or its query alone.
///
/// # Errors
/// When it is neither, or carries a parameter twice that decides.
pub fn parse_callback(text: &str) -> Result<Params, CallbackError> {
    let text = text.trim();
    let query = match text.split_once('?') {
        Some((_, query)) => query,
        None if text.contains('=') && !text.contains("://") => text,
        None => return Err(CallbackError::NotCallback),
    };
    let query = query.split('#').next().unwrap_or_default();
    let params = Params::from_form(query.as_bytes());
    for name in ["state", "code", "iss", "error"] {
        if matches!(params.get(name), Some(Value::Array(_))) {
            return Err(CallbackError::Doubled(name));
        }
    }
    Ok(params)
}

/// Compares the callback's `iss` with the issuer that was asked (RFC 9207 section 2.4). One that comes is always
/// compared where we know the issuer; `required` refuses a callback without it.
///
/// # Errors
/// When it is another one, or missing though promised.
pub fn check_issuer(params: &Params, expected: Option<&str>, required: bool) -> Result<(), CallbackError> {
    match (params.text("iss"), expected) {
        (Some(got), Some(expected)) if same_issuer(got, expected) => Ok(()),
        (Some(got), Some(expected)) => {
            Err(CallbackError::WrongIssuer { got: quoted(got), expected: expected.to_owned() })
        }
        (Some(got), None) if required => Err(CallbackError::UnknownIssuer(quoted(got))),
        (None, _) if required => Err(CallbackError::NoIssuer),
        (Some(_) | None, _) => Ok(()),
    }
}

/// Whether the callback carries an error in place of a code.
#[must_use]
pub fn read_callback(params: &Params) -> Callback {
    if !params.contains("error") {
        return Callback::Code;
    }
    // The words of an error are read as those of a token reply: the same fields, the same dialects.
    let reply = RawReply { status: 400, headers: Vec::new(), body: Zeroizing::default() };
    let failure = classify(&reply, Some(params), Timestamp::UNIX_EPOCH);
    let mut failure = failure.unwrap_or_else(|| Failure::new(FailureKind::RequestRejected, "error"));
    failure.status = None;
    Callback::Denied(failure)
}

/// Issuers are compared letter by letter (RFC 9207 section 2.4), but for the slash that a URL parser puts behind a
/// bare host.
pub(super) fn same_issuer(one: &str, other: &str) -> bool {
    let bare = |text: &str| -> String {
        match text.strip_suffix('/') {
            Some(rest) if rest.matches('/').count() == 2 => rest.to_owned(),
            _ => text.to_owned(),
        }
    };
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_a_url_or_its_query() {
        for text in ["http://127.0.0.1:1/cb?code=c&state=s", " ?code=c&state=s#frag ", "code=c&state=s"] {
            let params = parse_callback(text).unwrap();
            assert_eq!((params.text("code"), params.text("state")), (Some("c"), Some("s")), "{text}");
        }
        for text in ["", "hello", "http://127.0.0.1:1/cb"] {
            assert_eq!(parse_callback(text).unwrap_err(), CallbackError::NotCallback, "{text}");
        }
    }

    #[test]
    fn a_doubled_parameter_is_refused() {
        assert_eq!(parse_callback("?code=a&code=b&state=s").unwrap_err(), CallbackError::Doubled("code"));
        assert_eq!(parse_callback("?code=a&state=s&state=t").unwrap_err(), CallbackError::Doubled("state"));
    }

    #[test]
    fn an_issuer_is_compared_when_it_comes_and_demanded_when_promised() {
        let with = |iss: &str| [("iss", iss)].into_iter().collect::<Params>();
        let asked = Some("https://a.example/");
        assert!(check_issuer(&with("https://a.example"), asked, true).is_ok());
        assert!(check_issuer(&Params::new(), asked, false).is_ok());
        assert_eq!(check_issuer(&Params::new(), asked, true).unwrap_err(), CallbackError::NoIssuer);
        for wrong in ["https://b.example", "https://a.example/x", "https://a.example.evil.example", "https://A.example"] {
            assert!(matches!(check_issuer(&with(wrong), asked, false), Err(CallbackError::WrongIssuer { .. })), "{wrong}");
        }
        assert!(!same_issuer("https://a.example/x/", "https://a.example/x"), "a path's slash counts");
    }

    #[test]
    fn an_error_is_told_in_the_providers_words() {
        let params: Params =
            [("error", "access_denied"), ("error_description", "no\nthanks")].into_iter().collect();
        let Callback::Denied(failure) = read_callback(&params) else { panic!("not denied") };
        assert_eq!((failure.code.as_str(), failure.words.as_deref()), ("access_denied", Some("no thanks")));
    }
}
