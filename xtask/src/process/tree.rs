//! Ending a child with all that it started.
//!
//! A process group of its own would be simpler to end, and would keep an interrupt at the terminal from
//! reaching the child. So those below it are looked up instead, when they are to be ended.

use std::collections::BTreeMap;

use super::Cmd;

/// Processes that are ended at most.
const MOST: usize = 1_000;

/// Ends these processes and all below them, as far as the system tells which those are; what has gone by
/// itself meanwhile is no error.
pub(super) fn end(pids: &[u32]) {
    let parents = parents();
    let mut all: Vec<u32> = pids.to_vec();
    let mut at = 0;
    while let Some(&pid) = all.get(at) {
        let children = parents.iter().filter(|(child, parent)| **parent == pid && !all.contains(child));
        let children: Vec<_> =
            children.map(|(child, _)| *child).take(MOST.saturating_sub(all.len())).collect();
        all.extend(children);
        at += 1;
    }
    let all = all.iter().map(ToString::to_string);
    // The shell's own `kill` is there where no program of that name is.
    let cmd = if cfg!(windows) {
        Cmd::new("taskkill").args(["/T", "/F"]).args(all.flat_map(|pid| ["/PID".to_owned(), pid]))
    } else {
        Cmd::new("sh").args(["-c", "kill -9 \"$@\" 2>/dev/null", "sh"]).args(all)
    };
    let _ = cmd.expression().stdout_null().stderr_null().run();
}

/// Every process and the one that started it, where the system says.
fn parents() -> BTreeMap<u32, u32> {
    if let Ok(list) = std::fs::read_dir("/proc") {
        return list.flatten().filter_map(|entry| of(&entry.path())).collect();
    }
    let told = Cmd::new("ps").args(["-A", "-o", "pid=,ppid="]).expression().stderr_null().read();
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    told.unwrap_or_default().lines().filter_map(pair).collect()
}

/// A folder of /proc: the process, and its parent, the second field after the name in brackets (proc(5)).
fn of(dir: &std::path::Path) -> Option<(u32, u32)> {
    let pid = dir.file_name()?.to_str()?.parse().ok()?;
    let stat = std::fs::read(dir.join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, rest) = stat.rsplit_once(')')?;
    Some((pid, rest.split_whitespace().nth(1)?.parse().ok()?))
}
