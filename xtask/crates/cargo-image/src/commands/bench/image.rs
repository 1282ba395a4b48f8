//! `cargo xtask bench image`: the image engines, compared with Docker and with plain cargo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use super::change_a_line;
use super::measure::{Candidate, Comparison, compare, table};
use crate::commands::image::buildx_flags::BuildxFlags;
use crate::image::docker::Docker;
use crate::image::verify::copy_source;
use cli_support::files::remove_dir;
use cli_support::process::Cmd;
use cli_support::ui::{self, Progress, Table, Ui};
use oci_image::platform::Platform;
use rust_workspace::binary::{Package, cargo, metadata};
use rust_workspace::settings::{Bytes, Workspace};

/// The largest wanted compressed size of a platform, in bytes.
const GOAL_BYTES: u64 = 4_000_000;

/// The image engines, against Docker and plain cargo
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask bench image
  cargo xtask bench image --rounds 9 --json

Works in copies of the source below target/xtask/bench. Takes some minutes.")]
pub struct Flags {
    /// Rounds of each comparison
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: usize,
    #[command(flatten)]
    buildx: BuildxFlags,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct BenchReport {
    schema: &'static str,
    command: &'static str,
    comparisons: Vec<Comparison>,
    /// Builds with an empty target folder, in seconds; each is run once.
    cold: Vec<(String, f64)>,
    /// Compressed bytes of each platform.
    sizes: Vec<(String, u64)>,
    skipped: Vec<String>,
}

impl Flags {
    pub fn run(&self) -> Result<()> {
        let ui = Ui::detect();
        let workspace = Workspace::find()?;
        let package = Package::of(&workspace)?;
        let bench = Bench {
            home: package.target_dir.join("xtask").join("bench"),
            xtask: std::env::current_exe().context("this program's own file")?,
            flags: self.buildx.arguments(),
            rounds: self.rounds.max(1),
            package: package.name.clone(),
            platform: Platform::host().context("this machine's platform")?,
        };
        remove_dir(&bench.home)?;
        let progress = ui.step("bench", "copies of the source, each with its own target folder");
        let report = bench.run(&workspace, &progress)?;
        progress.done("");
        remove_dir(&bench.home)?;
        if self.json {
            ui::print(&format!("{:#}\n", serde_json::to_value(&report)?));
        } else {
            ui::print(&report.text());
        }
        Ok(())
    }
}

struct Bench {
    home: PathBuf,
    xtask: PathBuf,
    flags: Vec<String>,
    rounds: usize,
    package: String,
    platform: Platform,
}

impl Bench {
    fn run(&self, workspace: &Workspace, progress: &Progress) -> Result<BenchReport> {
        let docker = match Docker::probe(workspace.settings.buildx.builder.as_deref()) {
            Docker::Ready { .. } => None,
            Docker::Unable(why) => Some(why),
        };
        let [native, bare, buildx] =
            ["native", "bare", "buildx"].map(|name| self.home.join(name).join("source"));
        for copy in [&native, &bare, &buildx] {
            copy_source(&workspace.root, copy)?;
        }
        let mut cold = Vec::new();
        progress.detail("cold: xtask");
        let fresh = self.home.join("xtask-target");
        let build = cargo().args(["run", "--quiet", "--package", "xtask", "--bin", "xtask", "--target-dir"]);
        let build = build.arg(&fresh).args(["--", "--help"]).dir(&native);
        cold.push(("cargo xtask --help, target folder empty".to_owned(), timed(&build)?));
        progress.detail("cold: both platforms");
        cold.push((
            "native, all platforms, target folder empty".to_owned(),
            timed(&self.image(&native, "native", "all"))?,
        ));
        let sizes = sizes(&self.image(&native, "native", "all").arg("--json"))?;

        progress.detail("first builds");
        self.image(&native, "native", "host").read()?;
        self.bare(&bare).read()?;
        let mut comparisons = vec![compare(
            "one line changed",
            1.05,
            self.rounds,
            self.candidate("native", &native, "native"),
            Candidate {
                name: "cargo build --release",
                prepare: Box::new(|| self.change_a_line(&bare)),
                run: Box::new(|| self.bare(&bare).read().map(drop)),
            },
            progress,
        )?];
        let mut skipped = Vec::new();
        if let Some(why) = docker {
            skipped.push(format!("comparisons with buildx: {why}"));
        } else {
            self.image(&buildx, "buildx", "host").read()?;
            let raw = self.raw_buildx(&buildx)?;
            raw.read()?;
            comparisons.push(compare(
                "nothing changed",
                1.0,
                self.rounds,
                Candidate {
                    name: "native",
                    prepare: Box::new(|| Ok(())),
                    run: Box::new(|| self.image(&native, "native", "host").read().map(drop)),
                },
                Candidate {
                    name: "docker buildx build",
                    prepare: Box::new(|| Ok(())),
                    run: Box::new(|| raw.read().map(drop)),
                },
                progress,
            )?);
            comparisons.push(compare(
                "one line changed",
                0.9,
                self.rounds,
                self.candidate("native", &native, "native"),
                Candidate {
                    name: "docker buildx build",
                    prepare: Box::new(|| self.change_a_line(&buildx)),
                    run: Box::new(|| raw.read().map(drop)),
                },
                progress,
            )?);
        }
        Ok(BenchReport { schema: "xtask.bench-image/1", command: "bench", comparisons, cold, sizes, skipped })
    }

    fn candidate<'a>(&'a self, name: &'static str, copy: &'a Path, engine: &'static str) -> Candidate<'a> {
        Candidate {
            name,
            prepare: Box::new(|| self.change_a_line(copy)),
            run: Box::new(move || self.image(copy, engine, "host").read().map(drop)),
        }
    }

    /// `cargo xtask image` as a person calls it: the time includes cargo's check of xtask.
    fn image(&self, copy: &Path, engine: &str, platform: &str) -> Cmd {
        let target = copy.with_file_name("target");
        let flags = if engine == "buildx" { &self.flags[..] } else { &[] };
        cargo()
            .args(["xtask", "image", "--engine", engine, "--platform", platform])
            .args(flags)
            .env("CARGO_TARGET_DIR", target)
            .dir(copy)
    }

    fn bare(&self, copy: &Path) -> Cmd {
        let target = self.platform.musl_target();
        cargo()
            .args(["build", "--release", "--locked", "--package", &self.package, "--target", target])
            .env("CARGO_TARGET_DIR", copy.with_file_name("target"))
            .dir(copy)
    }

    /// The docker command of the plan of `cargo xtask image`.
    fn raw_buildx(&self, copy: &Path) -> Result<Cmd> {
        let plan = Cmd::new(&self.xtask)
            .args(["image", "--engine", "buildx", "--platform", "host", "--dry-run", "--json"])
            .args(&self.flags)
            .env("CARGO_TARGET_DIR", copy.with_file_name("target"))
            .dir(copy)
            .read()?;
        let plan: serde_json::Value = serde_json::from_str(&plan).context("the plan of the buildx engine")?;
        let mut steps = plan["steps"].as_array().into_iter().flatten();
        let command = steps.find(|step| step["name"] == "buildx").map(|step| &step["command"]);
        let command = command.context("the plan has no step 'buildx'")?;
        let argv: Vec<String> = serde_json::from_value(command["argv"].clone())?;
        let env: Option<BTreeMap<String, String>> = serde_json::from_value(command["env"].clone())?;
        let (program, rest) = argv.split_first().context("an empty command")?;
        let cmd = Cmd::new(program).args(rest.iter().cloned()).dir(copy);
        Ok(env.unwrap_or_default().into_iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value)))
    }

    /// Changes the package's library, or its binary where it has no library, so that it is compiled and linked again.
    fn change_a_line(&self, copy: &Path) -> Result<()> {
        let graph = metadata(copy)?;
        let packages = graph.workspace_packages();
        let package = packages.iter().find(|package| package.name == self.package).context("the package")?;
        let library = package.targets.iter().find(|target| target.is_lib());
        let target = library.or_else(|| package.targets.iter().find(|target| target.is_bin()));
        change_a_line(target.context("its sources")?.src_path.as_std_path())
    }
}

fn timed(cmd: &Cmd) -> Result<f64> {
    let started = Instant::now();
    cmd.read()?;
    Ok(started.elapsed().as_secs_f64())
}

fn sizes(cmd: &Cmd) -> Result<Vec<(String, u64)>> {
    let report: serde_json::Value =
        serde_json::from_str(&cmd.read()?).context("the report of the native engine")?;
    let platforms = report["platforms"].as_array().into_iter().flatten();
    let size = |row: &serde_json::Value| {
        let platform = row["platform"].as_str().unwrap_or_default().to_owned();
        (platform, row["compressed_bytes"].as_u64().unwrap_or_default())
    };
    Ok(platforms.map(size).collect())
}

impl BenchReport {
    fn text(&self) -> String {
        let mut out = format!("\n{}", table(&self.comparisons));
        let mut cold = Table::new(&["from nothing", ">seconds"]);
        for (what, seconds) in &self.cold {
            cold.row([what.clone(), format!("{seconds:.1}")]);
        }
        let mut sizes = Table::new(&["platform", ">compressed", ">goal", ""]);
        for (platform, bytes) in &self.sizes {
            let verdict = if *bytes <= GOAL_BYTES { "met" } else { "missed" };
            sizes.row([
                platform.clone(),
                Bytes(*bytes).to_string(),
                Bytes(GOAL_BYTES).to_string(),
                verdict.to_owned(),
            ]);
        }
        out.push_str(&format!("\n{cold}\n{sizes}"));
        for skipped in &self.skipped {
            out.push_str(&format!("\nskipped: {skipped}\n"));
        }
        out
    }
}
