//! Where the tokens of a reply are, their lifetimes, the scopes and an error: a guess by names first and values second,
//! with a sentence for whatever was not found or could be otherwise.

use super::names::{self, Role, Words};
use super::shape::{self, Place, Shape};
use super::times::{self, When};
use crate::model::{FailureKind, Secret, Timestamp};
use crate::oauth::{RawReply, Value};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;

/// What a reply holds, as far as it can be told.
pub struct Guess {
    /// What the body is written in.
    pub shape: Shape,
    /// Where the access token is.
    pub access_token: Option<TokenAt>,
    /// Where the refresh token is.
    pub refresh_token: Option<Place>,
    /// The lifetime of the access token.
    pub expires: Option<Lifetime>,
    /// The lifetime of the refresh token.
    pub refresh_expires: Option<Lifetime>,
    /// The granted scopes.
    pub scopes: Option<Scopes>,
    /// The error that the reply is.
    pub failing: Option<Failing>,
    /// A field that says in a good reply that it is one.
    pub success: Option<(Place, Value)>,
    /// What was not found, and what could be otherwise: sentences without values.
    pub notes: Vec<String>,
    /// What the body reads to.
    pub(super) value: Value,
    /// The texts of the tokens.
    pub(super) found: Found,
}

/// The tokens themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) access_token: Option<Secret>,
    pub(super) refresh_token: Option<Secret>,
}

/// Where an access token can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenAt {
    /// In a field.
    Field(Place),
    /// It is the whole body.
    Body,
    /// In a header of the reply.
    Header(String),
}

/// A lifetime and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetime {
    /// The field; nothing where only the `exp` claim of the access token tells.
    pub place: Option<Place>,
    /// How it is written.
    pub when: When,
    /// Seconds from the reply's time on.
    pub seconds: u64,
    /// Whether the number came as a text.
    pub(super) is_text: bool,
}

/// Scopes and where they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes {
    /// The field.
    pub place: Place,
    /// What stands between two of them; nothing where they are a list.
    pub separator: Option<char>,
    /// The scopes.
    pub list: Vec<String>,
}

/// An error and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// Its code.
    pub code: Place,
    /// The provider's words.
    pub words: Option<Place>,
    /// What it seems to mean.
    pub kind: FailureKind,
}

impl fmt::Debug for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guess")
            .field("shape", &self.shape)
            .field("access_token", &self.access_token)
            .field("refresh_token", &self.refresh_token)
            .field("expires", &self.expires)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

impl Guess {
    /// Guesses at a reply that came at a time.
    #[must_use]
    pub fn of(reply: &RawReply, now: Timestamp) -> Self {
        let (shape, value) = shape::read(reply);
        let now = time_of(reply).unwrap_or(now);
        let good = (200..300).contains(&reply.status);
        let mut guess = Self::of_value(shape, value, now, good);
        if guess.access_token.is_none()
            && good
            && let Some((name, token)) = in_headers(reply)
        {
            guess.notes.push(format!("The access token is taken from the reply's header {name}."));
            guess.access_token = Some(TokenAt::Header(name));
            guess.found.access_token = Some(Secret::new(token));
            guess.failing = None;
        }
        if guess.access_token.is_none() {
            guess.find_failure(reply.status);
        }
        guess.tell_what_is_missing(now);
        guess
    }

    fn of_value(shape: Shape, value: Value, now: Timestamp, good: bool) -> Self {
        let mut guess = Self {
            shape,
            access_token: None,
            refresh_token: None,
            expires: None,
            refresh_expires: None,
            scopes: None,
            failing: None,
            success: None,
            notes: Vec::new(),
            value,
            found: Found::default(),
        };
        let value = guess.value.clone();
        let leaves = leaves(&value);
        guess.find_tokens(&leaves, good);
        if guess.access_token.is_none()
            && let Some((place, inner)) = leaves.iter().find_map(|leaf| inner_of(leaf))
        {
            let within = Self::of_value(Shape::JsonInJson(place), inner, now, good);
            if within.access_token.is_some() {
                return within;
            }
        }
        guess.find_lifetimes(&leaves, now);
        guess.find_scopes(&leaves);
        if guess.access_token.is_some() {
            guess.success = success_of(&leaves);
        }
        guess
    }

    fn find_tokens(&mut self, leaves: &[Leaf<'_>], good: bool) {
        let mut access = Vec::new();
        let mut refresh: Option<(i32, Place, &str)> = None;
        for leaf in leaves {
            let Some((role, score)) = names::token_role(&leaf.words, leaf.value) else { continue };
            let Some(place) = Place::of(&leaf.path) else {
                self.notes
                    .push("A field whose name holds unusual characters may be a token; it is left out.".to_owned());
                continue;
            };
            let score = score - 3 * i32::try_from(leaf.path.len()).unwrap_or(0);
            let text = leaf.value.as_str().unwrap_or_default().trim();
            match role {
                Role::Access => access.push((score, place, text)),
                Role::Refresh if refresh.as_ref().is_none_or(|(best, ..)| score > *best) => {
                    refresh = Some((score, place, text));
                }
                Role::Refresh => {}
            }
        }
        // The first of the best: a stable sort.
        access.sort_by_key(|(score, ..)| std::cmp::Reverse(*score));
        if access.is_empty() && good {
            access.extend(nameless(leaves).map(|(place, text)| {
                self.notes.push(format!(
                    "No field is called a token; `{}` looks like one and is taken for it.",
                    place.dotted()
                ));
                (0, place, text)
            }));
        }
        if let Some((_, place, text)) = access.first() {
            let others = access.iter().filter(|(_, _, other)| other != text);
            let others: Vec<String> = others.map(|(_, place, _)| format!("`{}`", place.dotted())).collect();
            if !others.is_empty() {
                self.notes.push(format!(
                    "The access token is taken from `{}`; {} could be one too.",
                    place.dotted(),
                    others.join(", ")
                ));
            }
            self.found.access_token = Some(Secret::new(*text));
            self.access_token = Some(TokenAt::Field(place.clone()));
        } else if good
            && let Value::String(text) = &self.value
            && names::can_be_token(text)
        {
            self.found.access_token = Some(Secret::new(text.trim()));
            self.access_token = Some(TokenAt::Body);
        }
        if let Some((_, place, text)) = refresh {
            self.found.refresh_token = Some(Secret::new(text));
            self.refresh_token = Some(place);
        }
    }

    fn find_lifetimes(&mut self, leaves: &[Leaf<'_>], now: Timestamp) {
        let token = self.found.access_token.clone();
        let claims = token.as_ref().and_then(|token| claims(token.expose()));
        let claim = |name: &str| claims.as_ref()?.get(name)?.as_f64().filter(|at| (0.0..2e11).contains(at));
        let told = claim("exp").map(|exp| exp - claim("iat").unwrap_or(now.as_second() as f64));
        // Not negative, and below 2e11.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let told = told.filter(|seconds| *seconds > 0.0).map(|seconds| seconds as u64);
        let home = match &self.access_token {
            Some(TokenAt::Field(place)) => place.steps().split_last().map(|(_, above)| above.to_vec()),
            _ => None,
        };
        let mut best: [Option<(i32, Lifetime, bool)>; 2] = [None, None];
        for leaf in leaves {
            let Some((role, score)) = names::time_role(&leaf.words) else { continue };
            let Some(place) = Place::of(&leaf.path) else { continue };
            let known = told.filter(|_| role == Role::Access);
            let Some(read) = times::read(&leaf.words, leaf.value, now, known) else {
                let nothing =
                    matches!(leaf.value, Value::Null) || leaf.value.as_str() == Some("") || is_zero(leaf.value);
                if !nothing {
                    self.notes.push(format!("What `{}` says of a lifetime cannot be read as one.", place.dotted()));
                }
                continue;
            };
            let near = match &home {
                Some(home) if leaf.path[..leaf.path.len() - 1] == home[..] => 30,
                Some(home) if home.starts_with(&leaf.path[..leaf.path.len() - 1]) => 20,
                _ => 0,
            };
            let score = score + near - i32::try_from(leaf.path.len()).unwrap_or(0);
            let slot = &mut best[usize::from(role == Role::Refresh)];
            if slot.as_ref().is_none_or(|(best, ..)| score > *best) {
                let lifetime = Lifetime {
                    place: Some(place),
                    when: read.when,
                    seconds: read.seconds,
                    is_text: leaf.value.is_string(),
                };
                *slot = Some((score, lifetime, read.doubtful));
            }
        }
        for (_, lifetime, doubtful) in best.iter().flatten() {
            if *doubtful && let Some(place) = &lifetime.place {
                self.notes.push(format!(
                    "`{}` is taken as {}, because of its size; change that where it is something else.",
                    place.dotted(),
                    match lifetime.when {
                        When::InMilliseconds => "milliseconds",
                        _ => "seconds",
                    }
                ));
            }
        }
        let [access, refresh] = best.map(|slot| slot.map(|(_, lifetime, _)| lifetime));
        self.refresh_expires = refresh.filter(|_| self.refresh_token.is_some());
        self.expires = access;
        if self.expires.is_none()
            && let Some(exp) = claim("exp")
        {
            let left = exp - now.as_second() as f64;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let seconds = left.max(1.0) as u64;
            self.expires = Some(Lifetime { place: None, when: When::At, seconds, is_text: false });
        }
    }

    fn find_scopes(&mut self, leaves: &[Leaf<'_>]) {
        let scored = leaves.iter().filter_map(|leaf| {
            let score = names::scope_score(&leaf.words)? - 3 * i32::try_from(leaf.path.len()).unwrap_or(0);
            let (separator, list) = scopes_of(leaf.value)?;
            Some((score, Scopes { place: Place::of(&leaf.path)?, separator, list }))
        });
        let best = scored.fold(None::<(i32, Scopes)>, |best, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => Some(next),
        });
        self.scopes = best.map(|(_, scopes)| scopes);
    }

    fn find_failure(&mut self, status: u16) {
        let value = self.value.clone();
        let leaves = leaves(&value);
        let scored = leaves.iter().filter_map(|leaf| {
            let plain =
                matches!(leaf.value, Value::Number(_)) || leaf.value.as_str().is_some_and(|t| !t.trim().is_empty());
            let score = names::error_score(&leaf.words).filter(|_| plain && !names::says_success(leaf.value))?;
            let phrase = leaf.value.as_str().is_some_and(|text| text.trim().contains(char::is_whitespace));
            let repeats_status = as_text(leaf.value) == status.to_string();
            let score = score - if phrase { 60 } else { 0 } - if repeats_status { 40 } else { 0 };
            Some((score - i32::try_from(leaf.path.len()).unwrap_or(0), Place::of(&leaf.path)?, leaf.value))
        });
        let Some((_, code, code_value)) = scored.max_by_key(|(score, ..)| *score) else { return };
        let words = leaves.iter().filter(|leaf| leaf.value.is_string()).filter_map(|leaf| {
            let score = names::words_score(&leaf.words)? - i32::try_from(leaf.path.len()).unwrap_or(0);
            Some((score, Place::of(&leaf.path).filter(|place| *place != code)?, leaf.value))
        });
        let words = words.max_by_key(|(score, ..)| *score);
        let said = words.as_ref().map(|(_, _, value)| as_text(value)).unwrap_or_default();
        let kind = kind_of(&format!("{} {said}", as_text(code_value)), status);
        self.notes.push(format!(
            "The reply is an error; by its words it is taken for {kind}. Which of the provider's codes mean what stands in its documentation."
        ));
        self.failing = Some(Failing { code, words: words.map(|(_, place, _)| place), kind });
    }

    fn tell_what_is_missing(&mut self, _now: Timestamp) {
        if self.access_token.is_none() {
            if self.failing.is_none() {
                self.notes.push(format!(
                    "Neither a token nor an error was found: the reply is {}.",
                    if self.shape == Shape::Unreadable {
                        "nothing that can be read".to_owned()
                    } else {
                        self.shape.to_string()
                    }
                ));
            }
            return;
        }
        if self.refresh_token.is_none() {
            self.notes.push("No refresh token was found: the connection keeps the one that it has.".to_owned());
        }
        match &self.expires {
            None => self.notes.push(
                "No lifetime was found: the application's `lifespans.access_token` counts, or 30 days.".to_owned(),
            ),
            Some(Lifetime { place: None, .. }) => {
                self.notes
                    .push("Only the exp claim of the access token, which is a JWT, tells its lifetime.".to_owned());
            }
            Some(Lifetime { when: When::AtCivil, .. }) => {
                self.notes.push("The time that the token ends at has no zone; it is taken as UTC.".to_owned());
            }
            Some(_) => {}
        }
        if self.scopes.is_none() {
            self.notes.push("No scopes were found: those that were asked for count as granted.".to_owned());
        }
    }
}

/// A value that holds no others, or a list of texts, and where it is.
struct Leaf<'a> {
    path: Vec<String>,
    words: Words,
    value: &'a Value,
}

fn leaves(value: &Value) -> Vec<Leaf<'_>> {
    let mut all = Vec::new();
    walk(value, &mut Vec::new(), &mut all);
    all
}

fn walk<'a>(value: &'a Value, path: &mut Vec<String>, all: &mut Vec<Leaf<'a>>) {
    if all.len() >= MOST_LEAVES || path.len() > DEEPEST {
        return;
    }
    let texts = value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string));
    if texts || !(value.is_array() || value.is_object()) {
        if !path.is_empty() {
            all.push(Leaf { path: path.clone(), words: Words::of(path), value });
        }
        if !texts {
            return;
        }
    }
    let mut inside = |name: String, value: &'a Value, all: &mut Vec<Leaf<'a>>| {
        path.push(name);
        walk(value, path, all);
        path.pop();
    };
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(at, item)| inside(at.to_string(), item, all)),
        Value::Object(object) => object.iter().for_each(|(name, item)| inside(name.clone(), item, all)),
        _ => {}
    }
}

/// The one value that looks like a token where none is called so.
fn nameless<'a>(leaves: &[Leaf<'a>]) -> Option<(Place, &'a str)> {
    let text = |leaf: &Leaf<'_>| leaf.value.as_str().unwrap_or_default().trim().to_owned();
    let jwts = leaves.iter().filter(|leaf| names::is_jwt(&text(leaf)) && leaf.words.flat() != "idtoken");
    let found: Vec<&Leaf<'_>> = jwts.collect();
    let random = |leaf: &&Leaf<'_>| text(leaf).len() >= 20 && names::looks_random(&text(leaf));
    let found = if found.is_empty() { leaves.iter().filter(random).collect() } else { found };
    match found.as_slice() {
        [only] => Some((Place::of(&only.path)?, only.value.as_str()?.trim())),
        _ => None,
    }
}

fn inner_of(leaf: &Leaf<'_>) -> Option<(Place, Value)> {
    Some((Place::of(&leaf.path)?, shape::inner(leaf.value.as_str()?)?))
}

fn success_of(leaves: &[Leaf<'_>]) -> Option<(Place, Value)> {
    let scored =
        leaves.iter().filter(|leaf| leaf.path.len() <= 2 && names::says_success(leaf.value)).filter_map(|leaf| {
            let flag = leaf.value.is_boolean() && matches!(leaf.words.flat().as_str(), "ok" | "success" | "succeeded");
            let code = !leaf.value.is_null() && !leaf.value.is_boolean() && !leaf.value.is_array();
            let score = if flag { 60 } else { names::error_score(&leaf.words).filter(|_| code)? };
            Some((score - 10 * i32::try_from(leaf.path.len()).unwrap_or(0), Place::of(&leaf.path)?, leaf.value.clone()))
        });
    scored.max_by_key(|(score, ..)| *score).map(|(_, place, value)| (place, value))
}

fn scopes_of(value: &Value) -> Option<(Option<char>, Vec<String>)> {
    let clean = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let (separator, list): (_, Vec<String>) = match value {
        Value::Array(list) => (None, list.iter().filter_map(Value::as_str).filter_map(clean).collect()),
        Value::String(text) => {
            // What is there most; a space may also follow a comma.
            let separator = [',', ';', '|', '+'].into_iter().find(|separator| text.contains(*separator)).unwrap_or(' ');
            (Some(separator), text.split(separator).filter_map(clean).collect())
        }
        _ => return None,
    };
    (!list.is_empty()).then_some((separator, list))
}

/// A token in the reply's headers: `X-Subject-Token`, `Authorization: Bearer …`.
fn in_headers(reply: &RawReply) -> Option<(String, String)> {
    reply.headers.iter().find_map(|(name, value)| {
        if name == "authorization" {
            let token = value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer "))?;
            return names::can_be_token(token).then(|| (name.clone(), token.to_owned()));
        }
        let words = Words::of(std::slice::from_ref(name));
        let (role, _) = names::token_role(&words, &Value::from(value.as_str()))?;
        let plain = Place::of(std::slice::from_ref(name)).is_some();
        (role == Role::Access && plain).then(|| (name.clone(), value.clone()))
    })
}

/// The claims of a JWT.
pub(super) fn claims(token: &str) -> Option<serde_json::Map<String, Value>> {
    if !names::is_jwt(token) {
        return None;
    }
    let payload = token.split('.').nth(1)?.trim_end_matches('=');
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// When the provider says that it answered: a recorded reply may be old.
fn time_of(reply: &RawReply) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(reply.header("date")?).ok().map(|date| date.timestamp())
}

/// What the words of an error sound like.
fn kind_of(said: &str, status: u16) -> FailureKind {
    let said = said.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if status == 429 || any(&["too many", "rate limit", "ratelimit", "frequen", "throttl", "quota"]) {
        FailureKind::RateLimited
    } else if any(&[
        "client secret",
        "client_secret",
        "client id",
        "client_id",
        "appid",
        "app_id",
        "app id",
        "app key",
        "invalid_client",
    ]) {
        FailureKind::ClientRejected
    } else if any(&["expired", "revoked", "invalid_grant", "has been used", "reused", "already used", "reauthor"])
        || (any(&["code", "token", "grant"]) && any(&["invalid", "bad", "wrong", "unknown", "not found"]))
    {
        FailureKind::ReauthorizationRequired
    } else if status >= 500
        || any(&["temporar", "busy", "retry", "try again", "unavailable", "system error", "internal"])
    {
        FailureKind::Transient
    } else {
        FailureKind::RequestRejected
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

fn is_zero(value: &Value) -> bool {
    value.as_f64() == Some(0.0) || value.as_str().is_some_and(|text| text.trim() == "0")
}

/// Values that are looked at: a token reply has ten.
const MOST_LEAVES: usize = 2000;
/// Levels that are looked at.
const DEEPEST: usize = 32;
