//! `cargo xtask bench publish`: compared with `crane push` of the same layout to the same registry.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use super::measure::{Candidate, Comparison, Times, compare, table};
use crate::image::inputs::layout_dir;
use cli_support::error::Fault;
use cli_support::process::{Cmd, Need, find};
use cli_support::ui::{self, Ui};
use rust_workspace::binary::Package;
use rust_workspace::settings::{Bytes, Workspace};

/// Publishing, against crane
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask bench publish --registry localhost:5000

Writes the image in target/image to new repositories bench-… of that registry.")]
pub struct Flags {
    /// A registry for tests, HOST:PORT
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
            return Err(Fault::usage("crane is not on PATH").hint("apt-get install crane").into());
        }
        let ui = Ui::detect();
        let workspace = Workspace::find()?;
        let package = Package::of(&workspace)?;
        let image = layout_dir(&package.target_dir);
        let bench = Bench {
            xtask: std::env::current_exe().context("this program's own file")?,
            image,
            registry: self.registry.clone(),
            stamp: format!("bench-{}", cli_support::time::now()),
        };
        let progress = ui.step("bench", &format!("the image in target/image to {}", self.registry));
        let first =
            bench.compare(["to a new repository", "the image alone"], true, self.rounds.max(1), &progress)?;
        let again = bench.compare(["once more", "the image alone"], false, self.rounds.max(1), &progress)?;
        bench.publish(&bench.stamp)?;
        let again_bytes = bench.publish(&bench.stamp)?["bytes_sent"].as_u64().unwrap_or(u64::MAX);
        progress.done("");
        let comparisons = first.into_iter().chain(again).collect::<Vec<_>>();
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.bench-publish/1",
                "command": "bench publish",
                "comparisons": comparisons,
                "bytes_again": again_bytes,
            });
            ui::print(&format!("{report:#}\n"));
        } else {
            let bytes = Bytes(again_bytes);
            ui::print(&format!("\n{}\n{bytes} of blobs sent when nothing changed\n", table(&comparisons)));
        }
        Ok(())
    }
}

struct Bench {
    xtask: PathBuf,
    image: PathBuf,
    registry: String,
    /// The first repository's name, and the prefix of the others.
    stamp: String,
}

impl Bench {
    /// Compares twice: the whole command, which also checks permissions, attaches documents and reads back; and only the
    /// steps that crane has too. The blobs of attached documents count in both.
    fn compare(
        &self,
        what: [&'static str; 2],
        anew: bool,
        rounds: usize,
        progress: &ui::Progress,
    ) -> Result<[Comparison; 2]> {
        // With `anew`, each run has an empty repository of its own.
        let (mut ours, mut theirs) = (0, 0);
        let name = |number: &mut u32, side: &str| {
            *number += u32::from(anew);
            format!("{}-{side}-{number}", self.stamp)
        };
        let mut alone = Vec::new();
        let ours = Candidate {
            name: "cargo xtask publish",
            prepare: Box::new(|| Ok(())),
            run: Box::new(|| {
                let report = self.publish(&name(&mut ours, "ours"))?;
                let steps = report["steps"].as_array().into_iter().flatten();
                let image = steps
                    .filter(|step| ["blobs", "manifests", "tags"].iter().any(|name| step["name"] == *name));
                alone.push(image.filter_map(|step| step["seconds"].as_f64()).sum::<f64>());
                Ok(())
            }),
        };
        let theirs = Candidate {
            name: "crane push",
            prepare: Box::new(|| Ok(())),
            run: Box::new(move || self.crane(&name(&mut theirs, "theirs"))),
        };
        let whole = compare(what[0], 1.0, rounds, ours, theirs, progress)?;
        let image = Times { name: "all blobs, manifests, tags", seconds: alone };
        let image = Comparison::of(what[1], 1.0, image, whole.theirs.clone());
        Ok([whole, image])
    }

    /// Publishes to this repository and returns the report.
    fn publish(&self, name: &str) -> Result<serde_json::Value> {
        let cmd =
            Cmd::new(self.xtask.clone()).args(["publish", "--json", "--tag", "bench", "--sign", "none"]);
        let cmd = cmd.needs(Need::Registry);
        let cmd = cmd.args(["--allow-unscanned", "measured"]);
        let cmd = cmd.arg("--repository").arg(format!("{}/{name}", self.registry));
        Ok(serde_json::from_str(&cmd.read()?)?)
    }

    fn crane(&self, name: &str) -> Result<()> {
        let image = format!("{}/{name}:bench", self.registry);
        let cmd = Cmd::new("crane").arg("push").arg(self.image.as_os_str()).arg(image);
        cmd.read().map(drop)
    }
}
