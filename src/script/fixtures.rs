//! The recorded conversations that the shipped scripts and entries are tested with: what a script must make of what providers
//! really send (docs/fixtures.md). As files; `replay` reads them whole.

use include_dir::{Dir, include_dir};

/// A folder a provider.
pub static FIXTURES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixtures");
