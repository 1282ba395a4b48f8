//! Reads and adds a section of an ELF file (System V ABI, "Object Files"). Offsets are checked before use, so no input
//! panics.

use std::error::Error;
use std::fmt;

const NAME: &[u8] = b".dep-v0";
const PROGBITS: u32 = 1;
const STRTAB: u32 = 3;
const NOBITS: u32 = 8;
/// From this number on, ELF stores the number of sections elsewhere. Linked programs have far fewer.
const MAX_SECTIONS: usize = 0xff00;

/// A malformed ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ELF file is damaged: {}", self.0)
    }
}

impl Error for Malformed {}

/// Whether the bytes start with the ELF magic. `find` reports files that it cannot read.
pub fn executable(beginning: &[u8]) -> bool {
    beginning.starts_with(b"\x7fELF")
}

/// The section's bytes; none if there is no such section or the file is not ELF.
pub(super) fn find(file: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    if !executable(file) {
        return Ok(None);
    }
    let elf = Elf::read(file)?;
    match elf.position()? {
        Some(at) => elf.content(&elf.sections[at]).map(Some),
        None => Ok(None),
    }
}

/// The file with the section added. Loaded parts keep their offsets: the section, the section names and the section table go
/// to the end of the file, in place of the old names and table if these are last.
pub(super) fn put(file: &[u8], data: &[u8]) -> Result<Vec<u8>, Malformed> {
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return Err(Malformed("not a 64-bit little-endian file"));
    }
    let mut elf = Elf::read(file)?;
    let mut names = match elf.sections.get(elf.names) {
        Some(section) => elf.content(section)?.to_vec(),
        None => vec![0],
    };
    let present = elf.position()?;
    let mut out = file[..elf.end(present)].to_vec();
    if elf.sections.is_empty() {
        elf.sections.push(Section::default());
    }
    if elf.names == 0 {
        elf.names = elf.sections.len();
        let name = add_name(&mut names, b".shstrtab");
        elf.sections.push(Section { name, kind: STRTAB, align: 1, ..Section::default() });
    }
    let own = present.unwrap_or(elf.sections.len());
    if present.is_none() {
        let name = add_name(&mut names, NAME);
        elf.sections.push(Section { name, kind: PROGBITS, align: 1, ..Section::default() });
    }
    if elf.sections.len() >= MAX_SECTIONS {
        return Err(Malformed("too many sections"));
    }
    for (at, bytes) in [(own, data), (elf.names, &names[..])] {
        let (offset, size) = (out.len() as u64, bytes.len() as u64);
        // A section of this name in a loaded segment cannot be replaced.
        let section = Section { flags: 0, address: 0, offset, size, ..elf.sections[at] };
        elf.sections[at] = Section { kind: if at == own { PROGBITS } else { STRTAB }, ..section };
        out.extend_from_slice(bytes);
    }
    out.resize(out.len().next_multiple_of(8), 0);
    let table = out.len() as u64;
    for section in &elf.sections {
        section.write(&mut out);
    }
    out[40..48].copy_from_slice(&table.to_le_bytes());
    out[58..60].copy_from_slice(&64_u16.to_le_bytes());
    out[60..62].copy_from_slice(&short(elf.sections.len())?);
    out[62..64].copy_from_slice(&short(elf.names)?);
    Ok(out)
}

fn short(number: usize) -> Result<[u8; 2], Malformed> {
    u16::try_from(number).map(u16::to_le_bytes).map_err(|_| Malformed("too many sections"))
}

fn add_name(names: &mut Vec<u8>, name: &[u8]) -> u32 {
    // A larger name table was refused when it was read.
    let at = u32::try_from(names.len()).unwrap_or_default();
    names.extend_from_slice(name);
    names.push(0);
    at
}

struct Elf<'a> {
    file: &'a [u8],
    wide: bool,
    table: usize,
    sections: Vec<Section>,
    /// The index of the section with the section names; 0 if there is none.
    names: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    align: u64,
    entry: u64,
}

impl<'a> Elf<'a> {
    fn read(file: &'a [u8]) -> Result<Self, Malformed> {
        if !matches!(file.get(4..6), Some([1 | 2, 1])) {
            return Err(Malformed("its class or byte order is unknown"));
        }
        let wide = file[4] == 2;
        let header = if wide { 64 } else { 52 };
        if file.len() < header {
            return Err(Malformed("its header is cut short"));
        }
        let mut fields = Fields { file, at: if wide { 40 } else { 32 }, wide };
        let table = place(fields.address()?)?;
        fields.at = header - 6;
        let (entry, count, names) = (fields.number(2)?, fields.number(2)?, fields.number(2)?);
        let (entry, count, names) = (place(entry)?, place(count)?, place(names)?);
        let expected = if wide { 64 } else { 40 };
        if table == 0 {
            return Ok(Self { file, wide, table, sections: Vec::new(), names: 0 });
        }
        if count == 0 || count >= MAX_SECTIONS || names >= count || entry != expected {
            return Err(Malformed("its section table is inconsistent"));
        }
        let sections = (0..count).map(|index| {
            let at = table.checked_add(index * entry).ok_or(Malformed("a section lies outside"))?;
            Section::read(&mut Fields { file, at, wide })
        });
        let sections = sections.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { file, wide, table, sections, names })
    }

    fn content(&self, section: &Section) -> Result<&'a [u8], Malformed> {
        if section.kind == NOBITS {
            return Ok(&[]);
        }
        let (from, len) = (place(section.offset)?, place(section.size)?);
        let end = from.checked_add(len).ok_or(Malformed("a section lies outside"))?;
        self.file.get(from..end).ok_or(Malformed("a section lies outside"))
    }

    /// The index of our section.
    fn position(&self) -> Result<Option<usize>, Malformed> {
        let Some(names) = self.sections.get(self.names).filter(|_| self.names > 0) else { return Ok(None) };
        let names = self.content(names)?;
        let is_ours = |section: &Section| {
            let name = usize::try_from(section.name).ok().and_then(|at| names.get(at..));
            name.and_then(|name| name.strip_prefix(NAME)).is_some_and(|rest| rest.first() == Some(&0))
        };
        Ok(self.sections.iter().position(is_ours))
    }

    /// Where all ends that is not the section of this place, the names or the table. With something
    /// behind those that nothing points to, the end of the file.
    fn end(&self, own: Option<usize>) -> usize {
        let size = |section: &Section| if section.kind == NOBITS { 0 } else { section.size };
        let end_of = |section: &Section| section.offset.saturating_add(size(section));
        let replaced = |at: &usize| *at == self.names || Some(*at) == own;
        let (ours, others): (Vec<_>, Vec<_>) = (0..self.sections.len()).partition(replaced);
        let last =
            |places: &[usize]| places.iter().map(|&at| end_of(&self.sections[at])).max().unwrap_or_default();
        let table = (self.table + self.sections.len() * if self.wide { 64 } else { 40 }) as u64;
        let kept = last(&others).max(self.end_of_segments());
        let known = kept.max(last(&ours)).max(table);
        let whole = self.file.len() as u64;
        let end = if known < whole { whole } else { kept.min(whole) };
        usize::try_from(end).unwrap_or(self.file.len()).max(64)
    }

    /// Where the last segment and the table of segments end.
    fn end_of_segments(&self) -> u64 {
        let read = || -> Result<u64, Malformed> {
            let start = Fields { file: self.file, at: 32, wide: true }.number(8)?;
            let mut counts = Fields { file: self.file, at: 54, wide: true };
            let (size, count) = (counts.number(2)?, counts.number(2)?);
            let mut end = start.saturating_add(size * count);
            for index in 0..count {
                let at = place(start.saturating_add(index * size))?.saturating_add(8);
                let mut segment = Fields { file: self.file, at, wide: true };
                let offset = segment.number(8)?;
                segment.at += 16;
                end = end.max(offset.saturating_add(segment.number(8)?));
            }
            Ok(end)
        };
        // Unreadable parts are kept.
        read().unwrap_or(self.file.len() as u64)
    }
}

impl Section {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        let four = |fields: &mut Fields<'_>| {
            fields.number(4).map(|number| u32::try_from(number).unwrap_or_default())
        };
        Ok(Self {
            name: four(fields)?,
            kind: four(fields)?,
            flags: fields.address()?,
            address: fields.address()?,
            offset: fields.address()?,
            size: fields.address()?,
            link: four(fields)?,
            info: four(fields)?,
            align: fields.address()?,
            entry: fields.address()?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut four = |number: u32| out.extend_from_slice(&number.to_le_bytes());
        four(self.name);
        four(self.kind);
        for number in [self.flags, self.address, self.offset, self.size] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let mut four = |number: u32| out.extend_from_slice(&number.to_le_bytes());
        four(self.link);
        four(self.info);
        for number in [self.align, self.entry] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

struct Fields<'a> {
    file: &'a [u8],
    at: usize,
    wide: bool,
}

impl Fields<'_> {
    fn number(&mut self, len: usize) -> Result<u64, Malformed> {
        let end = self.at.checked_add(len).ok_or(Malformed("it is cut short"))?;
        let bytes = self.file.get(self.at..end).ok_or(Malformed("it is cut short"))?;
        self.at = end;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn address(&mut self) -> Result<u64, Malformed> {
        self.number(if self.wide { 8 } else { 4 })
    }
}

fn place(number: u64) -> Result<usize, Malformed> {
    // At most half of the range, so that a sum of two cannot overflow.
    usize::try_from(number).ok().filter(|at| *at <= usize::MAX / 4).ok_or(Malformed("a place lies outside"))
}

#[cfg(test)]
mod tests {
    use super::super::sample::elf;
    use super::*;

    #[test]
    fn the_section_is_found_again_and_the_program_is_untouched() {
        let before = elf();
        let after = put(&before, b"list").unwrap();
        assert_eq!(find(&after).unwrap(), Some(&b"list"[..]));
        assert_eq!(after[..40], before[..40]);
        assert_eq!(after[64..124], before[64..124]);
        assert_eq!(find(&before).unwrap(), None);
        assert_eq!(find(b"#!/bin/sh").unwrap(), None);
        for (at, value) in [(4, 0), (4, 3), (5, 0), (5, 2)] {
            let mut other = before.clone();
            other[at] = value;
            assert!(executable(&other) && find(&other).is_err());
        }
        assert!(executable(b"\x7fELF") && find(b"\x7fELF").is_err());
    }

    #[test]
    fn a_file_without_sections_gets_its_first_ones_and_a_payload_behind_the_end_stays() {
        let mut bare = elf();
        bare[40..48].fill(0);
        (bare[58], bare[60], bare[62]) = (0, 0, 0);
        assert_eq!(find(&put(&bare, b"list").unwrap()).unwrap(), Some(&b"list"[..]));
        let payload = [&elf()[..], b"PAYLOAD"].concat();
        let after = put(&payload, b"list").unwrap();
        assert!(after.windows(7).any(|bytes| bytes == b"PAYLOAD"));
    }

    #[test]
    fn no_cut_and_no_flipped_byte_makes_it_panic() {
        let whole = put(&elf(), b"list").unwrap();
        for len in 0..whole.len() {
            assert!(!matches!(find(&whole[..len]), Ok(Some(_))), "cut at {len}");
            let _ = put(&whole[..len], b"x");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut broken = whole.clone();
                broken[at] = value;
                let _ = (find(&broken), put(&broken, b"x"));
            }
        }
    }
}
