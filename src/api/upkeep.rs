//! The keys and the store.

use crate::seal::{KeyId, KeyInfo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The keys in use, and how many records name each; a key that is named and not held is among the latter.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KeysDocument {
    /// The keys, without their secrets.
    pub keys: Vec<KeyInfo>,
    /// How many records name a key.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub records: BTreeMap<KeyId, u64>,
}

/// Asks for a new key in the old one's place.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    /// Records of one batch.
    pub batch: usize,
}

/// Asks for a copy of the store.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// The folder to make, as an absolute path on the daemon's machine.
    pub folder: PathBuf,
}
