//! The dynamic table (RFC 7541 section 2.3.2).
//!
//! The strings of all entries are in one buffer in the order of their insertion. Entries are evicted at the
//! front; the buffer is compacted when half of it is unused. An empty table has no allocation.

use std::collections::VecDeque;

use super::OVERHEAD;
use super::label::Label;
use crate::net::append;

/// The entries added by the sender, newest first.
#[derive(Debug)]
pub struct Table {
    entries: VecDeque<Entry>,
    bytes: Vec<u8>,
    /// The start of the oldest entry's strings in `bytes`.
    start: usize,
    /// The size as defined by RFC 7541 section 4.1.
    size: usize,
    max: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    label: Label,
    valid: bool,
    /// Offset of its strings in `bytes`, before the last compaction.
    name: u32,
    value: u32,
}

/// An entry of the table.
#[derive(Debug, Clone, Copy)]
pub struct Indexed<'t> {
    /// The class of its name.
    pub label: Label,
    /// Whether the value is valid.
    pub valid: bool,
    /// Its name.
    pub name: &'t [u8],
    /// Its value.
    pub value: &'t [u8],
}

impl Table {
    /// An empty table of at most `max` bytes.
    pub const fn new(max: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: Vec::new(), start: 0, size: 0, max }
    }

    /// The entry at an index; 0 is the newest.
    pub fn get(&self, index: usize) -> Option<Indexed<'_>> {
        let place = self.entries.len().checked_sub(index + 1)?;
        let entry = self.entries.get(place)?;
        let end = self.entries.get(place + 1).map_or(self.bytes.len(), |next| next.name as usize);
        Some(Indexed {
            label: entry.label,
            valid: entry.valid,
            name: self.bytes.get(entry.name as usize..entry.value as usize)?,
            value: self.bytes.get(entry.value as usize..end)?,
        })
    }

    /// Adds an entry and evicts entries until it fits; an entry larger than the table empties it (section
    /// 4.4).
    pub fn insert(&mut self, label: Label, valid: bool, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + OVERHEAD;
        if size > self.max {
            self.evict(0);
            return;
        }
        self.evict(self.max - size);
        self.compact();
        let place = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let at = place(self.bytes.len());
        append(&mut self.bytes, name);
        let entry = Entry { label, valid, name: at, value: place(self.bytes.len()) };
        append(&mut self.bytes, value);
        self.entries.push_back(entry);
        self.size += size;
    }

    /// Changes the maximum size (section 4.3).
    pub fn resize(&mut self, max: usize) {
        self.max = max;
        self.evict(max);
    }

    /// Evicts the oldest entries until the rest has at most `room` bytes.
    fn evict(&mut self, room: usize) {
        while self.size > room {
            let Some(oldest) = self.entries.pop_front() else { break };
            let next = self.entries.front().map_or(self.bytes.len(), |entry| entry.name as usize);
            self.size -= next - oldest.name as usize + OVERHEAD;
            self.start = next;
        }
        if self.entries.is_empty() {
            self.bytes = Vec::new();
            self.entries = VecDeque::new();
            self.start = 0;
        }
    }

    /// Compacts the buffer when half of it is free at the front.
    fn compact(&mut self) {
        if self.start < 256 || self.start * 2 < self.bytes.len() {
            return;
        }
        self.bytes.drain(..self.start);
        let moved = u32::try_from(self.start).unwrap_or(u32::MAX);
        for entry in &mut self.entries {
            entry.name -= moved;
            entry.value -= moved;
        }
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Label, Table};
    use crate::http::name::Name;

    fn memory(table: &Table) -> usize {
        table.bytes.capacity() + table.entries.capacity() * size_of::<super::Entry>()
    }

    fn add(table: &mut Table, name: &[u8], value: &[u8]) {
        table.insert(Label::Field(Name::Other), true, name, value);
    }

    #[test]
    fn oldest_entries_are_evicted() {
        let mut table = Table::new(110);
        add(&mut table, b"a", b"1");
        add(&mut table, b"bb", b"22");
        add(&mut table, b"ccc", b"333");
        assert_eq!(table.entries.len(), 3);
        add(&mut table, b"d", b"4");
        let shown =
            |table: &Table, index| table.get(index).map(|entry| (entry.name.to_vec(), entry.value.to_vec()));
        assert_eq!(shown(&table, 0), Some((b"d".to_vec(), b"4".to_vec())));
        assert_eq!(shown(&table, 1), Some((b"ccc".to_vec(), b"333".to_vec())));
        assert_eq!(shown(&table, 2), Some((b"bb".to_vec(), b"22".to_vec())));
        assert_eq!(shown(&table, 3), None);
        table.resize(40);
        assert_eq!(shown(&table, 0), Some((b"d".to_vec(), b"4".to_vec())));
        assert_eq!(table.entries.len(), 1);
        add(&mut table, b"large", b"larger than the table");
        assert_eq!((table.entries.len(), memory(&table)), (0, 0));
    }

    #[test]
    fn strings_are_unchanged_by_compaction() {
        let mut table = Table::new(4096);
        for round in 0..1000_usize {
            let value = vec![u8::try_from(round % 251).unwrap_or(0); round % 97];
            add(&mut table, round.to_string().as_bytes(), &value);
            for index in 0..table.entries.len() {
                let entry = table.get(index).expect("an entry");
                let of = round - index;
                assert_eq!(entry.name, of.to_string().as_bytes());
                assert_eq!(entry.value.len(), of % 97);
            }
        }
        assert!(memory(&table) < 10_000, "{}", memory(&table));
    }
}
