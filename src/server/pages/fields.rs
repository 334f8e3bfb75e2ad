//! Fields of a form, and what is wrong with each.

use super::guard::Form;
use crate::connector;
use crate::registry::RegistryError;
use maud::{Markup, html};
use std::collections::BTreeMap;

/// What was sent, and what is wrong with it, by the key of the application's file. The key "" is the form itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    sent: BTreeMap<String, String>,
    wrong: BTreeMap<String, String>,
}

impl Fields {
    /// One more thing that is wrong.
    pub(super) fn with(mut self, key: &str, what: &str) -> Self {
        self.wrong.insert(key.to_owned(), what.to_owned());
        self
    }

    /// What an error is about: the field whose key it names.
    pub(super) fn of(error: &connector::Error) -> Self {
        let connector::Error::Registry(error) = error else {
            return Self::default()
                .with(if matches!(error, connector::Error::Script(_)) { "script" } else { "" }, &error.to_string());
        };
        let (key, what) = match error {
            RegistryError::WrongValue { key, reason, nearest, .. } => {
                let nearest = nearest.as_ref().map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"));
                (key.clone(), format!("{reason}{nearest}"))
            }
            RegistryError::Missing { key, reason, .. } => ((*key).to_owned(), format!("is missing; {reason}")),
            RegistryError::MissingVariable { name, about, .. } => {
                (format!("variables.{name}"), format!("is needed: {about}"))
            }
            RegistryError::UnknownKey { key, .. } | RegistryError::PlainSecret { key, .. } => {
                (key.clone(), error.to_string())
            }
            RegistryError::SecretNotRead { key, reason, .. } => (key.clone(), reason.clone()),
            // It names the key that does not fit, in its words.
            RegistryError::DoesNotFit { reason, .. } => {
                let keys = [
                    "client_secret",
                    "secrets.private_key",
                    "endpoints.authorization",
                    "endpoints.token",
                    "endpoints.issuer",
                ];
                let key = keys.into_iter().find(|key| reason.contains(key)).unwrap_or_default();
                (key.to_owned(), format!("the application {reason}"))
            }
            other => (String::new(), other.to_string()),
        };
        Self::default().with(&key, &what)
    }

    /// With values, and nothing wrong.
    pub(super) fn filled(values: impl Iterator<Item = (String, String)>) -> Self {
        Self { sent: values.collect(), wrong: BTreeMap::new() }
    }

    /// The same with what was sent, but for secrets.
    pub(super) fn sent(mut self, form: &Form) -> Self {
        self.sent = form.plain().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self
    }

    /// What was sent of a field.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.sent.get(key).map(String::as_str)
    }

    /// The first thing that is wrong, as a sentence.
    pub(super) fn first(&self) -> Option<&str> {
        self.wrong.iter().next().map(|(key, what)| if key.is_empty() { what.as_str() } else { "See the field below." })
    }

    /// For `aria-invalid`.
    pub(super) fn invalid(&self, key: &str) -> Option<&'static str> {
        self.is_wrong(key).map(|_| "true")
    }

    /// For `aria-describedby`.
    pub(super) fn about(&self, key: &str) -> String {
        let hint = format!("{key}-hint");
        if self.is_wrong(key).is_some() { format!("{key}-wrong {hint}") } else { hint }
    }

    /// What is wrong with a field. A list's parts are named after it: `profiles.default.scopes[0]`.
    fn is_wrong(&self, key: &str) -> Option<&str> {
        let found = self.wrong.iter().find(|(wrong, _)| {
            wrong.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
        });
        found.filter(|_| !key.is_empty()).map(|(_, what)| what.as_str())
    }
}

/// A field with its label, what is wrong with it, and what it is for.
pub(super) fn field(fields: &Fields, key: &str, label: &str, hint: &str, control: &Markup) -> Markup {
    html! {
        div.field {
            label for=(key) { (label) }
            (control)
            @if let Some(wrong) = fields.is_wrong(key) { span.wrong id=(format!("{key}-wrong")) role="alert" { (label) " " (wrong) } }
            span.hint id=(format!("{key}-hint")) { (hint) }
        }
    }
}
