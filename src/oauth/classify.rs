//! What a reply that is an error means. An error is looked for before a token, in a reply of any status, as many
//! providers send theirs with 200.
//!
//! How a kind is found, first rule first:
//! 1. 429 is rate limited, whatever the body says: it is never a reason to end a grant.
//! 2. A code that is known (RFC 6749 section 5.2 and its dialects) decides, in any status.
//! 3. 5xx, 408 and 425 pass.
//! 4. 3xx: redirects of a token request are not followed (they would carry the credentials elsewhere), and the same
//!    request gets the same redirect: the request is rejected until somebody corrects the endpoint.
//! 5. A code that is unknown, in a field for errors: the provider itself named a reason, and the same request gets the
//!    same answer. The request is rejected; the grant stays.
//! 6. Any other 4xx: a gateway, a firewall or a guest network may have answered in the provider's place. A bad response,
//!    which is tried again.
//!
//! A provider's habits come before all of it: where its code stands, when a reply is a success, what each code means. But
//! no table of codes ends a grant with 429, 502, 503 or 504: a gateway's `{"status": 401}` is not the provider's.

use super::mapping::look;
use super::times::{lifetime_or_until, retry_after};
use super::token_reply::is_absent;
use super::{Params, RawReply, Value};
use crate::model::{Failure, FailureKind, ReplyHabits, Timestamp, quoted};

/// The failure that a reply is, or nothing when it is none. `params` is what [`super::read_reply`] or a script made of
/// the body; `now` turns a date in `Retry-After` into seconds.
///
/// The words may repeat secrets of the request (Kakao repeats the code): pass the failure through
/// [`super::scrub_failure`] before it is shown or stored.
#[must_use]
pub fn classify(reply: &RawReply, params: Option<&Params>, now: Timestamp) -> Option<Failure> {
    classify_by(reply, params, &ReplyHabits::default(), now)
}

/// The same for a provider with habits of its own.
#[must_use]
pub fn classify_by(reply: &RawReply, params: Option<&Params>, habits: &ReplyHabits, now: Timestamp) -> Option<Failure> {
    let status = reply.status;
    let stated = match params {
        None => None,
        Some(params) => match success(params, habits) {
            Success::Yes if (200..300).contains(&status) => return None,
            Success::No(value) => Some(declared(params, habits, status, Some(&value))),
            Success::Yes | Success::Unsaid => stated_by(params, habits, status),
        },
    };
    if stated.is_none() && (200..300).contains(&status) {
        return None;
    }
    let stated = stated.unwrap_or_default();
    let code = stated.code.clone().unwrap_or_else(|| format!("http_{status}"));
    let kind = meaning(habits, &code, stated.words.as_deref(), status)
        .filter(|kind| *kind != FailureKind::ReauthorizationRequired || !matches!(status, 429 | 502..=504))
        .unwrap_or_else(|| kind_of(status, &stated));
    let mut failure = Failure::new(kind, &code).with_status(status);
    if let Some(words) = stated.words {
        failure = failure.with_words(&words);
    } else if (300..400).contains(&status) {
        failure = failure.with_words(&redirect_words(reply));
    }
    if matches!(kind, FailureKind::Transient | FailureKind::RateLimited) {
        let stated = || params.and_then(|params| stated_patience(params, habits, now));
        failure.retry_after = reply.header("retry-after").and_then(|text| retry_after(text, now)).or_else(stated);
    }
    Some(failure)
}

/// How long the body asks to wait, at most a day like the header: seconds, or a moment.
fn stated_patience(params: &Params, habits: &ReplyHabits, now: Timestamp) -> Option<u64> {
    let root = habits.places.root.as_deref();
    let seconds = habits.retry_after.iter().find_map(|path| lifetime_or_until(look(params, root, path)?, now))?;
    retry_after(&seconds.to_string(), now)
}

/// What the values that a success must have say.
enum Success {
    Yes,
    No(Value),
    Unsaid,
}

fn success(params: &Params, habits: &ReplyHabits) -> Success {
    let root = habits.places.root.as_deref();
    let mut all = Success::Unsaid;
    for (path, values) in &habits.success {
        match look(params, root, path) {
            Some(value) if values.iter().any(|wanted| is_same(wanted, value)) => all = Success::Yes,
            Some(value) => return Success::No(value.clone()),
            None => {}
        }
    }
    all
}

/// A number and the text of it are the same value: providers send both.
fn is_same(wanted: &Value, value: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    wanted == value || (!wanted.is_null() && !value.is_null() && text(wanted) == text(value))
}

/// The error that a reply states where its provider says that errors are stated.
fn stated_by(params: &Params, habits: &ReplyHabits, status: u16) -> Option<Stated> {
    let root = habits.places.root.as_deref();
    let code = habits.error_code.iter().find_map(|path| code_at(params, root, path)).filter(|code| code != "0");
    let has_token = params.get("access_token").is_some_and(|token| !is_absent(token));
    if code.is_some() && (status >= 300 || !has_token) {
        return Some(declared(params, habits, status, None));
    }
    let mut stated = stated_error(params, status)?;
    stated.words = words_by(params, habits).or(stated.words);
    Some(stated)
}

/// What a reply says of an error that it is known to be; `value` is what stood in place of a success.
fn declared(params: &Params, habits: &ReplyHabits, status: u16, value: Option<&Value>) -> Stated {
    let root = habits.places.root.as_deref();
    let usual = stated_error(params, status);
    let code = habits.error_code.iter().find_map(|path| code_at(params, root, path));
    let known = code.as_deref().and_then(known_kind);
    let usual_code = usual.as_ref().and_then(|stated| stated.code.clone()).filter(|_| habits.error_code.is_empty());
    let in_place = value.filter(|value| !value.is_boolean()).and_then(as_code);
    let words = words_by(params, habits).or_else(|| usual.as_ref()?.words.clone()).or_else(|| words_of(params));
    Stated {
        kind: known.or_else(|| usual.as_ref()?.kind),
        code: code.or(usual_code).or(in_place).or_else(|| Some("not_a_success".to_owned())),
        words,
        named: true,
    }
}

/// The code at a path; `a/b` joins the codes at two.
fn code_at(params: &Params, root: Option<&str>, path: &str) -> Option<String> {
    let codes: Vec<String> = path.split('/').filter_map(|path| as_code(look(params, root, path)?)).collect();
    if codes.is_empty() { None } else { Some(codes.join("/")) }
}

fn words_by(params: &Params, habits: &ReplyHabits) -> Option<String> {
    let root = habits.places.root.as_deref();
    habits.error_description.iter().find_map(|path| look(params, root, path)?.as_str().map(str::to_owned))
}

/// What the provider's table of codes says: `CODE: words` before `CODE`, that before the longest `CODE*`, and the status
/// last.
fn meaning(habits: &ReplyHabits, code: &str, words: Option<&str>, status: u16) -> Option<FailureKind> {
    let words = words.unwrap_or_default().to_lowercase();
    let with_words = habits.errors.iter().find(|(key, _)| {
        key.split_once(": ")
            .is_some_and(|(of, part)| of.eq_ignore_ascii_case(code) && words.contains(&part.to_lowercase()))
    });
    let exact = || habits.errors.iter().find(|(key, _)| key.eq_ignore_ascii_case(code));
    let begins = |key: &str| key.strip_suffix('*').is_some_and(|start| code.starts_with(start));
    let begun = || habits.errors.iter().filter(|(key, _)| begins(key)).max_by_key(|(key, _)| key.len());
    let of_status = || habits.errors.iter().find(|(key, _)| **key == format!("http_{status}"));
    with_words.or_else(exact).or_else(begun).or_else(of_status).map(|(_, kind)| *kind)
}

fn kind_of(status: u16, stated: &Stated) -> FailureKind {
    if status == 429 {
        return FailureKind::RateLimited;
    }
    if let Some(kind) = stated.kind {
        return kind;
    }
    match status {
        408 | 425 | 500.. => FailureKind::Transient,
        300..400 => FailureKind::RequestRejected,
        _ if stated.named => FailureKind::RequestRejected,
        _ => FailureKind::BadResponse,
    }
}

/// What a body says about an error.
#[derive(Default)]
struct Stated {
    /// What its code means, where that is known.
    kind: Option<FailureKind>,
    /// The most specific code.
    code: Option<String>,
    words: Option<String>,
    /// Whether it stands in a field for errors and is a code, not a phrase such as "Not Found".
    named: bool,
}

fn stated_error(params: &Params, status: u16) -> Option<Stated> {
    if let Some(error) = params.get("error").filter(|error| !says_no_error(error)) {
        return Some(from_error(error, params));
    }
    // Google, Fitbit and others list their errors.
    if let Some(first) = params.get("errors").and_then(Value::as_array).and_then(|list| list.first()) {
        return Some(from_error(first, params));
    }
    let has_token = params.get("access_token").is_some_and(|token| !is_absent(token));
    let named = || first_code(params, &ERROR_FIELDS).filter(|code| code != "0");
    if status >= 400 {
        let code = first_code(params, &ERROR_FIELDS).or_else(|| first_code(params, &GENERAL_FIELDS));
        let known = ERROR_FIELDS.iter().chain(&GENERAL_FIELDS).find_map(|name| known_kind(params.text(name)?));
        let words = words_of(params);
        let named = named().is_some_and(|code| is_code(&code));
        return Some(Stated { kind: known, code, words, named });
    }
    // In a 2xx, a code counts only where no token is: `errcode: 0` and `error_code: ""` come with good tokens.
    let code = named().filter(|_| !has_token)?;
    Some(Stated { kind: known_kind(&code), named: is_code(&code), code: Some(code), words: words_of(params) })
}

/// Reads the value of `error` (or the first of `errors`): a word, a number, or an object that has them inside.
fn from_error(error: &Value, params: &Params) -> Stated {
    match error {
        Value::Object(object) => {
            let inner = Params::from_object(object.clone());
            let words = words_of(&inner).or_else(|| words_of(params));
            let known = INNER_FIELDS.iter().find_map(|name| Some((*name, known_kind(inner.text(name)?)?)));
            if let Some((name, kind)) = known {
                return Stated { kind: Some(kind), code: inner.text(name).map(quoted), words, named: true };
            }
            let passing = inner.get("is_transient") == Some(&Value::Bool(true)); // Facebook
            let code = match (first_code(&inner, &INNER_FIELDS), first_code(&inner, &["error_subcode"])) {
                (Some(code), Some(subcode)) => Some(format!("{code}/{subcode}")),
                (code, _) => code,
            };
            Stated { kind: passing.then_some(FailureKind::Transient), named: code.is_some(), code, words }
        }
        Value::Array(list) => list.first().map(|first| from_error(first, params)).unwrap_or_default(),
        other => {
            let word = as_code(other).unwrap_or_else(|| "error".to_owned());
            let words = words_of(params).or_else(|| (!is_code(&word)).then(|| word.clone()));
            let code =
                if is_polling(&word) { word.clone() } else { finer_code(params).unwrap_or_else(|| word.clone()) };
            Stated { kind: known_kind(&word), named: is_code(&word), code: Some(code), words }
        }
    }
}

/// A provider's own number beside the standard word: `error_codes` (Microsoft), `error_code` (Kakao).
fn finer_code(params: &Params) -> Option<String> {
    let listed = params.get("error_codes").and_then(Value::as_array).and_then(|codes| as_code(codes.first()?));
    listed.or_else(|| first_code(params, &["error_code"])).filter(|code| code != "0")
}

/// Codes of the device grant, which polling goes by (RFC 8628 section 3.5): nothing finer may take their place.
fn is_polling(word: &str) -> bool {
    matches!(word, "authorization_pending" | "slow_down" | "expired_token" | "access_denied")
}

fn known_kind(word: &str) -> Option<FailureKind> {
    Some(match word.to_ascii_lowercase().as_str() {
        "invalid_grant"
        | "invalid_refresh_token"
        | "bad_refresh_token"
        | "bad_verification_code"
        | "expired_token"
        | "consent_required"
        | "interaction_required"
        | "login_required" => FailureKind::ReauthorizationRequired,
        "invalid_client"
        | "unauthorized_client"
        | "bad_client_secret"
        | "invalid_client_id"
        | "bad_client_id"
        | "incorrect_client_credentials" => FailureKind::ClientRejected,
        "invalid_request"
        | "invalid_scope"
        | "unsupported_grant_type"
        | "invalid_target"
        | "unsupported_token_type"
        | "unsupported_response_type"
        | "redirect_uri_mismatch"
        | "access_denied" => FailureKind::RequestRejected,
        "temporarily_unavailable" | "server_error" | "service_unavailable" | "authorization_pending" | "slow_down" => {
            FailureKind::Transient
        }
        "rate_limited" | "ratelimited" | "rate_limit_exceeded" | "too_many_requests" => FailureKind::RateLimited,
        _ => return None,
    })
}

/// `error` of a reply that is none: absent, `false`, 0.
fn says_no_error(error: &Value) -> bool {
    match error {
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.trim() == "0" || is_absent(error),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Null => true,
    }
}

fn first_code(params: &Params, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| as_code(params.get(name)?))
}

fn as_code(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(quoted(text)).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A code is one word; "Not Found" and "Service Unavailable" are a web framework's phrases.
fn is_code(text: &str) -> bool {
    !text.contains(char::is_whitespace) && !matches!(text, "Unauthorized" | "Forbidden" | "error")
}

pub(super) fn words_of(params: &Params) -> Option<String> {
    WORD_FIELDS.iter().find_map(|name| params.text(name)).map(str::to_owned)
}

/// Names the redirect's host only: its path and query may carry what was sent.
fn redirect_words(reply: &RawReply) -> String {
    let target = reply.header("location").and_then(|location| url::Url::parse(location).ok());
    match target.as_ref().and_then(url::Url::host_str) {
        Some(host) => format!("redirects to {host}, which is not followed; correct the endpoint"),
        None => "redirects, which is not followed; correct the endpoint".to_owned(),
    }
}

/// Fields that stand for an error, and nothing else.
const ERROR_FIELDS: [&str; 6] = ["error_code", "errorCode", "errcode", "error_type", "errorType", "serviceErrorCode"];
/// Fields that may stand for an error in a reply whose status says that it is one.
const GENERAL_FIELDS: [&str; 2] = ["code", "status"];
/// Fields of an error that is an object, the finest first.
const INNER_FIELDS: [&str; 6] = ["code", "error", "errorType", "errorCode", "status", "type"];
/// Where the words for people stand.
const WORD_FIELDS: [&str; 10] = [
    "error_description",
    "error_message",
    "errorMessage",
    "error_desc",
    "errmsg",
    "message",
    "msg",
    "detail",
    "description",
    "title",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::read_reply;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn of(status: u16, body: &str) -> Option<Failure> {
        with_headers(status, &[], body)
    }

    fn with_headers(status: u16, headers: &[(&str, &str)], body: &str) -> Option<Failure> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let reply = RawReply { status, headers, body: body.as_bytes().to_vec().into() };
        classify(&reply, read_reply(&reply).ok().as_ref(), now())
    }

    fn kind(status: u16, body: &str) -> FailureKind {
        of(status, body).unwrap().kind
    }

    #[test]
    fn the_codes_of_the_rfcs_have_their_kinds_in_any_status() {
        use FailureKind::*;
        for (code, expected) in [
            ("invalid_grant", ReauthorizationRequired),
            ("invalid_client", ClientRejected),
            ("unauthorized_client", ClientRejected),
            ("invalid_request", RequestRejected),
            ("invalid_scope", RequestRejected),
            ("unsupported_grant_type", RequestRejected),
            ("invalid_target", RequestRejected),
            ("temporarily_unavailable", Transient),
            ("server_error", Transient),
            ("authorization_pending", Transient),
            ("slow_down", Transient),
        ] {
            for status in [200, 400, 401, 500] {
                let failure = of(status, &format!("{{\"error\":\"{code}\"}}")).unwrap();
                assert_eq!((failure.kind, failure.code.as_str()), (expected, code), "{status}");
            }
        }
    }

    #[test]
    fn a_reply_without_an_oauth_error_never_ends_a_grant() {
        for status in (300..=599).filter(|status| *status != 429) {
            for body in ["", "<html>no</html>", "{}", "{\"message\":\"invalid token\"}", "{\"error\":\"Not Found\"}"] {
                assert_ne!(kind(status, body), FailureKind::ReauthorizationRequired, "{status} {body}");
            }
        }
        assert_eq!(kind(403, "{\"message\":\"Forbidden\"}"), FailureKind::BadResponse);
        assert_eq!(kind(404, "{\"status\":404,\"error\":\"Not Found\",\"path\":\"/t\"}"), FailureKind::BadResponse);
        assert_eq!(kind(503, "{\"error\":\"unknown_thing\"}"), FailureKind::Transient);
    }

    #[test]
    fn a_rate_limit_never_ends_a_grant() {
        assert_eq!(kind(429, "{\"error\":\"invalid_grant\"}"), FailureKind::RateLimited);
    }

    #[test]
    fn an_error_wins_over_a_token_beside_it() {
        assert_eq!(kind(200, "{\"error\":\"invalid_scope\",\"access_token\":\"x\"}"), FailureKind::RequestRejected);
        assert_eq!(kind(200, "error=bad_verification_code&access_token=x"), FailureKind::ReauthorizationRequired);
    }

    #[test]
    fn an_error_that_is_empty_is_none() {
        for error in ["null", "\"\"", "0", "\"0\"", "false", "[]", "{}"] {
            assert_eq!(of(200, &format!("{{\"error\":{error},\"access_token\":\"x\"}}")), None, "{error}");
        }
        assert_eq!(of(200, "{\"errcode\":0,\"error_code\":\"\",\"access_token\":\"x\"}"), None);
        assert_eq!(of(200, "{\"errors\":[],\"access_token\":\"x\"}"), None);
    }

    #[test]
    fn an_error_may_be_a_number_or_an_object_or_a_list() {
        let code = |body| of(400, body).unwrap().code;
        assert_eq!(code("{\"error\":96010}"), "96010");
        assert_eq!(
            code("{\"error\":{\"message\":\"used\",\"type\":\"OAuthException\",\"code\":100,\"error_subcode\":36}}"),
            "100/36"
        );
        assert_eq!(code("{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\"}}"), "403");
        let listed =
            of(400, "{\"errors\":[{\"errorType\":\"invalid_grant\",\"message\":\"bad\"}],\"success\":false}").unwrap();
        assert_eq!((listed.kind, listed.words.as_deref()), (FailureKind::ReauthorizationRequired, Some("bad")));
        assert_eq!(kind(400, "{\"error\":{\"is_transient\":true,\"code\":2}}"), FailureKind::Transient);
        assert_eq!(kind(400, "{\"status\":\"BAD_REFRESH_TOKEN\"}"), FailureKind::ReauthorizationRequired);
    }

    #[test]
    fn a_reason_that_is_unknown_rejects_the_request_and_not_the_grant() {
        assert_eq!(kind(400, "{\"error\":\"something_new\"}"), FailureKind::RequestRejected);
        assert_eq!(kind(200, "{\"error_code\":7,\"description\":\"no\"}"), FailureKind::RequestRejected);
        assert_eq!(of(200, "{\"error_code\":7,\"access_token\":\"x\"}"), None);
    }

    #[test]
    fn device_polling_sees_the_standard_word() {
        let failure = of(400, "{\"error\":\"authorization_pending\",\"error_codes\":[70016]}").unwrap();
        assert_eq!(failure.code, "authorization_pending");
    }

    #[test]
    fn a_redirect_names_only_its_host() {
        let failure = with_headers(302, &[("location", "https://a.example/x?client_secret=hunter2")], "").unwrap();
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::RequestRejected, "http_302"));
        let words = failure.words.unwrap();
        assert!(words.contains("a.example") && !words.contains("hunter2"), "{words}");
    }

    #[test]
    fn retry_after_is_kept_where_trying_again_helps() {
        let after = |status, body| with_headers(status, &[("retry-after", "30")], body).unwrap().retry_after;
        assert_eq!(after(429, ""), Some(30));
        assert_eq!(after(503, "{\"error\":\"server_error\"}"), Some(30));
        assert_eq!(after(400, "{\"error\":\"invalid_grant\"}"), None);
    }

    fn by(habits: &str, status: u16, body: &str) -> Option<(FailureKind, String)> {
        let habits: ReplyHabits = toml::from_str(habits).unwrap();
        let reply = RawReply { status, headers: vec![], body: body.as_bytes().to_vec().into() };
        let failure = classify_by(&reply, read_reply(&reply).ok().as_ref(), &habits, now())?;
        Some((failure.kind, failure.code))
    }

    #[test]
    fn a_reply_is_a_success_when_it_has_the_declared_value() {
        use FailureKind::*;
        let habits = "success = { ok = [true] }";
        assert_eq!(by(habits, 200, r#"{"ok":true,"error":"odd"}"#), None);
        assert_eq!(
            by(habits, 200, r#"{"ok":false,"error":"bad_client_secret"}"#).unwrap(),
            (ClientRejected, "bad_client_secret".into())
        );
        assert_eq!(by(habits, 200, r#"{"ok":false}"#).unwrap(), (RequestRejected, "not_a_success".into()));
        assert_eq!(
            by("success = { result = [\"0000\"] }", 200, r#"{"result":"5002","access_token":"x"}"#).unwrap().1,
            "5002"
        );
        assert_eq!(by("success = { code = [0] }", 200, r#"{"code":"0","access_token":"x"}"#), None);
        assert_eq!(by("success = { code = [0] }", 200, r#"{"access_token":"x"}"#), None);
        assert_eq!(by("success = { code = [0] }", 503, r#"{"code":0}"#).unwrap().0, Transient);
    }

    #[test]
    fn a_code_is_found_where_the_provider_puts_it() {
        use FailureKind::*;
        let habits = "error_code = [\"e.code\", \"list.0.a/list.0.b\"]\nerror_description = [\"e.text\"]";
        assert_eq!(
            by(habits, 200, r#"{"e":{"code":"invalid_grant"}}"#).unwrap(),
            (ReauthorizationRequired, "invalid_grant".into())
        );
        assert_eq!(by(habits, 400, r#"{"list":[{"a":"x","b":7}]}"#).unwrap(), (RequestRejected, "x/7".into()));
        assert_eq!(by(habits, 200, r#"{"e":{"code":0},"access_token":"x"}"#), None);
        assert_eq!(by("root = \"data\"\nerror_code = [\"n\"]", 200, r#"{"data":{"n":7}}"#).unwrap().1, "7");
    }

    #[test]
    fn a_body_may_say_how_long_to_wait() {
        let habits: ReplyHabits = toml::from_str("retry_after = [\"wait.seconds\", \"until\"]").unwrap();
        let after = |body: &str| {
            let reply = RawReply { status: 429, headers: vec![], body: body.as_bytes().to_vec().into() };
            classify_by(&reply, read_reply(&reply).ok().as_ref(), &habits, now()).unwrap().retry_after
        };
        assert_eq!(after(r#"{"wait":{"seconds":30}}"#), Some(30));
        assert_eq!(after(r#"{"until":1700000060}"#), Some(60));
        assert_eq!(after(r#"{"wait":{"seconds":9999999}}"#), Some(86_400));
        assert_eq!(after("{}"), None);
    }

    #[test]
    fn codes_mean_what_the_provider_says() {
        use FailureKind::*;
        let habits = "[errors]\n\"1\" = \"transient\"\n\"12*\" = \"client_rejected\"\n\"1*\" = \"bad_response\"\n\"x: Too Early\" = \"rate_limited\"\nhttp_418 = \"transient\"";
        let kind = |status, code: &str, words: &str| {
            by(habits, status, &format!("{{\"error\":\"{code}\",\"error_description\":\"{words}\"}}")).unwrap().0
        };
        assert_eq!(kind(400, "1", ""), Transient);
        assert_eq!(kind(400, "123", ""), ClientRejected);
        assert_eq!(kind(400, "13", ""), BadResponse);
        assert_eq!(kind(400, "x", "it is too early for that"), RateLimited);
        assert_eq!(kind(400, "x", "no"), RequestRejected);
        assert_eq!(kind(418, "y", ""), Transient);
        assert_eq!(kind(429, "1", ""), Transient, "the provider's word comes before ours");
    }

    /// Gateways answer `{"status": 401}` too, and a numbered code says nothing of who speaks.
    #[test]
    fn no_table_of_codes_ends_a_grant_in_a_gateways_name() {
        use FailureKind::*;
        let habits =
            "success = { status = [0] }\nerror_code = [\"status\"]\n[errors]\n\"401\" = \"reauthorization_required\"";
        let body = r#"{"status":401,"error":"Unauthorized"}"#;
        for (status, kind) in [
            (200, ReauthorizationRequired),
            (401, ReauthorizationRequired),
            (500, ReauthorizationRequired),
            (429, RateLimited),
            (502, Transient),
            (503, Transient),
            (504, Transient),
        ] {
            assert_eq!(by(habits, status, body).unwrap(), (kind, "401".to_owned()), "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_panics_and_every_error_status_is_a_failure(
            status in 100_u16..600,
            body in r#"\{"(error|errors|code|error_codes)":(\[|\{"code":|)("[a-z ]{0,9}"|-?[0-9]{1,9}|null)(\]|\}|)\}"#,
        ) {
            prop_assert!(of(status, &body).is_some() || status < 300);
        }
    }
}
