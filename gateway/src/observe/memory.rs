//! Compares the memory of the process with a limit, to avoid that the system kills it.

use std::fs;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::process::resident;

/// The default limit in percent of the cgroup's limit.
const PART: u64 = 80;

/// The memory limit of the process.
#[derive(Debug, Default)]
pub struct Memory {
    /// In bytes; 0 for no limit.
    most: AtomicU64,
    is_short: AtomicBool,
}

impl Memory {
    /// Sets the limit in bytes; 0 for none.
    pub fn set(&self, most: u64) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// The limit in bytes; 0 for none.
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    /// Compares the memory in use with the limit; must be called several times per second.
    pub fn look(&self) {
        let most = self.most();
        let is_short = most > 0
            && fs::read_to_string("/proc/self/status")
                .ok()
                .and_then(|text| resident(&text))
                .is_some_and(|used| used > most);
        self.is_short.store(is_short, Ordering::Relaxed);
    }

    /// Whether the limit was exceeded at the last check.
    pub fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }
}

/// The default limit: a percentage of the smallest limit of the process's cgroups; 0 without one.
pub fn of_cgroup() -> u64 {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit(Path::new("/sys/fs/cgroup"), &groups).map_or(0, |limit| limit / 100 * PART)
}

/// The smallest limit of the groups in `/proc/self/cgroup` and their parents, in version 2 or 1.
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
        // In a container the path may be the host's, of which only the root is visible.
        let names: Vec<_> =
            Path::new(path).components().filter(|part| matches!(part, Component::Normal(_))).collect();
        (0..=names.len())
            .filter_map(|count| {
                let folder = names[..count].iter().fold(base.clone(), |folder, name| folder.join(name));
                fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok()
            })
            .collect()
    });
    // Version 1 has a number near 2^63 for no limit.
    limits.filter(|&limit| limit < 1 << 62).min()
}

#[cfg(test)]
mod tests {
    use super::{Memory, limit};

    #[test]
    fn smallest_cgroup_limit_is_used() {
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
    fn memory_is_short_above_the_limit() {
        let memory = Memory::default();
        for (most, expected) in [(0, false), (4096, true), (1 << 50, false)] {
            memory.set(most);
            memory.look();
            assert_eq!(memory.is_short(), expected, "{most}");
        }
    }
}
