//! The canonical path: the one form in which a path is matched and forwarded, so that the gateway
//! and the upstream cannot read two things from one request.

use std::borrow::Cow;

use super::failure::Rejection;
use super::token::is_unreserved;

/// What a route does with the things that servers are known to read in different ways in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// `%2F`.
    pub encoded_slash: Separator,
    /// `\` and `%5C`.
    pub backslash: Separator,
    /// `;`, as in `/a;b=c`.
    pub semicolon: Semicolon,
    /// `//`.
    pub double_slash: DoubleSlash,
}

/// What is done with something that some servers read as a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Separator {
    /// The request is refused.
    #[default]
    Reject,
    /// It is part of its segment, and forwarded in its encoded form.
    Keep,
    /// It is a slash, for routing and forwarding alike.
    Decode,
}

/// What is done with parameters in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Semicolon {
    /// The request is refused.
    #[default]
    Reject,
    /// They are part of their segment.
    Keep,
}

/// What is done with repeated slashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DoubleSlash {
    /// They become one.
    #[default]
    Merge,
    /// They are forwarded; the route is found as if they were one.
    Keep,
    /// The request is refused.
    Reject,
}

const AMBIGUOUS: Rejection = Rejection::bad("path_ambiguous", "The path is ambiguous.");
const MALFORMED: Rejection = Rejection::bad("path_malformed", "The path is malformed.");

/// Brings a path into its canonical form, or refuses it.
///
/// Percent-encoded unreserved characters are decoded and the other encodings are written in upper
/// case (RFC 3986 section 6.2.2), dot segments are resolved (section 5.2.4) and repeated slashes
/// are merged. Characters that have no place in a path are percent-encoded.
///
/// # Errors
///
/// A 400 for what servers are known to read in different ways: an encoded slash, a backslash in
/// either form, `;` parameters, encoded control characters, `..` above the root; and for a broken
/// percent-encoding or a path that does not begin with a slash.
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, Rejection> {
    if !raw.starts_with('/') {
        return Err(MALFORMED);
    }
    if is_canonical(raw) {
        return Ok(Cow::Borrowed(raw));
    }
    let decoded = decode(raw)?;
    resolve(&decoded).map(Cow::Owned)
}

/// A quick test that recognises the paths that need no work; it may miss some of them.
fn is_canonical(raw: &str) -> bool {
    let mut previous = 0;
    for byte in raw.bytes() {
        // A dot after a slash may begin a dot segment.
        if previous == b'/' && matches!(byte, b'/' | b'.') {
            return false;
        }
        if byte != b'/' && !is_plain(byte) {
            return false;
        }
        previous = byte;
    }
    true
}

/// What stands in a path segment unencoded (RFC 3986 section 3.3), without the refused `;`.
const fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@')
}

fn decode(raw: &str) -> Result<String, Rejection> {
    let mut out = String::with_capacity(raw.len() + 8);
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = bytes.next().and_then(hex).ok_or(MALFORMED)?;
                let low = bytes.next().and_then(hex).ok_or(MALFORMED)?;
                let value = high << 4 | low;
                match value {
                    b'/' | b'\\' | 0..=0x1f | 0x7f => return Err(AMBIGUOUS),
                    _ if is_unreserved(value) => out.push(char::from(value)),
                    _ => encode(value, &mut out),
                }
            }
            b'\\' | b';' => return Err(AMBIGUOUS),
            0..=0x20 | 0x7f | b'?' | b'#' => return Err(MALFORMED),
            _ if byte == b'/' || is_plain(byte) => out.push(char::from(byte)),
            _ => encode(byte, &mut out),
        }
    }
    Ok(out)
}

fn resolve(path: &str) -> Result<String, Rejection> {
    let mut out = String::with_capacity(path.len());
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "" | "." => {}
            ".." => match out.rfind('/') {
                Some(parent) => out.truncate(parent),
                None => return Err(AMBIGUOUS),
            },
            _ => {
                out.push('/');
                out.push_str(segment);
                continue;
            }
        }
        // An empty or dot segment at the end leaves its slash: `/a/.` is `/a/`.
        if last {
            out.push('/');
        }
    }
    Ok(out)
}

fn encode(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 0x0f)]));
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn paths_become_canonical() {
        let table = [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a/b.c", "/a/b.c"),
            ("/.well-known/x", "/.well-known/x"),
            ("/%41%7e", "/A~"),
            ("/%c3%a9", "/%C3%A9"),
            ("/é", "/%C3%A9"),
            ("/a%20b", "/a%20b"),
            ("/a%3Bb", "/a%3Bb"),
            ("/%252e%252e/", "/%252e%252e/"),
            ("/a//b", "/a/b"),
            ("//", "/"),
            ("//a", "/a"),
            ("/a//", "/a/"),
            ("/./a", "/a"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/../b", "/b"),
            ("/a/b/../../c", "/c"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/.%2E/b", "/b"),
            ("/a/..b/c", "/a/..b/c"),
            ("/a/.../c", "/a/.../c"),
            ("/a//../b", "/b"),
            ("/{id}", "/%7Bid%7D"),
            ("/a|b", "/a%7Cb"),
            ("/a:b@c,d=e", "/a:b@c,d=e"),
        ];
        for (raw, expected) in table {
            assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn the_canonical_form_is_stable() {
        for raw in ["/a/./b//c/%7E", "/x/../%25/é", "/..a/", "/a/b/../"] {
            let once = canonical(raw).expect(raw).into_owned();
            assert_eq!(canonical(&once).as_deref(), Ok(once.as_str()), "{raw}");
        }
    }

    #[test]
    fn ambiguous_and_broken_paths_are_refused() {
        let table = [
            ("", "path_malformed"),
            ("a", "path_malformed"),
            ("*", "path_malformed"),
            ("/%", "path_malformed"),
            ("/%4", "path_malformed"),
            ("/%zz", "path_malformed"),
            ("/%é", "path_malformed"),
            ("/a b", "path_malformed"),
            ("/a%2fb", "path_ambiguous"),
            ("/a%2Fb", "path_ambiguous"),
            ("/a%5cb", "path_ambiguous"),
            ("/a\\b", "path_ambiguous"),
            ("/a;b=c", "path_ambiguous"),
            ("/a/..;/b", "path_ambiguous"),
            ("/a%00", "path_ambiguous"),
            ("/a%0d%0ab", "path_ambiguous"),
            ("/a%7f", "path_ambiguous"),
            ("/..", "path_ambiguous"),
            ("/../a", "path_ambiguous"),
            ("/a/../../b", "path_ambiguous"),
            ("/%2e%2e/a", "path_ambiguous"),
        ];
        for (raw, reason) in table {
            let refused = canonical(raw).expect_err(raw);
            assert_eq!(refused.reason, reason, "{raw}");
        }
    }
}
