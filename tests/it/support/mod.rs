//! What the tests share.

#[cfg(feature = "cli")]
pub(crate) mod daemon;
pub(crate) mod desk;
pub(crate) mod house;
#[cfg(feature = "cli")]
pub(crate) mod machine;
pub(crate) mod outside;
pub(crate) mod peer;
#[cfg(feature = "cli")]
pub(crate) mod shop;
pub(crate) mod stalling;
