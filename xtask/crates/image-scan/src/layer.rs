//! One layer of an image, read with distrust: every entry is checked, every length has a limit, and
//! nothing is written anywhere.

use std::fs::File;
use std::io::{self, BufReader, Read};

use anyhow::{Context as _, Result};
use flate2::bufread::MultiGzDecoder;
use tar::EntryType;

use super::zstd;
use cli_support::digest::{Digest, Hasher};
use cli_support::error::Fault;
use oci_image::oci::Descriptor;

/// Layers that are not compressed.
pub const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// What a layer may ask of the machine that looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a layer's tar.
    pub unpacked: u64,
    /// From this many bytes on, a tar so many times longer than what it was packed into is a bomb.
    pub bomb_from: u64,
    /// How many times that is. Deflate reaches 1032; what people ship seldom exceeds 10.
    pub bomb_ratio: u64,
    /// Entries of a layer.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unpacked: 16 << 30, bomb_from: 256 << 20, bomb_ratio: 100, entries: 2_000_000 }
    }
}

/// The longest name or other header of an entry.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// The longest path and target of a link, which is Linux's own limit (`PATH_MAX`), and the most folders of a
/// path; nobody could unpack a longer one.
const MAX_PATH_BYTES: usize = 4096;
const MAX_DEPTH: usize = 512;

/// One entry of a layer.
#[derive(Debug)]
pub struct Entry {
    /// Its path, without leading and trailing slashes; empty for the root folder.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// Length in bytes.
    pub size: u64,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link to this.
    Symlink(String),
    /// A further name of this path.
    Hardlink(String),
    /// A device or a pipe.
    Other,
}

/// Hands on every entry of a layer with a reader of its content, and checks at the end that the bytes
/// were those that the manifest and the config (`diff_id`) name.
pub fn read(
    blob: File,
    layer: &Descriptor,
    diff_id: Option<&Digest>,
    limits: Limits,
    mut each: impl FnMut(Entry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    // The limit for bombs counts on this length.
    let length = blob.metadata()?.len();
    if length != layer.size {
        let what =
            format!("the layer has {length} bytes, and that is not what its name says ({})", layer.size);
        return Err(Fault::gate(what).into());
    }
    let packed = Tee { inner: BufReader::with_capacity(1 << 17, blob), hasher: Hasher::new() };
    let mut packed = io::BufReader::with_capacity(1 << 17, packed);
    let seen_diff = {
        let unpacked = unpack(&mut packed, layer)?;
        let mut tar =
            Bounded { inner: unpacked, hasher: Hasher::new(), passed: 0, packed: layer.size, limits };
        entries(&mut tar, limits, &mut each)?;
        tar.hasher.finish().0
    };
    io::copy(&mut packed, &mut io::sink())?;
    let (seen, size) = packed.into_inner().hasher.finish();
    if (seen, size) != (layer.digest, layer.size) {
        let what = format!(
            "the layer's bytes are {seen} ({size} bytes), not what its name says ({} bytes)",
            layer.size
        );
        return Err(Fault::failed(what).into());
    }
    if let Some(diff_id) = diff_id.filter(|diff_id| **diff_id != seen_diff) {
        return Err(
            Fault::failed(format!("the layer's tar is {seen_diff}, and the config says {diff_id}")).into()
        );
    }
    Ok(())
}

fn unpack<'a>(packed: &'a mut impl io::BufRead, layer: &Descriptor) -> Result<Box<dyn Read + 'a>, Fault> {
    match layer.media_type.as_str() {
        TAR | DOCKER_TAR => Ok(Box::new(packed)),
        kind if kind.ends_with("zstd") => Ok(Box::new(zstd::Decoder::new(packed))),
        kind if kind.ends_with("gzip") => Ok(Box::new(MultiGzDecoder::new(packed))),
        kind => Err(Fault::failed(format!("a layer of the type '{kind}' cannot be read"))
            .hint("layers in plain tar, gzip or zstd can; push the image again without encryption")),
    }
}

/// Hands on every entry of a tar with a reader of its content.
pub fn entries(
    tar: &mut impl Read,
    limits: Limits,
    each: &mut impl FnMut(Entry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut archive = tar::Archive::new(tar);
    let (mut count, mut long) = (0, Long::default());
    // Raw entries: the headers of long names are bounded here, and what two readers of tar would take
    // differently is refused rather than guessed.
    for entry in archive.entries().context("the layer is not a tar")?.raw(true) {
        let mut entry = entry.context("the layer's tar is damaged or cut short")?;
        count += 1;
        if count > limits.entries {
            return Err(Fault::failed(format!("the layer has more than {} entries", limits.entries)).into());
        }
        let header = entry.header();
        dialect(header.as_bytes())?;
        let kind = header.entry_type();
        if long.take(kind, &mut entry)? {
            continue;
        }
        let header = entry.header();
        let before = std::mem::take(&mut long);
        let raw = before.path.map_or_else(|| header.path_bytes().into_owned(), String::into_bytes);
        let raw = text(raw)?;
        let path = clean(&raw)?;
        let own_link = || header.link_name_bytes().unwrap_or_default().into_owned();
        let link = before.link.map_or_else(own_link, String::into_bytes);
        let at = || format!("entry '{path}'");
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous => EntryKind::File,
            EntryType::Directory => EntryKind::Folder,
            EntryType::Symlink => EntryKind::Symlink(symlink(&path, text(link)?).with_context(at)?),
            EntryType::Link => EntryKind::Hardlink(clean(&text(link)?).with_context(at)?),
            EntryType::Char | EntryType::Block | EntryType::Fifo => EntryKind::Other,
            EntryType::GNUSparse => {
                return Err(Fault::failed(format!(
                    "'{path}' is a sparse file, whose true length is only claimed"
                ))
                .hint("pack the layer without --sparse")
                .into());
            }
            other => {
                let what = format!("'{path}' is of the unknown kind {:?}", char::from(other.as_byte()));
                return Err(Fault::failed(what).into());
            }
        };
        if kind != EntryKind::Folder && (path.is_empty() || raw.ends_with('/')) {
            return Err(Fault::gate(format!("'{raw}' is named as a folder and is none")).into());
        }
        let mut mode = header.mode().with_context(at)? & 0o7777;
        let size = header.entry_size().with_context(at)?;
        if size != 0 && kind != EntryKind::File {
            return Err(Fault::gate(format!("'{path}' is no file and has {size} bytes of content")).into());
        }
        // A file that brings rights of its own is as good as one that is set-user-id.
        if before.capable && kind == EntryKind::File {
            mode |= 0o4000;
        }
        each(Entry { path: path.clone(), kind, mode, size }, &mut entry).with_context(at)?;
    }
    zeros(archive.into_inner())
}

/// Reads on to the end: some readers go on behind the zeros that end a tar.
fn zeros(tar: &mut impl Read) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = tar.read(&mut buffer).context("the layer cannot be unpacked to its end")?;
        if read == 0 {
            return Ok(());
        }
        if buffer[..read].iter().any(|byte| *byte != 0) {
            return Err(Fault::gate("there is something behind the end of the layer's tar").into());
        }
    }
}

/// Refuses a header of which readers of tar take different bytes for the name.
fn dialect(header: &[u8; 512]) -> Result<(), Fault> {
    let number = |field: &[u8]| {
        let ends = |byte: &u8| matches!(byte, b' ' | 0);
        let from = field.iter().position(|byte| !ends(byte)).unwrap_or(field.len());
        let to = field.iter().rposition(|byte| !ends(byte)).map_or(from, |last| last + 1);
        field[0] >= 0x80 || field[from..to].iter().all(|byte| matches!(byte, b'0'..=b'7'))
    };
    let plain = match &header[257..265] {
        b"ustar\x0000" => &header[508..] != b"tar\0",
        // Where other dialects have a part of the name, GNU's has two times.
        b"ustar  \0" => number(&header[345..357]) && number(&header[357..369]),
        magic => !magic.starts_with(b"ustar"),
    };
    if !plain {
        return Err(Fault::gate(
            "a header in the layer is in a dialect that readers of tar take differently",
        ));
    }
    Ok(())
}

/// Names too long for a header, which come in an entry of their own before it (GNU tar; POSIX pax).
#[derive(Debug, Default)]
struct Long {
    path: Option<String>,
    link: Option<String>,
    capable: bool,
    pax: bool,
    gnu: bool,
}

impl Long {
    /// Reads such an entry; false where it is none.
    fn take(&mut self, kind: EntryType, entry: &mut impl Read) -> Result<bool> {
        let mut content = || -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            entry
                .take(MAX_HEADER_BYTES + 1)
                .read_to_end(&mut bytes)
                .context("the layer's tar is cut short")?;
            if bytes.len() as u64 > MAX_HEADER_BYTES {
                return Err(Fault::failed("a header in the layer is over the limit of 1 MiB").into());
            }
            Ok(bytes)
        };
        let terminated = |bytes: Vec<u8>| bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        let is_pax = kind == EntryType::XHeader;
        if is_pax && std::mem::replace(&mut self.pax, true) {
            return Err(Fault::gate("two pax headers before one entry of the layer").into());
        }
        self.gnu |= matches!(kind, EntryType::GNULongName | EntryType::GNULongLink);
        if self.gnu && self.pax {
            return Err(Fault::gate("a pax header and one of GNU before one entry of the layer").into());
        }
        match kind {
            EntryType::GNULongName => once(&mut self.path, &terminated(content()?))?,
            EntryType::GNULongLink => once(&mut self.link, &terminated(content()?))?,
            EntryType::XGlobalHeader => {
                let mut global = Self::default();
                global.pax(&content()?)?;
                if global.path.is_some() || global.link.is_some() || global.capable {
                    return Err(Fault::gate("a global header in the layer sets what is of one entry").into());
                }
                return Ok(true);
            }
            EntryType::XHeader => {
                self.pax(&content()?)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn pax(&mut self, mut bytes: &[u8]) -> Result<()> {
        let damaged = || Fault::failed("a pax header in the layer is damaged");
        while bytes.iter().any(|byte| *byte != 0) {
            let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or_else(damaged)?;
            let length: usize = std::str::from_utf8(&bytes[..space])?.parse().map_err(|_| damaged())?;
            let record = bytes.get(space + 1..length).ok_or_else(damaged)?;
            bytes = &bytes[length..];
            let record = record.strip_suffix(b"\n").ok_or_else(damaged)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => once(&mut self.path, value)?,
                b"linkpath" => once(&mut self.link, value)?,
                b"SCHILY.xattr.security.capability" | b"LIBARCHIVE.xattr.security.capability" => {
                    self.capable = true;
                }
                // The header's own length goes up to 8 GiB; another one here would hide entries from some.
                b"size" => return Err(Fault::failed("an entry's length is set in a pax header").into()),
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(Fault::failed("a sparse file, whose true length is only claimed").into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Sets a name; an empty one, or a second one, means different things to different readers.
fn once(name: &mut Option<String>, value: &[u8]) -> Result<(), Fault> {
    if value.is_empty() {
        return Err(Fault::gate("a header in the layer has an empty name"));
    }
    if name.replace(text(value.to_vec())?).is_some() {
        return Err(Fault::gate("an entry of the layer has two names"));
    }
    Ok(())
}

fn text(bytes: Vec<u8>) -> Result<String, Fault> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let name = String::from_utf8_lossy(error.as_bytes());
        Fault::gate(format!("a name in the layer is not UTF-8: {}", name.escape_debug()))
    })?;
    if text.len() > MAX_PATH_BYTES || text.matches('/').count() > MAX_DEPTH {
        let what = format!(
            "a name in the layer of {} bytes and {} folders; {MAX_PATH_BYTES} and {MAX_DEPTH} are the limits",
            text.len(),
            text.matches('/').count()
        );
        return Err(Fault::gate(what));
    }
    if text.contains(char::is_control) {
        let what = format!("a name in the layer has control characters in it: '{}'", text.escape_debug());
        return Err(Fault::gate(what));
    }
    Ok(text)
}

/// A path in the image; one that leaves it is refused.
fn clean(path: &str) -> Result<String, Fault> {
    if path.starts_with('/') {
        return Err(Fault::failed(format!(
            "'{path}' in a layer is absolute: it means another place to whoever unpacks it"
        )));
    }
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(Fault::failed(format!("'{path}' in a layer leads out of the image")));
    }
    Ok(parts.join("/"))
}

/// A link's target; one with more `..` than there are folders above it is refused.
fn symlink(path: &str, target: String) -> Result<String, Fault> {
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

/// Hashes what passes.
struct Tee<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        io::Write::write_all(&mut self.hasher, &buffer[..read])?;
        Ok(read)
    }
}

/// Hashes what passes and stops where a limit is reached.
struct Bounded<R> {
    inner: R,
    hasher: Hasher,
    passed: u64,
    packed: u64,
    limits: Limits,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.passed += read as u64;
        if self.passed > self.limits.unpacked {
            return Err(io::Error::other(format!(
                "the layer unpacks to more than {} bytes",
                self.limits.unpacked
            )));
        }
        if self.passed > self.limits.bomb_from && self.passed / self.packed.max(1) > self.limits.bomb_ratio {
            let what =
                format!("{} bytes unpack to more than {}: this is a gzip bomb", self.packed, self.passed);
            return Err(io::Error::other(what));
        }
        io::Write::write_all(&mut self.hasher, &buffer[..read])?;
        Ok(read)
    }
}
