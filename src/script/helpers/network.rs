//! `http_get` and `http_post`: at most two a chain, to the application's hosts, within the deadline.

use crate::oauth::Value;
use crate::script::call::{Answer, charge, current, error};
use crate::script::objects::{ReplyHandle, allowed_url, checked_header};
use crate::script::params::ParamMap;
use crate::script::values::{from_json, sendable, to_json};
use rhai::{Dynamic, Engine, Map};
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

pub(super) fn register(engine: &mut Engine) {
    engine.register_fn("http_get", |url: &str| get(url, &Dynamic::UNIT, &Map::new()));
    engine.register_fn("http_get", |url: &str, query: Dynamic| get(url, &query, &Map::new()));
    engine.register_fn("http_get", |url: &str, query: Dynamic, headers: Map| get(url, &query, &headers));
    engine.register_fn("http_post", |url: &str, body: Dynamic| post(url, &body, &Map::new()));
    engine.register_fn("http_post", |url: &str, body: Dynamic, headers: Map| post(url, &body, &headers));
}

/// Headers of the message's frame.
const FRAME: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "accept-encoding"];

fn get(url: &str, query: &Dynamic, headers: &Map) -> Answer<ReplyHandle> {
    let call = current()?;
    let mut url = allowed_url(&call, url)?;
    let members = members(query)?;
    if !members.is_empty() {
        url.query_pairs_mut().extend_pairs(members.iter().map(|(name, value)| (name, value.as_str())));
    }
    send(http::Request::get(url.as_str()), headers, None, Vec::new())
}

fn post(url: &str, body: &Dynamic, headers: &Map) -> Answer<ReplyHandle> {
    let url = allowed_url(&current()?, url)?;
    let json = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("content-type")
            && value.as_immutable_string_ref().is_ok_and(|kind| kind.contains("json"))
    });
    let (bytes, kind) = if let Ok(text) = body.as_immutable_string_ref() {
        (text.as_bytes().to_vec(), "application/x-www-form-urlencoded")
    } else if json {
        let members = members_as_json(body)?;
        (Value::Object(members).to_string().into_bytes(), "application/json")
    } else {
        let mut form = Serializer::new(String::new());
        for (name, value) in members(body)? {
            form.append_pair(&name, &value);
        }
        (form.finish().into_bytes(), "application/x-www-form-urlencoded")
    };
    send(http::Request::post(url.as_str()), headers, Some(kind), bytes)
}

fn send(
    mut request: http::request::Builder,
    headers: &Map,
    content_type: Option<&str>,
    body: Vec<u8>,
) -> Answer<ReplyHandle> {
    let call = current()?;
    call.take_extra_call()?;
    charge(body.len() as u64)?;
    let mut has_type = false;
    for (name, value) in headers {
        let (text, secret) = sendable(value)?;
        let (name, text) = checked_header(name, &text)?;
        if FRAME.contains(&name.as_str()) {
            return Err(error(format!("header {name} is written by the client, not by scripts")));
        }
        if secret || name == "authorization" {
            call.masks.borrow_mut().add(&text);
        }
        has_type |= name == "content-type";
        request = request.header(name, text);
    }
    if let Some(kind) = content_type.filter(|_| !has_type) {
        request = request.header("content-type", kind);
    }
    let request = request.body(body).map_err(|_| error("the extra call could not be written; look at its headers"))?;
    let Some(calls) = call.start.context.calls.clone() else {
        return Err(error("this hook cannot make extra calls here"));
    };
    let host = request.uri().host().unwrap_or_default().to_owned();
    // Blocks this script thread only, and never beyond the hook's deadline.
    let left = call.time_left();
    let reply = call.start.runtime.block_on(async { tokio::time::timeout(left, calls(request)).await });
    match reply {
        Ok(Ok(raw)) => Ok(ReplyHandle::new(raw, &call)),
        Ok(Err(sentence)) => Err(error(format!("the extra call to {host} failed: {}", call.clean(&sentence)))),
        Err(_) => Err(error(format!("the extra call to {host} took longer than the hook may"))),
    }
}

/// Names and values to send; secrets may be among them.
fn members(value: &Dynamic) -> Answer<Vec<(String, Zeroizing<String>)>> {
    if value.is_unit() {
        return Ok(Vec::new());
    }
    if let Some(params) = value.read_lock::<ParamMap>() {
        let params = params.finish()?;
        return params.iter().map(|(name, value)| Ok((name.to_owned(), sendable(&from_json(value)?)?.0))).collect();
    }
    let map = value.as_map_ref().map_err(|kind| error(format!("a map of parameters is wanted where {kind} stands")))?;
    map.iter()
        .filter(|(_, value)| !value.is_unit())
        .map(|(name, value)| Ok((name.to_string(), sendable(value)?.0)))
        .collect()
}

fn members_as_json(value: &Dynamic) -> Answer<serde_json::Map<String, Value>> {
    if let Some(params) = value.read_lock::<ParamMap>() {
        return params.finish().map(crate::oauth::Params::into_object);
    }
    let map = value.as_map_ref().map_err(|kind| error(format!("a map of parameters is wanted where {kind} stands")))?;
    map.iter()
        .map(|(name, value)| {
            let value = match sendable(value) {
                Ok((text, true)) => Value::String(text.as_str().to_owned()),
                _ => to_json(value)?,
            };
            Ok((name.to_string(), value))
        })
        .collect()
}
