//! Everything that is printed goes through here: a closed pipe is no panic, a stranger's text cannot drive the terminal, and
//! `--json` prints one document.

use super::error::Error;
use crate::model::is_presentable;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

/// Fewest columns of a terminal that a table is fitted into.
const NARROWEST: u16 = 60;

/// What a word in a table says about the thing: green, yellow, red.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Warning,
    Bad,
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub(super) struct Field {
    text: String,
    tone: Option<Tone>,
}

impl Field {
    /// A coloured word.
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone: Some(tone) }
    }
}

impl<T: Into<String>> From<T> for Field {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: None }
    }
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON is wanted.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// The columns of the terminal that standard output is, if it is one.
    pub(super) fn width(self) -> Option<usize> {
        Table::new().width().map(usize::from)
    }

    /// Prints a command's result: the document with `--json`, else the text.
    pub(super) fn result(self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Error> {
        if self.json {
            let text = serde_json::to_string_pretty(document);
            let text = text.map_err(|error| Error::System(format!("the result cannot be written as JSON: {error}")))?;
            write_out(&escaped(&text))
        } else {
            write_out(&fit(&text()))
        }
    }

    /// Prints one of many results as they come: a line of JSON with `--json`, else a line of text.
    pub(super) fn line(self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Error> {
        if self.json {
            let text = serde_json::to_string(document);
            let text = text.map_err(|error| Error::System(format!("the result cannot be written as JSON: {error}")))?;
            write_out(&escaped(&text))
        } else {
            write_out(&fit_line(&text()))
        }
    }

    /// Prints a table, or its rows as JSON. `empty` is said, as a note, when there are none.
    pub(super) fn table<const N: usize>(
        self,
        document: &impl Serialize,
        header: [&str; N],
        rows: Vec<[Field; N]>,
        empty: &str,
    ) -> Result<(), Error> {
        if self.json {
            return self.result(document, String::new);
        }
        if rows.is_empty() {
            self.note(empty);
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(header);
        // Squeezed into less, columns of a letter each would be left: a line that the terminal breaks is better.
        if table.width().is_some_and(|width| width >= NARROWEST) {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        let coloured = wants_colour();
        for row in rows {
            // Not `force_no_tty`, which would also give up the terminal's width.
            table.add_row(row.map(|field| cell(&field, coloured)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        // What a row is called is copied into the next command: never broken.
        if let Some(column) = table.column_mut(0) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        write_out(&table.trim_fmt())
    }

    /// Prints a text as it is: a secret that was asked for, a completion script. The caller has looked at what is in it.
    pub(super) fn verbatim(self, text: &str) -> Result<(), Error> {
        write_out(text)
    }

    /// Tells a person something on standard error, beside the result.
    pub(super) fn note(self, text: &str) {
        // Nobody listens where this fails, and the result counts.
        let _ = writeln!(std::io::stderr().lock(), "{}", fit(text));
    }

    /// Tells a person what they need in order to go on (a URL, a code): on standard output, where a pipe can take it; with
    /// `--json` on standard error, because standard output is for the one document.
    pub(super) fn hand_over(self, text: &str) -> Result<(), Error> {
        if self.json {
            self.note(text);
            return Ok(());
        }
        write_out(&fit(text))
    }

    /// Tells why a command failed.
    pub(super) fn error(self, code: &str, message: &str, retryable: bool) {
        let text = if self.json {
            escaped(&json!({ "error": { "code": code, "message": message, "retryable": retryable } }).to_string())
        } else {
            format!("grantkeeper: {}", fit(message))
        };
        // Nobody listens where this fails; the exit code says it too.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// Whether colours are welcome (<https://no-color.org>). Whether there is a terminal is another question.
pub(super) fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes a text and a line break, and sees them out. A full disk or a closed pipe is an error.
fn write_out(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).map_err(Error::Output)?;
    if !text.ends_with('\n') {
        out.write_all(b"\n").map_err(Error::Output)?;
    }
    out.flush().map_err(Error::Output)
}

fn cell(field: &Field, coloured: bool) -> Cell {
    let cell = Cell::new(fit_line(&field.text));
    match field.tone.filter(|_| coloured) {
        None => cell,
        Some(Tone::Good) => cell.fg(Color::Green),
        Some(Tone::Warning) => cell.fg(Color::Yellow),
        Some(Tone::Bad) => cell.fg(Color::Red),
    }
}

/// A text whose characters all show as themselves; line breaks stay.
fn fit(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || is_presentable(c) { c } else { ' ' }).collect()
}

fn fit_line(text: &str) -> String {
    text.chars().map(|c| if is_presentable(c) { c } else { ' ' }).collect()
}

/// JSON whose characters all show as themselves: what JSON may carry raw and a terminal would obey is escaped, so that the
/// value stays what it was.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_presentable(c) {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// Whether standard input is a terminal, at which a person sits.
pub(super) fn a_person_is_at_the_input() -> bool {
    std::io::stdin().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_drive_the_terminal() {
        assert_eq!(fit("a\x1b]0;x\x07\u{9b}2J\nb\u{202e}"), "a ]0;x  2J\nb ");
        assert_eq!(fit_line("a\nb"), "a b");
    }

    #[test]
    fn json_keeps_the_value_and_escapes_what_a_terminal_would_obey() {
        let value = json!({ "scope": "a\u{9b}2J\u{7f}\u{202e}\u{e0041}\u{e9}" });
        let text = escaped(&value.to_string());
        assert!(text.chars().all(is_presentable), "{text:?}");
        assert!(text.contains('\u{e9}'));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
