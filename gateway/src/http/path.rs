//! The canonical path: the one form in which a path is matched and forwarded, so that gateway and upstream
//! cannot interpret a request differently.
//!
//! A path is parsed before its route is known. Constructs that servers interpret differently are kept and
//! recorded in [`Traits`]; the route's [`Policy`] then decides whether to accept them, and in which form.

use super::failure::Rejection;
use super::token::is_unreserved;

/// A route's handling of path constructs that servers interpret differently.
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

/// Handling of a character that some servers treat as a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Separator {
    /// The request is refused.
    #[default]
    Reject,
    /// It stays part of its segment, and is forwarded in encoded form.
    Keep,
    /// It is treated as a slash for routing and forwarding.
    Decode,
}

/// Handling of path parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Semicolon {
    /// The request is refused.
    #[default]
    Reject,
    /// They stay part of their segment.
    Keep,
}

/// Handling of repeated slashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DoubleSlash {
    /// They are merged.
    #[default]
    Merge,
    /// They are forwarded; routing merges them.
    Keep,
    /// The request is refused.
    Reject,
}

/// Constructs in a path that a [`Policy`] handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traits {
    /// `%2F`.
    pub encoded_slash: bool,
    /// `\` or `%5C`.
    pub backslash: bool,
    /// `;`.
    pub semicolon: bool,
    /// `//`.
    pub double_slash: bool,
}

/// A path in its canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    text: String,
    /// The path with its repeated slashes, if it has any.
    unmerged: String,
    traits: Traits,
    /// Whether `unmerged` is forwarded.
    keeps_slashes: bool,
}

/// Servers interpret the path differently.
pub const AMBIGUOUS: Rejection = Rejection::bad("path_ambiguous", "The path is ambiguous.");
const MALFORMED: Rejection = Rejection::bad("path_malformed", "The path is malformed.");

impl Path {
    /// Parses a path; allocations are reused.
    ///
    /// Percent-encoded unreserved characters are decoded, and the other encodings are written in upper case
    /// (RFC 3986 section 6.2.2); dot segments are resolved (section 5.2.4) and repeated slashes are merged.
    /// Characters that are not allowed in a path are percent-encoded.
    ///
    /// # Errors
    ///
    /// A 400 for an invalid percent-encoding, a path without a leading slash, encoded control characters,
    /// `..` above the root, and for a dot segment such as `..;` or `..%2F`, which only servers with their own
    /// reading of `%2F`, `%5C` or `;` recognise.
    pub fn read(&mut self, raw: &[u8]) -> Result<(), Rejection> {
        self.clear();
        if raw.first() != Some(&b'/') {
            return Err(MALFORMED);
        }
        if is_canonical(raw) {
            // Canonical paths are ASCII.
            self.text.push_str(std::str::from_utf8(raw).map_err(|_| MALFORMED)?);
            return Ok(());
        }
        let decoded = self.decode(raw)?;
        if decoded.split('/').any(has_hidden_dots) {
            return Err(AMBIGUOUS);
        }
        resolve(&decoded, true, &mut self.text)?;
        if self.traits.double_slash {
            resolve(&decoded, false, &mut self.unmerged)?;
        }
        Ok(())
    }

    /// Clears the path and keeps the allocations.
    pub fn clear(&mut self) {
        self.text.clear();
        self.unmerged.clear();
        self.traits = Traits::default();
        self.keeps_slashes = false;
    }

    /// The path `*` of `OPTIONS *` (RFC 9110 section 7.1).
    pub fn set_asterisk(&mut self) {
        *self = Self { text: "*".to_owned(), ..Self::default() };
    }

    /// The path used for routing.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path that is forwarded.
    pub fn forwarded(&self) -> &str {
        if self.keeps_slashes { &self.unmerged } else { &self.text }
    }

    /// Applies the policy of the matched route.
    ///
    /// Returns whether the path used for routing changed, so that the route must be matched again.
    ///
    /// # Errors
    ///
    /// A 400 for a path that the policy rejects.
    pub fn settle(&mut self, policy: Policy) -> Result<bool, Rejection> {
        self.keeps_slashes = false;
        let Traits { encoded_slash, backslash, semicolon, double_slash } = self.traits;
        if !(encoded_slash || backslash || semicolon || double_slash) {
            return Ok(false);
        }
        let refused = |there: bool, separator| there && separator == Separator::Reject;
        if refused(encoded_slash, policy.encoded_slash)
            || refused(backslash, policy.backslash)
            || (semicolon && policy.semicolon == Semicolon::Reject)
        {
            return Err(AMBIGUOUS);
        }
        let mut changed = false;
        let decoded = [("%2F", policy.encoded_slash, encoded_slash), ("%5C", policy.backslash, backslash)];
        for (encoded, separator, there) in decoded {
            if there && separator == Separator::Decode {
                let before = if double_slash || changed { &self.unmerged } else { &self.text };
                self.unmerged = before.replace(encoded, "/");
                changed = true;
            }
        }
        if changed {
            self.text.clear();
            resolve(&self.unmerged, true, &mut self.text)?;
            self.traits = Traits {
                encoded_slash: encoded_slash && policy.encoded_slash != Separator::Decode,
                backslash: backslash && policy.backslash != Separator::Decode,
                semicolon,
                double_slash: self.unmerged.contains("//"),
            };
        }
        if self.traits.double_slash {
            match policy.double_slash {
                DoubleSlash::Merge => {}
                DoubleSlash::Reject => return Err(AMBIGUOUS),
                DoubleSlash::Keep => {
                    // `/a//../b` is `/b` for servers that merge slashes first, `/a/b` for others.
                    let mut merged = String::with_capacity(self.text.len());
                    resolve(&self.unmerged, true, &mut merged)?;
                    if merged != self.text {
                        return Err(AMBIGUOUS);
                    }
                    self.keeps_slashes = true;
                }
            }
        }
        Ok(changed)
    }

    fn decode(&mut self, raw: &[u8]) -> Result<String, Rejection> {
        let mut out = String::with_capacity(raw.len() + 8);
        let mut bytes = raw.iter().copied();
        let mut previous = 0;
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => {
                    let high = bytes.next().and_then(hex).ok_or(MALFORMED)?;
                    let low = bytes.next().and_then(hex).ok_or(MALFORMED)?;
                    let value = high << 4 | low;
                    match value {
                        0..=0x1f | 0x7f => return Err(AMBIGUOUS),
                        b'/' => self.traits.encoded_slash = true,
                        b'\\' => self.traits.backslash = true,
                        _ => {}
                    }
                    if is_unreserved(value) {
                        out.push(char::from(value));
                    } else {
                        encode(value, &mut out);
                    }
                }
                b'\\' => {
                    self.traits.backslash = true;
                    encode(byte, &mut out);
                }
                b';' => {
                    self.traits.semicolon = true;
                    out.push(';');
                }
                0..=0x20 | 0x7f | b'?' | b'#' => return Err(MALFORMED),
                b'/' => {
                    self.traits.double_slash |= previous == b'/';
                    out.push('/');
                }
                _ if is_plain(byte) => out.push(char::from(byte)),
                _ => encode(byte, &mut out),
            }
            previous = byte;
        }
        Ok(out)
    }
}

/// Whether a path can be forwarded unchanged: no server finds a dot segment in it, and it is canonical except
/// for repeated slashes.
pub fn holds_no_dots(raw: &[u8]) -> bool {
    if is_canonical(raw) {
        return raw.first() == Some(&b'/');
    }
    let mut path = Path::default();
    path.read(raw).is_ok() && (path.text.as_bytes() == raw || path.unmerged.as_bytes() == raw)
}

/// Whether a segment is a dot segment for a server that decodes `%2F` and `%5C` early or drops parameters.
fn has_hidden_dots(segment: &str) -> bool {
    let is_dots = |piece: &str| matches!(piece.split(';').next(), Some("." | ".."));
    !matches!(segment, "." | "..") && segment.split("%2F").flat_map(|piece| piece.split("%5C")).any(is_dots)
}

/// A fast check for paths that are already canonical; it may miss some of them.
fn is_canonical(raw: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in raw {
        // A dot after a slash may begin a dot segment.
        if previous == b'/' && matches!(byte, b'/' | b'.') {
            return false;
        }
        if !PLAIN[usize::from(byte)] {
            return false;
        }
        previous = byte;
    }
    true
}

/// [`is_plain`] and the slash as a table.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte == b'/' || is_plain(byte);
        byte += 1;
    }
    table
};

/// Characters that need no encoding in a path segment (RFC 3986 section 3.3), without `;`.
const fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@')
}

/// Resolves dot segments and, if `merge` is set, merges repeated slashes.
fn resolve(path: &str, merge: bool, out: &mut String) -> Result<(), Rejection> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            "" if merge || last => {}
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
        // A trailing empty or dot segment leaves its slash: `/a/.` is `/a/`.
        if last {
            out.push('/');
        }
    }
    Ok(())
}

/// Writes a byte percent-encoded, in upper case (RFC 3986 section 2.1).
pub fn encode(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 0x0f)]));
}

/// The value of a hexadecimal digit.
pub const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{DoubleSlash, Path, Policy, Semicolon, Separator};

    fn read(raw: &str) -> Result<Path, &'static str> {
        let mut path = Path::default();
        path.read(raw.as_bytes()).map(|()| path).map_err(|refused| refused.reason)
    }

    #[test]
    fn paths_are_normalised() {
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
            ("/a|b\"<>", "/a%7Cb%22%3C%3E"),
            ("/a:b@c,d=e", "/a:b@c,d=e"),
        ];
        for (raw, expected) in table {
            let mut path = read(raw).expect(raw);
            assert_eq!(path.as_str(), expected, "{raw}");
            assert_eq!(path.settle(Policy::default()), Ok(false), "{raw}");
            assert_eq!(path.forwarded(), expected, "{raw}");
        }
    }

    #[test]
    fn normalisation_is_idempotent() {
        for raw in ["/a/./b//c/%7E", "/x/../%25/é", "/..a/", "/a/b/../", "/a%2fb;c\\d"] {
            let once = read(raw).expect(raw);
            let twice = read(once.as_str()).expect(raw);
            assert_eq!(twice.as_str(), once.as_str(), "{raw}");
        }
    }

    #[test]
    fn malformed_paths_are_refused_by_every_policy() {
        let table = [
            ("", "path_malformed"),
            ("a", "path_malformed"),
            ("*", "path_malformed"),
            ("/%", "path_malformed"),
            ("/%4", "path_malformed"),
            ("/%zz", "path_malformed"),
            ("/%é", "path_malformed"),
            ("/a b", "path_malformed"),
            ("/a%00", "path_ambiguous"),
            ("/a%0d%0ab", "path_ambiguous"),
            ("/a%7f", "path_ambiguous"),
            ("/..", "path_ambiguous"),
            ("/../a", "path_ambiguous"),
            ("/a/../../b", "path_ambiguous"),
            ("/%2e%2e/a", "path_ambiguous"),
            ("/a/..;/b", "path_ambiguous"),
            ("/a/.;x=1/b", "path_ambiguous"),
            ("/a/..%2fb", "path_ambiguous"),
            ("/a%2f..%2fb", "path_ambiguous"),
            ("/a%2F%2e%2E", "path_ambiguous"),
            ("/a/..\\b", "path_ambiguous"),
            ("/a%5c..;x", "path_ambiguous"),
        ];
        for (raw, reason) in table {
            assert_eq!(read(raw).expect_err(raw), reason, "{raw}");
        }
    }

    #[test]
    fn policy_handles_ambiguous_constructs() {
        let reject = Policy::default();
        let keep = Policy {
            encoded_slash: Separator::Keep,
            backslash: Separator::Keep,
            semicolon: Semicolon::Keep,
            double_slash: DoubleSlash::Keep,
        };
        let decode =
            Policy { encoded_slash: Separator::Decode, backslash: Separator::Decode, ..Policy::default() };
        let both = Policy { double_slash: DoubleSlash::Keep, ..decode };
        let no_double = Policy { double_slash: DoubleSlash::Reject, ..decode };
        // The path, the policy, the path for routing, and the forwarded path.
        let table = [
            ("/a%2fb", reject, None),
            ("/a%5cb", reject, None),
            ("/a\\b", reject, None),
            ("/a;b=c", reject, None),
            ("/a%2fb", keep, Some(("/a%2Fb", "/a%2Fb"))),
            ("/a\\b%5c", keep, Some(("/a%5Cb%5C", "/a%5Cb%5C"))),
            ("/a;b=c/d", keep, Some(("/a;b=c/d", "/a;b=c/d"))),
            ("/x/http://y", keep, Some(("/x/http:/y", "/x/http://y"))),
            ("//a///b//", keep, Some(("/a/b/", "//a///b//"))),
            ("/a//../b", keep, None),
            ("/a/..//b", keep, Some(("/b", "//b"))),
            ("/a//b/../c", keep, Some(("/a/c", "/a//c"))),
            ("/a%2fb\\c", decode, Some(("/a/b/c", "/a/b/c"))),
            ("/a%2f%2Fb", decode, Some(("/a/b", "/a/b"))),
            ("/a/%2Fb", both, Some(("/a/b", "/a//b"))),
            ("/a//%2Fb%5c", both, Some(("/a/b/", "/a///b/"))),
            ("/a%2f%2Fb", no_double, None),
            ("/a//b", no_double, None),
            ("/a%2fb;c", decode, None),
        ];
        for (raw, policy, expected) in table {
            let mut path = read(raw).expect(raw);
            let matched = path.as_str().to_owned();
            let settled = path.settle(policy);
            let found = settled.is_ok().then(|| (path.as_str(), path.forwarded()));
            assert_eq!(found, expected, "{raw} {policy:?}");
            if let Ok(changed) = settled {
                assert_eq!(changed, matched != path.as_str(), "{raw}");
            }
        }
    }
}
