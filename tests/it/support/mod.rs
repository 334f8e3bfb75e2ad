//! What the tests share.

pub(crate) mod desk;
pub(crate) mod peer;
