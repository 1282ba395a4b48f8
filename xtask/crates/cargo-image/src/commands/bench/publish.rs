//! `cargo xtask bench publish`: compared with `crane push` of the same layout to the same registry.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;

use super::delay_proxy::{Count, DelayProxy};
use super::measure::{Candidate, Comparison, compare, table};
use crate::image::inputs::layout_dir;
use cli_support::error::Fault;
use cli_support::process::{Cmd, Need, find};
use cli_support::ui::{self, Table, Ui};
use rust_workspace::binary::Package;
use rust_workspace::settings::{Bytes, Workspace};

/// The delay that the proxy adds to each request.
const DELAY: Duration = Duration::from_millis(40);

/// Publishing, against crane
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask image --platform all && cargo xtask scan && cargo xtask sbom
  cargo xtask bench publish --registry localhost:5000

Writes the image in target/image to new repositories bench-… of that registry: through a proxy that adds
40 ms to each request and counts round trips, and directly.")]
pub struct Flags {
    /// A registry for tests without TLS, HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    registry: String,
    /// Rounds of each comparison
    #[arg(long, default_value_t = 7, value_name = "N")]
    rounds: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Flags {
    pub fn run(&self) -> Result<()> {
        if find("crane").is_none() {
            return Err(Fault::usage("crane is not on PATH").hint("cargo xtask engines crane").into());
        }
        let ui = Ui::detect();
        let workspace = Workspace::find()?;
        let package = Package::of(&workspace)?;
        let proxy = DelayProxy::start(&self.registry, DELAY).context("start a proxy")?;
        let bench = Bench {
            xtask: std::env::current_exe().context("this program's own file")?,
            image: layout_dir(&package.target_dir),
            stamp: format!("bench-{}", cli_support::time::now()),
            rounds: self.rounds.max(1),
        };
        let progress = ui.step("bench", &format!("the image in target/image to {}", self.registry));
        let delayed = proxy.address.to_string();
        let report = bench.publish(&delayed, &format!("{}-warm", bench.stamp))?;
        let mut rows = Vec::new();
        for (what, registry, anew, goal, trips) in [
            ("first, 40 ms a request", &delayed, true, 1.3, Some(8)),
            ("unchanged, 40 ms a request", &delayed, false, 1.5, Some(5)),
            ("unchanged, directly", &self.registry, false, 3.0, None),
        ] {
            let (comparison, [ours, theirs]) =
                bench.compare(what, goal, registry, anew, &proxy, &progress)?;
            rows.push((comparison, trips.map(|goal| RoundTrips { what, ours, theirs, goal })));
        }
        let again = bench.publish(&delayed, &format!("{}-warm", bench.stamp))?;
        progress.done("");
        let again = again["bytes_sent"].as_u64().unwrap_or(u64::MAX);
        let (comparisons, trips): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let trips: Vec<_> = trips.into_iter().flatten().collect();
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.bench-publish/1",
                "command": "bench publish",
                "comparisons": comparisons,
                "round_trips": trips,
                "attached": report["attached"],
                "bytes_again": again,
            });
            ui::print(&format!("{report:#}\n"));
        } else {
            let attached = report["attached"].as_array().into_iter().flatten();
            let kinds: Vec<_> = attached.filter_map(|one| one["artifact_type"].as_str()).collect();
            let (times, trips) = (table(&comparisons), trips_table(&trips));
            let (kinds, bytes) = (kinds.join(", "), Bytes(again));
            ui::print(&format!(
                "\n{times}\n{trips}\nattached: {kinds}\n{bytes} of blobs sent when nothing changed\n"
            ));
        }
        Ok(())
    }
}

/// Round trips of one publish, by the proxy.
#[derive(serde::Serialize)]
struct RoundTrips {
    what: &'static str,
    ours: Count,
    theirs: Count,
    /// The most that ours may need one after another.
    goal: usize,
}

fn trips_table(trips: &[RoundTrips]) -> Table {
    let mut table =
        Table::new(&["round trips", ">ours", ">of requests", ">crane", ">of requests", ">goal", ""]);
    for row in trips {
        let met = if row.ours.sequential <= row.goal { "met" } else { "missed" };
        let numbers =
            [row.ours.sequential, row.ours.requests, row.theirs.sequential, row.theirs.requests, row.goal];
        let numbers = numbers.map(|number| number.to_string());
        table.row(std::iter::once(row.what.to_owned()).chain(numbers).chain([met.to_owned()]));
    }
    table
}

struct Bench {
    xtask: PathBuf,
    image: PathBuf,
    /// The prefix of the repositories.
    stamp: String,
    rounds: usize,
}

impl Bench {
    /// Compares the whole commands: ours also checks permissions, attaches documents and reads back. With `anew`, each
    /// run has an empty repository of its own. Also gives the fewest round trips of each: on a busy machine, requests
    /// that are independent may come apart.
    fn compare(
        &self,
        what: &'static str,
        goal: f64,
        registry: &str,
        anew: bool,
        proxy: &DelayProxy,
        progress: &ui::Progress,
    ) -> Result<(Comparison, [Count; 2])> {
        let kind = if anew { "first" } else { "again" };
        let name = |side: &str, number: usize| {
            let number = if anew { number } else { 0 };
            format!("{}-{kind}-{side}-{number}", self.stamp)
        };
        if !anew {
            self.publish(registry, &name("ours", 0))?;
            self.crane(registry, &name("crane", 0))?;
        }
        proxy.take();
        let (mut our_counts, mut their_counts) = (Vec::new(), Vec::new());
        let ours = Candidate {
            name: "cargo xtask publish",
            prepare: Box::new(|| Ok(())),
            run: Box::new(|| {
                self.publish(registry, &name("ours", our_counts.len()))?;
                our_counts.push(proxy.take());
                Ok(())
            }),
        };
        let theirs = Candidate {
            name: "crane push",
            prepare: Box::new(|| Ok(())),
            run: Box::new(|| {
                self.crane(registry, &name("crane", their_counts.len()))?;
                their_counts.push(proxy.take());
                Ok(())
            }),
        };
        let comparison = compare(what, goal, self.rounds, ours, theirs, progress)?;
        let fewest = |counts: Vec<Count>| counts.into_iter().min_by_key(|count| count.sequential);
        let counts = [our_counts, their_counts].map(|counts| fewest(counts).unwrap_or_default());
        Ok((comparison, counts))
    }

    /// Publishes to this repository and returns the report.
    fn publish(&self, registry: &str, name: &str) -> Result<serde_json::Value> {
        let cmd =
            Cmd::new(self.xtask.clone()).args(["publish", "--json", "--tag", "bench", "--sign", "none"]);
        let cmd = cmd.needs(Need::Registry);
        let cmd = cmd.args(["--allow-unscanned", "measured"]);
        let cmd = cmd.arg("--repository").arg(format!("{registry}/{name}"));
        Ok(serde_json::from_str(&cmd.read()?)?)
    }

    fn crane(&self, registry: &str, name: &str) -> Result<()> {
        let image = format!("{registry}/{name}:bench");
        let cmd = Cmd::new("crane").arg("push").arg(self.image.as_os_str()).arg(image);
        cmd.read().map(drop)
    }
}
