//! Applications and profiles as people write them (TOML), and the provider catalog. Pure: no file, no network, no clock.
//! May use `model` only.
//!
//! A provider entry and an application are written in one vocabulary ([`Settings`]); an application names an entry and
//! overrides what it must. `docs/providers.md` explains each key.

mod catalog;
mod draft;
mod error;
mod export;
mod habits;
mod keys;
mod nearest;
mod reader;
mod secrets;
mod settings;
mod variable;

pub use catalog::{Catalog, PageRead, Provider};
pub use draft::{Draft, parse_application, parse_application_without};
pub(crate) use error::wrong_in;
pub use error::{Place, RegistryError};
pub use export::export;
pub use keys::KEYS;
pub(crate) use nearest::nearest;
pub use secrets::SecretSource;
pub use settings::{ProfileSettings, Settings};
pub use variable::{Variable, is_value};

#[cfg(test)]
mod tests;
