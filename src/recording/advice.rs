//! Whether a script is needed at all: what the default reading makes of a reply, and what a provider entry's keys would.

use super::guess::{Failing, Guess, Lifetime, TokenAt};
use super::shape::{Place, Shape};
use super::times::When;
use crate::model::{Failure, Habits, Secret, Timestamp};
use crate::oauth::{self, RawReply, TokenReply};
use crate::registry;
use toml::{Table, Value};

/// What a provider with such replies needs.
#[derive(Debug, Clone, PartialEq)]
pub enum Advice {
    /// Nothing: the default reading finds everything that was found.
    Nothing,
    /// These keys of the application or the provider entry.
    Keys(Table),
    /// A script.
    Script,
}

/// What must come of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected {
    /// The access token.
    pub access_token: Option<Secret>,
    /// The refresh token.
    pub refresh_token: Option<Secret>,
    /// The stated lifetime in seconds.
    pub expires_in: Option<u64>,
    /// The stated lifetime of the refresh token in seconds.
    pub refresh_expires_in: Option<u64>,
    /// The scopes.
    pub scopes: Vec<String>,
}

impl Guess {
    /// What must come of the reply if the guess is right.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let seconds = |lifetime: &Option<Lifetime>| lifetime.as_ref().map(|lifetime| lifetime.seconds);
        Expected {
            access_token: self.found.access_token.clone(),
            refresh_token: self.found.refresh_token.clone(),
            expires_in: seconds(&self.expires),
            refresh_expires_in: seconds(&self.refresh_expires),
            scopes: self.scopes.as_ref().map(|scopes| scopes.list.clone()).unwrap_or_default(),
        }
    }

    /// What a provider with such replies needs.
    #[must_use]
    pub fn advice(&self, reply: &RawReply, now: Timestamp) -> Advice {
        if self.fits(default_reading(reply, now)) {
            return Advice::Nothing;
        }
        let Some(keys) = self.keys() else { return Advice::Script };
        if keys.values().all(|inner| inner.as_table().is_some_and(Table::is_empty)) {
            // Nothing is named otherwise: the default reading and the guess differ in a lifetime that is none.
            return Advice::Nothing;
        }
        // Tried, and not believed: keys that do not do it are no advice.
        match habits_of(&keys) {
            Some(habits) if self.fits(reading(reply, &habits, " ", now)) => Advice::Keys(keys),
            _ => Advice::Script,
        }
    }

    fn fits(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Token(tokens) => self.agrees(&tokens),
            Outcome::Failed(failure) => self.agrees_on(&failure),
        }
    }

    fn agrees(&self, tokens: &TokenReply) -> bool {
        let expected = self.expected();
        // A lifetime that is counted from now on differs by the seconds that the reply took.
        let near = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => one.abs_diff(other) <= 2 || one >= VERY_LONG,
            (one, other) => one == other,
        };
        expected.access_token.as_ref() == Some(&tokens.access_token)
            && expected.refresh_token == tokens.refresh_token
            && near(expected.expires_in, tokens.expires_in)
            && near(expected.refresh_expires_in, tokens.refresh_expires_in.filter(|_| tokens.refresh_token.is_some()))
            && expected.scopes == tokens.scopes.clone().unwrap_or_default()
    }

    fn agrees_on(&self, failure: &Failure) -> bool {
        if self.access_token.is_some() {
            return false;
        }
        // Nothing to be found in a page, and the status of an error says enough.
        let Some(failing) = &self.failing else {
            return self.shape == Shape::Unreadable || failure.code.starts_with("http_");
        };
        if matches!(failure.code.as_str(), "no_access_token" | "unreadable_reply" | "unusable_access_token") {
            return false;
        }
        let code = failing.code.find(&self.value);
        let code = code.map(|code| code.as_str().map_or_else(|| code.to_string(), |text| text.trim().to_owned()));
        // The default reading may have the finer code (`error_codes`); it has none where it says only the status.
        code.as_deref() == Some(failure.code.as_str()) || !failure.code.starts_with("http_")
    }

    /// The keys that would do, where keys can.
    fn keys(&self) -> Option<Table> {
        let mut reply = Table::new();
        let put = |reply: &mut Table, name: &str, value: &str| reply.insert(name.to_owned(), value.into());
        match &self.shape {
            Shape::Json | Shape::Form | Shape::Jsonp => {}
            Shape::Prefixed(prefix) => {
                put(&mut reply, "prefix", prefix);
            }
            Shape::Bare => {
                put(&mut reply, "format", "text");
            }
            Shape::JsonValue | Shape::JsonInJson(_) | Shape::Xml | Shape::Unreadable => return None,
        }
        match (&self.access_token, &self.failing) {
            // A JWT's claim takes a script.
            (Some(TokenAt::Body), _) if self.expires.is_some() => return None,
            (Some(TokenAt::Body), _) => {}
            (Some(TokenAt::Field(token)), _) => {
                let root = self.root(token);
                if let Some(root) = &root {
                    put(&mut reply, "root", &root.dotted());
                }
                let within =
                    |place: &Place| root.as_ref().and_then(|root| place.within(root)).unwrap_or_else(|| place.dotted());
                for (name, place) in [("access_token", Some(token)), ("refresh_token", self.refresh_token.as_ref())] {
                    if let Some(path) = place.map(within).filter(|path| path != name) {
                        put(&mut reply, name, &path);
                    }
                }
                self.put_lifetimes(&mut reply, &within)?;
                if let Some(scopes) = &self.scopes {
                    let path = within(&scopes.place);
                    if path != "scope" && path != "scopes" {
                        put(&mut reply, "scope", &path);
                    }
                    if let Some(separator) = scopes.separator.filter(|separator| *separator != ' ') {
                        put(&mut reply, "scope_separator", &separator.to_string());
                    }
                }
                if let Some((place, value)) = &self.success
                    && let Ok(value) = Value::try_from(value)
                {
                    reply.insert("success".to_owned(), Table::from_iter([(place.dotted(), value)]).into());
                }
            }
            (None, Some(failing)) => self.put_failure(&mut reply, failing),
            (Some(TokenAt::Header(_)), _) | (None, None) => return None,
        }
        Some(Table::from_iter([("reply".to_owned(), reply.into())]))
    }

    /// The object that everything is in.
    fn root(&self, token: &Place) -> Option<Place> {
        let root = token.parent()?;
        let lifetimes = [&self.expires, &self.refresh_expires].into_iter().flatten().filter_map(|l| l.place.as_ref());
        let others = self.refresh_token.iter().chain(lifetimes).chain(self.scopes.iter().map(|scopes| &scopes.place));
        others.into_iter().all(|place| place.within(&root).is_some()).then_some(root)
    }

    fn put_lifetimes(&self, reply: &mut Table, within: &dyn Fn(&Place) -> String) -> Option<()> {
        let pairs = [
            ("expires_in", self.expires.as_ref(), &["expires_at", "expires_on", "expires"][..]),
            (
                "refresh_expires_in",
                self.refresh_expires.as_ref(),
                &["refresh_token_expires_in", "refresh_token_expires_at"][..],
            ),
        ];
        let mut unit = None;
        let mut moments = false;
        for (name, lifetime, known) in pairs {
            let Some(lifetime) = lifetime else { continue };
            // A JWT's claim, and a time without a zone, take a script.
            let path = within(lifetime.place.as_ref()?);
            let this = match lifetime.when {
                When::In(1) => Some("seconds"),
                When::In(60) => Some("minutes"),
                When::In(3600) => Some("hours"),
                When::In(_) => Some("days"),
                When::InMilliseconds => Some("milliseconds"),
                When::At => None,
                When::AtCivil => return None,
            };
            moments |= this.is_none();
            if let Some(this) = this {
                // One unit for both.
                if unit.replace(this).is_some_and(|other| other != this) {
                    return None;
                }
            }
            let is_known = path == name && this.is_some() || known.contains(&path.as_str());
            if !is_known || self.hides(&path, within) {
                reply.insert(name.to_owned(), path.into());
            }
        }
        if let Some(unit) = unit.filter(|unit| *unit != "seconds") {
            if moments {
                return None;
            }
            reply.insert("expires_unit".to_owned(), unit.into());
        }
        Some(())
    }

    /// Whether a field that is read before this one stands in its way.
    fn hides(&self, path: &str, _within: &dyn Fn(&Place) -> String) -> bool {
        path.starts_with("expires_") && path != "expires_in" && self.value.get("expires_in").is_some()
    }

    fn put_failure(&self, reply: &mut Table, failing: &Failing) {
        reply.insert("error_code".to_owned(), failing.code.dotted().into());
        if let Some(words) = &failing.words {
            reply.insert("error_description".to_owned(), words.dotted().into());
        }
        let code = failing.code.find(&self.value);
        let code = code.map(|code| code.as_str().map_or_else(|| code.to_string(), |text| text.trim().to_owned()));
        // A phrase is not a code that somebody would look up.
        if let Some(code) = code
            .filter(|code| code.len() <= 60 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)))
        {
            reply.insert("errors".to_owned(), Table::from_iter([(code, failing.kind.as_str().into())]).into());
        }
    }
}

/// What a reading makes of a reply.
pub(super) enum Outcome {
    Token(Box<TokenReply>),
    Failed(Failure),
}

/// The reading of replies that nothing is said of.
pub(super) fn default_reading(reply: &RawReply, now: Timestamp) -> Outcome {
    reading(reply, &Habits::default(), " ", now)
}

/// The reading of replies with a provider's habits, without a script.
pub(super) fn reading(reply: &RawReply, habits: &Habits, separator: &str, now: Timestamp) -> Outcome {
    let mut params = match oauth::read_reply_by(reply, &habits.reply) {
        Ok(params) => params,
        Err(unreadable) => {
            let failure = oauth::classify_by(reply, None, &habits.reply, now);
            return Outcome::Failed(failure.unwrap_or_else(|| unreadable.failure(reply.status)));
        }
    };
    oauth::map_reply(&mut params, &habits.reply, now);
    if let Some(failure) = oauth::classify_by(reply, Some(&params), &habits.reply, now) {
        return Outcome::Failed(failure);
    }
    match oauth::token_reply(params, now, habits, separator) {
        Ok(tokens) => Outcome::Token(tokens.into()),
        Err(failure) => Outcome::Failed(failure),
    }
}

/// The habits that keys of an application's file say.
fn habits_of(keys: &Table) -> Option<Habits> {
    let mut file = keys.clone();
    file.insert("name".to_owned(), "guess".into());
    file.insert("client_id".to_owned(), "cid".into());
    let draft = registry::parse_application(&file.to_string(), "the guess", false).ok()?;
    Some(*draft.settings.habits)
}

/// 68 years: what the default reading makes of lifetimes that no clock reaches.
const VERY_LONG: u64 = 2_147_483_647;
