//! Who may do what. May use `vault` and below.

mod caller;

pub use crate::model::{Allowance, ApiKey, KeyName, KeyState, Reach, Right};
pub use caller::{Caller, Need};
