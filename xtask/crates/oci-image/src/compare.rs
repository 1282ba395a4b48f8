//! The differences of two images, file by file.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::Result;
use flate2::read::GzDecoder;

use super::layout::Layout;
use super::oci::{self, Descriptor, Index, Manifest};

/// The bytes of a file that are compared, at most.
const MAX_FILE: u64 = 1 << 30;
/// The characters shown on each side of the first difference.
const CONTEXT: usize = 24;

/// The differences between the images of two layouts, one line each.
pub fn differences(first: &Layout, second: &Layout) -> Result<Vec<String>> {
    let (one, two) = (platforms(first)?, platforms(second)?);
    let mut lines = Vec::new();
    for (name, a) in &one {
        match two.get(name) {
            Some(b) if a.digest == b.digest => {}
            Some(b) => manifests(name, (first, a), (second, b), &mut lines)?,
            None => lines.push(format!("{name}: only in the first")),
        }
    }
    lines.extend(
        two.keys().filter(|name| !one.contains_key(*name)).map(|name| format!("{name}: only in the second")),
    );
    Ok(lines)
}

fn platforms(layout: &Layout) -> Result<BTreeMap<String, Descriptor>> {
    let manifests = layout.images()?.into_iter().filter(Descriptor::is_manifest);
    let name = |entry: &Descriptor| {
        entry.platform.as_ref().map_or_else(|| entry.digest.to_string(), ToString::to_string)
    };
    Ok(manifests.map(|entry| (name(&entry), entry)).collect())
}

type Side<'a> = (&'a Layout, &'a Descriptor);

fn manifests(name: &str, first: Side<'_>, second: Side<'_>, lines: &mut Vec<String>) -> Result<()> {
    let read =
        |(layout, entry): Side<'_>| -> Result<Manifest> { oci::from_bytes(name, &layout.read(entry)?) };
    let (one, two) = (read(first)?, read(second)?);
    if one.annotations != two.annotations {
        lines.push(format!("{name}: different annotations"));
    }
    if one.layers.len() != two.layers.len() {
        lines.push(format!("{name}: {} layers and {}", one.layers.len(), two.layers.len()));
    }
    let before = lines.len();
    for (number, (a, b)) in one.layers.iter().zip(&two.layers).enumerate() {
        if a.digest != b.digest {
            let layer = format!("{name} layer {}", number + 1);
            files(&layer, &contents(first.0, a)?, &contents(second.0, b)?, lines);
            if lines.len() == before {
                lines.push(format!("{layer}: the same files, packed or compressed differently"));
            }
        }
    }
    if one.config.digest != two.config.digest && lines.len() == before {
        lines.push(format!("{name}: different configuration"));
    }
    Ok(())
}

type Files = BTreeMap<String, (String, Vec<u8>)>;

fn contents(layout: &Layout, layer: &Descriptor) -> Result<Files> {
    let mut tar = tar::Archive::new(GzDecoder::new(layout.blob(&layer.digest)?));
    let mut files = Files::new();
    for entry in tar.entries()? {
        let entry = entry?;
        let header = entry.header();
        let kind = format!(
            "{:?} mode {:04o} owner {}:{} time {}",
            header.entry_type(),
            header.mode()?,
            header.uid()?,
            header.gid()?,
            header.mtime()?
        );
        let path = entry.path()?.display().to_string();
        let mut bytes = Vec::new();
        entry.take(MAX_FILE).read_to_end(&mut bytes)?;
        files.insert(path, (kind, bytes));
    }
    Ok(files)
}

fn files(layer: &str, one: &Files, two: &Files, lines: &mut Vec<String>) {
    for (path, (kind, bytes)) in one {
        let Some((other_kind, other)) = two.get(path) else {
            lines.push(format!("{layer} /{path}: only in the first"));
            continue;
        };
        if kind != other_kind {
            lines.push(format!("{layer} /{path}: {kind} and {other_kind}"));
        }
        if bytes != other {
            lines.push(format!("{layer} /{path}: {}", first_difference(bytes, other)));
        }
    }
    lines.extend(
        two.keys()
            .filter(|path| !one.contains_key(*path))
            .map(|path| format!("{layer} /{path}: only in the second")),
    );
}

fn first_difference(one: &[u8], two: &[u8]) -> String {
    let at = one.iter().zip(two).position(|(a, b)| a != b).unwrap_or(one.len().min(two.len()));
    let around = |bytes: &[u8]| {
        let from = at.saturating_sub(CONTEXT);
        let to = (at + CONTEXT).min(bytes.len());
        let shown =
            |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        bytes[from.min(to)..to].iter().map(shown).collect::<String>()
    };
    format!(
        "{} and {} bytes, from byte {at} on: '{}' and '{}'",
        one.len(),
        two.len(),
        around(one),
        around(two)
    )
}

/// Whether both indexes have one entry, with the same digest.
pub fn same(first: &Index, second: &Index) -> bool {
    match (&first.manifests[..], &second.manifests[..]) {
        ([one], [two]) => one.digest == two.digest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_shown_with_its_context() {
        assert_eq!(
            first_difference(b"built in /home/a/src", b"built in /home/bob/src"),
            "20 and 22 bytes, from byte 15 on: 'built in /home/a/src' and 'built in /home/bob/src'"
        );
        assert_eq!(first_difference(b"ab", b"ab\0"), "2 and 3 bytes, from byte 2 on: 'ab' and 'ab.'");
    }
}
