//! The fields of a header or trailer section: one buffer, and a list of slices in it.
//!
//! A codec copies a head into the buffer once and notes the position of each field. Filters change the list;
//! new values are appended to the buffer. The allocations are reused for the next message.

use super::name::Name;
use crate::net::append;

/// Fields in the order in which they were received or added (RFC 9110 section 5).
#[derive(Debug, Clone, Default)]
pub struct Fields {
    buffer: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    known: Name,
    name: Span,
    value: Span,
}

/// A place in the buffer.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn of(self, buffer: &[u8]) -> &[u8] {
        let start = self.start as usize;
        buffer.get(start..start + self.len as usize).unwrap_or_default()
    }
}

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'f> {
    /// Its name as an enum.
    pub known: Name,
    /// Its name as the sender wrote it.
    pub name: &'f [u8],
    /// Its value without leading and trailing white space.
    pub value: &'f [u8],
}

impl Fields {
    /// No fields.
    pub const fn new() -> Self {
        Self { buffer: Vec::new(), entries: Vec::new() }
    }

    /// Removes all fields and keeps the allocations.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.entries.clear();
    }

    /// Releases allocations above `bytes`, so that a large message does not keep memory on an idle
    /// connection.
    pub fn shrink(&mut self, bytes: usize) {
        if self.buffer.capacity() > bytes {
            self.buffer = Vec::new();
        }
        if self.entries.capacity() * size_of::<Entry>() > bytes {
            self.entries = Vec::new();
        }
    }

    /// Replaces everything with the bytes of a head; [`Fields::note`] then adds fields in it.
    pub fn adopt(&mut self, head: &[u8]) {
        self.clear();
        self.buffer.extend_from_slice(head);
    }

    /// The adopted bytes, with everything that was appended.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// The buffer, for a codec that appends the pieces of a head and then adds fields in it with
    /// [`Fields::note`]. The existing bytes must not change.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Makes room for a head of so many bytes and fields.
    pub fn reserve(&mut self, bytes: usize, fields: usize) {
        self.buffer.reserve(bytes);
        self.entries.reserve(fields);
    }

    /// Adds a field in the adopted bytes. Ranges outside of them give empty slices.
    pub fn note(&mut self, known: Name, name: (usize, usize), value: (usize, usize)) {
        let span = |(start, end): (usize, usize)| Span {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            len: u32::try_from(end.saturating_sub(start)).unwrap_or(0),
        };
        self.entries.push(Entry { known, name: span(name), value: span(value) });
    }

    /// Adds a field at the end. Name and value must be valid (RFC 9110 section 5.1 and 5.5).
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_known(Name::of(name), name, value);
    }

    /// Adds a field with a known name, which is written in lower case.
    pub fn add(&mut self, known: Name, value: &[u8]) {
        self.push_known(known, known.as_bytes(), value);
    }

    /// Fields are added as lines, so that a head is written in few pieces.
    fn push_known(&mut self, known: Name, name: &[u8], value: &[u8]) {
        self.buffer.reserve(name.len() + value.len() + 4);
        let name = self.append(name);
        append(&mut self.buffer, b": ");
        let value = self.append(value);
        append(&mut self.buffer, b"\r\n");
        self.entries.push(Entry { known, name, value });
    }

    /// Adds a field whose value is written by `write`.
    pub fn write(&mut self, known: Name, write: impl FnOnce(&mut Vec<u8>)) {
        let name = self.append(known.as_bytes());
        append(&mut self.buffer, b": ");
        let start = self.buffer.len();
        write(&mut self.buffer);
        let value = self.span_from(start);
        append(&mut self.buffer, b"\r\n");
        self.entries.push(Entry { known, name, value });
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.buffer.len();
        append(&mut self.buffer, bytes);
        self.span_from(start)
    }

    fn span_from(&self, start: usize) -> Span {
        let len = self.buffer.len().saturating_sub(start);
        Span { start: u32::try_from(start).unwrap_or(u32::MAX), len: u32::try_from(len).unwrap_or(0) }
    }

    /// Appends all fields as lines of HTTP/1. Adjacent fields that are already stored as lines are copied
    /// together.
    pub fn write_lines(&self, out: &mut Vec<u8>) {
        let mut run = 0..0;
        for entry in &self.entries {
            let start = entry.name.start as usize;
            let Some(end) = entry.line_end(&self.buffer) else {
                append(out, &self.buffer[run]);
                run = 0..0;
                let field = entry.field(&self.buffer);
                for part in [field.name, b": ", field.value, b"\r\n"] {
                    append(out, part);
                }
                continue;
            };
            if start == run.end {
                run.end = end;
            } else {
                append(out, &self.buffer[run]);
                run = start..end;
            }
        }
        append(out, &self.buffer[run]);
    }

    /// Replaces every field of this name with one.
    pub fn set(&mut self, known: Name, value: &[u8]) {
        self.remove(known);
        self.add(known, value);
    }

    /// Replaces every field of this name with one; for names without a [`Name`] of their own.
    pub fn set_named(&mut self, name: &[u8], value: &[u8]) {
        self.remove_named(name);
        self.push(name, value);
    }

    /// Removes every field of this name.
    pub fn remove(&mut self, known: Name) {
        self.entries.retain(|entry| entry.known != known);
    }

    /// Removes every field of this name, in any case.
    pub fn remove_named(&mut self, name: &[u8]) {
        let buffer = &self.buffer;
        self.entries.retain(|entry| !entry.name.of(buffer).eq_ignore_ascii_case(name));
    }

    /// Keeps the fields for which `keep` returns true.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let buffer = &self.buffer;
        self.entries.retain(|entry| keep(entry.field(buffer)));
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All fields.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Field<'_>> {
        self.entries.iter().map(|entry| entry.field(&self.buffer))
    }

    /// The first value of this name.
    pub fn get(&self, known: Name) -> Option<&[u8]> {
        self.all(known).next()
    }

    /// All values of this name.
    pub fn all(&self, known: Name) -> impl DoubleEndedIterator<Item = &[u8]> {
        let of_name = move |entry: &&Entry| entry.known == known;
        self.entries.iter().filter(of_name).map(|entry| entry.value.of(&self.buffer))
    }

    /// All values of this name, in any case.
    pub fn named<'f>(&'f self, name: &'f [u8]) -> impl DoubleEndedIterator<Item = &'f [u8]> {
        self.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Whether there is a field of this name.
    pub fn has(&self, known: Name) -> bool {
        self.entries.iter().any(|entry| entry.known == known)
    }

    /// Whether a field of this name lists the token, in any case (RFC 9110 section 5.6.1).
    pub fn lists(&self, known: Name, token: &[u8]) -> bool {
        self.all(known).flat_map(super::token::list).any(|element| element.eq_ignore_ascii_case(token))
    }
}

impl Entry {
    /// End of the field's line, if the buffer has the field as a line.
    fn line_end(&self, buffer: &[u8]) -> Option<usize> {
        let name_end = self.name.start as usize + self.name.len as usize;
        let value_start = self.value.start as usize;
        let value_end = value_start + self.value.len as usize;
        let is_line = value_start == name_end + 2
            && buffer.get(name_end..value_start) == Some(b": ")
            && buffer.get(value_end..value_end + 2) == Some(b"\r\n");
        is_line.then_some(value_end + 2)
    }

    fn field<'b>(&self, buffer: &'b [u8]) -> Field<'b> {
        Field { known: self.known, name: self.name.of(buffer), value: self.value.of(buffer) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, Name};

    fn shown(fields: &Fields) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields.iter().map(|field| format!("{}: {}", text(field.name), text(field.value))).collect()
    }

    #[test]
    fn adopted_and_added_fields_are_listed_together() {
        let mut fields = Fields::new();
        fields.adopt(b"Host: a\r\nX: b\r\n");
        fields.note(Name::Host, (0, 4), (6, 7));
        fields.note(Name::Other, (9, 10), (12, 13));
        fields.push(b"y", b"c");
        fields.write(Name::Via, |value| value.extend_from_slice(b"1.1 gateway"));
        assert_eq!(shown(&fields), ["Host: a", "X: b", "y: c", "via: 1.1 gateway"]);
        assert_eq!(fields.get(Name::Host), Some(&b"a"[..]));
        fields.set(Name::Host, b"d");
        fields.set_named(b"x", b"e");
        assert_eq!(shown(&fields), ["y: c", "via: 1.1 gateway", "host: d", "x: e"]);
        fields.retain(|field| field.name != b"y");
        fields.remove_named(b"X");
        assert_eq!(shown(&fields), ["via: 1.1 gateway", "host: d"]);
    }

    #[test]
    fn lines_are_written_for_http1() {
        let mut fields = Fields::new();
        fields.adopt(b"A: 1\r\nB: 2\r\nC:3\r\nD: 4 \r\nE: 5\r\n\r\n");
        for (name, value) in [(0, 3), (6, 9), (12, 14), (17, 20), (24, 27)] {
            fields.note(Name::Other, (name, name + 1), (value, value + 1));
        }
        fields.push(b"f", b"6");
        fields.write(Name::Via, |value| value.push(b'7'));
        let written = |fields: &Fields| {
            let mut out = Vec::new();
            fields.write_lines(&mut out);
            String::from_utf8(out).expect("text")
        };
        let all = "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nf: 6\r\nvia: 7\r\n";
        assert_eq!(written(&fields), all);
        fields.remove_named(b"b");
        fields.remove_named(b"F");
        assert_eq!(written(&fields), "A: 1\r\nC: 3\r\nD: 4\r\nE: 5\r\nvia: 7\r\n");
        assert_eq!(written(&Fields::new()), "");
    }

    #[test]
    fn tokens_are_found_in_lists() {
        let mut fields = Fields::new();
        fields.push(b"Connection", b"close, Upgrade");
        assert!(fields.lists(Name::Connection, b"upgrade"));
        assert!(!fields.lists(Name::Connection, b"up"));
    }
}
