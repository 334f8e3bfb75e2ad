//! A text with placeholders: `stores/{field.context}`, `{client_id}`.

use super::Labels;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What stands in a text in place of a value that is only known later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placeholder {
    /// `{client_id}`
    ClientId,
    /// `{client_secret}`: only in token requests.
    ClientSecret,
    /// `{secret.NAME}`, a named secret of the application: only in token requests.
    Secret(String),
    /// `{redirect_url}`
    RedirectUrl,
    /// `{state}`: that of the authorization; a fresh random text where there was none.
    State,
    /// `{uuid}`: fresh each time.
    Uuid,
    /// `{now}` in epoch seconds.
    Now,
    /// `{field.PATH}`: a field kept with the connection.
    Field(String),
    /// `{label.NAME}`: a label that people put on the connection.
    Label(String),
}

impl Placeholder {
    /// Whether its value is a secret of the application.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::ClientSecret | Self::Secret(_))
    }

    /// Whether its value belongs to a connection.
    #[must_use]
    pub fn is_of_connection(&self) -> bool {
        matches!(self, Self::Field(_) | Self::Label(_))
    }

    fn parse(text: &str) -> Option<Self> {
        let named = |name: &str, make: fn(String) -> Self| (!name.is_empty()).then(|| make(name.to_owned()));
        match text.split_once('.') {
            Some(("secret", name)) => named(name, Self::Secret),
            Some(("field", name)) => named(name, Self::Field),
            Some(("label", name)) => named(name, Self::Label),
            Some(_) => None,
            None => Some(match text {
                "client_id" => Self::ClientId,
                "client_secret" => Self::ClientSecret,
                "redirect_url" | "redirect_uri" => Self::RedirectUrl,
                "state" => Self::State,
                "uuid" => Self::Uuid,
                "now" => Self::Now,
                _ => return None,
            }),
        }
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientId => f.write_str("{client_id}"),
            Self::ClientSecret => f.write_str("{client_secret}"),
            Self::Secret(name) => write!(f, "{{secret.{name}}}"),
            Self::RedirectUrl => f.write_str("{redirect_url}"),
            Self::State => f.write_str("{state}"),
            Self::Uuid => f.write_str("{uuid}"),
            Self::Now => f.write_str("{now}"),
            Self::Field(name) => write!(f, "{{field.{name}}}"),
            Self::Label(name) => write!(f, "{{label.{name}}}"),
        }
    }
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its partner.
    #[error("has a brace without its partner; write {{{{ or }}}} for a brace that stands for itself")]
    Brace,
    /// No such placeholder.
    #[error(
        "has the placeholder {{{0}}}, which there is not; there are client_id, client_secret, secret.NAME, redirect_url, state, uuid, now, field.NAME and label.NAME"
    )]
    Unknown(String),
}

/// A text with placeholders. `{{` and `}}` stand for braces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// To be filled.
    Hole(Placeholder),
}

impl Template {
    /// The text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pieces in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Its placeholders in order.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(placeholder) => Some(placeholder),
            Part::Text(_) => None,
        })
    }

    /// Whether a secret of the application goes into it.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.placeholders().any(Placeholder::is_secret)
    }

    /// The text with each placeholder's value.
    ///
    /// # Errors
    /// The first placeholder that `value` has nothing for.
    pub fn fill(&self, value: impl Fn(&Placeholder) -> Option<String>) -> Result<String, Placeholder> {
        self.parts.iter().try_fold(String::new(), |mut filled, part| {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Hole(placeholder) => filled.push_str(&value(placeholder).ok_or_else(|| placeholder.clone())?),
            }
            Ok(filled)
        })
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let doubled = rest[at..].starts_with("{{") || rest[at..].starts_with("}}");
            if doubled {
                plain.push_str(&rest[at..=at]);
                rest = &rest[at + 2..];
                continue;
            }
            let inner = rest[at..].strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let (name, after) = inner.ok_or(TemplateError::Brace)?;
            let placeholder = Placeholder::parse(name)
                .ok_or_else(|| TemplateError::Unknown(super::quoted(name).chars().take(80).collect()))?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Hole(placeholder));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        text.parse()
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.text
    }
}

/// A member of nested objects and lists by its dotted path: `team.id`, `errors.0.code`.
#[must_use]
pub fn by_path<'a>(object: &'a super::Fields, path: &str) -> Option<&'a serde_json::Value> {
    // A name that holds dots itself comes before the path through objects.
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    rest.split('.').try_fold(object.get(first)?, |inside, part| match inside {
        serde_json::Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

/// What a connection has for a placeholder of its own.
#[must_use]
pub fn of_connection(placeholder: &Placeholder, fields: &super::Fields, labels: &Labels) -> Option<String> {
    match placeholder {
        Placeholder::Field(path) => match by_path(fields, path)? {
            serde_json::Value::String(text) if !text.is_empty() => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        },
        Placeholder::Label(name) => labels.get(name).filter(|text| !text.is_empty()).cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Template, TemplateError> {
        text.parse()
    }

    #[test]
    fn placeholders_are_found_and_filled() {
        let template = parse("a{{b}}/{field.team.id}-{client_id}").unwrap();
        let filled = template.fill(|placeholder| match placeholder {
            Placeholder::Field(path) if path == "team.id" => Some("T1".to_owned()),
            Placeholder::ClientId => Some("cid".to_owned()),
            _ => None,
        });
        assert_eq!(filled, Ok("a{b}/T1-cid".to_owned()));
        assert_eq!(template.fill(|_| None), Err(Placeholder::Field("team.id".to_owned())));
        assert_eq!(String::from(template), "a{{b}}/{field.team.id}-{client_id}");
    }

    #[test]
    fn what_is_no_template_is_told() {
        for text in ["{", "}", "a}b", "{client_id", "{{}"] {
            assert_eq!(parse(text), Err(TemplateError::Brace), "{text}");
        }
        for text in ["{}", "{client}", "{field.}", "{fields.x}", "{Client_id}"] {
            assert!(matches!(parse(text), Err(TemplateError::Unknown(_))), "{text}");
        }
    }

    #[test]
    fn only_secrets_are_secret() {
        assert!(parse("x{client_secret}").unwrap().has_secret() && parse("{secret.key}").unwrap().has_secret());
        assert!(!parse("{client_id}{state}{uuid}{now}{redirect_url}{field.a}{label.b}").unwrap().has_secret());
    }

    #[test]
    fn a_path_goes_through_objects_and_lists() {
        let json = serde_json::json!({"a": {"b": [1, {"c": "x"}]}, "d.e": 5});
        let object = json.as_object().unwrap();
        assert_eq!(by_path(object, "a.b.1.c"), Some(&"x".into()));
        assert_eq!(by_path(object, "d.e"), Some(&5.into()));
        for missing in ["a.b.2", "a.x", "", ".", "a.b.c"] {
            assert_eq!(by_path(object, missing), None, "{missing}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_written_as_a_template(text in "\\PC{0,30}") {
            let template = parse(&text.replace('{', "{{").replace('}', "}}")).unwrap();
            prop_assert_eq!(template.fill(|_| None).unwrap(), text);
        }

        #[test]
        fn no_text_panics(text in "[{}a-z.]{0,20}") {
            let _ = parse(&text);
        }
    }
}
