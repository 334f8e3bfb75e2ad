//! A reply's body and headers with every secret replaced, written in what it was written in.

use super::masks::Masks;
use super::names::{self, Words};
use super::shape::{self, Shape};
use crate::oauth::{Params, RawReply, Value};
use crate::replay::{Pairs, Reply};
use std::fmt::Write as _;

/// The reply as a fixture may hold it.
pub(super) fn masked(reply: &RawReply, masks: &mut Masks) -> Reply {
    let (shape, value) = shape::read(reply);
    masks.learn(&mut Vec::new(), &value);
    let body = body(reply, &shape, &value, masks);
    // Half of a secret here and half there: what is left of every field, one after the other.
    let body = if masks.are_left_in(&body) { body_of_strangers(&shape, &value, masks) } else { body };
    Reply { status: reply.status, headers: headers(reply, masks), body: Some(body), body_base64: None, generate: None }
}

/// Learns what is secret in a reply by its name, before any reply is written: it may be repeated in one that came before.
pub(super) fn learn(reply: &RawReply, masks: &mut Masks) {
    masks.learn(&mut Vec::new(), &shape::read(reply).1);
}

fn body(reply: &RawReply, shape: &Shape, value: &Value, masks: &mut Masks) -> String {
    let mut whole = |value: &Value| masks.value(&mut Vec::new(), value);
    match shape {
        Shape::Json | Shape::JsonInJson(_) => whole(value).to_string(),
        Shape::JsonValue => match value {
            // The token itself.
            Value::String(text) => Value::from(masks.text(&["access_token".to_owned()], text)).to_string(),
            other => whole(other).to_string(),
        },
        Shape::Prefixed(prefix) => {
            let value = whole(value);
            format!("{}{value}", plain_prefix(prefix, masks))
        }
        Shape::Jsonp => format!("callback( {} );", whole(value)),
        Shape::Form => match whole(value) {
            Value::Object(members) => Params::from_object(members).to_form(),
            other => other.to_string(),
        },
        Shape::Xml => xml(&whole(value)),
        Shape::Bare => masks.text(&["access_token".to_owned()], value.as_str().unwrap_or_default()),
        Shape::Unreadable => unreadable(reply),
    }
}

/// A body whose every text is a stand-in.
fn body_of_strangers(shape: &Shape, value: &Value, masks: &mut Masks) -> String {
    fn strange(value: &Value, masks: &mut Masks) -> Value {
        match value {
            Value::String(text) => masks.exact(text).unwrap_or_else(|| masks.other("masked", text)).into(),
            Value::Array(list) => list.iter().map(|item| strange(item, masks)).collect(),
            Value::Object(members) => {
                let members = members.iter().map(|(name, item)| (masks.name(name), strange(item, masks)));
                Value::Object(members.collect())
            }
            Value::Number(_) => 0.into(),
            other => other.clone(),
        }
    }
    let value = strange(value, masks);
    match (shape, value) {
        (Shape::Form, Value::Object(members)) => Params::from_object(members).to_form(),
        (Shape::Xml, value) => xml(&value),
        (Shape::Bare, Value::String(text)) => text,
        (Shape::Jsonp, value) => format!("callback( {value} );"),
        (_, value) => value.to_string(),
    }
}

/// What stands before JSON where it is what such prefixes are: marks, and a word or two.
fn plain_prefix(prefix: &str, masks: &Masks) -> String {
    let letters = prefix.chars().filter(char::is_ascii_alphanumeric).count();
    let plain = prefix.chars().all(|c| c.is_ascii_graphic() || c == '\n' || c == ' ') && letters <= 12;
    if plain && !masks.are_in(prefix) { prefix.to_owned() } else { "&&&".to_owned() }
}

/// A body of the kind that it was: nothing of a page is kept.
fn unreadable(reply: &RawReply) -> String {
    let text = String::from_utf8_lossy(&reply.body);
    let text = text.trim_start_matches('\u{feff}').trim();
    match text.chars().next() {
        None => "",
        Some('<') if crate::oauth::read_reply(reply).is_err_and(|unreadable| unreadable.is_no_reply()) => {
            "<html><body>masked</body></html>"
        }
        Some('<') => "<masked",
        Some('{' | '[' | '"') => "{\"masked",
        Some(_) => "masked text",
    }
    .to_owned()
}

/// The headers that mean something to a reading; of others a stranger chooses name and value.
fn headers(reply: &RawReply, masks: &mut Masks) -> Pairs {
    let mut kept = Pairs::new();
    for (name, value) in &reply.headers {
        let name = name.to_ascii_lowercase();
        let words = Words::of(std::slice::from_ref(&name));
        let value = match name.as_str() {
            "content-type" => media_type(value).filter(|value| !masks.are_in(value)),
            "retry-after" => Some(value.clone()).filter(|value| {
                let digits = value.len() <= 10 && value.bytes().all(|b| b.is_ascii_digit());
                (digits || jiff::fmt::rfc2822::parse(value).is_ok()) && !masks.are_in(value)
            }),
            "location" => value.parse().ok().map(|url| masks.url(&url)),
            _ if names::token_role(&words, &value.as_str().into()).is_some() || name == "authorization" => {
                let plain = name.len() <= 40 && masks.name(&name) == name;
                plain.then(|| masks.text(std::slice::from_ref(&name), value))
            }
            _ => None,
        };
        if let Some(value) = value {
            kept.entry(name).or_insert(value);
        }
    }
    kept
}

/// `application/json; charset=utf-8`, without what else a stranger may have put behind it.
fn media_type(value: &str) -> Option<String> {
    let plain = |text: &str| text.len() <= 60 && text.bytes().all(|b| b.is_ascii_alphabetic() || b"/.+-".contains(&b));
    let (kind, rest) = value.split_once(';').unwrap_or((value, ""));
    let kind = kind.trim().to_ascii_lowercase();
    let charset = rest.to_ascii_lowercase().contains("utf-8");
    plain(&kind).then(|| if charset { format!("{kind}; charset=utf-8") } else { kind })
}

/// The value that [`crate::oauth::read_xml`] makes of XML as XML again.
fn xml(value: &Value) -> String {
    let mut out = String::new();
    if let Some((name, inner)) = value.as_object().and_then(|members| members.iter().next()) {
        element(&mut out, name, inner);
    }
    out
}

fn element(out: &mut String, name: &str, value: &Value) {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let name = if name.starts_with(first) && name.chars().all(rest) { name } else { "masked" };
    let escaped =
        |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Array(list) => list.iter().for_each(|item| element(out, name, item)),
        Value::Object(members) => {
            out.push_str(&format!("<{name}"));
            for (name, value) in members {
                if let Some(name) = name.strip_prefix('@') {
                    // Writing to a String cannot fail.
                    let _ = write!(out, " {name}=\"{}\"", escaped(&plain(value)));
                }
            }
            out.push('>');
            for (name, value) in members.iter().filter(|(name, _)| !name.starts_with('@')) {
                match name.as_str() {
                    "#text" => out.push_str(&escaped(&plain(value))),
                    name => element(out, name, value),
                }
            }
            let _ = write!(out, "</{name}>");
        }
        other => {
            let _ = write!(out, "<{name}>{}</{name}>", escaped(&plain(other)));
        }
    }
}
