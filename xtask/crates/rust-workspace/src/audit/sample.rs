//! A small ELF file for tests.

/// A header for x86-64, one segment of four bytes, the names of sections, and the section table (elf(5)).
pub fn elf() -> Vec<u8> {
    let mut elf = vec![0; 64 + 56];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[18] = 62;
    (elf[32], elf[54], elf[56]) = (64, 56, 1);
    (elf[64 + 8], elf[64 + 32]) = (120, 4);
    elf.extend_from_slice(b"code");
    let names = elf.len() as u64;
    elf.extend_from_slice(b"\0.shstrtab\0\0\0\0\0\0");
    let table = (elf.len() as u64).to_le_bytes();
    elf[40..48].copy_from_slice(&table);
    (elf[58], elf[60], elf[62]) = (64, 2, 1);
    // The first section header is empty; the second one is the string table of type 3.
    elf.extend_from_slice(&[0; 64]);
    let mut strings = [0; 64];
    (strings[0], strings[4], strings[32], strings[48]) = (1, 3, 11, 1);
    strings[24..32].copy_from_slice(&names.to_le_bytes());
    elf.extend_from_slice(&strings);
    elf
}
