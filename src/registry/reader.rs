//! Reads TOML key by key. Whoever asks for a key declares it known; what nobody asked for is refused at the end, so the
//! vocabulary is written down once: in the code that reads it.

use super::error::{Place, RegistryError};
use super::nearest::nearest;
use super::variable;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// A table that is being read.
pub(super) struct Reader<'a> {
    source: Source<'a>,
    /// The tables that this one stands in, each with a dot: `endpoints.`
    path: String,
    left: Vec<Entry<'a>>,
    asked: Vec<&'static str>,
}

/// A value that was found under a key.
pub(super) struct Found<'a> {
    source: Source<'a>,
    key: String,
    at: usize,
    value: DeValue<'a>,
}

/// A whole file.
#[derive(Clone)]
struct Source<'a> {
    file: &'a str,
    text: &'a str,
    /// A key that is read as if it were not there.
    without: Option<&'a str>,
    /// What `{variable.NAME}` stands for.
    variables: Option<Arc<BTreeMap<String, String>>>,
}

struct Entry<'a> {
    key: String,
    at: usize,
    value_at: usize,
    value: DeValue<'a>,
}

impl<'a> Reader<'a> {
    /// The top of a file.
    pub(super) fn new(file: &'a str, text: &'a str) -> Result<Self, RegistryError> {
        let source = Source { file, text, without: None, variables: None };
        // `message` alone: the error's own text repeats the line, and a secret may stand in it.
        let table = DeTable::parse(text).map_err(|error| RegistryError::NotToml {
            place: source.place(error.span().map_or(0, |span| span.start)),
            reason: error.message().replace('\n', ", "),
        })?;
        Ok(Self::of_table(source, String::new(), table.into_inner()))
    }

    /// Reads a key, by its whole name with `*` for free ones, as if it were not there: a test of whether it does anything.
    pub(super) fn leave_out(&mut self, key: Option<&'a str>) {
        self.source.without = key;
    }

    /// What `{variable.NAME}` stands for in every text from here on.
    pub(super) fn set_variables(&mut self, variables: BTreeMap<String, String>) {
        self.source.variables = Some(Arc::new(variables));
    }

    fn of_table(source: Source<'a>, path: String, table: DeTable<'a>) -> Self {
        let entry = |(key, value): (toml::Spanned<toml::de::DeString<'a>>, toml::Spanned<DeValue<'a>>)| Entry {
            at: key.span().start,
            key: key.into_inner().into_owned(),
            value_at: value.span().start,
            value: value.into_inner(),
        };
        Self { source, path, left: table.into_iter().map(entry).collect(), asked: Vec::new() }
    }

    /// The value of a key, once.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Found<'a>> {
        self.asked.push(key);
        #[cfg(test)]
        asked::note(&shape(&format!("{}{key}", self.path)));
        let at = self.left.iter().position(|entry| entry.key == key)?;
        let entry = self.left.swap_remove(at);
        let found = self.found(entry).1;
        Some(found).filter(|found| self.source.without != Some(shape(&found.key).as_str()))
    }

    /// The value of a key that must be there; `reason` says what it is for.
    pub(super) fn need(&mut self, key: &'static str, reason: &'static str) -> Result<Found<'a>, RegistryError> {
        let file = self.source.file.to_owned();
        self.take(key).ok_or(RegistryError::Missing { file, key, reason })
    }

    /// Every key that is left, for a table whose keys are free.
    pub(super) fn rest(mut self) -> impl Iterator<Item = (String, Found<'a>)> {
        std::mem::take(&mut self.left).into_iter().map(move |entry| self.found(entry))
    }

    /// Refuses the first key that nobody asked for.
    pub(super) fn finish(self) -> Result<(), RegistryError> {
        let Some(entry) = self.left.iter().min_by_key(|entry| entry.at) else { return Ok(()) };
        let other = OTHER_WORDS.iter().find(|(word, _)| nearest(word, [entry.key.as_str()]).is_some());
        Err(RegistryError::UnknownKey {
            place: self.source.place(entry.at),
            key: format!("{}{}", self.path, shown(&entry.key)),
            nearest: nearest(&entry.key, self.asked.iter().copied())
                .map(|near| format!("{}{near}", self.path))
                .or_else(|| other.map(|(_, ours)| (*ours).to_owned())),
            known: self.asked,
        })
    }

    fn found(&self, entry: Entry<'a>) -> (String, Found<'a>) {
        let key = format!("{}{}", self.path, shown(&entry.key));
        (entry.key, Found { source: self.source.clone(), key, at: entry.value_at, value: entry.value })
    }
}

impl<'a> Found<'a> {
    /// A text.
    pub(super) fn text(self) -> Result<String, RegistryError> {
        let DeValue::String(text) = &self.value else { return Err(self.wrong_type("a text in quotes")) };
        match &self.source.variables {
            Some(variables) => variable::fill(text, variables).map_err(|reason| self.wrong(reason)),
            None => Ok(text.to_string()),
        }
    }

    /// A text that is not empty.
    pub(super) fn some_text(self) -> Result<String, RegistryError> {
        self.text_that(|text| if text.is_empty() { Err("is empty".to_owned()) } else { Ok(()) })
    }

    /// A text that passes a check, which says what is wrong otherwise.
    pub(super) fn text_that(self, check: impl FnOnce(&str) -> Result<(), String>) -> Result<String, RegistryError> {
        let spot = self.spot();
        let text = self.text()?;
        check(&text).map_err(|reason| spot.wrong(reason))?;
        Ok(text)
    }

    /// A text that reads as a `T`.
    pub(super) fn parse<T: FromStr<Err: Display>>(self) -> Result<T, RegistryError> {
        let spot = self.spot();
        self.text()?.parse().map_err(|error: T::Err| spot.wrong(format!("does not fit: {error}")))
    }

    /// One of a few words. `others` are words for the same that people know from elsewhere.
    pub(super) fn choice<T: Copy>(self, words: &[(&str, T)], others: &[(&str, &str)]) -> Result<T, RegistryError> {
        let spot = self.spot();
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let other =
            others.iter().find(|(other, _)| other.eq_ignore_ascii_case(&text)).map(|(_, ours)| (*ours).to_owned());
        let mut error = spot.wrong(format!("cannot be {}; it is one of {}", shown(&text), known.join(", ")));
        if let RegistryError::WrongValue { nearest: meant, .. } = &mut error {
            *meant = other.or_else(|| nearest(&text, known));
        }
        Err(error)
    }

    /// `true` or `false`.
    pub(super) fn flag(self) -> Result<bool, RegistryError> {
        match self.value {
            DeValue::Boolean(flag) => Ok(flag),
            _ => Err(self.wrong_type("true or false, without quotes")),
        }
    }

    /// One plain value, or a list of them: texts, whole numbers, true or false.
    pub(super) fn plain_values(self) -> Result<Vec<serde_json::Value>, RegistryError> {
        let plain = |found: Found<'_>| match &found.value {
            DeValue::String(text) => Ok(text.to_string().into()),
            DeValue::Boolean(flag) => Ok((*flag).into()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Ok(number.into()),
                Err(_) => Err(found.wrong("is a number that is too large")),
            },
            _ => Err(found.wrong_type("a text, a whole number, true or false")),
        };
        match &self.value {
            DeValue::Array(_) => self.list()?.into_iter().map(plain).collect(),
            _ => Ok(vec![plain(self)?]),
        }
    }

    /// A duration in whole seconds. A text such as "30 days" is refused with the number that it means.
    pub(super) fn seconds(self) -> Result<u64, RegistryError> {
        match &self.value {
            DeValue::Integer(number) => match u64::from_str_radix(number.as_str(), number.radix()) {
                Ok(seconds) if seconds > 0 => Ok(seconds),
                _ => Err(self.wrong("must be a number of seconds, 1 or more")),
            },
            DeValue::String(text) => {
                let mut error = self.wrong("must be a number of seconds, without quotes");
                if let RegistryError::WrongValue { nearest, .. } = &mut error {
                    *nearest = seconds_of(text).map(|seconds| seconds.to_string());
                }
                Err(error)
            }
            _ => Err(self.wrong_type("a whole number of seconds")),
        }
    }

    /// A date such as 2026-11-23, without quotes.
    pub(super) fn date(self) -> Result<jiff::civil::Date, RegistryError> {
        match &self.value {
            DeValue::Datetime(date) if date.time.is_none() => {
                date.to_string().parse().map_err(|_| self.wrong("is not a day that exists"))
            }
            _ => Err(self.wrong_type("a date such as 2026-11-23, without quotes")),
        }
    }

    /// A list.
    pub(super) fn list(self) -> Result<Vec<Found<'a>>, RegistryError> {
        match self.value {
            DeValue::Array(items) => {
                let item = |(index, item): (usize, toml::Spanned<DeValue<'a>>)| Found {
                    source: self.source.clone(),
                    key: format!("{}[{index}]", self.key),
                    at: item.span().start,
                    value: item.into_inner(),
                };
                Ok(items.into_iter().enumerate().map(item).collect())
            }
            _ => Err(self.wrong_type("a list in square brackets")),
        }
    }

    /// A table.
    pub(super) fn table(self) -> Result<Reader<'a>, RegistryError> {
        match self.value {
            DeValue::Table(table) => Ok(Reader::of_table(self.source, format!("{}.", self.key), table)),
            _ => Err(self.wrong_type("a table")),
        }
    }

    /// Whether it is a text.
    pub(super) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    /// Whether it is a text that holds another.
    pub(super) fn is_text_with(&self, part: &str) -> bool {
        self.value.as_str().is_some_and(|text| text.contains(part))
    }

    /// Whether it is a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    /// Whether it is true or false.
    pub(super) fn is_flag(&self) -> bool {
        matches!(self.value, DeValue::Boolean(_))
    }

    /// The key with the tables that it stands in.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Where the value is.
    pub(super) fn place(&self) -> Place {
        self.source.place(self.at)
    }

    /// The error that this value is wrong. `reason` goes on after the key and must not repeat a secret.
    pub(super) fn wrong(&self, reason: impl Into<String>) -> RegistryError {
        self.spot().wrong(reason)
    }

    /// What it takes to say that this value is wrong once it has been taken apart.
    pub(super) fn spot(&self) -> Spot {
        Spot { place: self.place(), key: self.key.clone() }
    }

    fn wrong_type(&self, wanted: &str) -> RegistryError {
        self.wrong(format!("must be {wanted}, not {}", self.value.type_str()))
    }
}

/// A value's key and place.
#[derive(Clone)]
pub(super) struct Spot {
    place: Place,
    key: String,
}

impl Spot {
    /// The same spot, for one of several errors.
    pub(super) fn again(&self) -> Self {
        self.clone()
    }

    /// The error that the value is wrong. `reason` goes on after the key and must not repeat a secret.
    pub(super) fn wrong(self, reason: impl Into<String>) -> RegistryError {
        RegistryError::WrongValue { place: self.place, key: self.key, reason: reason.into(), nearest: None }
    }
}

impl Source<'_> {
    fn place(&self, offset: usize) -> Place {
        Place::of(self.file, self.text, offset)
    }
}

/// Words that other tools, RFC 8414's metadata and ServiceNow use for our keys.
const OTHER_WORDS: [(&str, &str); 19] = [
    ("scope", "profiles.default.scopes"),
    ("scopes", "profiles.default.scopes"),
    ("grant", "default_grant"),
    ("grant_type", "default_grant"),
    ("redirect_uri", "redirect_url"),
    ("issuer", "endpoints.issuer"),
    ("authorization_parameters", "authorization.parameters"),
    ("token_parameters", "token.parameters"),
    ("authorization_url", "endpoints.authorization"),
    ("authorization_endpoint", "endpoints.authorization"),
    ("auth_url", "endpoints.authorization"),
    ("authorize_url", "endpoints.authorization"),
    ("token_url", "endpoints.token"),
    ("token_endpoint", "endpoints.token"),
    ("revocation_endpoint", "endpoints.revocation"),
    ("revoke_url", "endpoints.revocation"),
    ("token_endpoint_auth_method", "client_authentication"),
    ("private_key", "secrets.private_key"),
    ("oauth_api_script", "script"),
];

/// A key's name with `*` where any name may stand: `profiles.*.scopes`, `token.*.drop`.
fn shape(key: &str) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    match parts.as_slice() {
        ["profiles" | "tokens", _, rest @ ..] if !rest.is_empty() => format!("{}.*.{}", parts[0], rest.join(".")),
        ["token", grant, rest @ ..] if !rest.is_empty() && !TOKEN_TABLES.contains(grant) => {
            format!("token.*.{}", rest.join("."))
        }
        _ => key.to_owned(),
    }
}

/// Tables of `token` that are no grant's.
const TOKEN_TABLES: [&str; 4] = ["parameters", "rename", "headers", "query"];

/// A stranger's text in a message: short and on one line.
fn shown(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-.:/*@+ ".contains(c);
    if !text.is_empty() && text.len() <= 80 && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("{:?}", text.chars().take(80).collect::<String>())
}

fn seconds_of(text: &str) -> Option<u64> {
    let span: jiff::Span = text.trim().parse().ok()?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let seconds = span.total((jiff::Unit::Second, days)).ok()?;
    // Exact: a span's seconds are far below 2^53.
    (seconds >= 1.0).then_some(seconds as u64)
}

#[cfg(test)]
pub(super) mod asked {
    //! The keys that reading asked for in this thread, so that a test can see that each is documented and does something.

    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static ASKED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn note(key: &str) {
        ASKED.with_borrow_mut(|asked| asked.insert(key.to_owned()));
    }

    pub(in crate::registry) fn all() -> BTreeSet<String> {
        ASKED.with_borrow(Clone::clone)
    }
}
