//! A reply in a provider's own shape, brought into the standard one (RFC 6749 section 5.1) as its habits declare.

use super::params::Params;
use super::reading::{Unreadable, read_body};
use super::times::{in_seconds, lifetime_or_until};
use super::token_reply::is_absent;
use super::{RawReply, Value};
use crate::model::{Places, ReplyFormat, ReplyHabits, Timestamp, Unit, by_path};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Reads a reply as a provider writes it: behind a prefix, or as nothing but the token. Otherwise as
/// [`super::read_reply`].
///
/// # Errors
/// When nothing fits: the script of the application has to read it.
pub fn read_reply_by(reply: &RawReply, habits: &ReplyHabits) -> Result<Params, Unreadable> {
    let read = read_body(reply, habits.prefix.as_deref());
    let is_token = habits.format == Some(ReplyFormat::Text) && (200..300).contains(&reply.status);
    let body = String::from_utf8_lossy(&reply.body);
    let body = body.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\u{feff}');
    let is_word = !body.is_empty() && body.bytes().all(|b| b.is_ascii_graphic()) && !body.starts_with(['<', '{', '[']);
    match (read, is_token) {
        (Err(unreadable), true) if !unreadable.is_no_reply() => {
            if is_word {
                Ok([("access_token", body)].into_iter().collect())
            } else {
                Err(unreadable)
            }
        }
        // A token may look like a form with one field, or like a number. An error is none.
        (Ok(params), true) if is_word && !params.contains("access_token") && !params.contains("error") => {
            Ok([("access_token", body)].into_iter().collect())
        }
        (read, _) => read,
    }
}

/// Moves fields to their standard names; nothing is left where they stood, so that no token is kept as a field.
pub fn map_reply(params: &mut Params, habits: &ReplyHabits, now: Timestamp) {
    let root = habits.places.root.as_deref();
    let kept: Vec<(String, Value)> =
        habits.keep.iter().filter_map(|(name, path)| Some((name.clone(), look(params, root, path)?.clone()))).collect();
    for (name, value) in take_places(params, &habits.places, now) {
        params.put(name, value);
    }
    for (name, value) in kept {
        params.put(name, value);
    }
}

/// For the refresh of a further token: what stands in its places becomes the reply's token. A reply that has it at the top
/// (Slack) is as it should be.
pub fn promote(params: &mut Params, places: &Places, now: Timestamp) {
    let taken = take_places(params, places, now);
    if taken.iter().any(|(name, _)| *name == "access_token") {
        for (name, value) in taken {
            params.put(name, value);
        }
    }
}

/// Takes a token's fields out of where they stand, under their standard names.
pub(super) fn take_places(params: &mut Params, places: &Places, now: Timestamp) -> Vec<(&'static str, Value)> {
    let root = places.root.as_deref();
    let mut taken = Vec::new();
    for (names, paths, is_lifetime) in [
        // Lifetimes first: they may stand in a token that is taken out next.
        (&EXPIRES_IN[..], &places.expires_in, true),
        (&REFRESH_EXPIRES_IN, &places.refresh_expires_in, true),
        (&ACCESS_TOKEN, &places.access_token, false),
        (&REFRESH_TOKEN, &places.refresh_token, false),
        (&SCOPE, &places.scope, false),
        (&TOKEN_TYPE, &places.token_type, false),
        (&ID_TOKEN, &places.id_token, false),
    ] {
        let counted = is_lifetime && places.expires_unit.is_some();
        let at = |path: &String| take(params, root, path).or_else(|| claim(params, root, path).filter(|_| is_lifetime));
        let mut found = paths.iter().find_map(at).map(|value| (names[0], value));
        // Where no path is said: its usual names below the root.
        if let (None, true, Some(root)) = (&found, paths.is_empty(), root) {
            found = names.iter().find_map(|name| Some((*name, take_below(params, root, name)?)));
        }
        // A unit holds at the top as well.
        if found.is_none() && counted && paths.is_empty() {
            found = take_at(params, names[0]).map(|value| (names[0], value));
        }
        let Some((name, value)) = found else { continue };
        let said = !paths.is_empty();
        let seconds = match places.expires_unit {
            Some(unit) if is_lifetime => in_seconds(&value, factor(unit)),
            None if is_lifetime && said => lifetime_or_until(&value, now),
            _ => None,
        };
        taken.push((if seconds.is_some() { names[0] } else { name }, seconds.map_or(value, Value::from)));
    }
    taken
}

/// The value of a path below the root, else from the top.
pub(super) fn look<'a>(params: &'a Params, root: Option<&str>, path: &str) -> Option<&'a Value> {
    let object = params.as_object();
    let below = root.and_then(|root| by_path(object, root)?.as_object()).and_then(|inner| by_path(inner, path));
    below.or_else(|| by_path(object, path))
}

fn take(params: &mut Params, root: Option<&str>, path: &str) -> Option<Value> {
    root.and_then(|root| take_below(params, root, path)).or_else(|| take_at(params, path))
}

/// A claim of a JWT that stands in the reply: `access_token.exp`. Its signature is nobody's concern here: the reply it
/// came in is what is believed.
fn claim(params: &Params, root: Option<&str>, path: &str) -> Option<Value> {
    let (token, claim) = path.rsplit_once('.')?;
    let payload = look(params, root, token)?.as_str()?.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice::<Value>(&payload).ok()?.get(claim).cloned()
}

fn take_below(params: &mut Params, root: &str, path: &str) -> Option<Value> {
    take_at(params, &format!("{root}.{path}"))
}

/// Takes a value out by its path, where it says something. One in a list stays in it.
fn take_at(params: &mut Params, path: &str) -> Option<Value> {
    let object = params.as_object();
    let value = by_path(object, path).filter(|value| !is_absent(value))?.clone();
    if object.contains_key(path) {
        params.remove(path);
        return Some(value);
    }
    let (outer, last) = path.rsplit_once('.')?;
    let (first, rest) = outer.split_once('.').map_or((outer, None), |(first, rest)| (first, Some(rest)));
    let mut inside = params.get_mut(first)?;
    for part in rest.into_iter().flat_map(|rest| rest.split('.')) {
        inside = match inside {
            Value::Array(list) => list.get_mut(part.parse::<usize>().ok()?)?,
            other => other.get_mut(part)?,
        };
    }
    if let Value::Object(members) = inside {
        members.shift_remove(last);
    }
    Some(value)
}

fn factor(unit: Unit) -> f64 {
    match unit {
        Unit::Milliseconds => 0.001,
        Unit::Seconds => 1.0,
        Unit::Minutes => 60.0,
        Unit::Hours => 3600.0,
        Unit::Days => 86_400.0,
    }
}

const ACCESS_TOKEN: [&str; 1] = ["access_token"];
const REFRESH_TOKEN: [&str; 1] = ["refresh_token"];
const EXPIRES_IN: [&str; 4] = ["expires_in", "expires_at", "expires_on", "expires"];
const REFRESH_EXPIRES_IN: [&str; 4] =
    ["refresh_expires_in", "refresh_token_expires_in", "x_refresh_token_expires_in", "refresh_token_expires_at"];
const SCOPE: [&str; 2] = ["scope", "scopes"];
const TOKEN_TYPE: [&str; 1] = ["token_type"];
const ID_TOKEN: [&str; 1] = ["id_token"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::{TokenReply, token_reply};
    use proptest::prelude::*;
    use serde_json::json;

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn paths(path: &str) -> Vec<String> {
        vec![path.to_owned()]
    }

    fn mapped(body: &Value, habits: &ReplyHabits) -> TokenReply {
        let reply = RawReply { status: 200, headers: vec![], body: body.to_string().into_bytes().into() };
        let mut params = read_reply_by(&reply, habits).unwrap();
        map_reply(&mut params, habits, now());
        let habits = crate::model::Habits { reply: habits.clone(), ..Default::default() };
        token_reply(params, now(), &habits, " ").unwrap()
    }

    #[test]
    fn fields_below_a_root_are_found_under_their_usual_names() {
        let habits =
            ReplyHabits { places: Places { root: Some("data".into()), ..Places::default() }, ..ReplyHabits::default() };
        let reply = mapped(
            &json!({"data": {"access_token": "at", "expires_at": 1_700_000_060, "scopes": ["a"], "open_id": "o"}, "m": 1}),
            &habits,
        );
        assert_eq!((reply.access_token.expose(), reply.expires_in), ("at", Some(60)));
        assert_eq!(reply.scopes, Some(vec!["a".to_owned()]));
        assert_eq!(serde_json::to_value(&reply.extra).unwrap(), json!({"data": {"open_id": "o"}, "m": 1}));
    }

    #[test]
    fn fields_have_the_providers_names() {
        let places = Places {
            access_token: vec!["missing".into(), "t.accessToken".into()],
            refresh_token: paths("t.list.0.refresh"),
            expires_in: paths("t.expireIn"),
            ..Places::default()
        };
        let keep = [("user".to_owned(), "t.user.id".to_owned())].into();
        let habits = ReplyHabits { places, keep, ..ReplyHabits::default() };
        let body = json!({"t": {"accessToken": "at", "list": [{"refresh": "rt"}], "expireIn": 1_700_000_060, "user": {"id": 7}}});
        let reply = mapped(&body, &habits);
        assert_eq!((reply.access_token.expose(), reply.expires_in), ("at", Some(60)));
        assert_eq!(reply.refresh_token.unwrap().expose(), "rt");
        assert_eq!(reply.extra["user"], 7);
        assert!(!serde_json::to_string(&reply.extra).unwrap().contains("\"rt\""), "no token stays behind");
    }

    #[test]
    fn lifetimes_come_in_other_units() {
        for (unit, seconds) in [(Unit::Milliseconds, 86), (Unit::Minutes, 5_184_000), (Unit::Days, 7_464_960_000)] {
            let places = Places { expires_unit: Some(unit), ..Places::default() };
            let habits = ReplyHabits { places, ..ReplyHabits::default() };
            assert_eq!(
                mapped(&json!({"access_token": "a", "expires_in": 86_400}), &habits).expires_in,
                Some(seconds),
                "{unit:?}"
            );
            let long = mapped(&json!({"access_token": "a", "expires_in": "2592000000"}), &habits);
            assert!(unit != Unit::Milliseconds || long.expires_in == Some(2_592_000));
        }
    }

    #[test]
    fn a_lifetime_may_stand_in_the_token_itself() {
        let places = Places { access_token: paths("jwt"), expires_in: paths("jwt.exp"), ..Places::default() };
        let habits = ReplyHabits { places, ..ReplyHabits::default() };
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let jwt = token(r#"{"exp":1700003600}"#);
        let reply = mapped(&json!({ "jwt": jwt }), &habits);
        assert_eq!((reply.access_token.expose(), reply.expires_in), (jwt.as_str(), Some(3600)));
        for without in [token("{}"), token("[]"), "opaque".to_owned(), "a.b.c".to_owned()] {
            assert_eq!(mapped(&json!({ "jwt": without }), &habits).expires_in, None, "{without}");
        }
    }

    #[test]
    fn a_fraction_of_a_unit_counts() {
        let places = Places { expires_unit: Some(Unit::Hours), ..Places::default() };
        let habits = ReplyHabits { places, ..ReplyHabits::default() };
        assert_eq!(mapped(&json!({"access_token": "a", "expires_in": "1.5"}), &habits).expires_in, Some(5400));
    }

    #[test]
    fn a_prefix_is_stripped_and_a_bare_token_is_one() {
        let read = |body: &str, habits: &ReplyHabits| {
            let reply = RawReply { status: 200, headers: vec![], body: body.as_bytes().to_vec().into() };
            read_reply_by(&reply, habits).map(|params| params.text("access_token").map(str::to_owned))
        };
        let prefix = ReplyHabits { prefix: Some("&&&START&&&".into()), ..ReplyHabits::default() };
        assert_eq!(read("&&&START&&&{\"access_token\":\"at\"}", &prefix).unwrap().as_deref(), Some("at"));
        assert_eq!(read("{\"access_token\":\"at\"}", &prefix).unwrap().as_deref(), Some("at"));
        let text = ReplyHabits { format: Some(ReplyFormat::Text), ..ReplyHabits::default() };
        for (body, token) in
            [("at.1\n", "at.1"), ("\"at\"", "at"), ("abc=", "abc="), ("12345", "12345"), ("a=b", "a=b")]
        {
            assert_eq!(read(body, &text).unwrap().as_deref(), Some(token), "{body}");
        }
        assert!(
            read("<html>no</html>", &text).is_err() && read("", &text).is_err() && read("two words", &text).is_err()
        );
        for error in [
            "{\"error\":\"x\"}",
            " \n{\"error\":\"x\"}",
            "\u{feff}{\"error\": \"x\"}",
            "cb({\"error\": \"x\"})",
            "error=invalid_grant&error_description=no",
        ] {
            assert_eq!(read(error, &text).unwrap(), None, "{error:?}");
        }
        assert!(read("[\"at\"]", &text).is_err() && read("{\"access_token\":", &text).is_err());
    }

    proptest! {
        #[test]
        fn no_reply_panics(
            body in r#"\{"(a|b|data)":(\[|\{"(a|b)":|)("[a-z]{0,3}"|-?[0-9]{1,20}|null)(\]|\}|)\}"#,
            path in "(a|b|data|0|\\.){0,5}",
        ) {
            let places = Places { root: Some(path.clone()), expires_in: vec![path.clone()], access_token: vec![path], expires_unit: Some(Unit::Days), ..Places::default() };
            let habits = ReplyHabits { places, ..ReplyHabits::default() };
            let reply = RawReply { status: 200, headers: vec![], body: body.into_bytes().into() };
            if let Ok(mut params) = read_reply_by(&reply, &habits) {
                map_reply(&mut params, &habits, now());
            }
        }
    }
}
