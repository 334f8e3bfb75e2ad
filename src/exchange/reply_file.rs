//! A recorded reply as people have it: a body alone, or what `curl -i` prints.

use crate::oauth::RawReply;

/// A file that begins as an HTTP reply and goes on as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFileError {
    /// The first line.
    #[error("its first line begins with HTTP/ and has no status; write e.g. HTTP/1.1 200 OK, or the body alone")]
    NoStatus,
    /// A line among the headers.
    #[error(
        "line {0} is no header; after the status line come headers (Name: value), then an empty line, then the body"
    )]
    NoHeader(usize),
}

/// Reads a recorded reply. A text that does not begin with `HTTP/` is a body alone, with the status 200. Of several replies one
/// after the other (`100 Continue`, a proxy's answer, a redirect that was followed) the last counts.
///
/// # Errors
/// When a status line or a header cannot be read.
pub fn read_reply_file(bytes: &[u8]) -> Result<RawReply, ReplyFileError> {
    let start = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reply = RawReply { status: 200, headers: Vec::new(), body: bytes.to_vec().into() };
    let mut rest = start;
    let mut line_number = 0;
    while rest.starts_with(b"HTTP/") {
        let (line, after) = next_line(rest);
        line_number += 1;
        let status = line.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        reply.status = status.filter(|status| (100..1000).contains(status)).ok_or(ReplyFileError::NoStatus)?;
        reply.headers.clear();
        rest = after;
        while !rest.is_empty() {
            let (line, after) = next_line(rest);
            line_number += 1;
            rest = after;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or(ReplyFileError::NoHeader(line_number))?;
            // HTTP/2 pseudo headers and broken names mean nothing to a reader.
            if !name.trim().is_empty() {
                reply.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        reply.body = rest.to_vec().into();
    }
    Ok(reply)
}

/// A line without its end, and what comes after it.
fn next_line(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let (line, rest) = end.map_or((bytes, &bytes[bytes.len()..]), |end| (&bytes[..end], &bytes[end + 1..]));
    (String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_body_alone_and_a_whole_reply_are_read() {
        let alone = read_reply_file(b"{\"a\":1}\n").unwrap();
        assert_eq!((alone.status, alone.headers.len(), alone.body.as_slice()), (200, 0, b"{\"a\":1}\n".as_slice()));
        let whole = read_reply_file(b"HTTP/2 400 \r\nContent-Type: text/plain\r\n\r\nerror=x\r\n\r\ny").unwrap();
        assert_eq!((whole.status, whole.content_type()), (400, "text/plain"));
        assert_eq!(whole.body.as_slice(), b"error=x\r\n\r\ny");
    }

    #[test]
    fn of_several_replies_the_last_counts() {
        let text = b"HTTP/1.1 200 Connection established\n\nHTTP/1.1 302 Found\nLocation: /x\n\nHTTP/1.1 201 Created\nA: b\n\nat";
        let reply = read_reply_file(text).unwrap();
        assert_eq!((reply.status, reply.header("a"), reply.header("location")), (201, Some("b"), None));
        assert_eq!(reply.body.as_slice(), b"at");
    }

    #[test]
    fn what_begins_as_a_reply_and_is_none_is_refused() {
        assert_eq!(read_reply_file(b"HTTP/1.1 fine\n\n"), Err(ReplyFileError::NoStatus));
        assert_eq!(read_reply_file(b"HTTP/1.1 200 OK\n{\"a\"}\n"), Err(ReplyFileError::NoHeader(2)));
    }

    proptest! {
        #[test]
        fn no_file_panics(text in "(HTTP/1.1 )?\\PC{0,40}(\r\n|\n){0,2}\\PC{0,40}") {
            let _ = read_reply_file(text.as_bytes());
        }
    }
}
