//! Sealing: nothing secret reaches a store, a journal or a file but through here. May use `model` only.
//!
//! A [`Keyring`] seals a record under its current key (XAES-256-GCM, <https://c2sp.org/XAES-256-GCM>) and opens what any of
//! its keys sealed. The additional data is the record's [`Binding`]: what was sealed for one record opens as no other.

mod binding;
mod cipher;
mod error;
mod file;
mod key;
mod keyring;

pub use binding::{Binding, RecordKind};
pub use error::SealError;
pub use key::{KeyId, KeyIdError, KeyInfo};
pub use keyring::Keyring;

#[cfg(test)]
mod tests;
