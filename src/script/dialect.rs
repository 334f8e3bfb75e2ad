//! The liberties of grammar that let the lines of a ServiceNow script include stand in a Rhai function as they are.

use rhai::{LexError, Token};
use std::borrow::Cow;
use std::cell::Cell;

thread_local! {
    /// Whether the token before was a text in single quotes.
    static AFTER_TEXT: Cell<bool> = const { Cell::new(false) };
}

/// JavaScript's spellings of what Rhai has too. `this` becomes a variable that the engine resolves, so that it is the
/// script's object in every function and can neither be assigned nor be something else.
pub(super) fn as_servicenow_writes(token: Token) -> Token {
    let after_text = AFTER_TEXT.replace(false);
    let text = |text: &str| {
        AFTER_TEXT.set(true);
        Token::StringConstant(Box::new(text.into()))
    };
    match token {
        // 'text' is a text, of one character too.
        Token::CharConstant(c) => text(c.encode_utf8(&mut [0; 4])),
        Token::LexError(error) => match *error {
            LexError::MalformedChar(chars) => text(&chars),
            LexError::ImproperSymbol(symbol, _) if symbol == "===" => Token::EqualsTo,
            LexError::ImproperSymbol(symbol, _) if symbol == "!==" => Token::NotEqualsTo,
            other => Token::LexError(other.into()),
        },
        // To Rhai's scanner the text was an error, after which a sign belongs to what follows.
        Token::UnaryPlus if after_text => Token::Plus,
        Token::UnaryMinus if after_text => Token::Minus,
        Token::Reserved(word) => match word.as_str() {
            "this" => Token::Identifier(word),
            "var" => Token::Let,
            "null" => Token::Unit,
            _ => Token::Reserved(word),
        },
        other => other,
    }
}

/// A source with `''` written as `""`: Rhai's scanner takes the second quote for the start of another text, before any
/// token could be changed. The length stays, so places in messages do.
pub(super) fn with_empty_texts(source: &str) -> Cow<'_, str> {
    if !source.contains("''") {
        return Cow::Borrowed(source);
    }
    let mut bytes = source.as_bytes().to_vec();
    // Code within `${…}` of a backtick text, each with its open braces; the outermost is the file.
    let mut code: Vec<usize> = vec![0];
    let mut in_backticks = false;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if in_backticks {
            match rest {
                [b'$', b'{', ..] => {
                    code.push(0);
                    in_backticks = false;
                    at += 1;
                }
                [b'`', ..] => in_backticks = false,
                _ => {}
            }
            at += 1;
            continue;
        }
        at += match rest {
            [b'/', b'/', ..] => rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => length_of_comment(rest),
            [b'\'', b'\'', ..] => {
                bytes[at] = b'"';
                bytes[at + 1] = b'"';
                2
            }
            [quote @ (b'\'' | b'"'), ..] => length_of_text(rest, *quote),
            [b'`', ..] => {
                in_backticks = true;
                1
            }
            [b'{', ..] => {
                *code.last_mut().unwrap_or(&mut 0) += 1;
                1
            }
            [b'}', ..] => {
                if code.len() > 1 && code.ends_with(&[0]) {
                    code.pop();
                    in_backticks = true;
                } else if let Some(open) = code.last_mut() {
                    *open = open.saturating_sub(1);
                }
                1
            }
            _ => 1,
        };
    }
    // Only ASCII was written, over ASCII.
    String::from_utf8(bytes).map_or(Cow::Borrowed(source), Cow::Owned)
}

fn length_of_text(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            b if b == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Rhai's comments nest.
fn length_of_comment(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match &text[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 1;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 1;
            }
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_texts_are_rewritten_in_code_and_nowhere_else() {
        for (written, read) in [
            ("a('')", "a(\"\")"),
            ("a('x', '', 'it\\'s')", "a('x', \"\", 'it\\'s')"),
            ("\"''\" + ''", "\"''\" + \"\""),
            ("// ''\n''", "// ''\n\"\""),
            ("/* /* '' */ '' */ ''", "/* /* '' */ '' */ \"\""),
            ("`'' ${ f('') + `''` + #{a: ''} } ''` + ''", "`'' ${ f(\"\") + `''` + #{a: \"\"} } ''` + \"\""),
        ] {
            assert_eq!(with_empty_texts(written), read);
        }
    }

    proptest! {
        #[test]
        fn no_source_breaks_the_scan_or_changes_its_length(source in "[a'\"`{}$/*\\\\é\n]{0,40}") {
            prop_assert_eq!(with_empty_texts(&source).len(), source.len());
        }
    }
}
