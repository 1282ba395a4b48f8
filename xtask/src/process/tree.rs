//! A child with all that it started: finding it, ending it.
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
    kill(&with_below(pids.to_vec(), &parents()));
}

/// What runs below this process, and below what is known to have been there.
#[cfg(unix)]
pub(super) fn running(own: u32, known: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let parents = parents();
    let known = known.into_iter().filter(|pid| parents.contains_key(pid));
    let mut all = with_below(std::iter::once(own).chain(known).collect(), &parents);
    all.split_off(1)
}

fn with_below(mut all: Vec<u32>, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let mut at = 0;
    while let Some(&pid) = all.get(at) {
        let children = parents.iter().filter(|(child, parent)| **parent == pid && !all.contains(child));
        let children: Vec<_> =
            children.map(|(child, _)| *child).take(MOST.saturating_sub(all.len())).collect();
        all.extend(children);
        at += 1;
    }
    all
}

#[cfg(unix)]
fn kill(pids: &[u32]) {
    send(pids, rustix::process::Signal::KILL);
}

/// Sends a signal to each of these; one that has gone meanwhile needs none.
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

/// Every process that runs and the one that started it, where the system says.
fn parents() -> BTreeMap<u32, u32> {
    if let Ok(list) = std::fs::read_dir("/proc") {
        return list.flatten().filter_map(|entry| of(&entry.path())).collect();
    }
    let ps = Cmd::new("ps").args(["-A", "-o", "pid=,ppid=,stat="]).expression();
    let Ok(ps) = ps.stderr_null().stdout_capture().start() else { return BTreeMap::new() };
    // It is in its own list.
    let own = ps.pids();
    let told = ps.into_output().map(|output| output.stdout).unwrap_or_default();
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let pair = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        (runs(words.next()?) && !own.contains(&pair.0)).then_some(pair)
    };
    String::from_utf8_lossy(&told).lines().filter_map(entry).collect()
}

/// A folder of /proc: the process, and its parent, the second field after the name in brackets (proc(5)).
fn of(dir: &std::path::Path) -> Option<(u32, u32)> {
    let pid = dir.file_name()?.to_str()?.parse().ok()?;
    let stat = std::fs::read(dir.join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    runs(fields.next()?).then_some(())?;
    Some((pid, fields.next()?.parse().ok()?))
}

/// One that has ended and is only not yet waited for is no longer there to be ended.
fn runs(state: &str) -> bool {
    !state.starts_with(['Z', 'X'])
}
