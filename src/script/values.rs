//! Values between Rhai and JSON, and values that secrets may be part of.

use super::call::{Answer, Limit, charge, current, error, stop};
use super::params::ParamMap;
use super::weight::DEEPEST;
use crate::model::Secret;
use crate::oauth::Value;
use rhai::{Dynamic, Map};
use std::fmt;
use zeroize::Zeroizing;

/// A named secret in a script's hands: it can be hashed, signed with and sent, and never becomes a text.
#[derive(Clone)]
pub(super) struct Handle(pub(super) Secret);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// JSON as a script sees it: objects are maps, sorted by name; `null` is `()`.
pub(super) fn from_json(value: &Value) -> Answer<Dynamic> {
    let limits = current()?.start.limits;
    let mut room = Room { array: limits.array_size, map: limits.map_size, text: limits.string_size };
    let before = room;
    let made = room.read(value, 0)?;
    let items = (before.array - room.array) + 3 * (before.map - room.map);
    charge((before.text - room.text + 16 * items) as u64)?;
    Ok(made)
}

/// What a value may still take up.
#[derive(Clone, Copy)]
struct Room {
    array: usize,
    map: usize,
    text: usize,
}

impl Room {
    fn read(&mut self, value: &Value, depth: usize) -> Answer<Dynamic> {
        // One less than scripts may nest, so that the result can be put into something.
        if depth >= DEEPEST - 1 {
            return Err(stop(Limit::Nesting));
        }
        Ok(match value {
            Value::Null => Dynamic::UNIT,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => whole.into(),
                (None, Some(float)) => float.into(),
                (None, None) => Dynamic::UNIT,
            },
            Value::String(text) => {
                self.text = self.text.checked_sub(text.len()).ok_or_else(|| stop(Limit::StringSize))?;
                text.into()
            }
            Value::Array(list) => {
                self.array = self.array.checked_sub(list.len()).ok_or_else(|| stop(Limit::ArraySize))?;
                list.iter().map(|item| self.read(item, depth + 1)).collect::<Answer<rhai::Array>>()?.into()
            }
            Value::Object(object) => {
                self.map = self.map.checked_sub(object.len()).ok_or_else(|| stop(Limit::MapSize))?;
                let mut map = Map::new();
                for (name, value) in object {
                    self.text = self.text.checked_sub(name.len()).ok_or_else(|| stop(Limit::StringSize))?;
                    map.insert(name.as_str().into(), self.read(value, depth + 1)?);
                }
                map.into()
            }
        })
    }
}

/// A script's value as JSON. A secret is none.
pub(super) fn to_json(value: &Dynamic) -> Answer<Value> {
    charge(super::weight::weigh(value).map_err(stop)?)?;
    plain(value)
}

// Depth is bounded: `to_json` has weighed the value.
fn plain(value: &Dynamic) -> Answer<Value> {
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(Value::String(text.as_str().to_owned()));
    }
    if let Ok(whole) = value.as_int() {
        return Ok(whole.into());
    }
    if let Ok(truth) = value.as_bool() {
        return Ok(truth.into());
    }
    if let Ok(float) = value.as_float() {
        let number = serde_json::Number::from_f64(float);
        return number
            .map(Value::Number)
            .ok_or_else(|| error("a number that is none (NaN) or endless cannot be written"));
    }
    if let Ok(c) = value.as_char() {
        return Ok(Value::String(c.into()));
    }
    if let Ok(array) = value.as_array_ref() {
        return array.iter().map(plain).collect::<Answer<Vec<_>>>().map(Value::Array);
    }
    if let Ok(map) = value.as_map_ref() {
        let members = map.iter().map(|(name, item)| Ok((name.to_string(), plain(item)?)));
        return members.collect::<Answer<serde_json::Map<_, _>>>().map(Value::Object);
    }
    if let Some(map) = value.read_lock::<ParamMap>() {
        return map.to_object().map(Value::Object);
    }
    if value.is::<Handle>() {
        return Err(error("a secret cannot become text; put it into a token request, hash it or sign with it"));
    }
    Err(error(format!("{} cannot be written as text or JSON", value.type_name())))
}

/// The bytes of a text, a digest, a secret, or a list of those one after the other.
pub(super) fn bytes_of(value: &Dynamic) -> Answer<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    charge(super::weight::weigh(value).map_err(stop)?)?;
    push_bytes(value, &mut bytes)?;
    Ok(bytes)
}

fn push_bytes(value: &Dynamic, bytes: &mut Vec<u8>) -> Answer<()> {
    if let Ok(text) = value.as_immutable_string_ref() {
        bytes.extend_from_slice(text.as_bytes());
    } else if let Ok(blob) = value.as_blob_ref() {
        bytes.extend_from_slice(&blob);
    } else if let Some(handle) = value.read_lock::<Handle>() {
        bytes.extend_from_slice(handle.0.expose().as_bytes());
    } else if let Ok(whole) = value.as_int() {
        bytes.extend_from_slice(whole.to_string().as_bytes());
    } else if let Ok(array) = value.as_array_ref() {
        for item in array.iter() {
            push_bytes(item, bytes)?;
        }
    } else {
        let kind = value.type_name();
        return Err(error(format!("a text, a digest, a secret or a list of those is wanted where {kind} stands")));
    }
    Ok(())
}

/// A text that may hold secrets, and whether it does: a text, a number, a secret, or a list of those.
pub(super) fn sendable(value: &Dynamic) -> Answer<(Zeroizing<String>, bool)> {
    let bytes = bytes_of(value)?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| error("bytes cannot be sent as text; write them as hex or base64"))?;
    Ok((Zeroizing::new(text.to_owned()), holds_secret(value)))
}

fn holds_secret(value: &Dynamic) -> bool {
    value.is::<Handle>() || value.as_array_ref().is_ok_and(|array| array.iter().any(holds_secret))
}
