//! `script test`: fixtures replayed, and where one fails what was expected beside what was there.

use super::context::Context;
use super::error::Error;
use crate::replay::{self, Fixture, FixtureError, Line, Section};
use serde_json::json;
use std::path::PathBuf;

/// Replays fixtures with the scripts beside them, those of the home where there is one, and the shipped ones.
pub(super) async fn test(context: &Context, paths: &[PathBuf]) -> Result<(), Error> {
    let scripts = context.home()?.scripts();
    let scripts = scripts.is_dir().then_some(scripts);
    let fixtures = if paths.is_empty() { replay::shipped() } else { fixtures(paths)? };
    let width = context.output.width();
    let (mut lines, mut document, mut failed) = (String::new(), Vec::new(), 0);
    for fixture in &fixtures {
        let fixture = match fixture {
            Ok(fixture) => fixture,
            // One that cannot be read keeps no other from being replayed.
            Err(error) => {
                failed += 1;
                lines.push_str(&format!("FAILED {}\n{error}\n", error.name));
                document.push(json!({ "fixture": error.name, "passed": false, "problem": error.reason }));
                continue;
            }
        };
        let report = replay::replay(fixture, scripts.as_deref()).await;
        let passed = report.passed();
        failed += usize::from(!passed);
        lines.push_str(&format!("{} {}\n", if passed { "ok    " } else { "FAILED" }, fixture.name));
        if !passed {
            for section in report.sections.iter().filter(|section| section.differs()) {
                lines.push_str(&shown(section, width));
            }
        }
        let differences: Vec<_> = report.differences().collect();
        let sections = if passed { Vec::new() } else { report.sections };
        document.push(
            json!({ "fixture": fixture.name, "passed": passed, "differences": differences, "sections": sections }),
        );
    }
    lines.push_str(&format!("{} passed, {failed} failed", fixtures.len() - failed));
    context.output.result(&document, || lines)?;
    if failed == 0 { Ok(()) } else { Err(Error::FixturesFailed(failed)) }
}

/// The fixtures of files, and of folders and the folders in them.
fn fixtures(paths: &[PathBuf]) -> Result<Vec<Result<Fixture, FixtureError>>, Error> {
    let mut all = Vec::new();
    let mut left: Vec<PathBuf> = paths.to_vec();
    while let Some(path) = left.pop() {
        let trouble = |error: std::io::Error| Error::Input(format!("{} cannot be read: {error}", path.display()));
        if path.is_dir() {
            for entry in std::fs::read_dir(&path).map_err(trouble)? {
                let entry = entry.map_err(trouble)?.path();
                if entry.is_dir() || entry.extension().is_some_and(|end| end == "toml") {
                    left.push(entry);
                }
            }
        } else {
            all.push(Fixture::open(&path));
        }
    }
    if all.is_empty() {
        return Err(Error::Missing(
            "there is no fixture in what was named; a fixture is a .toml file, see docs/fixtures.md".to_owned(),
        ));
    }
    all.sort_by_key(|fixture| fixture.as_ref().map_or_else(|error| error.name.clone(), |fixture| fixture.name.clone()));
    Ok(all)
}

/// Fewest columns in which expected and actual stand side by side.
const SIDE_BY_SIDE: usize = 100;
/// Columns before the parts of a section.
const INDENT: &str = "         ";
/// Before a part that differs, and before one that does not.
const MARKS: [&str; 2] = ["≠ ", "  "];

/// A section that differs, with all its parts: what is right beside what is wrong often says why.
fn shown(section: &Section, width: Option<usize>) -> String {
    let mut text = format!("{INDENT}{}\n", section.title);
    let label = section.lines.iter().map(|line| line.what.chars().count()).max().unwrap_or_default();
    // Mark, label and two columns with two spaces between.
    let column = width
        .filter(|width| *width >= SIDE_BY_SIDE)
        .and_then(|width| width.checked_sub(INDENT.len() + 2 + label + 4))
        .map(|left| left / 2)
        .filter(|column| *column >= NARROWEST_COLUMN);
    if let Some(column) = column {
        let head = format!("{INDENT}  {:label$}  {:column$}  actual", "", "expected");
        text.push_str(&format!("{}\n", head.trim_end()));
    }
    for line in &section.lines {
        let mark = MARKS[usize::from(!line.differs)];
        match column {
            Some(column) => {
                let (expected, actual) = sides(line);
                let (left, right) = (broken(&expected, column), broken(&actual, column));
                for at in 0..left.len().max(right.len()) {
                    let what = if at == 0 { line.what.as_str() } else { "" };
                    let mark = if at == 0 { mark } else { MARKS[1] };
                    let part = |side: &[String]| side.get(at).cloned().unwrap_or_default();
                    let row = format!("{INDENT}{mark}{what:label$}  {:column$}  {}", part(&left), part(&right));
                    text.push_str(row.trim_end());
                    text.push('\n');
                }
            }
            None if line.differs => {
                let (expected, actual) = sides(line);
                text.push_str(&format!(
                    "{INDENT}{mark}{}\n{INDENT}    expected  {expected}\n{INDENT}    actual    {actual}\n",
                    line.what
                ));
            }
            None => {
                let actual = line.actual.as_deref().unwrap_or("nothing");
                text.push_str(&format!("{INDENT}{mark}{:label$}  {actual}\n", line.what));
            }
        }
    }
    text
}

/// Fewest characters of a column that can still be read.
const NARROWEST_COLUMN: usize = 20;

/// Both sides as they are shown: where the fixture says nothing of a part, it expects nothing particular.
fn sides(line: &Line) -> (String, String) {
    let none = || if line.differs { "nothing".to_owned() } else { String::new() };
    (line.expected.clone().unwrap_or_else(none), line.actual.clone().unwrap_or_else(|| "nothing".to_owned()))
}

/// A text in pieces of at most `width` characters; never none.
fn broken(text: &str, width: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = characters.chunks(width).map(|piece| piece.iter().collect()).collect();
    if pieces.is_empty() { vec![String::new()] } else { pieces }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Section {
        let line = |what: &str, expected: Option<&str>, actual: Option<&str>, differs| Line {
            what: what.to_owned(),
            expected: expected.map(str::to_owned),
            actual: actual.map(str::to_owned),
            differs,
        };
        Section {
            title: "request 1".to_owned(),
            lines: vec![
                line("method", Some("POST"), Some("POST"), false),
                line("parameter code", Some("‹code›"), None, true),
                line("parameter scope", None, Some(&"x".repeat(40)), false),
            ],
        }
    }

    #[test]
    fn a_wide_terminal_shows_both_sides_beside_each_other() {
        let text = shown(&section(), Some(100));
        insta::assert_snapshot!(text, @r"
                 request 1
                                    expected                             actual
                   method           POST                                 POST
                 ≠ parameter code   ‹code›                               nothing
                   parameter scope                                       xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
                                                                         xxxxx
        ");
        assert!(text.lines().all(|line| line.chars().count() <= 100));
    }

    #[test]
    fn a_narrow_one_shows_them_below_each_other() {
        let text = shown(&section(), None);
        insta::assert_snapshot!(text, @r"
                 request 1
                   method           POST
                 ≠ parameter code
                     expected  ‹code›
                     actual    nothing
                   parameter scope  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        ");
        assert_eq!(shown(&section(), Some(99)), text);
    }
}
