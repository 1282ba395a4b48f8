//! The names of the buckets of a bolt database (go.etcd.io/bbolt, format version 2), which is what Trivy
//! keeps its advisories in: one bucket for each ecosystem and each release of a distribution.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};

use anyhow::{Context as _, Result, bail, ensure};

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// A page's header: its id, flags, count of elements, count of pages that follow it.
const HEADER: usize = 16;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
/// The flag of an element of a leaf that is a bucket.
const BUCKET: u32 = 1;
/// Pages that are looked at; the root of Trivy's own database has a few.
const MAX_PAGES: usize = 4096;
/// Bytes of one page with those that follow it.
const MAX_PAGE_BYTES: u64 = 4 << 20;

/// The buckets at the top that have something in them.
pub fn buckets<R: Read + Seek>(file: R) -> Result<BTreeSet<String>> {
    let mut file = File { file, size: 0 };
    let root = file.root()?;
    let (mut names, mut waiting, mut seen) = (BTreeSet::new(), vec![root], BTreeSet::new());
    while let Some(id) = waiting.pop() {
        ensure!(seen.insert(id) && seen.len() <= MAX_PAGES, "its pages lead in a circle, or are too many");
        let page = file.page(id)?;
        let (flags, count) = (u16_at(&page, 8)?, usize::from(u16_at(&page, 10)?));
        for at in (0..count).map(|number| HEADER + number * 16) {
            match flags {
                BRANCH => waiting.push(u64_at(&page, at + 8)?),
                LEAF if u32_at(&page, at)? & BUCKET != 0 => {
                    let [start, key, value] =
                        [at + 4, at + 8, at + 12].map(|place| u32_at(&page, place).map(|n| n as usize));
                    let (start, key, value) = (at + start?, key?, value?);
                    let bytes = |from: usize, length: usize| {
                        page.get(from..from.saturating_add(length)).context("an element is cut short")
                    };
                    let name = String::from_utf8_lossy(bytes(start, key)?).into_owned();
                    // Its own page's id and a number; a small bucket has no page, and follows at once.
                    let value = bytes(start + key, value)?;
                    let count = match u64_at(value, 0)? {
                        0 => u16_at(value, 16 + 10)?,
                        own => u16_at(&file.page(own)?, 10)?,
                    };
                    if count > 0 {
                        names.insert(name);
                    }
                }
                LEAF => {}
                _ => bail!("page {id} is neither a branch nor a leaf"),
            }
        }
    }
    Ok(names)
}

struct File<R> {
    file: R,
    /// Bytes of a page.
    size: u64,
}

impl<R: Read + Seek> File<R> {
    /// The page of the root, as the newer of the two first pages has it.
    fn root(&mut self) -> Result<u64> {
        let first = self.meta(0)?;
        // Where the first is damaged, the second is a page after it, whose size nobody knows.
        let sizes: Vec<u64> = first.map_or_else(|| vec![4096, 16384, 65536], |(_, _, size)| vec![size]);
        let mut best = first;
        for size in sizes {
            best = best.max(self.meta(size)?);
        }
        let (_, root, size) = best.context("this is no bolt database of version 2")?;
        self.size = size;
        Ok(root)
    }

    /// Transaction, root page and size of pages, where a sound page of that kind is here.
    fn meta(&mut self, at: u64) -> Result<Option<(u64, u64, u64)>> {
        let bytes = self.read(at, 80)?;
        if bytes.len() < 80 || u32_at(&bytes, 16)? != MAGIC || u32_at(&bytes, 20)? != VERSION {
            return Ok(None);
        }
        // FNV-1a, 64 bits.
        let sum = bytes[16..72].iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        let size = u64::from(u32_at(&bytes, 24)?);
        let sound =
            sum == u64_at(&bytes, 72)? && size.is_power_of_two() && (512..=MAX_PAGE_BYTES).contains(&size);
        Ok(sound.then_some((u64_at(&bytes, 64)?, u64_at(&bytes, 32)?, size)))
    }

    /// A page with those that belong to it.
    fn page(&mut self, id: u64) -> Result<Vec<u8>> {
        let at = id.checked_mul(self.size).context("a page is out of the file")?;
        let more = u64::from(u32_at(&self.read(at, HEADER as u64)?, 12)?);
        let length = (more + 1).saturating_mul(self.size).min(MAX_PAGE_BYTES);
        Ok(self.read(at, length)?)
    }

    fn read(&mut self, at: u64, length: u64) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        (&mut self.file).take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let part = bytes.get(at..at.saturating_add(N)).context("a page is cut short")?;
    Ok(part.try_into()?)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    Ok(u16::from_le_bytes(number(bytes, at)?))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from_le_bytes(number(bytes, at)?))
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64> {
    Ok(u64::from_le_bytes(number(bytes, at)?))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use super::*;

    const SIZE: usize = 512;

    fn page(flags: u16, count: u16, rest: &[u8]) -> Vec<u8> {
        let more = (HEADER + rest.len() - 1) / SIZE;
        let count = [flags.to_le_bytes(), count.to_le_bytes()].concat();
        let overflow = u32::try_from(more).unwrap().to_le_bytes();
        let mut page = [&[0; 8][..], &count, &overflow, rest].concat();
        page.resize((more + 1) * SIZE, 0);
        page
    }

    fn meta(transaction: u64, root: u64) -> Vec<u8> {
        let size = u32::try_from(SIZE).unwrap();
        let mut body = [MAGIC, VERSION, size, 0].map(u32::to_le_bytes).concat();
        body.extend([root, 0, 0, 0, transaction].map(u64::to_le_bytes).concat());
        let sum = body.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        body.extend(sum.to_le_bytes());
        page(4, 0, &body)
    }

    /// A leaf with buckets that are in it, or on a page of their own.
    fn leaf(names: &[(&str, u64, u16)]) -> Vec<u8> {
        let (mut heads, mut bodies) = (Vec::new(), Vec::new());
        for (number, (name, own, count)) in names.iter().enumerate() {
            let start = (names.len() - number) * 16 + bodies.len();
            let value = [&own.to_le_bytes()[..], &[0; 16], &[2, 0], &count.to_le_bytes(), &[0; 4]].concat();
            let lengths = [start, name.len(), value.len()].map(|n| u32::try_from(n).unwrap().to_le_bytes());
            heads.extend([&BUCKET.to_le_bytes()[..], &lengths.concat()].concat());
            bodies.extend([name.as_bytes(), &value].concat());
        }
        page(LEAF, u16::try_from(names.len()).unwrap(), &[heads, bodies].concat())
    }

    /// A database with these buckets, each with something in it.
    pub fn database(names: &[&str]) -> Vec<u8> {
        let names: Vec<_> = names.iter().map(|name| (*name, 0, 1)).collect();
        [meta(1, 2), meta(2, 2), leaf(&names)].concat()
    }

    fn names(bytes: &[u8]) -> Option<Vec<String>> {
        buckets(Cursor::new(bytes)).ok().map(|names| names.into_iter().collect())
    }

    #[test]
    fn buckets_with_something_in_them_are_named() {
        let branch = [&[0; 8][..], &3_u64.to_le_bytes(), &[0; 8], &4_u64.to_le_bytes()].concat();
        let all = [
            meta(1, 9),
            meta(7, 2),
            page(BRANCH, 2, &branch),
            leaf(&[("a", 0, 1), ("b", 0, 0)]),
            leaf(&[("debian 12", 5, 0), ("d", 6, 0)]),
            page(LEAF, 3, &[]),
            page(LEAF, 0, &[]),
        ];
        assert_eq!(names(&all.concat()).unwrap(), ["a", "debian 12"]);
        assert_eq!(names(&database(&["cargo::x"])).unwrap(), ["cargo::x"]);
        assert_eq!(names(&database(&[])).unwrap(), [""; 0]);
        let mut damaged = database(&["x"]);
        damaged[20] ^= 1;
        assert_eq!(names(&damaged), None, "where the second is, nobody knows");
    }

    #[test]
    fn what_is_no_database_ends_soon() {
        let circle = [&[0; 8][..], &2_u64.to_le_bytes()].concat();
        for bytes in [
            vec![],
            vec![0; 5000],
            [meta(1, 2), meta(2, 2)].concat(),
            [meta(1, 2), meta(2, u64::MAX), leaf(&[])].concat(),
            [meta(1, 2), meta(2, 2), page(BRANCH, 1, &circle)].concat(),
            [meta(1, 2), meta(2, 2), page(BRANCH, u16::MAX, &circle)].concat(),
            [meta(1, 2), meta(2, 2), page(7, 1, &[])].concat(),
            [meta(1, 2), meta(2, 2), leaf(&[("a", 9, 1)])].concat(),
        ] {
            assert_eq!(names(&bytes), None);
        }
        let good = database(&["cargo::x", "debian 12"]);
        for at in 0..good.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = good.clone();
                changed[at] = byte;
                let _ = names(&changed);
            }
            let _ = names(&good[..at]);
        }
    }
}
