//! Whose account a grant is for, from what a provider says of it.

use super::IdToken;
use super::token_reply::is_absent;
use crate::model::{Account, AccountHabits, Fields, Subject, by_path, quoted};
use serde_json::Value;

/// What may say whose account it is. What is not there says nothing.
#[derive(Clone, Copy, Default)]
pub struct AccountSources<'a> {
    /// The claims of the id token.
    pub id_token: Option<&'a IdToken>,
    /// Userinfo's reply (OpenID Connect Core section 5.3).
    pub userinfo: Option<&'a Fields>,
    /// The fields of the token reply beside its tokens.
    pub reply: Option<&'a Fields>,
    /// The object of the reply that holds the token's fields: looked into before the whole.
    pub reply_root: Option<&'a str>,
    /// The parameters of the callback.
    pub callback: Option<&'a Fields>,
}

/// The account, where the sources name one. Without habits it is the id token's subject (OpenID Connect Core section
/// 5.7: nothing else identifies an account for good), named by the first of its `email`, `preferred_username` and `name`.
#[must_use]
pub fn account_of(habits: &AccountHabits, sources: &AccountSources<'_>) -> Option<Account> {
    let id = first(&ids(habits), sources).filter(|id| id.chars().count() <= LONGEST_ID)?;
    let subject = sources
        .id_token
        .and_then(|token| Some(Subject { issuer: token.issuer()?.to_owned(), sub: token.subject()?.to_owned() }));
    // A stranger's text that people will read: one line, of a length to read.
    let name = first(&names(habits), sources).map(|name| quoted(&name)).filter(|name| !name.is_empty());
    Some(Account { id, name, subject })
}

/// Whether userinfo must be asked: a place in it comes before every other that names something.
#[must_use]
pub fn needs_userinfo(habits: &AccountHabits, sources: &AccountSources<'_>) -> bool {
    let before_others = |paths: &[&str]| {
        let found = paths.iter().position(|path| value_of(path, sources).is_some()).unwrap_or(paths.len());
        paths[..found].iter().any(|path| path.starts_with("userinfo."))
    };
    before_others(&ids(habits)) || before_others(&names(habits))
}

/// Whether anything is said of where the account's id stands; without, only an id token tells.
#[must_use]
pub fn states_account(habits: &AccountHabits) -> bool {
    !habits.id.is_empty()
}

/// Whether userinfo is about whom the id token names (OpenID Connect Core section 5.3.2: otherwise it must not be used).
#[must_use]
pub fn is_userinfo_of(userinfo: &Fields, id_token: Option<&IdToken>) -> bool {
    match (userinfo.get("sub"), id_token.and_then(IdToken::subject)) {
        (Some(given), Some(subject)) => given.as_str() == Some(subject),
        _ => true,
    }
}

fn ids(habits: &AccountHabits) -> Vec<&str> {
    if habits.id.is_empty() { vec!["id_token.sub"] } else { habits.id.iter().map(String::as_str).collect() }
}

fn names(habits: &AccountHabits) -> Vec<&str> {
    match habits.name.is_empty() {
        true => vec!["id_token.email", "id_token.preferred_username", "id_token.name"],
        false => habits.name.iter().map(String::as_str).collect(),
    }
}

fn first(paths: &[&str], sources: &AccountSources<'_>) -> Option<String> {
    paths.iter().find_map(|path| value_of(path, sources))
}

/// A text or a number at a place; an account's id may be either.
fn value_of(path: &str, sources: &AccountSources<'_>) -> Option<String> {
    let (source, path) = path.split_once('.')?;
    let object = match source {
        "id_token" => sources.id_token.map(IdToken::claims),
        "userinfo" => sources.userinfo,
        "reply" => sources.reply,
        "callback" => sources.callback,
        _ => None,
    };
    let object = object?;
    let root = sources.reply_root.filter(|_| source == "reply");
    let below = root.and_then(|root| by_path(by_path(object, root)?.as_object()?, path));
    match below.or_else(|| by_path(object, path)).filter(|value| !is_absent(value))? {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Characters of an account's id. Cut short, two could become one: a longer one is none.
const LONGEST_ID: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;
    use crate::oauth::read_id_token;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    fn object(value: Value) -> Fields {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    fn id_token(claims: &Value) -> IdToken {
        let token = format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()));
        read_id_token(&Secret::new(token), None).unwrap()
    }

    fn habits(id: &[&str], name: &[&str]) -> AccountHabits {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        AccountHabits { id: owned(id), name: owned(name), ..AccountHabits::default() }
    }

    #[test]
    fn each_source_names_the_account_and_the_first_that_is_there_counts() {
        let token = id_token(&json!({ "iss": "https://a.example", "sub": "s", "email": "ann@a.example" }));
        let (userinfo, reply) = (object(json!({ "user": { "id": 7 } })), object(json!({ "team": { "id": "T1" } })));
        let callback = object(json!({ "shop": "x" }));
        let sources = AccountSources {
            id_token: Some(&token),
            userinfo: Some(&userinfo),
            reply: Some(&reply),
            callback: Some(&callback),
            reply_root: Some("team"),
        };
        let of = |id: &[&str]| account_of(&habits(id, &["userinfo.name", "reply.team.id"]), &sources);
        for (path, id) in [
            ("id_token.sub", "s"),
            ("userinfo.user.id", "7"),
            ("reply.team.id", "T1"),
            ("reply.id", "T1"),
            ("callback.shop", "x"),
        ] {
            let account = of(&["reply.missing", path, "id_token.sub"]).unwrap();
            assert_eq!((account.id.as_str(), account.name.as_deref()), (id, Some("T1")), "{path}");
        }
        assert_eq!(of(&["reply.missing", "reply.team"]), None, "an object is no id");
        assert_eq!(of(&["userinfo.user.id"]).unwrap().subject.unwrap().sub, "s");
    }

    #[test]
    fn without_habits_it_is_the_id_tokens_subject_and_the_name_that_people_know() {
        let name = |claims: Value| {
            let token = id_token(&claims);
            account_of(&AccountHabits::default(), &AccountSources { id_token: Some(&token), ..Default::default() })
        };
        let account = name(json!({ "sub": "s", "name": "Ann", "preferred_username": "ann" })).unwrap();
        assert_eq!((account.id.as_str(), account.name.as_deref()), ("s", Some("ann")));
        assert_eq!(account.subject, None, "a subject without an issuer is nobody's");
        assert_eq!(
            name(json!({ "sub": "s", "email": "", "name": "Ann\u{1b}[2J\nB" })).unwrap().name.unwrap(),
            "Ann [2J B"
        );
        assert_eq!(name(json!({ "email": "ann@a.example" })), None);
        assert_eq!(name(json!({ "sub": "x".repeat(513) })), None);
        assert_eq!(account_of(&AccountHabits::default(), &AccountSources::default()), None);
    }

    #[test]
    fn userinfo_is_asked_only_where_it_would_tell() {
        let token = id_token(&json!({ "sub": "s", "email": "ann@a.example" }));
        let known = AccountSources { id_token: Some(&token), ..Default::default() };
        assert!(!needs_userinfo(&AccountHabits::default(), &known));
        assert!(!needs_userinfo(&habits(&["id_token.sub"], &["id_token.email", "userinfo.name"]), &known));
        assert!(needs_userinfo(&habits(&["id_token.sub"], &["userinfo.name", "id_token.email"]), &known));
        assert!(needs_userinfo(&habits(&["id_token.oid", "userinfo.id"], &["id_token.email"]), &known));
    }

    #[test]
    fn userinfo_of_another_subject_is_not_used() {
        let token = id_token(&json!({ "sub": "s" }));
        for (userinfo, good) in [
            (json!({ "sub": "s" }), true),
            (json!({}), true),
            (json!({ "sub": "t" }), false),
            (json!({ "sub": 1 }), false),
        ] {
            assert_eq!(is_userinfo_of(&object(userinfo.clone()), Some(&token)), good, "{userinfo}");
            assert!(is_userinfo_of(&object(userinfo), None));
        }
    }
}
