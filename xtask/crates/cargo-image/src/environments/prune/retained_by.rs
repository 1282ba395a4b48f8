//! Why an old tag stays.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::graph::Graph;
use super::listing::Listing;

/// Prefixes of tags that each commit gets and that are easily forgotten.
const OF_COMMITS: [&str; 2] = ["sha-", "pr-"];

/// The tags because of which a tag stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RetainedBy {
    /// Kept tags of the same image.
    pub same: Vec<String>,
    /// Kept tags that reach it by an index, a referrer or a list.
    pub leading: Vec<String>,
}

/// Why each of the tags `held` stays. The tags `leaving` do not count.
pub(super) fn holds(
    held: &[String],
    leaving: &BTreeSet<String>,
    listing: &Listing,
    graph: &Graph,
) -> BTreeMap<String, RetainedBy> {
    let mut holds: BTreeMap<_, _> = held.iter().map(|tag| (tag.clone(), RetainedBy::default())).collect();
    if holds.is_empty() {
        return holds;
    }
    for (tag, digest) in listing.images.iter().filter(|(tag, _)| !leaving.contains(*tag)) {
        let reached = graph.kept([digest]);
        for (held, hold) in &mut holds {
            let image = &listing.images[held];
            if image == digest {
                hold.same.push(tag.clone());
            } else if reached.contains(image) {
                hold.leading.push(tag.clone());
            }
        }
    }
    holds
}

impl RetainedBy {
    /// The reason for a table. `dropped` are the prefixes that are already deleted.
    pub fn words(&self, dropped: &[String]) -> String {
        let (tags, one, many) = match (&self.same[..], &self.leading[..]) {
            ([], []) => return "an attached manifest stays".to_owned(),
            ([], leading) => (leading, "reaches it", "reach it"),
            (same, _) => (same, "names the same image", "name the same image"),
        };
        let how = if tags.len() == 1 { one } else { many };
        let text = format!("{} {how}", tags.join(", "));
        // A tag of another kind stays with any --drop.
        let start_of = |tag: &String| OF_COMMITS.into_iter().find(|start| tag.starts_with(start));
        let starts: Option<BTreeSet<_>> = tags.iter().map(start_of).collect();
        let starts = starts.into_iter().flatten().filter(|start| !dropped.iter().any(|one| one == start));
        let flags: Vec<_> = starts.map(|start| format!("--drop {start}")).collect();
        if flags.is_empty() { text } else { format!("{text} ({})", flags.join(" ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::graph;
    use super::super::plan::{decide, tests::listing};
    use super::super::retention::Retention;
    use super::*;
    use rust_workspace::tags::Names;

    #[test]
    fn the_reason_for_each_kept_image_is_listed() {
        let retention = |drop: &[&str]| {
            let drop = drop.iter().map(|&start| start.to_owned()).collect();
            Retention { versions: 1, tags: BTreeSet::from(["live".to_owned()]), drop, names: Names::plain() }
        };
        for (what, tags, lines, drop, words) in [
            (
                "a commit's tag",
                "1.0.0=a 1.1.0=b sha-1=a",
                &["a:", "b:"][..],
                &[][..],
                "sha-1 names the same image (--drop sha-)",
            ),
            (
                "two of them",
                "1.0.0=a 1.1.0=b sha-1=a pr-1=a",
                &["a:", "b:"],
                &[],
                "pr-1, sha-1 name the same image (--drop pr- --drop sha-)",
            ),
            (
                "one of them",
                "1.0.0=a 1.1.0=b sha-1=a pr-1=a",
                &["a:", "b:"],
                &["pr-"],
                "sha-1 names the same image (--drop sha-)",
            ),
            (
                "kept by hand",
                "1.0.0=a 1.1.0=b sha-1=a live=a",
                &["a:", "b:"],
                &[],
                "live, sha-1 name the same image",
            ),
            ("kept by name", "1.0.0=a 1.1.0=b live=a", &["a:", "b:"], &["li"], "live names the same image"),
            ("an index above", "1.0.0=a 1.1.0=b", &["a:", "b: a"], &[], "1.1.0 reaches it"),
            (
                "a tagged referrer",
                "1.0.0=a note=n 1.1.0=b",
                &["a: <n", "n: ^a", "b:"],
                &[],
                "note reaches it",
            ),
        ] {
            let retention = retention(drop);
            let found = decide(listing(tags), &graph(lines), &retention, &[]);
            assert_eq!(found.held_by["1.0.0"].words(&retention.drop), words, "{what}");
        }
    }
}
