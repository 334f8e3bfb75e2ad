//! A token reply (RFC 6749 section 5.1), as loosely as real providers need it read.

use super::mapping::take_places;
use super::times::{lifetime, lifetime_or_until, lifetime_until};
use super::{Params, Value};
use crate::model::{Failure, FailureKind, Fields, Habits, Ignored, MOST_FURTHER_TOKENS, Secret, Timestamp, quoted};
use std::collections::BTreeMap;
use std::fmt;

/// What a token reply brought. Tokens are out of `extra`; other fields of it may be secret all the same (Slack nests a
/// second token), so it is stored sealed and its `Debug` shows names only.
#[derive(Clone, PartialEq)]
pub struct TokenReply {
    /// The access token.
    pub access_token: Secret,
    /// A new refresh token; without one the old one stays (RFC 6749 section 6).
    pub refresh_token: Option<Secret>,
    /// `Bearer` in whatever writing, and when it is missing; others as sent.
    pub token_type: String,
    /// The stated lifetime of the access token, in seconds.
    pub expires_in: Option<u64>,
    /// The stated lifetime of the refresh token, in seconds.
    pub refresh_expires_in: Option<u64>,
    /// The granted scopes; `None` is not stated, which means as asked for.
    pub scopes: Option<Vec<String>>,
    /// The OpenID Connect id token.
    pub id_token: Option<Secret>,
    /// Further tokens of the same reply, by name (Slack's `user`). They have no id token, no fields and no further ones.
    pub further: BTreeMap<String, TokenReply>,
    /// Every other field, in order, nested ones kept.
    pub extra: Fields,
}

impl fmt::Debug for TokenReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenReply")
            .field("access_token", &self.access_token)
            .field("refresh_token", &self.refresh_token)
            .field("token_type", &self.token_type)
            .field("expires_in", &self.expires_in)
            .field("refresh_expires_in", &self.refresh_expires_in)
            .field("scopes", &self.scopes)
            .field("id_token", &self.id_token)
            .field("further", &self.further)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Takes a token reply apart. `null` and `""` are absent; a lifetime of 0 is not stated (Mailchimp, Keycloak).
/// `scope_separator` stands between two scopes where they come as one text and `habits` do not say another.
///
/// # Errors
/// A bad response when there is no access token that an `Authorization` header can carry. It lists the names of the
/// fields that did come, and no value. Look for an error with [`super::classify`] first.
pub fn token_reply(
    mut params: Params,
    now: Timestamp,
    habits: &Habits,
    scope_separator: &str,
) -> Result<TokenReply, Failure> {
    // For the message where there is no token; mostly there is one.
    let is_there = params.text("access_token").is_some_and(|token| !token.trim().is_empty());
    let seen = if is_there && habits.tokens.is_empty() { String::new() } else { names_of(&params) };
    let separator = habits.reply.scope_separator.as_deref().unwrap_or(scope_separator);
    let mut further = BTreeMap::new();
    for (name, mut token) in take_further(&mut params, habits, now) {
        // One that is not there is no mistake: the person was asked for the bot's token only. One that cannot be used must
        // not cost the others, whose old refresh tokens this reply may have ended.
        if further.len() < MOST_FURTHER_TOKENS
            && let Ok(Some(token)) = take_token(&mut token, now, habits, separator)
        {
            further.insert(name, token);
        }
    }
    let main = take_token(&mut params, now, habits, separator)?.ok_or_else(|| no_token(&seen, habits))?;
    Ok(TokenReply {
        id_token: take_secret(&mut params, "id_token"),
        further,
        extra: params.into_object().into_iter().filter(|(_, value)| !is_absent(value)).collect(),
        ..main
    })
}

fn no_token(seen: &str, habits: &Habits) -> Failure {
    let places = &habits.reply.places;
    let root = places.root.iter().map(|root| format!(" below {root}"));
    let tried = if places.access_token.is_empty() { "access_token".to_owned() } else { places.access_token.join(", ") };
    let tried: String = std::iter::once(tried).chain(root).collect();
    Failure::new(FailureKind::BadResponse, "no_access_token").with_words(&format!(
        "the reply has no usable access_token (looked for {tried}); say where it is with reply.access_token, or start a script with `grantkeeper script new`; its fields are: {seen}"
    ))
}

/// The further tokens that are declared, and those that a script put under `tokens`, each as a reply of its own.
fn take_further(params: &mut Params, habits: &Habits, now: Timestamp) -> Vec<(String, Params)> {
    let mut further = Vec::new();
    for (name, places) in &habits.tokens {
        further.push((name.clone(), take_places(params, places, now).into_iter().collect()));
    }
    if let Some(Value::Object(tokens)) = params.get("tokens")
        && !tokens.is_empty()
        && tokens.values().all(|token| token.get("access_token").is_some_and(Value::is_string))
        && let Some(Value::Object(tokens)) = params.remove("tokens")
    {
        further.extend(tokens.into_iter().filter_map(|(name, token)| match token {
            Value::Object(token) => Some((quoted(&name), Params::from_object(token))),
            _ => None,
        }));
    }
    further
}

/// Takes one token with what belongs to it out of a reply; `None` where it has none.
fn take_token(
    params: &mut Params,
    now: Timestamp,
    habits: &Habits,
    separator: &str,
) -> Result<Option<TokenReply>, Failure> {
    let Some(access_token) = take_secret(params, "access_token") else { return Ok(None) };
    // RFC 6749 appendix A.12 allows VSCHAR only; a line break in it would write headers of its own.
    if !access_token.expose().bytes().all(|b| (0x20..=0x7e).contains(&b)) {
        return Err(Failure::new(FailureKind::BadResponse, "unusable_access_token")
            .with_words("the access_token holds characters that no Authorization header can carry"));
    }
    let expires_in = take_first(params, &ACCESS_EXPIRY, now);
    let refresh_expires_in = take_first(params, &REFRESH_EXPIRY, now);
    let ignored = |token: &Secret| match &habits.reply.ignore_refresh_token {
        None => false,
        Some(Ignored::All(all)) => *all,
        Some(Ignored::These(values)) => values.iter().any(|value| value == token.expose()),
    };
    let token_type = take_token_type(params);
    Ok(Some(TokenReply {
        access_token,
        refresh_token: take_secret(params, "refresh_token").filter(|token| !ignored(token)),
        token_type: habits.authorization_scheme.clone().unwrap_or(token_type),
        expires_in,
        refresh_expires_in,
        scopes: take_scopes(params, separator),
        id_token: None,
        further: BTreeMap::new(),
        extra: Fields::new(),
    }))
}

impl TokenReply {
    /// The reply as RFC 6749 section 5.1 writes it, for a reader that knows nothing else.
    #[must_use]
    pub fn standard_json(&self) -> Vec<u8> {
        let mut object = serde_json::Map::new();
        object.insert("access_token".to_owned(), self.access_token.expose().into());
        object.insert("token_type".to_owned(), self.token_type.as_str().into());
        if let Some(seconds) = self.expires_in {
            object.insert("expires_in".to_owned(), seconds.into());
        }
        if let Some(token) = &self.refresh_token {
            object.insert("refresh_token".to_owned(), token.expose().into());
        }
        if let Some(scopes) = &self.scopes {
            object.insert("scope".to_owned(), scopes.join(" ").into());
        }
        // An object of texts and numbers always serializes.
        serde_json::to_vec(&object).unwrap_or_default()
    }
}

/// Names of fields as a message may show them: a name that is too long or odd may be a token in the wrong place.
pub(super) fn names_of(params: &Params) -> String {
    let plain =
        |name: &&str| name.len() <= 40 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    let mut names: Vec<&str> = params.names().filter(plain).take(20).collect();
    if names.len() < params.len() {
        names.push("…");
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Whether a field says nothing: `null` or `""`.
pub(super) fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

type Reading = fn(&Value, Timestamp) -> Option<u64>;

/// Where the lifetime of the access token may stand; the first that can be read counts.
const ACCESS_EXPIRY: [(&str, Reading); 4] = [
    ("expires_in", |value, _| lifetime(value)),
    ("expires_at", lifetime_until),
    ("expires_on", lifetime_until),
    ("expires", lifetime_or_until),
];

/// Where the lifetime of the refresh token may stand.
const REFRESH_EXPIRY: [(&str, Reading); 4] = [
    ("refresh_expires_in", |value, _| lifetime(value)),
    ("refresh_token_expires_in", |value, _| lifetime(value)),
    ("x_refresh_token_expires_in", |value, _| lifetime(value)),
    ("refresh_token_expires_at", lifetime_until),
];

fn take_first(params: &mut Params, places: &[(&str, Reading)], now: Timestamp) -> Option<u64> {
    let mut found = None;
    for (name, read) in places {
        if let Some(value) = params.remove(name) {
            let lifetime = read(&value, now);
            // 0 and nothing say that there is no statement; anything else was one that is lost.
            if lifetime.is_none() && value.as_str().is_some_and(|text| !text.trim().is_empty() && text.trim() != "0") {
                tracing::warn!(
                    field = name,
                    "a lifetime in a token reply cannot be read; the setting or the default holds"
                );
            }
            found = found.or(lifetime);
        }
    }
    found
}

/// Takes a field out, and gives it where it is a text that is not empty.
fn take_secret(params: &mut Params, name: &str) -> Option<Secret> {
    match params.remove(name)? {
        Value::String(text) => Some(Secret::new(text.trim())).filter(|secret| !secret.is_empty()),
        _ => None,
    }
}

fn take_token_type(params: &mut Params) -> String {
    let sent = params.remove("token_type").and_then(|value| value.as_str().map(quoted)).unwrap_or_default();
    match sent.to_ascii_lowercase().as_str() {
        // RFC 6749 section 5.1: the value is case insensitive. Apigee writes BearerToken.
        "" | "bearer" | "bearertoken" => "Bearer".to_owned(),
        _ => sent,
    }
}

/// Scopes that come as one text.
#[must_use]
pub fn split_scopes(text: &str, separator: &str) -> Vec<String> {
    let clean = |scope: &str| Some(scope.trim().to_owned()).filter(|scope| !scope.is_empty());
    match separator.trim().is_empty() {
        true => text.split_whitespace().filter_map(clean).collect(),
        false => text.split(separator).filter_map(clean).collect(),
    }
}

fn take_scopes(params: &mut Params, separator: &str) -> Option<Vec<String>> {
    let value = ["scope", "scopes"].iter().filter_map(|name| params.remove(name)).find(|value| !is_absent(value))?;
    let clean = |scope: &str| Some(scope.trim().to_owned()).filter(|scope| !scope.is_empty());
    let scopes: Vec<String> = match &value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).filter_map(clean).collect(),
        Value::String(text) => split_scopes(text, separator),
        _ => return None,
    };
    Some(scopes).filter(|scopes| !scopes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn read(reply: Value, separator: &str) -> Result<TokenReply, Failure> {
        let Value::Object(object) = reply else { panic!("an object") };
        token_reply(
            Params::from_object(object),
            Timestamp::from_second(1_700_000_000).unwrap(),
            &Habits::default(),
            separator,
        )
    }

    #[test]
    fn tokens_are_taken_out_and_everything_else_is_kept_in_order() {
        let reply = read(
            json!({"z": {"deep": [1]}, "access_token": "at", "refresh_token": "rt", "id_token": "id", "a": 1,
                   "gone": null, "empty": "", "token_type": "mac", "expires_in": 60, "scope": "a b"}),
            " ",
        )
        .unwrap();
        assert_eq!(reply.refresh_token, Some(Secret::new("rt")));
        assert_eq!(reply.id_token, Some(Secret::new("id")));
        assert_eq!(reply.token_type, "mac");
        assert_eq!(serde_json::to_string(&reply.extra).unwrap(), r#"{"z":{"deep":[1]},"a":1}"#);
    }

    #[test]
    fn debug_shows_no_value_of_a_reply() {
        let reply = read(json!({"access_token": "hunter2", "user": {"access_token": "hunter2"}}), " ").unwrap();
        assert!(!format!("{reply:?}").contains("hunter2"));
        assert!(format!("{reply:?}").contains("user"));
    }

    #[test]
    fn further_tokens_are_a_few_and_a_broken_one_does_not_cost_the_others() {
        let many: Map<String, Value> = (0..1000).map(|n| (format!("t{n}"), json!({"access_token": "x"}))).collect();
        let reply = read(json!({"access_token": "at", "tokens": many}), " ").unwrap();
        assert_eq!((reply.further.len(), reply.extra.len()), (MOST_FURTHER_TOKENS, 0));
        let broken = json!({"access_token": "at", "refresh_token": "rt",
                            "tokens": {"user": {"access_token": "a\nb"}, "bot": {"access_token": "b"}}});
        let reply = read(broken, " ").unwrap();
        assert_eq!(reply.refresh_token, Some(Secret::new("rt")));
        assert_eq!(reply.further.keys().collect::<Vec<_>>(), ["bot"]);
    }

    #[test]
    fn scopes_come_as_text_or_list_and_absent_is_not_empty() {
        let scopes =
            |value: Value, separator| read(json!({"access_token": "at", "scope": value}), separator).unwrap().scopes;
        assert_eq!(scopes(json!("a  b"), " "), Some(vec!["a".into(), "b".into()]));
        assert_eq!(scopes(json!("a, b,"), ","), Some(vec!["a".into(), "b".into()]));
        assert_eq!(scopes(json!("a,b"), " "), Some(vec!["a,b".into()]));
        assert_eq!(scopes(json!(["a", "b c"]), " "), Some(vec!["a".into(), "b c".into()]));
        for absent in [json!(""), json!(" "), json!(null), json!([]), json!(5), json!({"a": 1})] {
            assert_eq!(scopes(absent.clone(), " "), None, "{absent}");
        }
    }

    #[test]
    fn what_a_reply_states_first_counts() {
        let reply = read(
            json!({"access_token": "at", "expires_in": 60, "expires_at": 1_700_009_999,
                   "refresh_expires_in": 0, "refresh_token_expires_at": "2023-11-14T22:15:00Z"}),
            " ",
        )
        .unwrap();
        assert_eq!((reply.expires_in, reply.refresh_expires_in), (Some(60), Some(100)));
    }

    #[test]
    fn a_reply_without_a_usable_token_lists_names_and_no_values() {
        for reply in [
            json!({"accessToken": "hunter2", "ok": true}),
            json!({"access_token": ""}),
            json!({"access_token": null}),
            json!({"access_token": {"token": "hunter2"}}),
            json!({"access_token": 5}),
            json!({"access_token": "hunter2\r\nX-Evil: 1"}),
            json!({"access_token": "hunter2\u{e9}"}),
            json!({"hunter2hunter2hunter2hunter2hunter2hunter2hunter2": 1}),
        ] {
            let failure = read(reply.clone(), " ").unwrap_err();
            assert_eq!(failure.kind, FailureKind::BadResponse, "{reply}");
            assert!(!format!("{failure} {failure:?}").contains("hunter2"), "{failure}");
        }
        let failure = read(json!({"accessToken": "x", "ok": true}), " ").unwrap_err();
        assert!(failure.words.unwrap().ends_with("its fields are: accessToken, ok"));
    }

    #[test]
    fn a_token_type_cannot_write_a_header() {
        let reply = read(json!({"access_token": "at", "token_type": "Bearer x\r\nEvil: 1"}), " ").unwrap();
        assert_eq!(reply.token_type, "Bearer x Evil: 1");
    }
}
