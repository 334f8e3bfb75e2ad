//! What the browser brings back (RFC 6749 section 4.1.2, RFC 9207). Anybody can send one: nothing in it is believed
//! before its `state` has been found.

use super::Params;
use super::classify::words_of;
use super::id_token::is_issuer_of;
use super::token_reply::names_of;
use crate::model::{Secret, quoted};
use url::Url;

/// Why a callback is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// No URL, and no query either.
    #[error("this is not the address that the browser was sent back to; paste it whole, beginning with http")]
    NotUrl,
    /// Longer than any browser sends.
    #[error("the callback is longer than 32 KiB; real ones have a few hundred bytes")]
    TooLong,
    /// RFC 6749 section 3.1: parameters must not be included more than once.
    #[error(
        "the callback carries {0} more than once, which a provider does not; start again with `grantkeeper connect`"
    )]
    Repeated(&'static str),
    /// The person, or the provider on their behalf, said no.
    #[error("consent was denied{}; start again with `grantkeeper connect` when it shall be given", in_quotes(.words))]
    Denied {
        /// The provider's words.
        words: Option<String>,
    },
    /// The provider refused the authorization request for another reason.
    #[error("the provider answered {code}{}; correct the application or its profile and connect again", in_quotes(.words))]
    Refused {
        /// The provider's code.
        code: String,
        /// The provider's words.
        words: Option<String>,
    },
    /// Neither a code nor an error.
    #[error("the callback carries no code; its parameters are: {0}")]
    NoCode(String),
    /// RFC 9207 section 2.4: `iss` is another issuer's.
    #[error(
        "the callback comes from {given:?} and not from {expected:?}: another server answered, and its code is not used"
    )]
    WrongIssuer {
        /// Whom the application asked.
        expected: String,
        /// Who answered.
        given: String,
    },
    /// RFC 9207 section 2.4: the metadata promises `iss` and the callback has none.
    #[error(
        "the callback carries no iss although the provider's metadata promises one (RFC 9207); its code is not used"
    )]
    NoIssuer,
    /// The callback must be signed and is not.
    #[error("the callback carries no {0}, the provider's signature, and its code is not used")]
    NotSigned(String),
    /// The callback's signature is another's.
    #[error("the callback's {0} is not the provider's signature of it; its code is not used")]
    WrongSignature(String),
    /// `iss` is demanded, and nobody knows what it should be.
    #[error("the callback's iss cannot be checked: the application names no issuer; add `issuer` to its endpoints")]
    UnknownIssuer,
}

/// Reads a callback from the address that the browser was sent to. A fragment (`#_=_`, Facebook) is left out.
///
/// # Errors
/// When it is no URL, is overlong, or repeats a parameter that must be single.
pub fn parse_callback(address: &str) -> Result<Params, CallbackError> {
    if address.len() > LONGEST {
        return Err(CallbackError::TooLong);
    }
    let url = Url::parse(address.trim()).map_err(|_| CallbackError::NotUrl)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(CallbackError::NotUrl);
    }
    parse_callback_form(url.query().unwrap_or_default().as_bytes())
}

/// Reads a callback from a query, or from the body of a `form_post` (OAuth 2.0 Form Post Response Mode).
///
/// # Errors
/// When it is overlong or repeats a parameter that must be single.
pub fn parse_callback_form(form: &[u8]) -> Result<Params, CallbackError> {
    if form.len() > LONGEST {
        return Err(CallbackError::TooLong);
    }
    let params = Params::from_form(form);
    match SINGLE.iter().find(|name| params.get(name).is_some_and(|value| !value.is_string())) {
        Some(name) => Err(CallbackError::Repeated(name)),
        None => Ok(params),
    }
}

/// Checks who answered (RFC 9207 section 2.4); do this before anything else of the callback is used, its error too.
/// `required` is what the provider's metadata promised. An `iss` that nobody asked for is checked as well where the
/// issuer is known.
///
/// # Errors
/// When `iss` is another's, or missing although it is required.
pub fn check_issuer(params: &Params, expected: Option<&str>, required: bool) -> Result<(), CallbackError> {
    match (params.text("iss"), expected) {
        (Some(given), Some(expected)) if is_issuer_of(expected, given) => Ok(()),
        (Some(given), Some(expected)) => {
            Err(CallbackError::WrongIssuer { expected: quoted(expected), given: quoted(given) })
        }
        (Some(_), None) if required => Err(CallbackError::UnknownIssuer),
        (None, _) if required => Err(CallbackError::NoIssuer),
        (Some(_) | None, None) | (None, Some(_)) => Ok(()),
    }
}

/// The parameter that carries a state: `state`, or the one that a provider has in its place.
#[must_use]
pub fn state_name<'a>(params: &'a Params, state: &Secret) -> Option<&'a str> {
    let texts = params.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    texts.map(|(name, text)| (name, Secret::new(text))).find(|(_, text)| text == state).map(|(name, _)| name)
}

/// Checks the signature of a callback (Shopify): hex HMAC-SHA-256 under the client secret of the other parameters, sorted by
/// name, `name=value` joined by `&`.
///
/// # Errors
/// When the parameter is missing, or is not that.
pub fn check_hmac(params: &Params, parameter: &str, client_secret: &Secret) -> Result<(), CallbackError> {
    let given = params.text(parameter).ok_or_else(|| CallbackError::NotSigned(quoted(parameter)))?;
    let mut pairs: Vec<(&str, String)> = params
        .iter()
        .filter(|(name, _)| *name != parameter)
        .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    // They are joined as they are: a parameter must not hide inside another one's value.
    if pairs.iter().any(|(name, value)| name.contains(['&', '=']) || value.contains('&')) {
        return Err(CallbackError::WrongSignature(quoted(parameter)));
    }
    pairs.sort();
    let text = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let expected = super::signing::hmac_sha256_hex(client_secret, text.as_bytes());
    if Secret::new(given.to_ascii_lowercase()) == expected {
        Ok(())
    } else {
        Err(CallbackError::WrongSignature(quoted(parameter)))
    }
}

/// The code of a callback whose state and issuer have been checked.
///
/// # Errors
/// When consent was denied, the request refused, or there is no code.
pub fn authorization_code(params: &Params) -> Result<Secret, CallbackError> {
    if let Some(error) = params.text("error") {
        let words = words_of(params).map(|words| quoted(&words)).filter(|words| !words.is_empty());
        return Err(match error {
            "access_denied"
            | "user_denied"
            | "consent_denied"
            | "user_cancelled_authorize"
            | "user_cancelled_login" => CallbackError::Denied { words },
            code => CallbackError::Refused { code: quoted(code), words },
        });
    }
    params.text("code").map(Secret::new).ok_or_else(|| CallbackError::NoCode(names_of(params)))
}

/// Issuers are compared as texts (RFC 9207 section 2.4), with one allowance: a stored issuer went through a URL parser,
/// which writes `https://a.example` as `https://a.example/`, and the two are one origin.
pub(super) fn is_same_issuer(expected: &str, given: &str) -> bool {
    let bare = |issuer: &str| {
        let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
        rest.find('/').is_some_and(|at| at + 1 == rest.len())
    };
    let trimmed = |issuer: &'_ str| if bare(issuer) { issuer.len() - 1 } else { issuer.len() };
    expected[..trimmed(expected)] == given[..trimmed(given)]
}

fn in_quotes(words: &Option<String>) -> String {
    words.as_ref().map(|words| format!(" (the provider says: \"{words}\")")).unwrap_or_default()
}

/// Parameters that decide something: a second one could be read by one side and not by the other.
const SINGLE: [&str; 4] = ["code", "state", "iss", "error"];
/// Bytes of the longest callback taken: codes of 4 KiB have been seen.
const LONGEST: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn callback(query: &str) -> Params {
        parse_callback(&format!("http://127.0.0.1:8912/callback?{query}#_=_")).unwrap()
    }

    #[test]
    fn a_callback_is_read_with_everything_it_carries() {
        let params = callback("code=4%2FP7q&state=s+1&realmId=42");
        assert_eq!((params.text("state"), params.text("realmId")), (Some("s 1"), Some("42")));
        assert_eq!(authorization_code(&params), Ok(Secret::new("4/P7q")));
        assert_eq!(parse_callback_form(b"code=4%2FP7q&state=s+1&realmId=42").unwrap(), params);
    }

    #[test]
    fn what_is_no_callback_gets_a_sentence() {
        for bad in ["", "code", "4/P7q", "javascript:alert(1)", "file:///x?code=1"] {
            assert_eq!(parse_callback(bad), Err(CallbackError::NotUrl), "{bad}");
        }
        let long = format!("http://127.0.0.1/?code={}", "x".repeat(40_000));
        assert_eq!(parse_callback(&long), Err(CallbackError::TooLong));
    }

    #[test]
    fn a_parameter_that_decides_something_must_be_single() {
        for name in ["code", "state", "iss", "error"] {
            let repeated = parse_callback(&format!("http://127.0.0.1/?{name}=a&x=1&x=2&{name}=a"));
            assert_eq!(repeated, Err(CallbackError::Repeated(name)));
        }
        assert!(parse_callback("http://127.0.0.1/?code=a&scope=b&scope=c").is_ok());
    }

    #[test]
    fn denied_consent_is_told_from_a_refused_request_in_the_providers_words() {
        let denied = authorization_code(&callback("error=access_denied&error_description=Not%0Anow")).unwrap_err();
        assert_eq!(denied, CallbackError::Denied { words: Some("Not now".into()) });
        assert!(denied.to_string().starts_with("consent was denied (the provider says: \"Not now\")"), "{denied}");
        // An error wins over a code that somebody put beside it.
        let refused = authorization_code(&callback("error=invalid_scope&code=x")).unwrap_err();
        assert_eq!(refused, CallbackError::Refused { code: "invalid_scope".into(), words: None });
    }

    #[test]
    fn a_callback_without_a_code_lists_names_and_no_values() {
        let error = authorization_code(&callback("authCode=hunter2&state=hunter2")).unwrap_err();
        assert_eq!(error, CallbackError::NoCode("authCode, state".into()));
        assert!(authorization_code(&callback("code=")).is_err());
    }

    #[test]
    fn a_signed_callback_is_checked() {
        let secret = Secret::new("csecret");
        // hex(HMAC-SHA-256("csecret", "code=1&shop=a.example&state=s")), from OpenSSL.
        let good = "87bf29032e4e6c05fe547303cdc313373609e94a41368cda377409a88ec22a6f";
        let check = |query: &str| check_hmac(&callback(query), "hmac", &secret);
        assert_eq!(check(&format!("shop=a.example&code=1&hmac={good}&state=s")), Ok(()));
        assert_eq!(check("shop=a.example&code=1&state=s"), Err(CallbackError::NotSigned("hmac".into())));
        for forged in [
            format!("shop=evil.example&code=1&hmac={good}&state=s"),
            "code=1&hmac=00".to_owned(),
            // `shop` folded into the code's value: the joined text is the same.
            format!("code=1%26shop%3Da.example&hmac={good}&state=s"),
        ] {
            assert_eq!(check(&forged), Err(CallbackError::WrongSignature("hmac".into())), "{forged}");
        }
    }

    #[test]
    fn the_state_may_have_another_name() {
        let params = callback("code=1&relay=s1&other=x");
        assert_eq!(state_name(&params, &Secret::new("s1")), Some("relay"));
        assert_eq!(state_name(&params, &Secret::new("s2")), None);
    }

    #[test]
    fn the_issuer_is_checked_when_it_comes_and_demanded_when_it_is_promised() {
        let check = |query: &str, expected, required| check_issuer(&callback(query), expected, required);
        let us = Some("https://a.example/x");
        assert_eq!(check("code=1&iss=https%3A%2F%2Fa.example%2Fx", us, true), Ok(()));
        assert_eq!(check("code=1", us, false), Ok(()));
        assert_eq!(check("code=1", us, true), Err(CallbackError::NoIssuer));
        assert_eq!(check("code=1&iss=", us, true), Err(CallbackError::NoIssuer));
        assert_eq!(check("code=1&iss=https://a.example/x", None, true), Err(CallbackError::UnknownIssuer));
        assert_eq!(check("code=1&iss=https://a.example/x", None, false), Ok(()));
        for other in ["https://evil.example", "https://a.example/x/", "https://A.example/x", "https://a.example/x/../x"]
        {
            let checked = check(&format!("code=1&iss={other}"), us, false);
            assert!(matches!(checked, Err(CallbackError::WrongIssuer { .. })), "{other}");
        }
    }

    #[test]
    fn an_issuer_without_a_path_may_or_may_not_end_in_a_slash() {
        assert!(is_same_issuer("https://a.example/", "https://a.example"));
        assert!(is_same_issuer("https://a.example", "https://a.example/"));
        assert!(!is_same_issuer("https://a.example/", "https://a.example//"));
        assert!(!is_same_issuer("https://a.example/x/", "https://a.example/x"));
        assert!(!is_same_issuer("https://", "https:/"));
    }

    proptest! {
        #[test]
        fn no_callback_panics(text in "\\PC{0,80}", issuer in "\\PC{0,20}") {
            let _ = parse_callback(&text);
            if let Ok(params) = parse_callback_form(text.as_bytes()) {
                let _ = authorization_code(&params);
                let _ = check_issuer(&params, Some(&issuer), true);
            }
            prop_assert!(is_same_issuer(&issuer, &issuer));
        }
    }
}
