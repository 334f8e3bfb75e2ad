//! Calls that take long tell how far they are: lines of JSON, of which the last is the result or the problem.

use super::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line of a long call. A stream that ends without a result or a problem was cut off half-way.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Line<P, T> {
    /// How far it is.
    Progress(P),
    /// What it came to; the last line.
    Result(T),
    /// Why it did not come to its end; the last line.
    Problem(Box<Problem>),
}
