//! Grants that move: in from a file of refresh tokens ([`GrantReader`], [`Connector::import`](super::Connector::import)), out
//! and in again as an export that is sealed for another home ([`ExportWriter`], [`ExportReader`]). Files are read and written
//! line by line: none is ever held in memory.

mod column;
mod export;
mod grant;
mod import;
mod line;
mod plan;
mod reader;
mod sealed;

pub use export::{ExportPage, LeftOut};
pub use grant::{Grant, HeldToken, Tokens};
pub use import::{ImportOptions, Outcome};
pub use line::Defaults;
pub use reader::{FileFormat, GrantReader, Line, ReadError};
pub use sealed::{ExportError, ExportReader, ExportWriter};
