//! OAuth API scripts: small Rhai files that bend a request or a reply to a provider's habits. This room loads them,
//! runs their hooks within hard limits on threads of its own, and hands their changes back. May use `http`, `oauth` and
//! `model`.

mod builtins;
mod call;
mod compile;
mod context;
mod default_reading;
mod dialect;
mod engine;
mod error;
mod fixtures;
mod helpers;
mod hooks;
mod library;
mod objects;
mod params;
mod pool;
mod redact;
mod settings;
mod values;
mod weight;

#[cfg(test)]
mod tests;

pub use context::{Allowed, Context, ExtraCalls, Kept, Reading, Watched};
pub use error::{Broke, Declared, Problem, ScriptError};
pub use fixtures::FIXTURES;
pub use hooks::Script;
pub use library::{Origin, ScriptInfo, Scripts};
pub use settings::Settings;
