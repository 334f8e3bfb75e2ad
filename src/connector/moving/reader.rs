//! A file of grants, line by line: CSV with a header line, or a JSON object a line.

use super::Grant;
use super::column::Column;
use super::line::{Defaults, Draft, Reason};
use csv::{ByteRecord, ReaderBuilder};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io::{BufRead, Read};
use zeroize::Zeroizing;

/// How a file of grants is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma-separated values (RFC 4180) with a header line.
    Csv,
    /// A JSON object a line.
    JsonLines,
    /// What [`ExportWriter`](super::ExportWriter) writes.
    Export,
}

/// One line, and what was read of it.
#[derive(Debug)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// The grant, or why it is none; no reason holds anything of a cell.
    pub grant: Result<Grant, String>,
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The header line of a CSV file.
    #[error("the header line is not as it should be: {0}")]
    Header(String),
    /// A line without end.
    #[error("line {line} is longer than {most} bytes; a quote may be missing its end")]
    TooLong {
        /// Where it begins.
        line: u64,
        /// Bytes of the longest line.
        most: usize,
    },
    /// The file itself.
    #[error("it cannot be read: {0}")]
    Io(std::io::Error),
}

/// Bytes of the longest line: several times what the largest tokens and all fields take.
const MOST_LINE_BYTES: usize = 256 * 1024;
/// What the CSV reader takes ahead, in bytes.
const AHEAD: usize = 8 * 1024;

/// Reads grants from a file, one line at a time.
pub struct GrantReader<R> {
    lines: Lines<R>,
    defaults: Defaults,
    /// Which line has which name, by the name's hash: a million names take some tens of megabytes less so.
    seen: HashMap<u64, u64>,
    hasher: RandomState,
    over: bool,
}

/// A line's number, and what was read of it.
type Numbered = (u64, Result<Draft, Reason>);

enum Lines<R> {
    Csv { reader: Box<csv::Reader<Capped<R>>>, columns: Vec<Column>, record: ByteRecord },
    Json { input: R, number: u64, line: Zeroizing<Vec<u8>> },
}

impl FileFormat {
    /// The format that the first bytes of a file show.
    #[must_use]
    pub fn of(start: &[u8]) -> Self {
        let start = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start).trim_ascii_start();
        match start.first() {
            Some(b'{') if start.starts_with(super::sealed::HEAD.as_bytes()) => Self::Export,
            Some(b'{') => Self::JsonLines,
            _ => Self::Csv,
        }
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<R: BufRead> GrantReader<R> {
    /// Starts to read CSV.
    ///
    /// # Errors
    /// When the header line names what is not known, or lacks what is needed.
    pub fn csv(input: R, defaults: Defaults) -> Result<Self, ReadError> {
        let capped = Capped { input, left: MOST_LINE_BYTES + AHEAD };
        let mut reader = Box::new(
            ReaderBuilder::new()
                .flexible(true)
                // The other half of a CRLF is white space, and cells are trimmed: so that lines are counted by their `\n`.
                .terminator(csv::Terminator::Any(b'\n'))
                .buffer_capacity(AHEAD)
                .from_reader(capped),
        );
        let header = reader.byte_headers().map_err(|error| of_csv(error, 1))?;
        let columns = columns(header).map_err(ReadError::Header)?;
        Ok(Self::over(Lines::Csv { reader, columns, record: ByteRecord::new() }, defaults))
    }

    /// Starts to read JSON lines.
    #[must_use]
    pub fn json_lines(input: R, defaults: Defaults) -> Self {
        // Reserved whole: growing would leave copies of tokens behind in freed memory.
        let line = Zeroizing::new(Vec::with_capacity(MOST_LINE_BYTES + 2));
        Self::over(Lines::Json { input, number: 0, line }, defaults)
    }

    fn over(lines: Lines<R>, defaults: Defaults) -> Self {
        Self { lines, defaults, seen: HashMap::new(), hasher: RandomState::new(), over: false }
    }

    fn read(&mut self) -> Result<Option<Numbered>, ReadError> {
        match &mut self.lines {
            Lines::Csv { reader, columns, record } => loop {
                let next = reader.position().line();
                reader.get_mut().left = MOST_LINE_BYTES + AHEAD;
                if !reader.read_byte_record(record).map_err(|error| of_csv(error, next))? {
                    return Ok(None);
                }
                // A line of white space is none, as in JSON lines.
                if record.len() == 1 && record[0].trim_ascii().is_empty() {
                    continue;
                }
                // Counted from the record's end, for blank lines stand before it; the last one may have no line break.
                let within = record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
                let number = reader.position().line() - within - u64::from(!reader.is_done());
                return Ok(Some((number, of_record(columns, record))));
            },
            Lines::Json { input, number, line } => loop {
                *number += 1;
                line.clear();
                let most = MOST_LINE_BYTES as u64 + 1;
                if input.by_ref().take(most).read_until(b'\n', line).map_err(ReadError::Io)? == 0 {
                    return Ok(None);
                }
                if line.len() > MOST_LINE_BYTES && !line.ends_with(b"\n") {
                    pass_the_line(input).map_err(ReadError::Io)?;
                    return Ok(Some((*number, Err(format!("it is longer than {MOST_LINE_BYTES} bytes")))));
                }
                let all: &[u8] = line;
                let text = all.strip_prefix(BYTE_ORDER_MARK).filter(|_| *number == 1).unwrap_or(all);
                if !text.trim_ascii().is_empty() {
                    return Ok(Some((*number, Draft::of_json(text.trim_ascii()))));
                }
            },
        }
    }

    /// Refuses a name that an earlier line has: which of the two is meant, nobody can tell.
    fn once(&mut self, grant: Grant, number: u64) -> Result<Grant, Reason> {
        let first = *self.seen.entry(self.hasher.hash_one(&grant.name)).or_insert(number);
        if first == number { Ok(grant) } else { Err(format!("its name stands in line {first} already")) }
    }
}

impl<R: BufRead> Iterator for GrantReader<R> {
    type Item = Result<Line, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        match self.read() {
            Ok(Some((number, draft))) => {
                let grant = draft.and_then(|draft| draft.grant(&self.defaults));
                Some(Ok(Line { number, grant: grant.and_then(|grant| self.once(grant, number)) }))
            }
            Ok(None) => None,
            Err(error) => {
                self.over = true;
                Some(Err(error))
            }
        }
    }
}

fn columns(header: &ByteRecord) -> Result<Vec<Column>, Reason> {
    let mut columns = Vec::new();
    for (cell, number) in header.iter().zip(1..) {
        let name = std::str::from_utf8(cell).map_err(|_| format!("column {number} is not UTF-8 text"))?;
        let column = Column::of_csv(name.trim()).map_err(|reason| format!("the name of column {number} {reason}"))?;
        if columns.contains(&column) {
            return Err(format!("column {number} has the name of an earlier one"));
        }
        columns.push(column);
    }
    if !columns.contains(&Column::Name) {
        return Err("there is no column `name`".to_owned());
    }
    if !columns.iter().any(|column| matches!(column, Column::RefreshToken | Column::AccessToken)) {
        return Err("there is no column `refresh_token`".to_owned());
    }
    Ok(columns)
}

fn of_record(columns: &[Column], record: &ByteRecord) -> Result<Draft, Reason> {
    if record.len() != columns.len() {
        return Err(format!("it has {} cells, and the header has {}", record.len(), columns.len()));
    }
    let mut draft = Draft::default();
    for (column, cell) in columns.iter().zip(record) {
        let text = std::str::from_utf8(cell).map_err(|_| format!("{} is not UTF-8 text", column.as_str()))?;
        draft.cell(column, text)?;
    }
    Ok(draft)
}

fn pass_the_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let piece = input.fill_buf()?;
        let (length, ends) = match piece.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (piece.len(), piece.is_empty()),
        };
        input.consume(length);
        if ends {
            return Ok(());
        }
    }
}

fn of_csv(error: csv::Error, line: u64) -> ReadError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => {
            if let Some(inner) = error.get_ref()
                && inner.is::<LineTooLong>()
            {
                return ReadError::TooLong { line, most: MOST_LINE_BYTES };
            }
            ReadError::Io(error)
        }
        // What other kinds there are needs records of one length, or UTF-8.
        _ => ReadError::Io(std::io::Error::other("it is no CSV")),
    }
}

/// Lets one record have so much and no more: a quote that is never closed would take the rest of the file for a cell.
struct Capped<R> {
    input: R,
    left: usize,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Err(std::io::Error::other(LineTooLong));
        }
        let most = buffer.len().min(self.left);
        let length = self.input.read(&mut buffer[..most])?;
        self.left -= length;
        Ok(length)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a line without end")]
struct LineTooLong;
