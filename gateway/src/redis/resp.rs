//! The protocol RESP2: commands are lists of strings, replies have five types.

use std::io::Write;

/// The longest text in a reply in bytes; replies of scripts and errors are far shorter.
const MAX_TEXT: usize = 64 << 10;
/// The most elements of a list; the slots of a cluster come as one of at most 16384.
const MAX_ELEMENTS: usize = 16_384;
/// The deepest nesting of lists.
const MAX_DEPTH: usize = 8;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A text.
    Text(Vec<u8>),
    /// An error of the server.
    Error(String),
    /// A number.
    Integer(i64),
    /// Nothing.
    Null,
    /// Several replies.
    List(Vec<Self>),
}

/// The bytes are not a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Appends a command.
pub fn write(out: &mut Vec<u8>, words: &[&[u8]]) {
    // Writing to memory does not fail.
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(out, "${}\r\n", word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// The reply at the start of `bytes` and its length; none while it is incomplete.
///
/// # Errors
///
/// The bytes are not a reply, or the reply is over a limit.
pub fn read(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    Ok(reader.reply(0)?.map(|reply| (reply, reader.at)))
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn line(&mut self) -> Result<Option<&'b [u8]>, Malformed> {
        let rest = &self.bytes[self.at..];
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return if rest.len() > MAX_TEXT { Err(Malformed) } else { Ok(None) };
        };
        self.at += end + 1;
        rest[..end].strip_suffix(b"\r").map(Some).ok_or(Malformed)
    }

    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, Malformed> {
        let Some(line) = self.line()? else { return Ok(None) };
        let (kind, rest) = line.split_first().ok_or(Malformed)?;
        let text = || String::from_utf8_lossy(rest).into_owned();
        Ok(match kind {
            b'+' => Some(Reply::Text(rest.to_vec())),
            b'-' => Some(Reply::Error(text())),
            b':' => Some(Reply::Integer(number(rest)?)),
            b'$' => match length(rest, MAX_TEXT)? {
                None => Some(Reply::Null),
                Some(length) => self.text(length)?,
            },
            b'*' => match length(rest, MAX_ELEMENTS)? {
                None => Some(Reply::Null),
                Some(_) if depth == MAX_DEPTH => return Err(Malformed),
                Some(count) => self.list(count, depth)?,
            },
            _ => return Err(Malformed),
        })
    }

    fn text(&mut self, length: usize) -> Result<Option<Reply>, Malformed> {
        let rest = &self.bytes[self.at..];
        let Some(whole) = rest.get(..length + 2) else { return Ok(None) };
        self.at += length + 2;
        whole.strip_suffix(b"\r\n").map(|text| Some(Reply::Text(text.to_vec()))).ok_or(Malformed)
    }

    fn list(&mut self, count: usize, depth: usize) -> Result<Option<Reply>, Malformed> {
        let mut list = Vec::new();
        for _ in 0..count {
            match self.reply(depth + 1)? {
                Some(reply) => list.push(reply),
                None => return Ok(None),
            }
        }
        Ok(Some(Reply::List(list)))
    }
}

fn number(digits: &[u8]) -> Result<i64, Malformed> {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Malformed)
}

/// A length; none for -1, which is null.
fn length(digits: &[u8], most: usize) -> Result<Option<usize>, Malformed> {
    match number(digits)? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) if length <= most => Ok(Some(length)),
            _ => Err(Malformed),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Reply, read, write};

    #[test]
    fn commands() {
        let mut out = Vec::new();
        write(&mut out, &[b"GET", b"a\r\nb", b""]);
        assert_eq!(out, b"*3\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
    }

    #[test]
    fn replies() {
        let text = |text: &str| Reply::Text(text.as_bytes().to_vec());
        let table = [
            ("+OK\r\n", text("OK")),
            ("-ERR no\r\n", Reply::Error("ERR no".to_owned())),
            (":-7\r\n", Reply::Integer(-7)),
            ("$3\r\na\r\n\r\n", text("a\r\n")),
            ("$0\r\n\r\n", text("")),
            ("$-1\r\n", Reply::Null),
            ("*-1\r\n", Reply::Null),
            ("*0\r\n", Reply::List(vec![])),
            (
                "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
                Reply::List(vec![Reply::Integer(1), Reply::List(vec![text("x")])]),
            ),
        ];
        for (bytes, expected) in table {
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes.as_bytes()[..end]), Ok(None), "{bytes:?} up to {end}");
            }
            let and_more = format!("{bytes}:1\r\n");
            assert_eq!(read(and_more.as_bytes()), Ok(Some((expected, bytes.len()))), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_reply() {
        let deep = "*1\r\n".repeat(20);
        let long = "x".repeat(70_000);
        for bytes in [
            "\r\n",
            "?\r\n",
            ":x\r\n",
            ":\n",
            "$-2\r\n",
            "$99999999\r\n",
            "*99999\r\n",
            "$1\r\nabc",
            &deep,
            &long,
        ] {
            assert_eq!(read(bytes.as_bytes()), Err(Malformed), "{bytes:.20?}");
        }
    }
}
