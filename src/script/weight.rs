//! What a value weighs. Rhai limits the size of one value but not how many there are, does not count the keys of maps,
//! and would follow a value nested thousands deep down the stack. So each variable is weighed as it is used: a value
//! that is too deep is refused, and the weights add up to what the hook may move in all.

use super::call::Limit;
use rhai::Dynamic;

/// Deepest nesting of arrays and maps. Cloning, comparing and dropping a value recurse that deep.
pub(super) const DEEPEST: usize = 64;

/// Bytes of one item: a `Dynamic`, and its share of the container.
const ITEM: u64 = 16;
const MEMBER: u64 = 48;

/// The bytes that copying a value takes, about.
pub(super) fn weigh(value: &Dynamic) -> Result<u64, Limit> {
    weigh_at(value, 0)
}

fn weigh_at(value: &Dynamic, depth: usize) -> Result<u64, Limit> {
    if depth > DEEPEST {
        return Err(Limit::Nesting);
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(text.len() as u64);
    }
    if let Ok(array) = value.as_array_ref() {
        return array.iter().try_fold(0, |sum, item| Ok(sum + ITEM + weigh_at(item, depth + 1)?));
    }
    if let Ok(map) = value.as_map_ref() {
        return map
            .iter()
            .try_fold(0, |sum, (key, item)| Ok(sum + MEMBER + key.len() as u64 + weigh_at(item, depth + 1)?));
    }
    if let Ok(blob) = value.as_blob_ref() {
        return Ok(blob.len() as u64);
    }
    Ok(0)
}
