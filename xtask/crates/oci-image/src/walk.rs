//! The one walk over nested indexes (image-index.md): layouts, archives, registries and scans use it.

use std::fmt::Display;

use anyhow::Result;

use crate::oci::{Descriptor, MAX_INDEX_DEPTH};
use cli_support::error::Fault;

/// The most entries of all indexes of one image.
pub const MAX_INDEX_ENTRIES: usize = 1_000;

/// The next step of the walk after an entry.
#[derive(Debug)]
pub enum Visit {
    /// Goes on with the next entry.
    Next,
    /// Visits these entries, those of an index, before the next one.
    Enter(Vec<Descriptor>),
    /// Ends the walk.
    Stop,
}

/// Visits entries depth first, in their order. `depth` is the number of indexes that the first entries are nested
/// in: 0 for those of a layout's `index.json`, 1 for those of an image's index. `place` is the image, for errors.
///
/// # Errors
/// Indexes are nested deeper than [`MAX_INDEX_DEPTH`], or have more than [`MAX_INDEX_ENTRIES`] entries together.
pub fn walk(
    place: &dyn Display,
    entries: Vec<Descriptor>,
    depth: usize,
    mut visit: impl FnMut(&Descriptor) -> Result<Visit>,
) -> Result<()> {
    let (mut waiting, mut count) = (Vec::new(), 0);
    let mut add = |waiting: &mut Vec<_>, entries: Vec<Descriptor>, depth: usize| {
        count += entries.len();
        if count > MAX_INDEX_ENTRIES {
            let what = format!("the image's indexes have more than {MAX_INDEX_ENTRIES} entries");
            return Err(Fault::failed(what).at(place).of_content());
        }
        waiting.extend(entries.into_iter().rev().map(|entry| (entry, depth)));
        Ok(())
    };
    add(&mut waiting, entries, depth)?;
    while let Some((entry, depth)) = waiting.pop() {
        let too_deep = || Fault::failed(format!("indexes nest deeper than {MAX_INDEX_DEPTH}")).at(place);
        // Before the index is fetched.
        if depth >= MAX_INDEX_DEPTH && entry.is_index() {
            return Err(too_deep().of_content().into());
        }
        match visit(&entry)? {
            Visit::Next => {}
            // An entry of another type that turned out to be an index.
            Visit::Enter(_) if depth >= MAX_INDEX_DEPTH => return Err(too_deep().of_content().into()),
            Visit::Enter(entries) => add(&mut waiting, entries, depth + 1)?,
            Visit::Stop => break,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{INDEX, MANIFEST};

    fn entry(name: &str) -> Descriptor {
        let media_type = if name.ends_with('/') { INDEX } else { MANIFEST };
        Descriptor::of(media_type, name.as_bytes())
    }

    #[test]
    fn entries_are_visited_depth_first_and_in_order() {
        let names = ["a", "b/", "c", "d", "e"];
        let name = |entry: &Descriptor| {
            names.into_iter().find(|name| entry.digest == self::entry(name).digest).unwrap()
        };
        for (stop, expected) in [("", "a b/ c d e"), ("c", "a b/ c")] {
            let mut seen = Vec::new();
            walk(&"x", vec![entry("a"), entry("b/"), entry("e")], 0, |entry| {
                seen.push(name(entry));
                Ok(match name(entry) {
                    one if one == stop => Visit::Stop,
                    "b/" => Visit::Enter(vec![self::entry("c"), self::entry("d")]),
                    _ => Visit::Next,
                })
            })
            .unwrap();
            assert_eq!(seen.join(" "), expected);
        }
    }

    #[test]
    fn depth_and_number_of_entries_are_limited() {
        for (first, levels, good) in [(0, 3, true), (0, 4, false), (1, 2, true), (1, 3, false)] {
            let mut left = levels;
            let walked = walk(&"x", vec![entry("x/")], first, |_| {
                left -= 1;
                Ok(if left >= 0 { Visit::Enter(vec![entry("x/")]) } else { Visit::Next })
            });
            assert_eq!(walked.is_ok(), good, "{levels} levels from {first}");
        }
        for (count, good) in [(MAX_INDEX_ENTRIES, true), (MAX_INDEX_ENTRIES + 1, false)] {
            assert_eq!(walk(&"x", vec![entry("x"); count], 0, |_| Ok(Visit::Next)).is_ok(), good, "{count}");
        }
    }
}
