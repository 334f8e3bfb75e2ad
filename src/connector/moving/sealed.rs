//! An export: a file of grants that are sealed for another home. Its first line names it; each further line is a sealed
//! record, bound to the export and to its place in it; the last one counts them. So a record that is changed, left out, put
//! elsewhere or taken from another export does not open, and a file that was cut off has no end.

use super::Grant;
use crate::seal::{Binding, Keyring, RecordKind, SealError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read as _, Write};
use uuid::Uuid;
use zeroize::Zeroizing;

/// How the first line begins.
pub(super) const HEAD: &str = "{\"grantkeeper_export\":";
/// The version of the format, in the first line.
const VERSION: u32 = 1;
/// Bytes of the longest line: a sealed grant with 16 further tokens and all their fields, in base64.
const MOST_LINE_BYTES: usize = 4 * 1024 * 1024;

/// Why an export cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file.
    #[error("the export cannot be {action}: {error}")]
    Io {
        /// `read` or `written`.
        action: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// It does not begin as an export does.
    #[error("it is no export that this version reads; one begins with {HEAD}{VERSION}")]
    NotAnExport,
    /// A record that does not open.
    #[error(
        "line {line} of the export does not open ({error}): it was changed, moved, or sealed for another key; nothing after it can be trusted, get the whole file again"
    )]
    DoesNotOpen {
        /// Its line.
        line: u64,
        /// Why.
        error: SealError,
    },
    /// A line that is no record.
    #[error("line {0} of the export is no record; get the whole file again")]
    NoRecord(u64),
    /// The last record is not there.
    #[error("the export ends after {0} grants, in the midst of it: it was cut off; get the whole file again")]
    CutOff(u64),
    /// Something after the last record.
    #[error("the export goes on after its end, at line {0}; get the whole file again")]
    TooLong(u64),
    /// Sealing.
    #[error(transparent)]
    Seal(#[from] SealError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    grantkeeper_export: u32,
    id: Uuid,
}

/// What a line holds, sealed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Grant(Box<Grant>),
    End { grants: u64 },
}

/// Writes an export.
pub struct ExportWriter<'a, W> {
    out: W,
    keyring: &'a Keyring,
    id: Uuid,
    written: u64,
}

impl<'a, W: Write> ExportWriter<'a, W> {
    /// Begins an export that is sealed for a keyring.
    ///
    /// # Errors
    /// When nothing can be written.
    pub fn begin(mut out: W, keyring: &'a Keyring) -> Result<Self, ExportError> {
        let id = Uuid::new_v4();
        writeln!(out, "{HEAD}{VERSION},\"id\":\"{id}\"}}").map_err(not_written)?;
        Ok(Self { out, keyring, id, written: 0 })
    }

    /// Adds a grant.
    ///
    /// # Errors
    /// When it cannot be sealed or written.
    pub fn put(&mut self, grant: Grant) -> Result<(), ExportError> {
        self.line(self.written + 1, &Record::Grant(Box::new(grant)))?;
        self.written += 1;
        Ok(())
    }

    /// Ends the export; one that is not ended is refused by whoever reads it.
    ///
    /// # Errors
    /// When it cannot be sealed or written.
    pub fn end(mut self) -> Result<W, ExportError> {
        self.line(self.written + 1, &Record::End { grants: self.written })?;
        self.out.flush().map_err(not_written)?;
        Ok(self.out)
    }

    fn line(&mut self, place: u64, record: &Record) -> Result<(), ExportError> {
        // Grows inside its wrapping: a buffer that moves while it grows would leave copies behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(16 * 1024));
        serde_json::to_writer(&mut *plain, record).map_err(|error| not_written(error.into()))?;
        let sealed = self.keyring.seal(&binding(self.id, place), &plain)?;
        writeln!(self.out, "{}", STANDARD.encode(sealed)).map_err(not_written)
    }
}

/// Reads an export, grant by grant. It was whole when this ended without an error, and not before.
pub struct ExportReader<'a, R> {
    input: R,
    keyring: &'a Keyring,
    id: Uuid,
    read: u64,
    over: bool,
}

impl<'a, R: BufRead> ExportReader<'a, R> {
    /// Begins to read.
    ///
    /// # Errors
    /// When it is no export.
    pub fn begin(mut input: R, keyring: &'a Keyring) -> Result<Self, ExportError> {
        let head = line(&mut input)?.ok_or(ExportError::NotAnExport)?;
        let head: Head = serde_json::from_slice(&head).map_err(|_| ExportError::NotAnExport)?;
        if head.grantkeeper_export != VERSION {
            return Err(ExportError::NotAnExport);
        }
        Ok(Self { input, keyring, id: head.id, read: 0, over: false })
    }

    fn record(&mut self) -> Result<Option<Grant>, ExportError> {
        let place = self.read + 1;
        // The first line is the head.
        let number = place + 1;
        let text = line(&mut self.input)?.ok_or(ExportError::CutOff(self.read))?;
        let sealed = STANDARD.decode(&text).map_err(|_| ExportError::NoRecord(number))?;
        let plain = self.keyring.open(&binding(self.id, place), &sealed);
        let plain = plain.map_err(|error| ExportError::DoesNotOpen { line: number, error })?;
        match serde_json::from_slice(&plain).map_err(|_| ExportError::NoRecord(number))? {
            Record::Grant(grant) => {
                self.read = place;
                Ok(Some(*grant))
            }
            Record::End { grants } if grants != self.read => Err(ExportError::NoRecord(number)),
            Record::End { .. } => match line(&mut self.input)? {
                None => Ok(None),
                Some(_) => Err(ExportError::TooLong(number + 1)),
            },
        }
    }
}

impl<R: BufRead> Iterator for ExportReader<'_, R> {
    type Item = Result<Grant, ExportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.record().transpose();
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

fn binding(export: Uuid, place: u64) -> Binding {
    Binding { kind: RecordKind::Export, owner: export, record: Uuid::nil(), generation: place }
}

/// The next line without its break; `None` at the end.
fn line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, ExportError> {
    let mut text = Vec::new();
    let most = MOST_LINE_BYTES as u64;
    input.take(most).read_until(b'\n', &mut text).map_err(|error| ExportError::Io { action: "read", error })?;
    match text.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(text)),
        // The last line of a file that was cut off in it, or one longer than any.
        Some(last) => {
            text.push(last);
            Ok(Some(text))
        }
    }
}

fn not_written(error: std::io::Error) -> ExportError {
    ExportError::Io { action: "written", error }
}
