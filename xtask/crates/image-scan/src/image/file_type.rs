//! The type of an executable file by its first bytes, as the kernel reads them (execve(2)).

/// Bytes of a script's first line that Linux reads (`BINPRM_BUF_SIZE`).
const FIRST_LINE: usize = 256;

/// The type of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileType {
    /// Not executable.
    #[default]
    Data,
    /// ELF, with its `e_machine` (System V ABI); 0 where the file is too short.
    Elf(u16),
    /// A script, with its first line behind `#!`.
    Script(Box<str>),
}

impl FileType {
    /// The type of a file with these first bytes.
    pub fn of(start: &[u8]) -> Self {
        if let Some(machine) = rust_workspace::elf::machine(start) {
            return Self::Elf(machine);
        }
        match start.strip_prefix(b"#!") {
            Some(rest) => {
                let line = &rest[..rest.len().min(FIRST_LINE)];
                let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
                Self::Script(String::from_utf8_lossy(line).trim().into())
            }
            None => Self::Data,
        }
    }
}

/// The `e_machine` of an architecture (`GOARCH`); none where it is not known.
pub fn machine(arch: &str) -> Option<u16> {
    Some(match arch {
        "amd64" => 62,
        "386" => 3,
        "arm64" => 183,
        "arm" => 40,
        "mips" | "mipsle" | "mips64" | "mips64le" => 8,
        "ppc" => 20,
        "ppc64" | "ppc64le" => 21,
        "s390x" => 22,
        "riscv64" => 243,
        "loong64" => 258,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_first_bytes() {
        let elf = |order: u8, machine: [u8; 2]| {
            let head = [0x7f, b'E', b'L', b'F', 2, order, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0];
            [&head[..], &machine[..]].concat()
        };
        let long = [b"#!".to_vec(), vec![b'a'; 1000]].concat();
        for (bytes, expected) in [
            (elf(1, [62, 0]), FileType::Elf(62)),
            (elf(2, [0, 22]), FileType::Elf(22)),
            (b"\x7fELF".to_vec(), FileType::Elf(0)),
            (b"#! /bin/sh -e\nexit".to_vec(), FileType::Script("/bin/sh -e".into())),
            (b"#!".to_vec(), FileType::Script("".into())),
            (long, FileType::Script("a".repeat(FIRST_LINE).into())),
            (b"MZ".to_vec(), FileType::Data),
            (Vec::new(), FileType::Data),
        ] {
            assert_eq!(FileType::of(&bytes), expected, "{bytes:?}");
        }
    }
}
