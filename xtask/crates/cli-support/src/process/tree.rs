//! Finds and ends a child with all its descendants.
//!
//! A process group for each child would be simpler to end, but then Ctrl-C in a terminal would not reach the child. So
//! descendants are looked up when they are to be ended.

use std::collections::BTreeMap;
#[cfg(unix)]
use std::collections::BTreeSet;

use super::Cmd;

/// The largest number of processes that are ended.
const MAX_ENTRIES: usize = 1_000;

/// How often the process list is read again if it changed while it was read.
const TRIES: usize = 10;

/// An entry of the process list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    parent: u32,
    /// False for a zombie.
    runs: bool,
    /// Start time in [`ticks`]; none if the system does not say.
    started: Option<u64>,
}

/// A running descendant.
#[cfg(unix)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Below {
    pub pid: u32,
    pub parent: u32,
    /// Start time in [`ticks`]; none if the system does not say.
    pub started: Option<u64>,
}

/// The time since boot in hundredths of a second, the unit of `starttime` in proc(5). None without /proc.
#[cfg(unix)]
pub(super) fn ticks() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, rest) = text.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 100 + rest.get(..2)?.parse::<u64>().ok()?)
}

/// Kills these processes and their descendants. Processes that have already ended are ignored.
pub(super) fn end(pids: &[u32]) {
    kill(&with_below(pids.to_vec(), &list()));
}

/// The running descendants of process `own`. Processes in `known` count as descendants for as long as they exist, also
/// after they got another parent.
#[cfg(unix)]
pub(super) fn running(own: u32, known: &mut BTreeSet<u32>) -> Vec<Below> {
    let list = list();
    known.retain(|pid| list.contains_key(pid));
    let all = with_below(std::iter::once(own).chain(known.iter().copied()).collect(), &list);
    let below = |pid: u32| {
        let entry = list.get(&pid).filter(|entry| entry.runs)?;
        Some(Below { pid, parent: entry.parent, started: entry.started })
    };
    all.into_iter().skip(1).filter_map(below).collect()
}

fn with_below(mut all: Vec<u32>, list: &BTreeMap<u32, Entry>) -> Vec<u32> {
    let mut at = 0;
    while let Some(&pid) = all.get(at) {
        let children = list.iter().filter(|(child, entry)| entry.parent == pid && !all.contains(child));
        let children: Vec<_> =
            children.map(|(child, _)| *child).take(MAX_ENTRIES.saturating_sub(all.len())).collect();
        all.extend(children);
        at += 1;
    }
    all
}

#[cfg(unix)]
fn kill(pids: &[u32]) {
    send(pids, rustix::process::Signal::KILL);
}

/// Sends a signal to each process. Processes that have already ended are ignored.
#[cfg(unix)]
pub(super) fn send(pids: &[u32], signal: rustix::process::Signal) {
    let pids = pids.iter().filter_map(|pid| rustix::process::Pid::from_raw((*pid).try_into().ok()?));
    for pid in pids {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

#[cfg(not(unix))]
fn kill(pids: &[u32]) {
    let pids = pids.iter().flat_map(|pid| ["/PID".to_owned(), pid.to_string()]);
    let cmd = Cmd::new("taskkill").args(["/T", "/F"]).args(pids);
    let _ = cmd.expression().stdout_null().stderr_null().run();
}

/// All processes of the system.
fn list() -> BTreeMap<u32, Entry> {
    let mut list = read();
    for _ in 1..TRIES {
        if is_complete(&list) {
            break;
        }
        list = read();
    }
    list
}

/// Whether the list has the parent of every process. If a parent ended while the list was read, its descendants look like
/// orphans.
fn is_complete(list: &BTreeMap<u32, Entry>) -> bool {
    list.values().all(|entry| entry.parent == 0 || list.contains_key(&entry.parent))
}

fn read() -> BTreeMap<u32, Entry> {
    if let Ok(list) = std::fs::read_dir("/proc") {
        return list.flatten().filter_map(|entry| of(&entry.path())).collect();
    }
    let ps = Cmd::new("ps").args(["-A", "-o", "pid=,stat=,ppid="]).expression();
    let Ok(ps) = ps.stderr_null().stdout_capture().start() else { return BTreeMap::new() };
    // `ps` lists itself.
    let own = ps.pids();
    let told = ps.into_output().map(|output| output.stdout).unwrap_or_default();
    let line = |line: &str| {
        let (pid, rest) = line.trim_start().split_once(' ')?;
        let pid = pid.parse().ok()?;
        (!own.contains(&pid)).then_some((pid, entry(rest)?))
    };
    String::from_utf8_lossy(&told).lines().filter_map(line).collect()
}

/// Reads the `stat` file of a folder in /proc (proc(5)).
fn of(dir: &std::path::Path) -> Option<(u32, Entry)> {
    let pid = dir.file_name()?.to_str()?.parse().ok()?;
    let stat = std::fs::read(dir.join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, rest) = stat.rsplit_once(')')?;
    Some((pid, entry(rest)?))
}

/// Parses state, parent and start time: the fields after the name in brackets.
fn entry(fields: &str) -> Option<Entry> {
    let mut fields = fields.split_whitespace();
    let runs = !fields.next()?.starts_with(['Z', 'X']);
    let parent = fields.next()?.parse().ok()?;
    Some(Entry { parent, runs, started: fields.nth(17).and_then(|start| start.parse().ok()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_a_parent_is_incomplete() {
        let list = |lines: &[(u32, &str)]| -> BTreeMap<_, _> {
            lines.iter().map(|(pid, fields)| (*pid, entry(fields).unwrap())).collect()
        };
        let whole = list(&[(1, " S 0 1"), (2, "R 1"), (3, "Z 2"), (4, "Ss+  3"), (5, "S 1")]);
        assert!(is_complete(&whole) && !is_complete(&list(&[(1, "S 0"), (4, "S 3")])));
        // A zombie still leads to its descendants.
        assert_eq!(with_below(vec![2], &whole), [2, 3, 4]);
        assert!(!whole[&3].runs && whole[&4].runs);
        assert_eq!(entry(" S x"), None);
        assert_eq!(whole[&1].started, None);
        let own = of(std::path::Path::new(&format!("/proc/{}", std::process::id())));
        if let Some(((_, own), now)) = own.zip(ticks()) {
            assert!(own.started.is_some_and(|started| started <= now), "{own:?} {now}");
        }
    }
}
