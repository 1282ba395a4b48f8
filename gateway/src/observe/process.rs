//! Metrics of the process from proc(5), with the names that Prometheus client libraries use.

use std::fs;

use super::exposition::Exposition;

/// Clock ticks of `/proc` per second: `USER_HZ` is 100 on every Linux platform that Rust supports.
const TICKS: f64 = 100.0;

/// Adds the families; those that the system does not provide are omitted.
pub fn render(out: &mut Exposition) {
    let Some(stat) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| fields(&text)) else {
        return;
    };
    out.family("process_cpu_seconds_total", "counter", "Time on processors, user and system.");
    out.sample(&[], stat.cpu_ticks / TICKS);
    if let Some(boot) = fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text)) {
        out.family("process_start_time_seconds", "gauge", "When the process was started, since 1970.");
        out.sample(&[], boot + stat.start_ticks / TICKS);
    }
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().and_then(|text| resident(&text)) {
        out.family("process_resident_memory_bytes", "gauge", "Memory in use.");
        out.sample(&[], bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        out.family("process_open_fds", "gauge", "Open file descriptors.");
        // Without the descriptor of this directory.
        out.sample(&[], open.count().saturating_sub(1));
    }
    if let Some(most) = fs::read_to_string("/proc/self/limits").ok().and_then(|text| max_fds(&text)) {
        out.family("process_max_fds", "gauge", "Maximum number of open file descriptors.");
        out.sample(&[], most);
    }
}

struct Stat {
    cpu_ticks: f64,
    start_ticks: f64,
}

/// The fields of `/proc/self/stat` after the name, which may contain spaces and brackets.
fn fields(stat: &str) -> Option<Stat> {
    let rest: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // Numbered from 3 in proc(5).
    let number = |place: usize| rest.get(place - 3)?.parse::<f64>().ok();
    Some(Stat { cpu_ticks: number(14)? + number(15)?, start_ticks: number(22)? })
}

fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Resident bytes in `/proc/self/status`.
pub(super) fn resident(status: &str) -> Option<u64> {
    let kibibytes =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(kibibytes.parse::<u64>().ok()? * 1024)
}

fn max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{boot_time, fields, max_fds, resident};

    #[test]
    fn proc_files_are_parsed() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 120 0 0 0 250 50 0 0 20 0 4 0 12345 1 2 3";
        let stat = fields(stat).expect("fields");
        assert_eq!((stat.cpu_ticks, stat.start_ticks), (300.0, 12_345.0));
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
        assert_eq!(resident("Name:\tx\nVmRSS:\t   2048 kB\n"), Some(2 << 20));
        assert_eq!(
            max_fds("Max open files            1024                 4096                 files\n"),
            Some(1024)
        );
        assert_eq!(
            max_fds("Max open files            unlimited            unlimited            files\n"),
            None
        );
    }
}
