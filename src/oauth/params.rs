//! An ordered map of parameters: what a request's form or a reply's fields are, and what scripts see.

use serde::{Deserialize, Serialize};

/// The value of a parameter: text in requests; text, numbers, lists and maps in replies.
pub type Value = serde_json::Value;

/// Parameters in the order they came. A list as a value is a parameter that is repeated when encoded as a form
/// (`resource`, RFC 8707 section 2).
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Params(serde_json::Map<String, Value>);

impl Params {
    /// No parameters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The value of a parameter where it is a text that is not empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Sets a parameter; a known one keeps its place, a new one goes last.
    pub fn put(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// Takes a parameter out; the others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name)
    }

    /// Whether a parameter is there.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parameters as a JSON object, to look into.
    #[must_use]
    pub fn as_object(&self) -> &serde_json::Map<String, Value> {
        &self.0
    }

    /// The value of a parameter, to be changed.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.0.get_mut(name)
    }

    /// The parameters as a JSON object.
    #[must_use]
    pub fn into_object(self) -> serde_json::Map<String, Value> {
        self.0
    }

    /// A JSON object's members as parameters.
    #[must_use]
    pub fn from_object(object: serde_json::Map<String, Value>) -> Self {
        Self(object)
    }

    /// Reads a form or query (`application/x-www-form-urlencoded`). A repeated name becomes a list.
    #[must_use]
    pub fn from_form(form: &[u8]) -> Self {
        let mut params = Self::new();
        for (name, value) in url::form_urlencoded::parse(form) {
            let value = Value::String(value.into_owned());
            match params.0.get_mut(name.as_ref()) {
                Some(Value::Array(list)) => list.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
                None => params.put(name, value),
            }
        }
        params
    }

    /// Writes a form (RFC 6749 appendix B). Lists are repeated, `null` is left out, anything nested is written as JSON.
    #[must_use]
    pub fn to_form(&self) -> String {
        let mut pairs: Vec<(&str, String)> = Vec::with_capacity(self.len());
        for (name, value) in self.iter() {
            match value {
                Value::Null => {}
                Value::Array(list) => pairs.extend(list.iter().map(|value| (name, in_form(value)))),
                other => pairs.push((name, in_form(other))),
            }
        }
        // Pairs of texts always encode: the error is for types that a form cannot hold.
        serde_urlencoded::to_string(pairs).unwrap_or_default()
    }
}

/// Names only: values may be secret.
impl std::fmt::Debug for Params {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<N: Into<String>, V: Into<Value>> FromIterator<(N, V)> for Params {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut params = Self::new();
        for (name, value) in pairs {
            params.put(name, value);
        }
        params
    }
}

fn in_form(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_keeps_order_and_repeats_lists() {
        let params = Params::from_form(b"b=1&a=x+y%26&b=2");
        assert_eq!(params.names().collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(params.to_form(), "b=1&b=2&a=x+y%26");
    }

    #[test]
    fn debug_shows_names_only() {
        let params: Params = [("code", "hunter2")].into_iter().collect();
        assert_eq!(format!("{params:?}"), "{\"code\"}");
    }
}
