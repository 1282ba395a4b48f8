//! The memory of the process against a bound, so that the system does not kill it.

use std::fs;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::process::resident;

/// The part of the cgroup's limit that is the bound without a setting, in percent.
const PART: u64 = 80;

/// How much memory the process may use.
#[derive(Debug, Default)]
pub struct Memory {
    /// In bytes; 0 for no bound.
    most: AtomicU64,
    is_short: AtomicBool,
}

impl Memory {
    /// Sets the bound in bytes; with 0 there is none.
    pub fn set(&self, most: u64) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// The bound in bytes; 0 for none.
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    /// Compares what the process uses with the bound; to be called several times a second.
    pub fn look(&self) {
        let most = self.most();
        let is_short = most > 0
            && fs::read_to_string("/proc/self/status")
                .ok()
                .and_then(|text| resident(&text))
                .is_some_and(|used| used > most);
        self.is_short.store(is_short, Ordering::Relaxed);
    }

    /// Whether it used more than that at the last look.
    pub fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }
}

/// The bound without a setting: a part of the smallest limit of the cgroups of this process; 0 without one.
pub fn of_cgroup() -> u64 {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit(Path::new("/sys/fs/cgroup"), &groups).map_or(0, |limit| limit / 100 * PART)
}

/// The smallest limit of the groups in `/proc/self/cgroup` and those above them, in version 2 or 1.
fn limit(root: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (kind, path) = (parts.nth(1).unwrap_or_default(), parts.next().unwrap_or("/"));
        let (base, file) = match kind {
            "" => (root.to_owned(), "memory.max"),
            kind if kind.split(',').any(|one| one == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        // In a container the path may be that of the machine, of which only the root is seen.
        let names: Vec<_> =
            Path::new(path).components().filter(|part| matches!(part, Component::Normal(_))).collect();
        (0..=names.len())
            .filter_map(|count| {
                let folder = names[..count].iter().fold(base.clone(), |folder, name| folder.join(name));
                fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok()
            })
            .collect()
    });
    // Version 1 says a number near 2^63 where there is no limit.
    limits.filter(|&limit| limit < 1 << 62).min()
}

#[cfg(test)]
mod tests {
    use super::{Memory, limit};

    #[test]
    fn the_smallest_limit_of_a_cgroup_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        assert_eq!(limit(folder.path(), "0::/a/b\n"), None);
        write("a/memory.max", "1000\n");
        write("a/b/memory.max", "max\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/c/memory.limit_in_bytes", "500\n");
        for (groups, expected) in [
            ("0::/a/b\n", Some(1000)),
            ("0::/a\n", Some(1000)),
            ("0::/\n", None),
            ("3:cpu,memory:/c\n1:cpu:/a\n", Some(500)),
            ("3:memory:/\n", None),
            ("0::/../a/b\n", Some(1000)),
        ] {
            assert_eq!(limit(folder.path(), groups), expected, "{groups}");
        }
    }

    #[test]
    fn a_process_is_short_above_its_bound() {
        let memory = Memory::default();
        for (most, expected) in [(0, false), (4096, true), (1 << 50, false)] {
            memory.set(most);
            memory.look();
            assert_eq!(memory.is_short(), expected, "{most}");
        }
    }
}
