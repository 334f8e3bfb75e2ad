//! Whether a text still holds a secret, in whatever writing a provider may have put it there.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use std::collections::HashSet;
use zeroize::Zeroizing;

/// The secrets that nothing may hold: looked for with letters and digits alone and in small letters, so that a secret
/// is found that was split, spelled out or written backwards; and in what percent, entity, escape, base64 and hex
/// decoding makes of a text.
#[derive(Default)]
pub(super) struct Traces {
    /// Secrets too short to have pieces.
    short: Vec<Zeroizing<Vec<u8>>>,
    pieces: HashSet<[u8; PIECE]>,
}

impl Traces {
    /// Looks for a secret from now on. One of fewer than 4 letters and digits is in every text, and is not.
    pub(super) fn add(&mut self, secret: &str) {
        let plain = Zeroizing::new(squashed(secret.as_bytes()));
        if plain.len() >= PIECE {
            for piece in plain.windows(PIECE) {
                // A window is that long.
                let Ok(piece) = <[u8; PIECE]>::try_from(piece) else { continue };
                self.pieces.insert(piece);
                let mut back = piece;
                back.reverse();
                self.pieces.insert(back);
            }
        } else if plain.len() >= SHORTEST {
            let back = plain.iter().rev().copied().collect::<Vec<u8>>();
            self.short.extend([plain, Zeroizing::new(back)]);
        }
    }

    /// Whether a text holds one, or eight letters and digits of one in a row.
    pub(super) fn are_in(&self, text: &str) -> bool {
        // What is too long to be looked through is not kept.
        text.len() > LONGEST || self.are_in_bytes(text.as_bytes(), 0)
    }

    fn are_in_bytes(&self, bytes: &[u8], depth: usize) -> bool {
        let plain = Zeroizing::new(squashed(bytes));
        let piece = |window: &[u8]| <[u8; PIECE]>::try_from(window).is_ok_and(|window| self.pieces.contains(&window));
        plain.windows(PIECE).any(piece)
            || self.short.iter().any(|short| plain.windows(short.len()).any(|window| window == short.as_slice()))
            || (depth < DECODINGS && decoded(bytes).iter().any(|view| self.are_in_bytes(view, depth + 1)))
    }
}

/// Letters and digits, small; those of full width are the same to a reader.
fn squashed(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let narrow = text.chars().filter_map(|c| match u32::from(c) {
        wide @ 0xff01..=0xff5e => u8::try_from(wide - 0xff01 + 0x21).ok(),
        other => u8::try_from(other).ok(),
    });
    narrow.filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase()).collect()
}

/// What each decoding makes of a text, where it makes another of it.
fn decoded(bytes: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut views: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    for view in [percent(bytes), escapes(bytes), entities(bytes)] {
        if view.as_slice() != bytes {
            views.push(view);
        }
    }
    for run in runs(bytes, |b| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b)) {
        // Base64 may begin anywhere in a run.
        for start in 0..4.min(run.len()) {
            views.extend(base64(&run[start..]));
        }
    }
    // Hex, with or without something between the bytes: `a1:b2`, `0xa1`.
    let digits: Vec<u8> = bytes.iter().copied().filter(u8::is_ascii_hexdigit).collect();
    for digits in runs(bytes, |b| b.is_ascii_hexdigit()).chain([digits.as_slice()]) {
        views.extend((0..2).filter_map(|start| hex(digits.get(start..)?)));
    }
    views.extend(numbers(bytes));
    views
}

fn runs(bytes: &[u8], of: impl Fn(u8) -> bool) -> impl Iterator<Item = &[u8]> {
    bytes.split(move |b| !of(*b)).filter(|run| run.len() >= 8)
}

fn percent(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    replaced(bytes, |rest| match rest {
        [b'%' | b'=', high, low, ..] => Some((hex_byte(*high, *low)?, 3)),
        _ => None,
    })
}

/// `\u0061`, `\x61`.
fn escapes(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    replaced(bytes, |rest| match rest {
        [b'\\', b'u' | b'U', b'0', b'0', high, low, ..] => Some((hex_byte(*high, *low)?, 6)),
        [b'\\', b'x', high, low, ..] => Some((hex_byte(*high, *low)?, 4)),
        _ => None,
    })
}

/// `&#97;`, `&#x61;`.
fn entities(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    replaced(bytes, |rest| {
        let inside = rest.strip_prefix(b"&#")?;
        let end = inside.iter().take(8).position(|b| *b == b';')?;
        let text = std::str::from_utf8(&inside[..end]).ok()?;
        let code = match text.strip_prefix(['x', 'X']) {
            Some(hex) => u8::from_str_radix(hex, 16).ok()?,
            None => text.parse().ok()?,
        };
        Some((code, end + 3))
    })
}

fn replaced(bytes: &[u8], read: impl Fn(&[u8]) -> Option<(u8, usize)>) -> Zeroizing<Vec<u8>> {
    let mut made = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let (byte, width) = read(&bytes[at..]).unwrap_or((bytes[at], 1));
        made.push(byte);
        at += width;
    }
    Zeroizing::new(made)
}

/// The bytes of base64 in either alphabet, as far as whole groups go.
fn base64(run: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let clean: Vec<u8> = run
        .iter()
        .filter(|b| **b != b'=')
        .map(|b| match b {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        })
        .collect();
    let whole = clean.len() - usize::from(clean.len() % 4 == 1);
    LOOSE.decode(&clean[..whole]).ok().map(Zeroizing::new)
}

fn hex(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    (digits.len() >= 8)
        .then(|| Zeroizing::new(digits.chunks_exact(2).filter_map(|pair| hex_byte(pair[0], pair[1])).collect()))
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// `[104, 117, 110]`: a text as the numbers of its letters.
fn numbers(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let parts = bytes.split(|b| !b.is_ascii_digit()).filter(|part| !part.is_empty());
    let made: Vec<u8> = parts.filter_map(|part| std::str::from_utf8(part).ok()?.parse().ok()).collect();
    (made.len() >= SHORTEST).then(|| Zeroizing::new(made))
}

const LOOSE: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// Letters and digits in a row that are no accident.
const PIECE: usize = 8;
/// Letters and digits of the shortest secret that is looked for.
const SHORTEST: usize = 4;
/// Bytes that are looked through: every decoding of every decoding of them.
const LONGEST: usize = 64 * 1024;
/// Encodings within each other.
const DECODINGS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    fn traces(secret: &str) -> Traces {
        let mut traces = Traces::default();
        traces.add(secret);
        traces
    }

    #[test]
    fn a_secret_is_found_in_every_writing() {
        let secret = "s3cr3t/Of+Acme-42";
        let traces = traces(secret);
        let bytes = secret.as_bytes();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let escaped: String = bytes.iter().map(|b| format!("\\u00{b:02x}")).collect();
        let percent: String = bytes.iter().map(|b| format!("%{b:02X}")).collect();
        let spaced: String = secret.chars().flat_map(|c| [c, ' ']).collect();
        let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
        for text in [
            secret.to_owned(),
            format!("x{secret}x"),
            secret.to_uppercase(),
            secret.chars().rev().collect(),
            spaced,
            "s3cr3t and then Of+Acme-42".replace(" and then ", " | "),
            percent.clone(),
            percent.replace('%', "%25"),
            escaped,
            hex.clone(),
            format!("id {hex} end"),
            STANDARD.encode(bytes),
            URL_SAFE_NO_PAD.encode(bytes),
            STANDARD.encode(format!("cid:{secret}")),
            STANDARD.encode(STANDARD.encode(format!("ab:{secret}"))),
            format!("words{}words", STANDARD.encode(format!("x{secret}"))),
            bytes.iter().map(|b| format!("&#{b};")).collect(),
            bytes.iter().map(|b| format!("&#x{b:x};")).collect(),
            numbers.join(","),
            "half of it is s3cr3tOfA".to_owned(),
            "ｓ３ｃｒ３ｔ/Ｏｆ+Ａcme-42".to_owned(),
            "s\u{200b}3c\u{301}r3t\u{0}Of+Acme-42".to_owned(),
        ] {
            assert!(traces.are_in(&text), "{text}");
        }
        for text in ["invalid_grant", "The code is wrong.", "Acme says no", "", "%zz &#xyz; \\u00"] {
            assert!(!traces.are_in(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_random_secret_is_found_in_base64(
            text in "\\PC{0,60}", secret in "[A-Za-z0-9]{16,40}", before in "[ -~]{0,7}", after in "[ -~]{0,7}",
        ) {
            let traces = traces(&secret);
            let _ = traces.are_in(&text);
            let encoded = STANDARD.encode(format!("{before}{secret}{after}"));
            prop_assert!(traces.are_in(&encoded));
            let wrapped = format!("abc{encoded}");
            prop_assert!(traces.are_in(&wrapped));
        }
    }
}
