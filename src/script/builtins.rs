//! Built-in functions of Rhai that could grow a value out of proportion before Rhai looks at its size: here each checks
//! first. Registered after the packages, so they go before those of the same name and types.

use super::call::{Answer, Limit, charge, current, error, stop};
use super::weight::weigh;
use rhai::{Array, Dynamic, Engine, ImmutableString};

/// Takes the places of Rhai's own.
pub(super) fn register(engine: &mut Engine) {
    register_replace(engine);
    register_pad(engine);
    register_split(engine);
    engine.register_fn("to_chars", |text: &str| collect(text.chars().map(Into::into), text.len()));
    engine
        .register_fn("to_blob", |_: &str| -> Answer<()> { Err(error("there are no blobs of text; hash or sign it")) });
    engine.register_fn("join", join);
    for name in ["sleep", "timestamp", "eval"] {
        let absent = move || error(format!("scripts have no {name}"));
        engine.register_fn(name, move || -> Answer<()> { Err(absent()) });
        engine.register_fn(name, move |_: Dynamic| -> Answer<()> { Err(absent()) });
    }
}

fn register_replace(engine: &mut Engine) {
    engine.register_fn("replace", |text: &mut ImmutableString, find: &str, by: &str| replace(text, find, by));
    engine.register_fn("replace", |text: &mut ImmutableString, find: &str, by: char| {
        replace(text, find, by.encode_utf8(&mut [0; 4]))
    });
    engine.register_fn("replace", |text: &mut ImmutableString, find: char, by: &str| {
        replace(text, find.encode_utf8(&mut [0; 4]), by)
    });
    engine.register_fn("replace", |text: &mut ImmutableString, find: char, by: char| {
        replace(text, find.encode_utf8(&mut [0; 4]), by.encode_utf8(&mut [0; 4]))
    });
}

fn register_pad(engine: &mut Engine) {
    engine.register_fn("pad", |text: &mut ImmutableString, len: i64, by: &str| pad(text, len, by));
    engine.register_fn("pad", |text: &mut ImmutableString, len: i64, by: char| {
        pad(text, len, by.encode_utf8(&mut [0; 4]))
    });
    engine.register_fn("pad", |array: &mut Array, len: i64, item: Dynamic| -> Answer<()> {
        let missing = usize::try_from(len).unwrap_or(0).saturating_sub(array.len());
        if array.len() + missing > current()?.start.limits.array_size {
            return Err(stop(Limit::ArraySize));
        }
        // Copies of the item count with all that they hold.
        charge((missing as u64).saturating_mul(16 + weigh(&item).map_err(stop)?))?;
        array.resize(array.len() + missing, item);
        Ok(())
    });
}

fn register_split(engine: &mut Engine) {
    engine.register_fn("split", |text: &str| collect(text.split_whitespace().map(Into::into), text.len()));
    engine.register_fn("split", |text: &str, by: &str| collect(text.split(by).map(Into::into), text.len()));
    engine.register_fn("split", |text: &str, by: char| collect(text.split(by).map(Into::into), text.len()));
    engine.register_fn("split", |text: &str, by: &str, most: i64| {
        collect(text.splitn(at_least_one(most), by).map(Into::into), text.len())
    });
    engine.register_fn("split", |text: &str, by: char, most: i64| {
        collect(text.splitn(at_least_one(most), by).map(Into::into), text.len())
    });
    engine.register_fn("split_rev", |text: &str, by: &str| collect(text.rsplit(by).map(Into::into), text.len()));
    engine.register_fn("split_rev", |text: &str, by: char| collect(text.rsplit(by).map(Into::into), text.len()));
    engine.register_fn("split_rev", |text: &str, by: &str, most: i64| {
        collect(text.rsplitn(at_least_one(most), by).map(Into::into), text.len())
    });
    engine.register_fn("split_rev", |text: &str, by: char, most: i64| {
        collect(text.rsplitn(at_least_one(most), by).map(Into::into), text.len())
    });
}

fn at_least_one(most: i64) -> usize {
    usize::try_from(most).unwrap_or(1).max(1)
}

fn collect(parts: impl Iterator<Item = Dynamic>, bytes: usize) -> Answer<Array> {
    charge(bytes as u64)?;
    at_most(parts, current()?.start.limits.array_size).ok_or_else(|| stop(Limit::ArraySize))
}

/// The parts, or nothing where there are more; none beyond the first too many is ever made.
fn at_most(parts: impl Iterator<Item = Dynamic>, most: usize) -> Option<Array> {
    let array: Array = parts.take(most + 1).collect();
    (array.len() <= most).then_some(array)
}

fn replace(text: &mut ImmutableString, find: &str, by: &str) -> Answer<()> {
    // Counted first: each match grows the text by as much as `by` is longer.
    let matches = text.matches(find).count();
    let len = text.len() + matches.saturating_mul(by.len()) - matches * find.len();
    check_text(len)?;
    *text = text.replace(find, by).into();
    Ok(())
}

fn pad(text: &mut ImmutableString, len: i64, by: &str) -> Answer<()> {
    let missing = usize::try_from(len).unwrap_or(0).saturating_sub(text.chars().count());
    if missing == 0 || by.is_empty() {
        return Ok(());
    }
    check_text(text.len().saturating_add(missing.saturating_mul(4)))?;
    let mut padded = String::from(text.as_str());
    padded.extend(by.chars().cycle().take(missing));
    *text = padded.into();
    Ok(())
}

fn join(array: &mut Array, by: &str) -> Answer<String> {
    let mut joined = String::new();
    for (index, item) in array.iter().enumerate() {
        if index > 0 {
            joined.push_str(by);
        }
        match item.as_immutable_string_ref() {
            Ok(text) => joined.push_str(&text),
            Err(_) if item.is_int() || item.is_bool() || item.is_char() => joined.push_str(&item.to_string()),
            Err(_) => return Err(error(format!("join takes texts and numbers, not {}", item.type_name()))),
        }
        if joined.len() > current()?.start.limits.string_size {
            return Err(stop(Limit::StringSize));
        }
    }
    charge(joined.len() as u64)?;
    Ok(joined)
}

/// Whether a text of a length may be made.
fn check_text(len: usize) -> Answer<()> {
    if len > current()?.start.limits.string_size {
        return Err(stop(Limit::StringSize));
    }
    charge(len as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_is_made_beyond_the_first_too_many() {
        let parts = (0..).map(|n: i64| if n > 10 { panic!("made part {n}") } else { Dynamic::from(n) });
        assert!(at_most(parts, 10).is_none());
        assert_eq!(at_most([Dynamic::UNIT].into_iter(), 1).map(|array| array.len()), Some(1));
    }
}
