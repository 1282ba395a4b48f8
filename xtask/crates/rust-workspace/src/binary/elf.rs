//! Checks that a binary is statically linked.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::{Build, Target};
use cli_support::error::Fault;

/// The binary of a target. An error if it needs a dynamic loader, which `scratch` does not have.
pub fn static_binary(build: &Build, target: &Target) -> Result<PathBuf> {
    let path = build.output(target);
    let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
    match needs_loader(&bytes) {
        Some(false) => Ok(path),
        Some(true) => {
            Err(Fault::failed("the binary asks for a dynamic loader, which an empty base does not have")
                .at(path.display())
                .hint("a crate links a shared library, or a linker flag undoes static linking")
                .into())
        }
        None => Err(Fault::failed("this is not a 64-bit ELF file").at(path.display()).into()),
    }
}

/// Whether an ELF file has a PT_INTERP program header; none if it is not a 64-bit little-endian ELF file.
fn needs_loader(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, len: usize| -> Option<u64> {
        let bytes = elf.get(at..at.checked_add(len)?)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let at = usize::try_from(start.checked_add(index * size)?).ok()?;
        if number(at, 4)? == u64::from(PT_INTERP) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_is_found_and_what_is_no_elf_is_none() {
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (elf[32], elf[54], elf[56]) = (64, 56, 1);
        assert_eq!(needs_loader(&elf), Some(false));
        elf[64] = 3;
        assert_eq!(needs_loader(&elf), Some(true));
        elf.truncate(66);
        assert_eq!(needs_loader(&elf), None);
        elf[39] = 0xff;
        assert_eq!(needs_loader(&elf), None);
        assert_eq!(needs_loader(b"#!/bin/sh"), None);
    }
}
