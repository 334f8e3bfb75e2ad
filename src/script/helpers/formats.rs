//! Reading and writing: JSON, forms, XML, JSONP, the payload of a JWT, dotted paths, sorted queries, base64 and hex.

use crate::oauth::{self, Params, RawReply, Value};
use crate::script::call::{Answer, charge, current, error};
use crate::script::default_reading;
use crate::script::params::ParamMap;
use crate::script::values::{Handle, from_json, to_json};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rhai::{Blob, Dynamic, Engine, Map};

pub(super) fn register(engine: &mut Engine) {
    engine.register_fn("parse_json", parse_json);
    engine.register_fn("to_json", |value: Dynamic| -> Answer<String> { Ok(to_json(&value)?.to_string()) });
    // Before Rhai's own, which does not escape everything.
    engine.register_fn("to_json", |map: &mut Map| -> Answer<String> {
        Ok(to_json(&Dynamic::from_map(map.clone()))?.to_string())
    });
    engine.register_fn("parse_jsonp", |text: &str| {
        let inside = text.find('(').and_then(|start| text.rfind(')').and_then(|end| text.get(start + 1..end)));
        parse_json(inside.unwrap_or(text))
    });
    engine.register_fn("parse_form", |text: &str| -> Answer<Dynamic> {
        charge(text.len() as u64)?;
        read(&Value::Object(Params::from_form(text.as_bytes()).into_object()))
    });
    engine.register_fn("to_form", |members: Dynamic| -> Answer<String> { Ok(object_of(&members)?.to_form()) });
    engine.register_fn("parse_xml", parse_xml);
    engine.register_fn("jwt_payload", jwt_payload);
    engine.register_fn("read_default", |text: &str| -> Answer<Dynamic> {
        charge(text.len() as u64)?;
        let body = zeroize::Zeroizing::new(text.as_bytes().to_vec());
        let reply = RawReply { status: 200, headers: Vec::new(), body };
        let context = &current()?.start.context;
        read(&Value::Object(default_reading::read(&reply, &context.reply, context.now).into_object()))
    });
    engine.register_fn("path", |value: Dynamic, dotted: &str| path(&value, dotted));
    engine.register_fn("sorted_query", |members: Dynamic| -> Answer<String> { Ok(sorted(&members)?.to_form()) });
    engine.register_fn("sorted_pairs", |members: Dynamic| sorted_pairs(&members));
    register_bytes(engine);
}

fn register_bytes(engine: &mut Engine) {
    engine.register_fn("base64", |value: Dynamic| -> Answer<String> { Ok(STANDARD.encode(bytes(&value)?)) });
    engine.register_fn("base64url", |value: Dynamic| -> Answer<String> { Ok(URL_SAFE_NO_PAD.encode(bytes(&value)?)) });
    engine.register_fn("base64_decode", |text: &str| -> Answer<String> {
        charge(text.len() as u64)?;
        let bytes = either_base64(text).ok_or_else(|| error("that is not base64"))?;
        String::from_utf8(bytes).map_err(|_| error("the decoded bytes are not text"))
    });
    engine.register_fn("hex", |value: Dynamic| -> Answer<String> {
        Ok(bytes(&value)?.iter().map(|byte| format!("{byte:02x}")).collect())
    });
}

/// Text or digest; never a secret, whose encoding is as good as itself.
fn bytes(value: &Dynamic) -> Answer<Vec<u8>> {
    let bytes = if let Ok(text) = value.as_immutable_string_ref() {
        text.as_bytes().to_vec()
    } else if let Ok(blob) = value.as_blob_ref() {
        Blob::clone(&blob)
    } else if value.is::<Handle>() {
        return Err(error("a secret cannot be encoded into a text; hash it or sign with it"));
    } else {
        return Err(error(format!("a text or a digest is wanted where {} stands", value.type_name())));
    };
    charge(2 * bytes.len() as u64)?;
    Ok(bytes)
}

/// Standard or URL alphabet, with or without padding.
pub(super) fn either_base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text
        .trim_end_matches('=')
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect();
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn parse_json(text: &str) -> Answer<Dynamic> {
    charge(text.len() as u64)?;
    // serde_json's message names a place and no content; it refuses to go deeper than 128.
    let value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|cause| error(format!("that is not JSON: {cause}")))?;
    read(&value)
}

/// A value that was read, for the script; what is secret in it stays out of logs.
fn read(value: &Value) -> Answer<Dynamic> {
    current()?.masks.borrow_mut().add_named("", value);
    from_json(value)
}

fn jwt_payload(token: &str) -> Answer<Dynamic> {
    let payload = token.split('.').nth(1).and_then(either_base64).ok_or_else(|| error("that is not a JWT"))?;
    let payload = String::from_utf8(payload).map_err(|_| error("that is not a JWT"))?;
    parse_json(&payload)
}

/// What [`oauth::read_xml`] makes of it.
fn parse_xml(text: &str) -> Answer<Dynamic> {
    charge(text.len() as u64)?;
    let limits = current()?.start.limits;
    let most_nodes = u32::try_from(4 * limits.map_size).unwrap_or(u32::MAX);
    read(&oauth::read_xml(text, most_nodes).map_err(|cause| error(cause.to_string()))?)
}

/// What stands at `a.b.0.c`; `()` where nothing does.
fn path(value: &Dynamic, dotted: &str) -> Answer<Dynamic> {
    let mut here = value.clone();
    for step in dotted.split('.') {
        let next = if let Ok(map) = here.as_map_ref() {
            map.get(step).cloned()
        } else if let Ok(array) = here.as_array_ref() {
            step.parse::<usize>().ok().and_then(|index| array.get(index).cloned())
        } else if let Some(params) = here.read_lock::<ParamMap>() {
            params.to_object()?.get(step).map(from_json).transpose()?
        } else {
            None
        };
        let Some(next) = next else { return Ok(Dynamic::UNIT) };
        here = next;
    }
    Ok(here)
}

fn object_of(members: &Dynamic) -> Answer<Params> {
    match to_json(members)? {
        Value::Object(object) => Ok(Params::from_object(object)),
        _ => Err(error(format!("a map is wanted where {} stands", members.type_name()))),
    }
}

fn sorted(members: &Dynamic) -> Answer<Params> {
    let mut pairs: Vec<(String, Value)> = object_of(members)?.into_object().into_iter().collect();
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(pairs.into_iter().collect())
}

/// `a=1&b=2` without any encoding, for signatures over plain text. Empty values and `()` are left out.
fn sorted_pairs(members: &Dynamic) -> Answer<String> {
    let pairs: Vec<String> = sorted(members)?
        .iter()
        .filter_map(|(name, value)| match value {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(format!("{name}={text}")),
            other => Some(format!("{name}={other}")),
        })
        .collect();
    Ok(pairs.join("&"))
}
