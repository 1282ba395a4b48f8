//! Finds and adds the section with the list of crates (System V ABI, "Object Files").

use crate::elf::{Elf, MAX_SECTIONS, Malformed, Section, Segments, check_class, machine};

const NAME: &[u8] = b".dep-v0";
const PROGBITS: u32 = 1;
const STRTAB: u32 = 3;

/// The section's bytes; none if there is no such section or the file is not ELF.
pub(super) fn find(file: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    if machine(file).is_none() {
        return Ok(None);
    }
    let elf = Elf::read(file)?;
    match position(&elf)? {
        Some(at) => elf.content(&elf.sections[at]).map(Some),
        None => Ok(None),
    }
}

/// The file with the section added. Loaded parts keep their offsets: the section, the section names and the section table go
/// to the end of the file, in place of the old names and table if these are last.
pub(super) fn put(file: &[u8], data: &[u8]) -> Result<Vec<u8>, Malformed> {
    check_class(file)?;
    let mut elf = Elf::read(file)?;
    let mut names = match elf.sections.get(elf.names) {
        Some(section) => elf.content(section)?.to_vec(),
        None => vec![0],
    };
    let present = position(&elf)?;
    let mut out = file[..end(&elf, present)].to_vec();
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
        write(section, &mut out);
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

/// The index of our section.
fn position(elf: &Elf<'_>) -> Result<Option<usize>, Malformed> {
    let Some(names) = elf.sections.get(elf.names).filter(|_| elf.names > 0) else { return Ok(None) };
    let names = elf.content(names)?;
    let is_ours = |section: &Section| {
        let name = usize::try_from(section.name).ok().and_then(|at| names.get(at..));
        name.and_then(|name| name.strip_prefix(NAME)).is_some_and(|rest| rest.first() == Some(&0))
    };
    Ok(elf.sections.iter().position(is_ours))
}

/// Where everything ends but the section `own`, the section names and the section table. The end of the file where bytes
/// follow that nothing points to.
fn end(elf: &Elf<'_>, own: Option<usize>) -> usize {
    let replaced = |at: &usize| *at == elf.names || Some(*at) == own;
    let (ours, others): (Vec<_>, Vec<_>) = (0..elf.sections.len()).partition(replaced);
    let last = |places: &[usize]| places.iter().map(|&at| elf.sections[at].end()).max().unwrap_or_default();
    let whole = elf.file.len() as u64;
    // Unreadable parts are kept.
    let segments = Segments::read(elf.file).map_or(whole, |segments| segments.end);
    let kept = last(&others).max(segments);
    let known = kept.max(last(&ours)).max(elf.table.end as u64);
    let end = if known < whole { whole } else { kept.min(whole) };
    usize::try_from(end).unwrap_or(elf.file.len()).max(64)
}

fn write(section: &Section, out: &mut Vec<u8>) {
    let Section { name, kind, flags, address, offset, size, link, info, align, entry } = *section;
    out.extend([name, kind].iter().flat_map(|number| number.to_le_bytes()));
    out.extend([flags, address, offset, size].iter().flat_map(|number| number.to_le_bytes()));
    out.extend([link, info].iter().flat_map(|number| number.to_le_bytes()));
    out.extend([align, entry].iter().flat_map(|number| number.to_le_bytes()));
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
            assert!(find(&other).is_err());
        }
        assert!(find(b"\x7fELF").is_err());
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
    fn truncated_and_corrupted_files_do_not_panic() {
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
