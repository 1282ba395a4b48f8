//! Instructions per request, counted by valgrind: the same on a busy machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::client::{block_on, in_step};
use super::policies::Policy;
use super::proxies::{Candidate, Options};
use crate::program::run;

/// Connections at the same time, and requests on each.
const SHAPE: [usize; 2] = [16, 64];

/// Instructions in user mode for one request of 1 KB over HTTP/1.1, without a policy with an access log.
pub fn instructions(
    candidate: &Candidate,
    dir: &Path,
    upstream: u16,
    policy: Option<&Policy>,
) -> Result<f64> {
    let out = dir.join(format!("callgrind-{}", candidate.name));
    let within = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", out.display()),
    ];
    let proxy = candidate.start(dir, upstream, Options { within: &within, policy, ..Options::default() })?;
    let fields = policy.map_or("", |policy| policy.fields.as_str());
    let id = proxy.worker.to_string();
    let [connections, rounds] = SHAPE;
    // Connections to the upstream, buffers and lazily made tables are not what a request costs.
    block_on(in_step(proxy.plain, fields, connections, 8))??;
    run(Command::new("callgrind_control").args(["-z", &id]))?;
    block_on(in_step(proxy.plain, fields, connections, rounds))??;
    run(Command::new("callgrind_control").args(["-d", &id]))?;
    let dump = out.with_extension("1");
    let text = fs::read_to_string(&dump).with_context(|| dump.display().to_string())?;
    let total = total(&text).context("callgrind counted nothing")?;
    #[allow(clippy::cast_precision_loss)]
    Ok(total / (connections * (rounds + 1)) as f64)
}

/// The sum that ends each part of a dump.
fn total(dump: &str) -> Option<f64> {
    let sums = dump.lines().filter_map(|line| line.strip_prefix("totals: "));
    let sums: Vec<f64> = sums.filter_map(|sum| sum.trim().parse().ok()).collect();
    (!sums.is_empty()).then(|| sums.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals() {
        assert_eq!(total("events: Ir\ntotals: 12\n"), Some(12.0));
        assert_eq!(total("events: Ir\n"), None);
    }
}
