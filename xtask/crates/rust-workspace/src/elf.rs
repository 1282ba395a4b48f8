//! The one reader of ELF files (System V ABI, "Object Files"). Offsets are checked before use, so no input panics.
//!
//! Not the crate `object`: it is larger than all of this, and a build of xtask would wait for it.

use std::error::Error;
use std::fmt;

const NOBITS: u32 = 8;
const PT_INTERP: u64 = 3;
/// From this number on, ELF stores the number of sections elsewhere. Linked programs have far fewer.
pub(crate) const MAX_SECTIONS: usize = 0xff00;

/// A malformed ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ELF file is damaged: {}", self.0)
    }
}

impl Error for Malformed {}

/// The `e_machine` of a file with these first bytes: 0 where they end before it, none where they are not ELF.
pub fn machine(start: &[u8]) -> Option<u16> {
    let is_elf = start.starts_with(b"\x7fELF");
    is_elf.then(|| match start.get(18..20) {
        // The sixth byte is the byte order.
        Some(&[a, b]) if start[5] == 2 => u16::from_be_bytes([a, b]),
        Some(&[a, b]) => u16::from_le_bytes([a, b]),
        _ => 0,
    })
}

/// An error where a file is not of the class and byte order of the supported targets.
pub(crate) fn check_class(file: &[u8]) -> Result<(), Malformed> {
    let is_supported = file.starts_with(b"\x7fELF\x02\x01");
    is_supported.then_some(()).ok_or(Malformed("not a 64-bit little-endian file"))
}

/// The program headers of a file.
pub(crate) struct Segments {
    /// Where the headers and the last segment end.
    pub(crate) end: u64,
    /// Whether the program needs a dynamic loader.
    pub(crate) has_loader: bool,
}

impl Segments {
    pub(crate) fn read(file: &[u8]) -> Result<Self, Malformed> {
        check_class(file)?;
        let start = Fields { file, at: 32, wide: true }.number(8)?;
        let mut counts = Fields { file, at: 54, wide: true };
        let (size, count) = (counts.number(2)?, counts.number(2)?);
        let mut segments = Self { end: start.saturating_add(size * count), has_loader: false };
        for index in 0..count {
            let at = place(start.saturating_add(index * size))?;
            let mut fields = Fields { file, at, wide: true };
            segments.has_loader |= fields.number(4)? == PT_INTERP;
            fields.at += 4;
            let offset = fields.number(8)?;
            fields.at += 16;
            segments.end = segments.end.max(offset.saturating_add(fields.number(8)?));
        }
        Ok(segments)
    }
}

/// The sections of a file.
pub(crate) struct Elf<'a> {
    pub(crate) file: &'a [u8],
    /// Where the section table is, and where it ends.
    pub(crate) table: std::ops::Range<usize>,
    pub(crate) sections: Vec<Section>,
    /// The index of the section with the section names; 0 if there is none.
    pub(crate) names: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Section {
    pub(crate) name: u32,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) link: u32,
    pub(crate) info: u32,
    pub(crate) align: u64,
    pub(crate) entry: u64,
}

impl<'a> Elf<'a> {
    pub(crate) fn read(file: &'a [u8]) -> Result<Self, Malformed> {
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
            return Ok(Self { file, table: 0..0, sections: Vec::new(), names: 0 });
        }
        if count == 0 || count >= MAX_SECTIONS || names >= count || entry != expected {
            return Err(Malformed("its section table is inconsistent"));
        }
        let sections = (0..count).map(|index| {
            let at = table.checked_add(index * entry).ok_or(Malformed("a section lies outside"))?;
            Section::read(&mut Fields { file, at, wide })
        });
        let sections = sections.collect::<Result<Vec<_>, _>>()?;
        let table = table..table + count * entry;
        Ok(Self { file, table, sections, names })
    }

    /// The bytes of a section.
    pub(crate) fn content(&self, section: &Section) -> Result<&'a [u8], Malformed> {
        if section.kind == NOBITS {
            return Ok(&[]);
        }
        let (from, len) = (place(section.offset)?, place(section.size)?);
        let end = from.checked_add(len).ok_or(Malformed("a section lies outside"))?;
        self.file.get(from..end).ok_or(Malformed("a section lies outside"))
    }
}

impl Section {
    /// Where its bytes end in the file.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(if self.kind == NOBITS { 0 } else { self.size })
    }

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
    use super::*;

    #[test]
    fn the_loader_of_an_elf_is_found_and_other_files_are_errors() {
        let has_loader = |file: &[u8]| Segments::read(file).ok().map(|segments| segments.has_loader);
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (elf[32], elf[54], elf[56]) = (64, 56, 1);
        assert_eq!(has_loader(&elf), Some(false));
        elf[64] = 3;
        assert_eq!(has_loader(&elf), Some(true));
        elf.truncate(66);
        assert_eq!(has_loader(&elf), None);
        elf[39] = 0xff;
        assert_eq!(has_loader(&elf), None);
        assert_eq!(has_loader(b"#!/bin/sh"), None);
    }
}
