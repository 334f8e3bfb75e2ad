//! Grants that move in.

use crate::connector::{Grant, ImportOptions};
use serde::{Deserialize, Serialize};

/// Grants to take over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// The grants, with their tokens.
    pub grants: Vec<Grant>,
    /// How they are taken over.
    pub options: ImportOptions,
}
