//! Why a text is not an application or a provider entry, or a draft no application.

use std::fmt;

/// A place in a file, both numbers from 1; a column is a character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the caller named it.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl Place {
    /// The place of a byte of a text.
    pub(super) fn of(file: &str, text: &str, offset: usize) -> Self {
        let mut before = text;
        // An offset inside a character, or past the end, stands for what comes before it.
        if let Some(end) = (0..=offset.min(text.len())).rev().find(|end| text.is_char_boundary(*end)) {
            before = &text[..end];
        }
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// What is wrong with a text that is read by its types alone, in one sentence: where, and what. A key that is not known is no `what`.
pub(crate) fn wrong_in(text: &str, error: &toml::de::Error, what: &str) -> String {
    let Place { line, column, .. } = Place::of("", text, error.span().map_or(0, |span| span.start));
    let message = error.message().lines().collect::<Vec<_>>().join("; ");
    let said = match message.strip_prefix("unknown field ") {
        Some(rest) => format!("there is no {what} {}", rest.replacen(", expected", " there;", 1)),
        None => message,
    };
    format!("line {line}, column {column}: {said}")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What is wrong with an application or a provider entry, where, and what would be right. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The text is no TOML.
    #[error("{place}: this is not TOML: {reason}")]
    NotToml {
        /// Where reading stopped.
        place: Place,
        /// What was expected there.
        reason: String,
    },
    /// A key that means nothing here.
    #[error("{place}: there is no key `{key}`{}", advice(.nearest.as_deref(), .known))]
    UnknownKey {
        /// Where the key is.
        place: Place,
        /// The key with the tables that it stands in.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
        /// The keys that are known in its place.
        known: Vec<&'static str>,
    },
    /// A value that its key cannot have.
    #[error("{place}: `{key}` {reason}{}", advice(.nearest.as_deref(), &[]))]
    WrongValue {
        /// Where the value is.
        place: Place,
        /// The key with the tables that it stands in.
        key: String,
        /// What is wrong with it.
        reason: String,
        /// The value that was probably meant.
        nearest: Option<String>,
    },
    /// A key that must be there is not.
    #[error("{file}: there is no `{key}`; {reason}")]
    Missing {
        /// The file.
        file: String,
        /// The key.
        key: &'static str,
        /// What it is for.
        reason: &'static str,
    },
    /// A secret stands in the file.
    #[error(
        "{place}: `{key}` stands in clear in this file; write {{ env = \"NAME\" }}, {{ file = \"PATH\" }} or {{ stdin = true }} in its place"
    )]
    PlainSecret {
        /// Where the secret is.
        place: Place,
        /// Its key.
        key: String,
    },
    /// No such entry in the catalog.
    #[error("there is no provider {name:?} in the catalog{}; see: grantkeeper provider list", advice(.nearest.as_deref(), &[]))]
    UnknownProvider {
        /// The wanted name.
        name: String,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
    /// A variable that the provider's entry does not declare.
    #[error("the provider {provider} has no variable {name:?}{}", match .nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None if .known.is_empty() => "; it has none".to_owned(),
        None => format!("; it has {known}"),
    })]
    UnknownVariable {
        /// The provider.
        provider: String,
        /// What was stated.
        name: String,
        /// The variable that was probably meant.
        nearest: Option<String>,
        /// The variables that there are.
        known: String,
    },
    /// A variable that must be stated is not.
    #[error(
        "the provider {provider} needs variables.{name}: {about} (in the application's file, or --set {name}=VALUE)"
    )]
    MissingVariable {
        /// The provider.
        provider: String,
        /// The variable.
        name: String,
        /// What to fill in.
        about: String,
    },
    /// A secret could not be read from where the application says.
    #[error("the {key} of application {application} cannot be read from {source_name}: {reason}")]
    SecretNotRead {
        /// The application.
        application: String,
        /// The secret's key.
        key: String,
        /// Where it should come from.
        source_name: String,
        /// What went wrong.
        reason: String,
    },
    /// Settings that do not fit together.
    #[error("application {application} {reason}")]
    DoesNotFit {
        /// The application.
        application: String,
        /// What does not fit, and what to do.
        reason: String,
    },
}

fn advice(nearest: Option<&str>, known: &[&str]) -> String {
    match (nearest, known) {
        (Some(nearest), _) => format!("; did you mean `{nearest}`?"),
        (None, []) => String::new(),
        (None, known) => format!("; known here: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "a = 1\nb = \"\u{e9}\u{e9}\" x\n";
        let at = |offset| {
            let place = Place::of("f", text, offset);
            (place.line, place.column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(6), (2, 1));
        assert_eq!(at(text.find('x').unwrap()), (2, 10), "a character of two bytes is one column");
        assert_eq!(at(12), (2, 6), "inside a character is at that character");
        assert_eq!(at(text.len()), (3, 1));
        assert_eq!(at(9999), (3, 1));
    }
}
