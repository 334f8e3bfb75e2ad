//! Stand-ins for what nobody else may see. What a field may keep is decided by what is known to be harmless, and not the
//! other way round: a text stays where its name is one of a protocol's, its words are words, and no secret is in it in any
//! writing; everything else gets a stand-in, the same one wherever it comes again.

use super::guess::claims;
use super::names::{self, Role, Words};
use super::times::{self, When};
use super::traces::Traces;
use crate::model::Timestamp;
use crate::oauth::Value;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;
use zeroize::Zeroizing;

/// How stand-ins are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// The names that fixtures use: `at`, `rt`, `masked-1`. Times stay.
    Stock,
    /// Of the shape that the text has: as long, letters for letters, digits for digits. Times are moved.
    Shape {
        /// When the reply came.
        came: Timestamp,
        /// When a fixture is replayed.
        replayed: Timestamp,
    },
}

/// What is replaced by what.
pub(super) struct Masks {
    style: Style,
    known: Vec<(Zeroizing<String>, String)>,
    traces: Traces,
    /// Whether a URL's host may be named: where the application itself names it.
    allowed: Box<dyn Fn(&Url) -> bool + Send>,
    access_tokens: usize,
    refresh_tokens: usize,
    others: usize,
}

impl Masks {
    pub(super) fn new(style: Style) -> Self {
        let (known, traces) = (Vec::new(), Traces::default());
        Self { style, known, traces, allowed: Box::new(|_| false), access_tokens: 0, refresh_tokens: 0, others: 0 }
    }

    /// A secret, and what stands for it everywhere.
    pub(super) fn know(&mut self, secret: &str, stand_in: &str) {
        let secret = secret.trim();
        if !secret.is_empty() && self.exact(secret).is_none() {
            self.traces.add(secret);
            self.known.push((Zeroizing::new(secret.to_owned()), stand_in.to_owned()));
        }
    }

    /// A name for something that is no secret, where it stands alone: the client id.
    pub(super) fn rename(&mut self, text: &str, stand_in: &str) {
        if !text.is_empty() && self.exact(text).is_none() {
            self.known.push((Zeroizing::new(text.to_owned()), stand_in.to_owned()));
        }
    }

    /// Whose hosts may be named.
    pub(super) fn allow(&mut self, allowed: impl Fn(&Url) -> bool + Send + 'static) {
        self.allowed = Box::new(allowed);
    }

    /// Something drawn by lot that no fixture names: it is only looked for.
    pub(super) fn trace(&mut self, secret: &str, name: &str) {
        // An address of ours, and the time, are no secrets.
        if !matches!(name, "redirect_uri" | "redirect_url" | "timestamp") {
            self.traces.add(secret);
        }
    }

    /// A setting of the application, or what a request was made of: it stays where it is plain, whatever it is called.
    pub(super) fn setting(&mut self, path: &[String], text: &str) -> String {
        if let Some(known) = self.exact(text) {
            return known;
        }
        let placeholder = text.contains('{') && text.contains('}');
        if let (Ok(url), false) = (Url::parse(text), placeholder)
            && url.has_host()
            && (self.allowed)(&url)
        {
            return self.url_text(&url, text);
        }
        // What stands in braces is filled in when a request is made.
        let said = if placeholder { without_placeholders(text) } else { text.to_owned() };
        let plain = said.split([' ', ',', '|']).all(is_plain_word);
        let filled_in = placeholder && said.len() <= 12;
        let endpoint = path.first().is_some_and(|name| name == "endpoints");
        let secret = names::is_secret(&Words::of(path)) && !endpoint && !filled_in;
        // Its own wish may look like anything but a secret.
        if plain && !secret && !self.are_in(text) || PROTOCOL.contains(&text) {
            return text.to_owned();
        }
        self.text(path, text)
    }

    /// A token that the reply was read to hold.
    pub(super) fn know_token(&mut self, is_refresh: bool, token: &str) -> String {
        let role = if is_refresh { Role::Refresh } else { Role::Access };
        self.token(role, token)
    }

    /// Looks for everything in a value that is secret by its name or its looks: a reply may repeat one field in another.
    pub(super) fn learn(&mut self, path: &mut Vec<String>, value: &Value) {
        match value {
            Value::String(text) => {
                let words = Words::of(path);
                let secret = names::token_role(&words, value).is_some_and(|(_, score)| score >= 60)
                    || names::is_secret(&words)
                    || names::is_jwt(text)
                    || names::looks_random(text);
                if secret && text.trim().len() >= SHORTEST_LEARNT {
                    self.traces.add(text);
                }
            }
            Value::Array(list) => list.iter().for_each(|item| self.learn(path, item)),
            Value::Object(object) => {
                for (name, item) in object {
                    path.push(name.clone());
                    self.learn(path, item);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// The stand-in of a text that was seen before.
    pub(super) fn exact(&self, text: &str) -> Option<String> {
        let text = text.trim();
        self.known.iter().find(|(known, _)| known.as_str() == text).map(|(_, stand_in)| stand_in.clone())
    }

    /// Whether any writing of a secret is in a text.
    pub(super) fn are_in(&self, text: &str) -> bool {
        self.traces.are_in(text)
    }

    /// Whether any writing of a secret is in a text besides the stand-ins, which may look like one by chance.
    pub(super) fn are_left_in(&self, text: &str) -> bool {
        let mut stand_ins: Vec<&str> = self.known.iter().map(|(_, made)| made.as_str()).collect();
        stand_ins.retain(|made| made.len() >= 4);
        // The longest first: one may begin another.
        stand_ins.sort_by_key(|made| std::cmp::Reverse(made.len()));
        let apart = |parts: Vec<&'_ str>, made: &str| -> Vec<String> {
            parts.iter().flat_map(|part| part.split(made)).map(str::to_owned).collect()
        };
        let parts = stand_ins
            .into_iter()
            .fold(vec![text.to_owned()], |parts, made| apart(parts.iter().map(String::as_str).collect(), made));
        parts.iter().any(|part| self.traces.are_in(part))
    }

    /// A value under a path of names.
    pub(super) fn value(&mut self, path: &mut Vec<String>, value: &Value) -> Value {
        match value {
            Value::Null | Value::Bool(_) => value.clone(),
            Value::Number(_) => self.number(&Words::of(path), value),
            Value::String(text) => self.text(path, text).into(),
            Value::Array(list) => {
                // A list of numbers may be the letters of a text.
                let numbers = list.iter().all(Value::is_number) && self.are_in(&value.to_string());
                let items = list.iter().enumerate().take(if numbers { 0 } else { MOST_ITEMS });
                items.map(|(at, item)| self.inside(path, at.to_string(), item)).collect()
            }
            Value::Object(object) => {
                let mut made = serde_json::Map::new();
                for (name, item) in object.iter().take(MOST_ITEMS) {
                    let shown = self.name(name);
                    let item = self.inside(path, name.clone(), item);
                    made.insert(shown, item);
                }
                Value::Object(made)
            }
        }
    }

    fn inside(&mut self, path: &mut Vec<String>, name: String, value: &Value) -> Value {
        path.push(name);
        let made = self.value(path, value);
        path.pop();
        made
    }

    /// The name of a field: a name is no place for a secret, which is why one would be put there.
    pub(super) fn name(&mut self, name: &str) -> String {
        let plain = name.len() <= 60
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:@$#[]".contains(&b))
            && !names::looks_random(name);
        if PROTOCOL.contains(&name) || plain && !self.are_in(name) {
            name.to_owned()
        } else {
            self.other("field", name)
        }
    }

    /// A text under a path of names.
    pub(super) fn text(&mut self, path: &[String], text: &str) -> String {
        let words = Words::of(path);
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return String::new();
        }
        if let Some(stand_in) = self.exact(trimmed) {
            return stand_in;
        }
        // The names of the protocol's own things, wherever they are: no provider chooses them.
        if PROTOCOL.contains(&trimmed) {
            return trimmed.to_owned();
        }
        let json = trimmed.starts_with(['{', '[']);
        if names::is_public(&words) && !names::is_secret(&words) && !json && !names::is_jwt(trimmed) {
            return self.time(&words, &trimmed.into()).map_or_else(|| self.sentence(trimmed), |time| as_text(&time));
        }
        if let Some(made) = self.within_text(path, &words, trimmed) {
            return made;
        }
        if let Some((role, score)) = names::token_role(&words, &trimmed.into())
            && (score >= 60 || names::looks_random(trimmed))
        {
            return self.token(role, trimmed);
        }
        if names::is_secret(&words) {
            return self.other("masked", trimmed);
        }
        if let Some(time) = self.time(&words, &trimmed.into()) {
            return as_text(&time);
        }
        let word = trimmed.len() <= 20 && trimmed.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
        if word && !names::is_personal(&words) && !self.are_in(trimmed) && self.style == Style::Stock {
            return trimmed.to_owned();
        }
        self.other("masked", trimmed)
    }

    /// What holds something else: a JWT, a header's value, JSON in a text, a URL, an e-mail address.
    fn within_text(&mut self, path: &[String], words: &Words, text: &str) -> Option<String> {
        if names::is_jwt(text) {
            let role = names::token_role(words, &text.into()).map(|(role, _)| role);
            return Some(self.jwt(role, text));
        }
        if let Some((scheme, rest)) = text.split_once(' ')
            && ["Bearer", "Basic", "Token"].iter().any(|known| known.eq_ignore_ascii_case(scheme))
        {
            let rest = self.exact(rest).unwrap_or_else(|| self.other("masked", rest));
            return Some(format!("{scheme} {rest}"));
        }
        if text.starts_with(['{', '['])
            && let Ok(inner) = serde_json::from_str::<Value>(text)
            && path.len() < DEEPEST
        {
            return Some(self.value(&mut path.to_vec(), &inner).to_string());
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Some(match text.parse() {
                Ok(url) => self.url_text(&url, text),
                Err(_) => self.other("masked", text),
            });
        }
        let (name, domain) = text.split_once('@')?;
        let is_address = !name.is_empty() && domain.contains('.') && !text.contains(char::is_whitespace);
        is_address.then(|| self.made(text, |number| format!("person-{number}@masked.example")))
    }

    /// A URL with its scheme, its host where the application names it, and what is plain of its path and query.
    pub(super) fn url(&mut self, url: &Url) -> String {
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let host = if (self.allowed)(url) && !self.are_in(&host) {
            url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
        } else {
            format!("{}.example", self.made(&host, |number| format!("masked-{number}")).trim_end_matches(".example"))
        };
        let mut made = format!("{}://{host}", url.scheme());
        for segment in url.path_segments().into_iter().flatten() {
            made.push('/');
            match self.exact(segment) {
                Some(known) => made.push_str(&known),
                None if segment.is_empty() => {}
                None if is_plain_word(segment) && !self.are_in(segment) => made.push_str(segment),
                None => made.push_str(&self.other("masked", segment)),
            }
        }
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| (self.name(&name), self.text(&[name.into_owned()], &value)))
            .collect();
        if !pairs.is_empty() {
            made.push('?');
            made.push_str(&serde_urlencoded::to_string(pairs).unwrap_or_default());
        }
        made
    }

    /// A URL that came as a text: an issuer is compared letter by letter, and a parser puts a slash behind a bare host.
    fn url_text(&mut self, url: &Url, text: &str) -> String {
        let made = self.url(url);
        if text.ends_with('/') { made } else { made.trim_end_matches('/').to_owned() }
    }

    /// Words that a provider says: each that is a word stays, unless they hold a secret together.
    fn sentence(&mut self, text: &str) -> String {
        let words: Vec<String> = text
            .split_whitespace()
            .take(MOST_WORDS)
            .map(|word| {
                let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
                match self.exact(bare) {
                    Some(stand_in) => word.replace(bare, &stand_in),
                    None if is_plain_word(bare) => word.to_owned(),
                    None => "masked".to_owned(),
                }
            })
            .collect();
        let made = words.join(" ");
        // What stands for a secret is none.
        if self.are_in(&made) || self.are_in(text) && made == text { "masked".to_owned() } else { made }
    }

    fn number(&mut self, words: &Words, value: &Value) -> Value {
        if let Some(time) = self.time(words, value) {
            return time;
        }
        let text = value.to_string();
        let small = text.len() <= 6 && !names::is_personal(words);
        let keeps = small || names::time_role(words).is_some() || names::error_score(words).is_some();
        if keeps && !self.are_in(&text) {
            return value.clone();
        }
        // As many digits, so that what reads it reads it alike.
        let made = self.made(&text, |number| format!("{:0<width$}", number + 1, width = text.len().min(15)));
        made.parse::<u64>().map_or(Value::from(1), Value::from)
    }

    /// A time: as it is, or moved so that as much is left when a fixture is replayed.
    fn time(&self, words: &Words, value: &Value) -> Option<Value> {
        let of_lifetime = names::time_role(words).is_some();
        let read = times::read(words, value, Timestamp::UNIX_EPOCH, None)?;
        if !matches!(read.when, When::At | When::AtCivil) {
            return of_lifetime.then(|| value.clone()).filter(|value| !self.are_in(&value.to_string()));
        }
        if self.are_in(&value.to_string()) {
            return None;
        }
        let Style::Shape { came, replayed } = self.style else { return Some(value.clone()) };
        let left = times::read(words, value, came, None)?.seconds;
        let at = crate::model::later(replayed, if of_lifetime { left } else { 0 });
        Some(times::like(value, at, if left <= 1 && of_lifetime { 3600 } else { 0 }))
    }

    fn token(&mut self, role: Role, token: &str) -> String {
        if let Some(known) = self.exact(token) {
            return known;
        }
        if names::is_jwt(token) {
            return self.jwt(Some(role), token);
        }
        self.traces.add(token);
        if matches!(self.style, Style::Shape { .. }) {
            return self.other("masked", token);
        }
        let (count, word) = match role {
            Role::Access => (&mut self.access_tokens, "at"),
            Role::Refresh => (&mut self.refresh_tokens, "rt"),
        };
        *count += 1;
        let stand_in = if *count == 1 { word.to_owned() } else { format!("{word}-{count}") };
        self.know(token, &stand_in);
        stand_in
    }

    /// A JWT with claims like these and a signature that is none.
    fn jwt(&mut self, role: Option<Role>, token: &str) -> String {
        if let Some(known) = self.exact(token) {
            return known;
        }
        let Some(claims) = claims(token) else { return self.other("masked", token) };
        // Before its claims: they must not be found in it.
        self.traces.add(token);
        let claims = self.value(&mut vec!["claims".to_owned()], &Value::Object(claims));
        self.others += 1;
        let header = format!("{{\"alg\":\"none\",\"kid\":\"masked-{}\"}}", self.others);
        let parts = [header, claims.to_string(), format!("masked-{}", role.map_or("jwt", |_| "token"))];
        let made = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        self.known.push((Zeroizing::new(token.to_owned()), made.clone()));
        made
    }

    /// The stand-in of something that is neither a token nor shown.
    pub(super) fn other(&mut self, word: &str, text: &str) -> String {
        let shaped = matches!(self.style, Style::Shape { .. });
        self.made(text, |number| if shaped { of_shape(text, number) } else { format!("{word}-{number}") })
    }

    fn made(&mut self, text: &str, stand_in: impl Fn(usize) -> String) -> String {
        if let Some(known) = self.exact(text) {
            return known;
        }
        loop {
            self.others += 1;
            let made = stand_in(self.others);
            let taken = self.known.iter().any(|(known, other)| *other == made || known.as_str() == made);
            // A text of one letter has few others of its shape.
            if !taken || self.others > MOST_STAND_INS {
                self.known.push((Zeroizing::new(text.trim().to_owned()), made.clone()));
                return made;
            }
        }
    }
}

/// A text without `{…}`.
fn without_placeholders(text: &str) -> String {
    let mut depth = 0_usize;
    let mut rest = String::new();
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 => rest.push(c),
            _ => {}
        }
    }
    rest
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A made-up text of a shape: letters for letters, digits for digits, and what separates them.
fn of_shape(text: &str, number: usize) -> String {
    let mut letters = b"madeup".iter().cycle().skip(number % 6);
    let mut digits = (0_u8..10).cycle().skip(number % 10);
    let made: String = text
        .chars()
        .take(LONGEST_SHAPE)
        .map(|c| match c {
            'a'..='z' => char::from(*letters.next().unwrap_or(&b'm')),
            'A'..='Z' => char::from(letters.next().unwrap_or(&b'm').to_ascii_uppercase()),
            '0'..='9' => char::from(b'0' + digits.next().unwrap_or(0)),
            c if c.is_ascii() => c,
            _ => 'x',
        })
        .collect();
    // Which number it is must be seen in it, or two secrets of one shape would have one stand-in.
    let mark = number.to_string();
    let fits = made.len() > mark.len() + 2 && made.is_char_boundary(made.len() - mark.len());
    if fits && made.as_bytes()[made.len() - mark.len()..].iter().all(u8::is_ascii_alphanumeric) {
        format!("{}{mark}", &made[..made.len() - mark.len()])
    } else {
        made
    }
}

/// A word as people and protocols have them: `AADSTS65001`, `invalid_grant`, `read:user`, `10007`; nothing that looks drawn by
/// lot.
fn is_plain_word(word: &str) -> bool {
    let bytes = word.as_bytes();
    if bytes.len() > 80 || !word.chars().all(|c| c.is_alphanumeric() || "_-.:/,;()'\"*+".contains(c)) {
        return false;
    }
    word.split(|c: char| !c.is_alphanumeric()).all(|run| {
        let digits = run.chars().filter(char::is_ascii_digit).count();
        let letters = run.chars().count() - digits;
        let changes =
            run.as_bytes().windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count();
        // Letters, a few digits after them: one change from the one to the other, or a version in the midst.
        letters <= 24 && digits <= 8 && (changes <= 1 || run.len() <= 5)
    })
}

/// Members of one object or list: a reply with more is no token reply.
const MOST_ITEMS: usize = 200;
/// Bytes of a text that is looked for because of its name: shorter ones are words.
const SHORTEST_LEARNT: usize = 12;
const MOST_WORDS: usize = 60;
const DEEPEST: usize = 24;
const LONGEST_SHAPE: usize = 4096;
const MOST_STAND_INS: usize = 100_000;
/// Words of the protocols (RFC 6749, 7636, 8628, OpenID Connect).
const PROTOCOL: [&str; 74] = [
    "access_token",
    "assertion",
    "audience",
    "authorization",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "device_code",
    "error",
    "error_description",
    "error_uri",
    "expires_in",
    "grant_type",
    "interval",
    "iss",
    "nonce",
    "redirect_uri",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "token_type",
    "user_code",
    "username",
    "verification_uri",
    "Bearer",
    "bearer",
    "DPoP",
    "mac",
    "code",
    "token",
    "id_token",
    "S256",
    "plain",
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "password",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "openid",
    "profile",
    "email",
    "offline",
    "offline_access",
    "consent",
    "select_account",
    "form_post",
    "query",
    "fragment",
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "invalid_scope",
    "access_denied",
    "server_error",
    "temporarily_unavailable",
    "authorization_pending",
    "slow_down",
    "expired_token",
    "invalid_token",
    "insufficient_scope",
    "interaction_required",
    "login_required",
    "consent_required",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn short_words_and_numbers_of_people_do_not_stay() {
        let mut masks = Masks::new(Style::Stock);
        let reply = json!({
            "user_id": 4711, "customer": "Miller", "contact": { "family": "Jones" }, "display": "Miller",
            "plan": "gold", "expires_in": 3600, "retries": 3,
        });
        let made = masks.value(&mut Vec::new(), &reply).to_string();
        for personal in ["4711", "Miller", "Jones"] {
            assert!(!made.contains(personal), "{made}");
        }
        assert!(made.contains("gold") && made.contains("3600") && made.contains("\"retries\":3"), "{made}");
    }
}
