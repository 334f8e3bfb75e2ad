//! A reply's body as parameters. What the body is decides how it is read; the content type is never believed:
//! providers send JSON as `text/html`, forms as `text/plain`, and error pages as `application/json`.

use super::{Params, RawReply, Value};
use crate::model::{Failure, FailureKind, quoted};
use std::borrow::Cow;
use std::fmt;

/// Reads a reply as a JSON object, JSONP or a form, whatever its status and content type say. A byte order mark, white
/// space around the body, bytes that are not UTF-8 and halves of surrogate pairs are tolerated.
///
/// # Errors
/// When neither fits: the script of the application has to read it.
pub fn read_reply(reply: &RawReply) -> Result<Params, Unreadable> {
    read_body(reply, None)
}

/// The same behind a prefix, where it is there (`&&&START&&&`).
pub(super) fn read_body(reply: &RawReply, prefix: Option<&str>) -> Result<Params, Unreadable> {
    let text = String::from_utf8_lossy(&reply.body);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim();
    let text = prefix.and_then(|prefix| text.strip_prefix(prefix)).unwrap_or(text).trim();
    let text = in_jsonp(text).unwrap_or(text);
    let unreadable = |shape| Unreadable { shape, content_type: quoted(reply.content_type()), bytes: reply.body.len() };
    match text.chars().next() {
        None => Err(unreadable(Shape::Nothing)),
        Some('{' | '[' | '"') => match parse_json(text) {
            Ok(Value::Object(object)) => {
                let params = Params::from_object(object);
                let deepest = params.iter().map(|(_, value)| depth(value)).max().unwrap_or(0);
                if deepest < MOST_NESTED { Ok(params) } else { Err(unreadable(Shape::DeepJson)) }
            }
            Ok(Value::Array(_)) => Err(unreadable(Shape::JsonList)),
            Ok(_) => Err(unreadable(Shape::JsonValue)),
            Err(()) => Err(unreadable(Shape::BrokenJson)),
        },
        Some('<') => Err(unreadable(if is_html(text) { Shape::Html } else { Shape::Xml })),
        Some(_) if is_form(text) => Ok(Params::from_form(text.as_bytes())),
        Some(_) if text.contains(|c: char| c == '\u{fffd}' || (c.is_control() && !c.is_whitespace())) => {
            Err(unreadable(Shape::Binary))
        }
        Some(_) if parse_json(text).is_ok() => Err(unreadable(Shape::JsonValue)),
        Some(_) => Err(unreadable(Shape::Text)),
    }
}

/// A reply that is neither a JSON object nor a form. Says what the body looked like and shows nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the reply is {shape} ({bytes} bytes, sent as {}) where a JSON object or a form is expected; if this provider always \
     answers so, `grantkeeper script new` starts a script that reads it",
    if content_type.is_empty() { "no content type" } else { content_type }
)]
pub struct Unreadable {
    shape: Shape,
    content_type: String,
    bytes: usize,
}

impl Unreadable {
    /// Whether this cannot be a provider's reply in a format of its own: a page for people (a guest network's, a
    /// gateway's), or nothing at all.
    #[must_use]
    pub fn is_no_reply(&self) -> bool {
        matches!(self.shape, Shape::Nothing | Shape::Html)
    }

    /// The same as a failure of the grant: a bad response, which never ends a grant.
    #[must_use]
    pub fn failure(&self, status: u16) -> Failure {
        Failure::new(FailureKind::BadResponse, "unreadable_reply").with_words(&self.to_string()).with_status(status)
    }
}

/// What a body looks like from the street.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Nothing,
    Html,
    Xml,
    JsonList,
    JsonValue,
    BrokenJson,
    DeepJson,
    Binary,
    Text,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Html => "an HTML page",
            Self::Xml => "XML",
            Self::JsonList => "a JSON list",
            Self::JsonValue => "a bare JSON value",
            Self::BrokenJson => "JSON that breaks off or does not parse",
            Self::DeepJson => "JSON nested deeper than any token reply is",
            Self::Binary => "binary data",
            Self::Text => "plain text",
        })
    }
}

/// The object of `callback( {…} );` (QQ), and nothing that is not exactly that.
fn in_jsonp(text: &str) -> Option<&str> {
    let (name, rest) = text.trim_end_matches([';', ' ', '\n', '\r', '\t']).split_once('(')?;
    let name = name.trim_end();
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_$.".contains(&b));
    let inner = rest.strip_suffix(')')?.trim();
    (is_name && inner.starts_with('{') && inner.ends_with('}')).then_some(inner)
}

fn parse_json(text: &str) -> Result<Value, ()> {
    // serde_json stops at 128 levels by itself, so a hostile body cannot exhaust the stack here.
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&mend_surrogates(text))).map_err(|_| ())
}

/// Writes U+FFFD for each half of a surrogate pair that stands alone, which serde_json refuses (emoji cut in half by
/// providers that count in UTF-16).
fn mend_surrogates(text: &str) -> Cow<'_, str> {
    let unit_at = |at: usize| -> Option<u16> {
        let escape = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(escape, 16).ok()
    };
    let mut mended = String::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(found) = text[at..].find('\\') {
        at += found;
        match unit_at(at) {
            Some(0xd800..=0xdbff) if matches!(unit_at(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                mended.push_str(&text[copied..at]);
                mended.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            Some(_) => at += 6,
            // Another escape: the character after the backslash is no backslash of its own.
            None => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(&text[copied..]);
    Cow::Owned(mended)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether a text can be a form: names of plain characters, each with `=`. One pair alone must have a value that is
/// more than padding, or a bare base64 token would become the name of a field.
fn is_form(text: &str) -> bool {
    let plain =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.[]%~*".contains(&b));
    let pairs = || text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('='));
    let all_named = pairs().all(|pair| pair.is_some_and(|(name, _)| plain(name)));
    let lone_padding = pairs().count() == 1 && pairs().flatten().all(|(_, value)| value.chars().all(|c| c == '='));
    all_named && !lone_padding && !text.contains(|c: char| c.is_control())
}

fn is_html(text: &str) -> bool {
    let start: String = text.chars().take(200).collect::<String>().to_ascii_lowercase();
    let tag: String = start[1..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '!').collect();
    match tag.as_str() {
        "!doctype" => start.contains("html"),
        tag => HTML_TAGS.contains(&tag) || start.contains("<html"),
    }
}

const HTML_TAGS: [&str; 9] = ["html", "head", "title", "body", "h1", "h2", "p", "div", "center"];

/// Levels of lists and maps in a reply: real token replies have three; scripts and stores walk them recursively.
const MOST_NESTED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &[u8]) -> Result<Params, Unreadable> {
        read_reply(&RawReply { status: 200, headers: vec![], body: body.to_vec().into() })
    }

    fn message(body: &str) -> String {
        read(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_reply_is_read_by_what_it_is() {
        for body in [
            "{\"a\":\"1\"}",
            "\u{feff}{\"a\":\"1\"}",
            "\n\t {\"a\":\"1\"}\r\n",
            "a=1",
            "a=1\r\n",
            "&a=1&",
            "callback( {\"a\":\"1\"} );\n",
            "cb.x({\"a\":\"1\"})",
        ] {
            assert_eq!(read(body.as_bytes()).unwrap().text("a"), Some("1"), "{body:?}");
        }
    }

    #[test]
    fn an_unreadable_reply_says_what_it_looked_like() {
        for (body, shape) in [
            ("", "nothing"),
            (" \n", "nothing"),
            ("<!DOCTYPE html><p>x", "an HTML page"),
            ("<h1>503</h1>", "an HTML page"),
            ("<?xml version=\"1.0\"?><token/>", "XML"),
            ("<response><access_token>x</access_token></response>", "XML"),
            ("[{\"access_token\":\"x\"}]", "a JSON list"),
            ("\"text\"", "a bare JSON value"),
            ("42", "a bare JSON value"),
            ("null", "a bare JSON value"),
            ("{\"access_token\":\"x", "JSON that breaks off"),
            ("Too Many Requests", "plain text"),
            ("callback([1])", "plain text"),
            ("call back({})", "plain text"),
            ("\u{1}\u{2}", "binary data"),
        ] {
            assert!(message(body).starts_with(&format!("the reply is {shape}")), "{body:?}: {}", message(body));
        }
    }

    #[test]
    fn an_unreadable_reply_shows_nothing_of_its_body_and_names_the_next_step() {
        for body in ["hunter2", "<a>hunter2</a>", "[\"hunter2\"]", "{\"hunter2\"", "\"hunter2\""] {
            let error = read(body.as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?} {:?}", error.failure(200)).contains("hunter2"), "{body}");
            assert!(error.failure(200).words.unwrap().contains("grantkeeper script new"));
        }
    }

    #[test]
    fn a_bare_base64_token_does_not_become_a_field_name() {
        for body in ["aHVudGVyMg==", "aHVudGVyMg=", "hunter2"] {
            assert!(message(body).contains("plain text"), "{body}");
        }
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_are_kept() {
        let params = read(br#"{"a":"x\ud83d","b":"\ude00y","c":"\ud83d\ude00","d":"\\ud83d","e":"\ud83d\n"}"#).unwrap();
        let text = |name| params.text(name).unwrap();
        assert_eq!(
            (text("a"), text("b"), text("c"), text("d"), text("e")),
            ("x\u{fffd}", "\u{fffd}y", "😀", "\\ud83d", "\u{fffd}\n")
        );
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_crash() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(nested(31).as_bytes()).is_ok());
        assert!(message(&nested(32)).contains("nested"));
        assert!(message(&nested(400_000)).contains("JSON that"));
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&body);
        }

        #[test]
        fn no_escaped_json_panics(body in r#"\{"a":"(\\u[dD][89a-fA-F][0-9]{2}|\\\\|\\|u|é){0,12}"\}"#) {
            let _ = read(body.as_bytes());
        }

        #[test]
        fn every_object_and_form_of_texts_comes_back(
            pairs in proptest::collection::btree_map("[a-z_]{1,10}", "[ -~é]{1,20}", 1..6)
        ) {
            let params: Params = pairs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            let json = serde_json::to_vec(&params).unwrap();
            prop_assert_eq!(&read(&json).unwrap(), &params);
            prop_assert_eq!(&read(params.to_form().as_bytes()).unwrap_or_default(), &params);
        }
    }
}
