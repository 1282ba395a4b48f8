//! The size of each crate in a binary, from the names of its symbols.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use object::read::elf::{ElfFile64, ElfSymbol64};
use object::{Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind};

use super::data::CodeSize;

/// Code without a Rust name: musl, or another C library.
const LIBC: &str = "libc";
/// Bytes without a symbol: padding, unwind tables, strings.
const OTHER: &str = "other";

/// The bytes of each crate in an unstripped binary, largest first.
///
/// # Errors
/// The binary is no ELF file of 64 bits, or has no symbols.
pub fn sizes(binary: &[u8]) -> Result<Vec<CodeSize>> {
    let file = ElfFile64::<Endianness>::parse(binary).context("the binary is no ELF file of 64 bits")?;
    let loaded = file.sections().filter(|section| {
        matches!(section.kind(), SectionKind::Text | SectionKind::Data | SectionKind::ReadOnlyData)
            || matches!(section.kind(), SectionKind::ReadOnlyString | SectionKind::ReadOnlyDataWithRel)
    });
    let total: u64 = loaded.map(|section| section.size()).sum();
    // Aliases share an address.
    let mut by_address = BTreeMap::new();
    for symbol in file.symbols() {
        if symbol.is_definition() && symbol.size() > 0 && !is_zeroed(&file, &symbol) {
            by_address.insert(symbol.address(), (symbol.size(), symbol.name().unwrap_or_default()));
        }
    }
    anyhow::ensure!(!by_address.is_empty(), "the binary has no symbols");
    let mut sizes = BTreeMap::<String, u64>::new();
    for (size, name) in by_address.values() {
        let name = format!("{:#}", rustc_demangle::demangle(name));
        *sizes.entry(crate_of(&name).unwrap_or(LIBC).to_owned()).or_default() += size;
    }
    let named: u64 = sizes.values().sum();
    sizes.insert(OTHER.to_owned(), total.saturating_sub(named));
    let mut sizes: Vec<_> = sizes.into_iter().map(|(name, bytes)| CodeSize { name, bytes }).collect();
    sizes.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    Ok(sizes)
}

/// Whether a symbol is in memory only (.bss).
fn is_zeroed(file: &ElfFile64, symbol: &ElfSymbol64) -> bool {
    let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
    section.is_some_and(|section| section.kind().is_bss())
}

/// The crate in a demangled name: of `<a::B as c::D>::e` it is `a`; none for a name without `::`.
fn crate_of(name: &str) -> Option<&str> {
    let mut rest = name;
    loop {
        let trimmed = rest.trim_start_matches(['<', '&', '*', '(', '[', ' ']);
        let trimmed = ["mut ", "const ", "dyn "]
            .iter()
            .fold(trimmed, |text, word| text.strip_prefix(word).unwrap_or(text));
        if trimmed.len() == rest.len() {
            break;
        }
        rest = trimmed;
    }
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    if after.starts_with("::") {
        return (!word.is_empty()).then_some(word);
    }
    // A built-in type implements a trait, whose crate has the code: `<u8 as a::B>::c`.
    let (_, behind) = after.split_once(" as ")?;
    crate_of(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_crates() {
        for (name, expected) in [
            ("alpha::beta::gamma", Some("alpha")),
            ("<alpha::Beta as core::fmt::Display>::fmt", Some("alpha")),
            ("<&mut alpha::Beta<core::Gamma> as std::io::Read>::read", Some("alpha")),
            ("<[alpha::Beta] as core::Clone>::clone", Some("alpha")),
            ("<u8 as alpha::Beta>::run", Some("alpha")),
            ("<dyn alpha::Beta>::run", Some("alpha")),
            ("core::ptr::drop_in_place<alpha::Beta>", Some("core")),
            ("memcpy", None),
            ("", None),
            ("<u8>", None),
        ] {
            assert_eq!(crate_of(name), expected, "{name}");
        }
    }

    #[test]
    fn a_program_is_divided_among_its_crates() {
        let this = std::fs::read(std::env::current_exe().expect("this test")).expect("a file");
        if !this.starts_with(b"\x7fELF") {
            return;
        }
        let sizes = sizes(&this).expect("sizes");
        let size = |name: &str| sizes.iter().find(|one| one.name == name).map_or(0, |one| one.bytes);
        assert!(size("core") > 1000 && size("cargo_image") > 1000, "{sizes:?}");
        assert!(super::sizes(b"#!/bin/sh").is_err());
    }
}
