//! What a body is written in, and the value that it reads to.

use crate::oauth::{self, RawReply, Value};
use std::fmt;

/// What a body is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A JSON object.
    Json,
    /// A JSON list or text: JSON that is no object.
    JsonValue,
    /// JSON behind a beginning that is none.
    Prefixed(String),
    /// JSON as the argument of a function's call.
    Jsonp,
    /// JSON in a text within JSON.
    JsonInJson(Place),
    /// `application/x-www-form-urlencoded`.
    Form,
    /// XML.
    Xml,
    /// One word: a token, if anything.
    Bare,
    /// A page for people, nothing at all, or something that no reading fits.
    Unreadable,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "a JSON object",
            Self::JsonValue => "JSON that is no object",
            Self::Prefixed(_) => "JSON behind a prefix",
            Self::Jsonp => "JSONP",
            Self::JsonInJson(_) => "JSON in a text within JSON",
            Self::Form => "a form",
            Self::Xml => "XML",
            Self::Bare => "one word, without names",
            Self::Unreadable => "nothing that can be read",
        })
    }
}

/// Where something stands in a reply: names of members, numbers of list items. Every name in it is plain: it can be
/// written into a script or a TOML file as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(Vec<String>);

impl Place {
    /// A place of steps that are all plain.
    pub(super) fn of(steps: &[String]) -> Option<Self> {
        (!steps.is_empty() && steps.iter().all(|step| is_plain_name(step))).then(|| Self(steps.to_vec()))
    }

    /// As scripts and provider entries write it: `data.items.0.token`.
    #[must_use]
    pub fn dotted(&self) -> String {
        self.0.join(".")
    }

    /// The last name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The steps.
    pub(super) fn steps(&self) -> &[String] {
        &self.0
    }

    /// The place of the value that this one is a member of; nothing at the top.
    pub(super) fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        (!above.is_empty()).then(|| Self(above.to_vec()))
    }

    /// As written from the place of an object that this one is in.
    pub(super) fn within(&self, root: &Self) -> Option<String> {
        let rest = self.0.strip_prefix(root.0.as_slice())?;
        (!rest.is_empty()).then(|| rest.join("."))
    }

    /// What stands here in a value.
    pub(super) fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |here, step| match here {
            Value::Object(object) => object.get(step),
            Value::Array(list) => list.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

/// A name that needs no quoting in a dotted path and could not end a text in a script: a reply must not write code.
fn is_plain_name(name: &str) -> bool {
    (1..=60).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-:@$#".contains(&b))
}

/// Finds out what a reply's body is, and reads it.
pub(super) fn read(reply: &RawReply) -> (Shape, Value) {
    let text = String::from_utf8_lossy(&reply.body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if let Ok(params) = oauth::read_reply(reply) {
        let value = Value::Object(params.into_object());
        let first = text.chars().next();
        return match first {
            Some('{') => (Shape::Json, value),
            // The default reading takes more than a form apart (JSONP): what it is decides how a script reads it.
            _ => jsonp(text).map_or((Shape::Form, value), |value| (Shape::Jsonp, value)),
        };
    }
    if let Some(value) = json(text) {
        return if deep(&value, 0) { (Shape::Unreadable, Value::Null) } else { (Shape::JsonValue, value) };
    }
    if text.starts_with('<') {
        let page = oauth::read_reply(reply).is_err_and(|unreadable| unreadable.is_no_reply());
        return match oauth::read_xml(text, MOST_NODES) {
            Ok(value) if !page => (Shape::Xml, value),
            _ => (Shape::Unreadable, Value::Null),
        };
    }
    if let Some(value) = jsonp(text) {
        return (Shape::Jsonp, value);
    }
    if let Some((prefix, value)) = prefixed(text) {
        return (Shape::Prefixed(prefix), value);
    }
    if is_one_word(text) { (Shape::Bare, Value::from(text)) } else { (Shape::Unreadable, Value::Null) }
}

/// JSON whose nesting nobody has to fear.
fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// The object or list of a text that is JSON, for JSON in JSON.
pub(super) fn inner(text: &str) -> Option<Value> {
    let value = text.trim_start().starts_with(['{', '[']).then(|| json(text)).flatten()?;
    (!deep(&value, 0)).then_some(value)
}

/// `name( JSON );`
fn jsonp(text: &str) -> Option<Value> {
    let (name, rest) = text.split_once('(')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_$.".contains(&b);
    let inside = rest.trim_end().trim_end_matches(';').trim_end().strip_suffix(')')?;
    let value = name.trim().bytes().all(plain).then(|| json(inside.trim())).flatten()?;
    (value.is_object() && !deep(&value, 0)).then_some(value)
}

/// JSON behind a prefix that keeps browsers from running it: `&&&START&&&{…}`, `)]}'` and a line end, `while(1);`.
fn prefixed(text: &str) -> Option<(String, Value)> {
    let starts = text.char_indices().take(LONGEST_PREFIX).filter(|(_, c)| matches!(c, '{' | '['));
    starts.filter(|(at, _)| *at > 0).find_map(|(at, _)| {
        let value = json(&text[at..])?;
        (value.is_object() && !deep(&value, 0)).then(|| (text[..at].to_owned(), value))
    })
}

/// A body that could be a token and nothing else.
fn is_one_word(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_graphic() && !b"<>{}[]\"'`\\&".contains(&b);
    text.len() >= SHORTEST_TOKEN && text.bytes().all(token)
}

/// Whether a value nests deeper than token replies do.
fn deep(value: &Value, depth: usize) -> bool {
    match value {
        _ if depth > DEEPEST => true,
        Value::Array(list) => list.iter().any(|item| deep(item, depth + 1)),
        Value::Object(object) => object.values().any(|item| deep(item, depth + 1)),
        _ => false,
    }
}

/// Characters before JSON that are still a prefix, and no text with JSON in it.
const LONGEST_PREFIX: usize = 64;
/// Levels of lists and objects.
const DEEPEST: usize = 32;
/// Nodes of XML; a token reply has twenty.
const MOST_NODES: u32 = 16_384;
/// Characters of a body that is a bare token. Shorter ones are words such as "OK" and "error".
const SHORTEST_TOKEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(body: &str) -> Shape {
        read(&RawReply { status: 200, headers: vec![], body: body.as_bytes().to_vec().into() }).0
    }

    #[test]
    fn a_body_is_told_by_what_it_is() {
        for (body, expected) in [
            ("\u{feff} {\"a\":1}", Shape::Json),
            ("[{\"a\":1}]", Shape::JsonValue),
            ("\"abcdefgh\"", Shape::JsonValue),
            ("a=1&b=2\r\n", Shape::Form),
            ("callback( {\"a\":1} );\n", Shape::Jsonp),
            ("&&&START&&&{\"a\":1}", Shape::Prefixed("&&&START&&&".to_owned())),
            (")]}',\n{\"a\":1}", Shape::Prefixed(")]}',\n".to_owned())),
            ("while(1);{\"a\":1}", Shape::Prefixed("while(1);".to_owned())),
            ("<?xml version=\"1.0\"?><r><a>1</a></r>", Shape::Xml),
            ("jdMadeup18.token\n", Shape::Bare),
            ("<html><body>log in</body></html>", Shape::Unreadable),
            ("Too Many Requests", Shape::Unreadable),
            ("", Shape::Unreadable),
            ("{\"a\":", Shape::Unreadable),
        ] {
            assert_eq!(shape(body), expected, "{body}");
        }
    }

    #[test]
    fn a_place_holds_no_name_that_could_write_code() {
        for name in ["a'b", "a\nb", "a.b", "a\\", "", "é", "a b", "a\"b", "`", "${x}"] {
            assert_eq!(Place::of(&[name.to_owned()]), None, "{name}");
        }
        let place = Place::of(&["a".to_owned(), "0".to_owned(), "b-c".to_owned()]).unwrap();
        assert_eq!(place.find(&serde_json::json!({"a": [{"b-c": 1}]})), Some(&Value::from(1)));
        assert_eq!(place.dotted(), "a.0.b-c");
    }
}
