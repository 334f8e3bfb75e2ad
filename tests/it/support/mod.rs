//! What the tests share.

pub(crate) mod desk;
pub(crate) mod house;
#[cfg(feature = "cli")]
pub(crate) mod machine;
pub(crate) mod peer;
#[cfg(feature = "cli")]
pub(crate) mod shop;
pub(crate) mod stalling;
