//! Recorded replies to try a script with: those of the fixtures.

use crate::model::GrantType;
use crate::script::FIXTURES;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A reply of a fixture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    /// What it shows, in a sentence.
    pub(super) about: String,
    /// The grant that was asked with.
    pub(super) grant: GrantType,
    /// As `curl -i` would print it.
    pub(super) text: String,
}

/// As much of a fixture as is needed here; `replay` knows the rest.
#[derive(Deserialize)]
struct Fixture {
    about: String,
    grant: GrantType,
    #[serde(default, rename = "exchange")]
    exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Exchange {
    reply: Reply,
}

#[derive(Deserialize)]
struct Reply {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

/// The names of the fixtures, `PROVIDER/NAME`.
pub(super) fn names() -> Vec<String> {
    let files = FIXTURES.dirs().flat_map(include_dir::Dir::files);
    let mut names: Vec<String> =
        files.filter_map(|file| file.path().to_str()?.strip_suffix(".toml").map(str::to_owned)).collect();
    names.sort();
    names
}

/// The first reply of a fixture that is text.
pub(super) fn find(name: &str) -> Option<Sample> {
    // Only a file that is there: the name is no path of anything else.
    let text = FIXTURES.get_file(format!("{name}.toml"))?.contents_utf8()?;
    let Fixture { about, grant, exchanges } = toml::from_str(text).ok()?;
    let Reply { status, headers, body } =
        exchanges.into_iter().map(|it| it.reply).find(|reply| reply.body.is_some())?;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    Some(Sample { about, grant, text: format!("HTTP/1.1 {status}\n{headers}\n{}", body.unwrap_or_default().trim()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::read_reply_file;

    #[test]
    fn every_fixture_has_a_reply_to_try_or_none_that_is_text() {
        let names = names();
        let samples: Vec<Sample> = names.iter().filter_map(|name| find(name)).collect();
        assert!(names.len() > 100 && samples.len() * 10 > names.len() * 8, "{} of {}", samples.len(), names.len());
        for sample in samples {
            assert!(read_reply_file(sample.text.as_bytes()).is_ok(), "{sample:?}");
        }
        assert_eq!(find("../Cargo"), None);
    }
}
