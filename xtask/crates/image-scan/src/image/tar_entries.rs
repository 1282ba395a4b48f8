//! The entries of a tar, read strictly.
//!
//! Tar readers disagree about duplicate names, mixed dialects and entries behind the end. A tar with such an entry
//! could show one file to a scanner and another to a container engine, so it is refused.

use std::io::Read;

use anyhow::{Context as _, Result};
use tar::EntryType;

use cli_support::error::Fault;

/// The longest header of a long name, in bytes.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// The longest path and link target, in bytes: Linux's own limit (`PATH_MAX`).
const MAX_PATH_BYTES: usize = 4096;
/// The most folders of a path.
const MAX_PATH_DEPTH: usize = 512;

/// One entry.
#[derive(Debug)]
pub struct Entry {
    /// The path, without leading and trailing slashes; empty for the root folder.
    pub path: String,
    /// The kind.
    pub kind: EntryKind,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The length in bytes.
    pub size: u64,
}

/// The kind of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link to this target.
    Symlink(String),
    /// A hard link to this path.
    Hardlink(String),
    /// A device or a pipe.
    Other,
}

/// Calls `each` with every entry and a reader of its content.
///
/// # Errors
/// The tar is damaged, ambiguous, or has more than `limit` entries.
pub fn entries(
    tar: &mut impl Read,
    limit: u64,
    each: &mut impl FnMut(Entry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut archive = tar::Archive::new(tar);
    let (mut count, mut long) = (0, LongNames::default());
    // Raw entries, because the tar crate accepts the ambiguous headers that are refused here.
    for entry in archive.entries().context("not a tar")?.raw(true) {
        let mut entry = entry.context("the tar is damaged or cut short")?;
        count += 1;
        if count > limit {
            return Err(Fault::failed(format!("the tar has more than {limit} entries")).into());
        }
        check_dialect(entry.header().as_bytes())?;
        let kind = entry.header().entry_type();
        if long.read(kind, &mut entry)? {
            continue;
        }
        let header = entry.header();
        let names = std::mem::take(&mut long);
        let raw =
            checked_name(names.path.map_or_else(|| header.path_bytes().into_owned(), String::into_bytes))?;
        let path = normalized(&raw)?;
        let link = || {
            let own = || header.link_name_bytes().unwrap_or_default().into_owned();
            checked_name(names.link.map_or_else(own, String::into_bytes))
        };
        let at = || format!("entry '{path}'");
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous => EntryKind::File,
            EntryType::Directory => EntryKind::Folder,
            EntryType::Symlink => EntryKind::Symlink(checked_symlink(&path, link()?).with_context(at)?),
            EntryType::Link => EntryKind::Hardlink(normalized(&link()?).with_context(at)?),
            EntryType::Char | EntryType::Block | EntryType::Fifo => EntryKind::Other,
            EntryType::GNUSparse => {
                return Err(Fault::failed(format!("'{path}' is a sparse file"))
                    .hint("pack the layer without --sparse")
                    .into());
            }
            other => {
                let what = format!("'{path}' has the unknown type {:?}", char::from(other.as_byte()));
                return Err(Fault::failed(what).into());
            }
        };
        if kind != EntryKind::Folder && (path.is_empty() || raw.ends_with('/')) {
            return Err(Fault::gate(format!("'{raw}' has a folder's name but is not a folder")).into());
        }
        let mut mode = header.mode().with_context(at)? & 0o7777;
        let size = header.entry_size().with_context(at)?;
        if size != 0 && kind != EntryKind::File {
            return Err(Fault::gate(format!("'{path}' is not a file but has {size} bytes of content")).into());
        }
        // File capabilities give rights as set-user-id does.
        if names.capabilities && kind == EntryKind::File {
            mode |= 0o4000;
        }
        each(Entry { path: path.clone(), kind, mode, size }, &mut entry).with_context(at)?;
    }
    only_zeros(archive.into_inner())
}

/// Reads to the end. Some readers continue behind the zeros that end a tar.
fn only_zeros(tar: &mut impl Read) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = tar.read(&mut buffer).context("cannot decompress the layer to its end")?;
        if read == 0 {
            return Ok(());
        }
        if buffer[..read].iter().any(|byte| *byte != 0) {
            return Err(Fault::gate("there is data behind the end of the tar").into());
        }
    }
}

/// Refuses a header in which readers take different bytes for the name.
fn check_dialect(header: &[u8; 512]) -> Result<(), Fault> {
    let is_number = |field: &[u8]| {
        let ends = |byte: &u8| matches!(byte, b' ' | 0);
        let from = field.iter().position(|byte| !ends(byte)).unwrap_or(field.len());
        let to = field.iter().rposition(|byte| !ends(byte)).map_or(from, |last| last + 1);
        field[0] >= 0x80 || field[from..to].iter().all(|byte| matches!(byte, b'0'..=b'7'))
    };
    let known = match &header[257..265] {
        b"ustar\x0000" => &header[508..] != b"tar\0",
        // Other dialects store a part of the name where GNU stores two times.
        b"ustar  \0" => is_number(&header[345..357]) && is_number(&header[357..369]),
        magic => !magic.starts_with(b"ustar"),
    };
    if known { Ok(()) } else { Err(Fault::gate("a tar header mixes dialects")) }
}

/// Extended headers of the next entry: names that do not fit its own header (GNU tar; POSIX pax).
#[derive(Debug, Default)]
struct LongNames {
    path: Option<String>,
    link: Option<String>,
    capabilities: bool,
    pax: bool,
    gnu: bool,
}

impl LongNames {
    /// Reads such an entry; false where it is an entry of its own.
    fn read(&mut self, kind: EntryType, entry: &mut impl Read) -> Result<bool> {
        let mut content = || -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            entry.take(MAX_HEADER_BYTES + 1).read_to_end(&mut bytes).context("the tar is cut short")?;
            if bytes.len() as u64 > MAX_HEADER_BYTES {
                return Err(Fault::failed("a tar header is over the limit of 1 MiB").into());
            }
            Ok(bytes)
        };
        let terminated = |bytes: Vec<u8>| bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        if kind == EntryType::XHeader && std::mem::replace(&mut self.pax, true) {
            return Err(Fault::gate("an entry has two pax headers").into());
        }
        self.gnu |= matches!(kind, EntryType::GNULongName | EntryType::GNULongLink);
        if self.gnu && self.pax {
            return Err(Fault::gate("an entry has a pax header and a GNU header").into());
        }
        match kind {
            EntryType::GNULongName => set_once(&mut self.path, &terminated(content()?))?,
            EntryType::GNULongLink => set_once(&mut self.link, &terminated(content()?))?,
            EntryType::XHeader => self.read_pax(&content()?)?,
            EntryType::XGlobalHeader => {
                let mut global = Self::default();
                global.read_pax(&content()?)?;
                if global.path.is_some() || global.link.is_some() || global.capabilities {
                    return Err(Fault::gate("a global pax header sets a name or capabilities").into());
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn read_pax(&mut self, mut bytes: &[u8]) -> Result<()> {
        let damaged = || Fault::failed("a pax header is damaged");
        while bytes.iter().any(|byte| *byte != 0) {
            let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or_else(damaged)?;
            let length: usize = std::str::from_utf8(&bytes[..space])?.parse().map_err(|_| damaged())?;
            let record = bytes.get(space + 1..length).ok_or_else(damaged)?;
            bytes = &bytes[length..];
            let record = record.strip_suffix(b"\n").ok_or_else(damaged)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => set_once(&mut self.path, value)?,
                b"linkpath" => set_once(&mut self.link, value)?,
                b"SCHILY.xattr.security.capability" | b"LIBARCHIVE.xattr.security.capability" => {
                    self.capabilities = true;
                }
                // Another length than the header's would hide entries from some readers.
                b"size" => return Err(Fault::failed("a pax header sets an entry's size").into()),
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(Fault::failed("a pax header makes an entry a sparse file").into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn set_once(name: &mut Option<String>, value: &[u8]) -> Result<(), Fault> {
    if value.is_empty() {
        return Err(Fault::gate("a tar header sets an empty name"));
    }
    if name.replace(checked_name(value.to_vec())?).is_some() {
        return Err(Fault::gate("an entry has two names"));
    }
    Ok(())
}

/// A name as text. Overlong names, other encodings and control characters are refused.
fn checked_name(bytes: Vec<u8>) -> Result<String, Fault> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let name = String::from_utf8_lossy(error.as_bytes());
        Fault::gate(format!("a name is not UTF-8: '{}'", name.escape_debug()))
    })?;
    let folders = text.matches('/').count();
    if text.len() > MAX_PATH_BYTES || folders > MAX_PATH_DEPTH {
        return Err(Fault::gate(format!(
            "a path has {} bytes and {folders} folders; the limits are {MAX_PATH_BYTES} and {MAX_PATH_DEPTH}",
            text.len()
        )));
    }
    if text.contains(char::is_control) {
        return Err(Fault::gate(format!("a name has control characters: '{}'", text.escape_debug())));
    }
    Ok(text)
}

/// A path relative to the image's root.
fn normalized(path: &str) -> Result<String, Fault> {
    if path.starts_with('/') {
        return Err(Fault::failed(format!("the path '{path}' is absolute")));
    }
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(Fault::failed(format!("the path '{path}' leads out of the image")));
    }
    Ok(parts.join("/"))
}

/// A symbolic link's target, which must not have more `..` than there are folders above it.
fn checked_symlink(path: &str, target: String) -> Result<String, Fault> {
    let mut depth = if target.starts_with('/') { 0 } else { path.matches('/').count() };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => {
                return Err(Fault::failed(format!("the link '{path}' leads out of the image: '{target}'")));
            }
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    Ok(target)
}
