//! Grants that move in.

use crate::connector::{Grant, ImportOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Grants to take over.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// The grants, with their tokens.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub grants: Vec<Grant>,
    /// How they are taken over.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    pub options: ImportOptions,
}
