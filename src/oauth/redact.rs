//! Takes the request's secrets out of texts that a provider sent back.

use crate::model::{Failure, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::ops::Range;

/// A text with each secret that it repeats replaced by `[redacted]`: as it is, percent-encoded in any writing, within
/// base64 (Basic credentials), and a beginning of it where the text was cut. Secrets under 4 bytes are left, as they
/// would take ordinary words apart.
#[must_use]
pub fn scrub(text: &str, secrets: &[&Secret]) -> String {
    let mut found: Vec<Range<usize>> = Vec::new();
    // As it stands too: a secret may itself hold what looks like an escape.
    let readings = [Decoded::of(text, true), Decoded::of(text, false)];
    let base64: Vec<u8> = text
        .bytes()
        .map(|b| {
            if b == b'-' {
                b'+'
            } else if b == b'_' {
                b'/'
            } else {
                b
            }
        })
        .collect();
    for secret in secrets.iter().filter(|secret| secret.expose().len() >= SHORTEST) {
        let plain: Vec<u8> = secret.expose().trim().bytes().map(plus_is_space).collect();
        // Surrounding white space is not part of what a provider repeats.
        found.extend(readings.iter().flat_map(|reading| reading.find(&plain)));
        for core in base64_cores(secret.expose().as_bytes()) {
            found.extend(occurrences(&base64, core.as_bytes()).map(|range| whole_run(text, &range)));
        }
    }
    replace(text, found)
}

/// A failure with its code and words scrubbed.
#[must_use]
pub fn scrub_failure(mut failure: Failure, secrets: &[&Secret]) -> Failure {
    failure.code = scrub(&failure.code, secrets);
    failure.words = failure.words.map(|words| scrub(&words, secrets));
    failure
}

/// A text with its percent-encoding undone, or as it stands, and where each byte of it stood. `+` is taken for a space, in the text and
/// in the secret, as a form may have either.
struct Decoded {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
    /// Whether the text ends with an ellipsis of [`crate::model::quoted`]; it is not among the bytes.
    cut: bool,
}

impl Decoded {
    fn of(text: &str, unescape: bool) -> Self {
        let (cut, source) = match text.strip_suffix('…') {
            Some(rest) => (true, rest.as_bytes()),
            None => (false, text.as_bytes()),
        };
        let (mut bytes, mut places) = (Vec::with_capacity(source.len()), Vec::with_capacity(source.len()));
        let mut at = 0;
        while at < source.len() {
            let escaped = match source.get(at..at + 3) {
                Some(&[b'%', high, low]) if unescape => hex(high).zip(hex(low)).map(|(high, low)| high * 16 + low),
                _ => None,
            };
            let width = if escaped.is_some() { 3 } else { 1 };
            bytes.push(plus_is_space(escaped.unwrap_or(source[at])));
            places.push(at..at + width);
            at += width;
        }
        Self { bytes, places, cut }
    }

    /// Where a secret stands in the text, whole, or cut at the text's end.
    fn find(&self, secret: &[u8]) -> Vec<Range<usize>> {
        if secret.len() < SHORTEST {
            return Vec::new();
        }
        let place = |range: Range<usize>| self.places[range.start].start..self.places[range.end - 1].end;
        let mut found: Vec<_> = occurrences(&self.bytes, secret).map(place).collect();
        if self.cut {
            let longest = (SHORTEST..secret.len()).rev().find(|length| self.bytes.ends_with(&secret[..*length]));
            found.extend(longest.map(|length| place(self.bytes.len() - length..self.bytes.len())));
        }
        found
    }
}

/// What base64 makes of a secret wherever it stands in a longer text: for each of the three alignments, the characters
/// that depend on nothing but the secret.
fn base64_cores(secret: &[u8]) -> Vec<String> {
    (0..3)
        .filter_map(|before| {
            let mut padded = vec![0; before];
            padded.extend_from_slice(secret);
            let encoded = STANDARD_NO_PAD.encode(&padded);
            let core = encoded.get((before * 8).div_ceil(6)..padded.len() * 8 / 6)?;
            (core.len() >= SHORTEST_BASE64).then(|| core.to_owned())
        })
        .collect()
}

/// The run of base64 characters around a range: the characters beside it carry bits of the secret too.
fn whole_run(text: &str, core: &Range<usize>) -> Range<usize> {
    let is_base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/-_=".contains(b);
    let before = text.as_bytes()[..core.start].iter().rev().take_while(|b| is_base64(b)).count();
    let after = text.as_bytes()[core.end..].iter().take_while(|b| is_base64(b)).count();
    core.start - before..core.end + after
}

fn occurrences<'a>(text: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
    text.windows(needle.len())
        .enumerate()
        .filter(move |(_, window)| *window == needle)
        .map(|(at, _)| at..at + needle.len())
}

fn replace(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.sort_by_key(|range| (range.start, range.end));
    let mut clean = String::with_capacity(text.len());
    let mut done = 0;
    for range in found {
        // A range that begins within the one before only makes it longer.
        if range.start >= done {
            clean.push_str(text.get(done..range.start).unwrap_or_default());
            clean.push_str("[redacted]");
        }
        done = done.max(range.end);
    }
    clean.push_str(text.get(done..).unwrap_or_default());
    clean
}

fn plus_is_space(byte: u8) -> u8 {
    if byte == b'+' { b' ' } else { byte }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Bytes of the shortest secret that is looked for.
const SHORTEST: usize = 4;
/// Base64 characters that make a match no accident.
const SHORTEST_BASE64: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FailureKind, quoted};
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    fn clean(text: &str, secret: &str) -> String {
        scrub(text, &[&Secret::new(secret)])
    }

    #[test]
    fn a_secret_is_taken_out_in_every_writing() {
        assert_eq!(clean("not found for code=hunter2/+x!", "hunter2/+x"), "not found for code=[redacted]!");
        assert_eq!(clean("a 4%0Aabc b", "4%0Aabc"), "a [redacted] b");
        for text in ["a hunter2%2F%2Bx b", "a hunter2%2f%2bx b", "a %68unter2/+x b", "a hunter2/ x b"] {
            assert_eq!(clean(text, "hunter2/+x"), "a [redacted] b", "{text}");
        }
    }

    #[test]
    fn basic_credentials_are_taken_out_whole() {
        for id in ["a", "ab", "abc", "client-1"] {
            let header = format!("Basic {}.", STANDARD.encode(format!("{id}:hunter2hunter2")));
            assert_eq!(clean(&header, "hunter2hunter2"), "Basic [redacted].", "{id}");
        }
    }

    #[test]
    fn a_secret_that_was_cut_at_the_end_of_the_text_is_taken_out() {
        let words = quoted(&format!("{} hunter2hunter2", "x".repeat(292)));
        assert!(words.ends_with("hunter2…"), "{words}");
        assert!(clean(&words, "hunter2hunter2").ends_with(" [redacted]…"));
    }

    #[test]
    fn several_and_overlapping_secrets_leave_nothing() {
        let secrets = [Secret::new("aabbcc"), Secret::new("bbccdd"), Secret::new("x")];
        let secrets: Vec<_> = secrets.iter().collect();
        assert_eq!(scrub("1 aabbccdd 2 x", &secrets), "1 [redacted] 2 x");
        let failure = Failure::new(FailureKind::BadResponse, "aabbcc").with_words("é aabbcc é");
        let failure = scrub_failure(failure, &secrets);
        assert_eq!((failure.code.as_str(), failure.words.as_deref()), ("[redacted]", Some("é [redacted] é")));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_secret_stays(
            before in "[ -~é…%]{0,20}", after in "[ -~é…%]{0,20}", secret in "[!-~é]{4,20}", other in "\\PC{0,8}",
        ) {
            let text = format!("{before}{secret}{after}");
            let marked = Secret::new(secret.clone());
            let clean = scrub(&text, &[&marked, &Secret::new(other)]);
            prop_assert!(clean.contains("[redacted]"), "{}", clean);
            let rest = clean.replace("[redacted]", "");
            prop_assert!(!rest.contains(&secret) || format!("{before}{after}").contains(&secret), "{} in {}", secret, clean);
        }
    }
}
