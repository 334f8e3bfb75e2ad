//! One line of a file becomes a grant, or a reason why it does not. No reason repeats what stands in a cell: a column too many
//! puts a token where a name should be.

use super::column::Column;
use super::{Grant, HeldToken, Tokens};
use crate::model::{
    Account, ApplicationName, ConnectionName, Expiry, ExpirySource, Fields, Labels, ProfileName, Secret, Timestamp,
};
use crate::oauth::moment;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// What a line means that does not say it.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// The application of names without one.
    pub application: Option<ApplicationName>,
    /// The profile.
    pub profile: Option<ProfileName>,
}

/// Why a line is no grant.
pub(super) type Reason = String;

/// Most bytes of labels and fields, as JSON: what a connection keeps of a provider's reply.
const MOST_TEXT_BYTES: usize = 16 * 1024;

/// What was read of a line.
#[derive(Default)]
pub(super) struct Draft {
    name: Option<String>,
    profile: Option<String>,
    refresh: Option<Secret>,
    refresh_expires: Option<Timestamp>,
    access: Option<Secret>,
    expires: Option<Timestamp>,
    token_type: Option<String>,
    scopes: Option<Vec<String>>,
    account: Option<String>,
    account_name: Option<String>,
    labels: Labels,
    fields: Fields,
}

impl Draft {
    /// Reads a cell of CSV; an empty one says nothing.
    pub(super) fn cell(&mut self, column: &Column, text: &str) -> Result<(), Reason> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        match column {
            Column::RefreshToken => self.refresh = Some(token(column, Secret::new(text))?),
            Column::AccessToken => self.access = Some(token(column, Secret::new(text))?),
            Column::Label(key) => drop(self.labels.insert(key.clone(), text.to_owned())),
            Column::Field(key) => drop(self.fields.insert(key.clone(), text.into())),
            _ => self.value(column, text.into())?,
        }
        Ok(())
    }

    /// Reads what is no token.
    fn value(&mut self, column: &Column, value: Value) -> Result<(), Reason> {
        let wrong = || format!("{} has a value of the wrong kind", column.as_str());
        if value.is_null() {
            return Ok(());
        }
        let text = || value.as_str().map(|text| text.trim().to_owned()).ok_or_else(wrong);
        let time = || {
            moment(&value).map(Some).ok_or_else(|| {
                format!("{} is no time; write 2030-01-31T12:00:00Z, or seconds since 1970", column.as_str())
            })
        };
        match column {
            Column::Name => self.name = Some(text()?),
            Column::Profile => self.profile = Some(text()?),
            Column::TokenType => self.token_type = Some(text()?),
            Column::Account => self.account = Some(value.as_u64().map_or_else(text, |id| Ok(id.to_string()))?),
            Column::AccountName => self.account_name = Some(text()?),
            Column::ExpiresAt => self.expires = time()?,
            Column::RefreshExpiresAt => self.refresh_expires = time()?,
            Column::Scopes => {
                self.scopes = Some(match value {
                    Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
                    other => serde_json::from_value(other).map_err(|_| wrong())?,
                });
            }
            Column::Labels => self.labels = serde_json::from_value(value).map_err(|_| wrong())?,
            Column::Fields => self.fields = serde_json::from_value(value).map_err(|_| wrong())?,
            Column::RefreshToken | Column::AccessToken | Column::Label(_) | Column::Field(_) => return Err(wrong()),
        }
        Ok(())
    }

    /// Reads an object of JSON.
    pub(super) fn of_json(bytes: &[u8]) -> Result<Self, Reason> {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let read = reader.deserialize_map(Object).and_then(|draft| reader.end().map(|()| draft));
        read.unwrap_or_else(|error| {
            // serde_json repeats texts that it finds: only where, never what.
            let place = error.column();
            Err(match error.classify() {
                serde_json::error::Category::Data => format!("a value has the wrong kind, before byte {place}"),
                _ => format!("it is no JSON object on one line (byte {place})"),
            })
        })
    }

    /// The grant.
    pub(super) fn grant(self, defaults: &Defaults) -> Result<Grant, Reason> {
        let name = self.name.as_deref().filter(|name| !name.is_empty()).ok_or("it has no name")?;
        let name = connection_name(name, defaults.application.as_ref())?;
        let profile = match self.profile.filter(|profile| !profile.is_empty()) {
            Some(profile) => {
                Some(profile.parse().map_err(|_| "its profile is none; write the name of one, or leave it out")?)
            }
            None => defaults.profile.clone(),
        };
        if self.refresh.is_none() && self.access.is_none() {
            return Err("it has neither a refresh_token nor an access_token".to_owned());
        }
        let texts = serde_json::to_string(&(&self.labels, &self.fields)).unwrap_or_default();
        if texts.len() > MOST_TEXT_BYTES {
            return Err(format!("its labels and fields are longer than {MOST_TEXT_BYTES} bytes"));
        }
        let strings = [&self.account, &self.account_name, &self.token_type].into_iter().flatten();
        let shown: Vec<&str> = strings.map(String::as_str).chain([texts.as_str(), name.requestor()]).collect();
        for held in [&self.refresh, &self.access].into_iter().flatten() {
            // Names, labels and fields are shown to people. As JSON writes it, for the texts of which that is a part.
            let written = serde_json::to_string(held.expose()).unwrap_or_default();
            if shown.iter().any(|text| text.contains(held.expose()) || text.contains(written.trim_matches('"'))) {
                return Err(
                    "one of its tokens stands in another cell too, which would be shown; take it out there".to_owned()
                );
            }
        }
        let stated = |at| Expiry { at, source: ExpirySource::Stated };
        let held =
            |token, expires: Option<Timestamp>| HeldToken { expires: expires.map(stated), ..HeldToken::new(token) };
        // One whose end nobody knows is not handed out where a new one can be had.
        let access = self.access.filter(|_| self.expires.is_some() || self.refresh.is_none());
        let tokens = Tokens {
            refresh: self.refresh.map(|token| held(token, self.refresh_expires)),
            access: access.map(|token| held(token, self.expires)),
            scopes: self.scopes,
            token_type: self.token_type.filter(|kind| !kind.is_empty()),
        };
        let account = match (self.account.filter(|id| !id.is_empty()), self.account_name) {
            (Some(id), name) => Some(Account { id, name: name.filter(|name| !name.is_empty()), subject: None }),
            (None, Some(_)) => return Err("it has an account_name and no account".to_owned()),
            (None, None) => None,
        };
        Ok(Grant { profile, labels: self.labels, fields: self.fields, account, ..Grant::new(name, tokens) })
    }
}

fn connection_name(text: &str, application: Option<&ApplicationName>) -> Result<ConnectionName, Reason> {
    let whole = match (text.contains('/'), application) {
        (true, _) => text.parse(),
        (false, Some(application)) => format!("{application}/{text}").parse(),
        (false, None) => {
            return Err("its name has no application; write APPLICATION/NAME, or give --app".to_owned());
        }
    };
    let name: ConnectionName = whole.map_err(|_| {
        "its name is none that a connection can have: APPLICATION/NAME, where NAME is 1 to 128 letters, digits or . _ @ + : -"
    })?;
    if application.is_some_and(|application| application != name.application()) {
        return Err("its name is of another application than --app says".to_owned());
    }
    if name.token().is_some() {
        return Err("its name is that of a further token (after the ~), which comes with its connection".to_owned());
    }
    Ok(name)
}

/// A token holds no line break and the like: it would be cut off, or go on where it should not.
fn token(column: &Column, token: Secret) -> Result<Secret, Reason> {
    match token.expose().chars().any(char::is_control) {
        true => Err(format!("{} holds a control character", column.as_str())),
        false => Ok(token),
    }
}

/// Reads the members of an object one by one: tokens go into their wrapping without a stop.
struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Result<Draft, Reason>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut draft = Draft::default();
        let mut seen: Vec<Column> = Vec::new();
        let mut wrong = None;
        while let Some(name) = members.next_key::<String>()? {
            let column = Column::of_json(&name).map_err(|reason| format!("the name of a member {reason}"));
            let column = column.and_then(|column| match seen.contains(&column) {
                true => Err(format!("{} stands in it twice", column.as_str())),
                false => Ok(column),
            });
            let read = match &column {
                Err(reason) => members.next_value::<IgnoredAny>().map(|_| Err(reason.clone()))?,
                Ok(column @ (Column::RefreshToken | Column::AccessToken)) => {
                    let given = members.next_value::<Option<Secret>>()?.filter(|token| !token.is_empty());
                    let given = given.map(|given| token(column, given)).transpose();
                    given.map(|given| match column {
                        Column::RefreshToken => draft.refresh = given,
                        _ => draft.access = given,
                    })
                }
                Ok(column) => {
                    let value = members.next_value::<Value>()?;
                    // As in CSV: an empty text says nothing.
                    if value.as_str() == Some("") { Ok(()) } else { draft.value(column, value) }
                }
            };
            seen.extend(column);
            // The first mistake is told; the rest is read all the same, so that what is no JSON is told before it.
            wrong = wrong.or(read.err());
        }
        Ok(wrong.map_or(Ok(draft), Err))
    }
}
