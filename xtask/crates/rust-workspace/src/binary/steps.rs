//! The steps of a build with cargo, shared by `image` and `binary`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use super::graph::strays;
use super::outside::outside;
use super::{Build, Target, Toolchain, cannot_add, compiling, linked, no_c, static_binary, tree, with_bill};
use anyhow::{Context as _, Result};
use cli_support::plan::{Action, Plan};
use cli_support::process::Cmd;
use cli_support::threads::joined;
use cli_support::ui::Progress;
use oci_image::platform::Platform;

/// One step.
#[derive(Debug)]
pub enum BinaryStep {
    /// Checks that no crate compiles C.
    Graph(Cmd),
    /// Adds a Rust target.
    AddTarget(Target, Cmd),
    /// Builds all targets with one cargo call.
    Compile(Cmd),
    /// Writes the list of linked crates into the binary of a platform.
    Audit(Platform, Cmd),
}

/// The state that the steps share.
#[derive(Debug)]
pub struct BinaryWork {
    /// What is built.
    pub build: Build,
    /// With what.
    pub toolchain: Toolchain,
    /// The target of each platform.
    pub targets: Vec<Target>,
    /// The list of linked crates by platform, from cargo.
    pub lists: BTreeMap<Platform, Result<String>>,
    /// Each platform's binary, after the build.
    pub binaries: BTreeMap<Platform, PathBuf>,
    /// Wall-clock seconds of the build.
    pub seconds: f64,
    /// Warnings.
    pub notes: Vec<String>,
}

impl BinaryWork {
    /// The state before the first step.
    pub fn new(build: Build, toolchain: Toolchain, targets: Vec<Target>) -> Self {
        let binaries = BTreeMap::new();
        let stand_ins = targets.iter().filter(|target| target.triple.ends_with("-gnu"));
        let stand_ins = stand_ins.map(|target| stand_in(target.platform.musl_target(), target.triple));
        let notes = stand_ins.chain(outside(&build.root)).collect();
        let lists = BTreeMap::new();
        Self { build, toolchain, targets, lists, binaries, seconds: 0.0, notes }
    }

    /// Adds the steps to a plan; `wrap` converts them to the plan's type.
    pub fn plan<A: Action>(&self, plan: &mut Plan<A>, wrap: impl Fn(BinaryStep) -> A) {
        let reason = "a C dependency would need a C compiler for every target";
        let triples: Vec<_> = self.targets.iter().map(|target| target.triple).collect();
        let graph = tree(&self.build.root, &self.build.package, &triples);
        plan.step("graph", reason, ["Cargo.lock"], wrap(BinaryStep::Graph(graph)));
        for target in &self.targets {
            if let Some(missing) = &target.missing {
                let instead =
                    missing.instead.map(|instead| format!("; {instead} stands in if it cannot be added"));
                let reason = format!("{} is not installed{}", target.triple, instead.unwrap_or_default());
                let add = BinaryStep::AddTarget(target.clone(), missing.add.clone());
                plan.step("target", reason, [target.triple], wrap(add));
            }
        }
        let reason = format!("one call builds every target, static, with Rust {}", self.toolchain.version);
        plan.step("compile", reason, ["source", "Cargo.lock"], wrap(BinaryStep::Compile(self.command())));
        for target in &self.targets {
            let reason =
                format!("the {} binary carries the list of its crates, for scanners", target.platform);
            let list = linked(&self.build.root, &self.build.package, target.triple);
            plan.step(
                "audit",
                reason,
                ["compile", "Cargo.lock"],
                wrap(BinaryStep::Audit(target.platform, list)),
            );
        }
    }

    fn command(&self) -> Cmd {
        self.build.command(&self.targets, &self.toolchain)
    }

    fn add_target(&mut self, target: &Target, cmd: &Cmd, progress: &Progress) -> Result<String> {
        let added = cmd.follow(|line| progress.output(line));
        let instead = target.missing.as_ref().and_then(|missing| missing.instead);
        match (added, instead) {
            (Ok(()), _) => Ok(format!("{} added", target.triple)),
            (Err(_), Some(instead)) => {
                for chosen in self.targets.iter_mut().filter(|chosen| chosen.platform == target.platform) {
                    chosen.triple = instead;
                }
                self.notes.push(stand_in(target.triple, instead));
                Ok(format!("not to be had; {instead} is built instead"))
            }
            (Err(error), None) => Err(error.context(cannot_add(target, cmd))),
        }
    }

    fn compile(&mut self, progress: &Progress) -> Result<String> {
        let started = Instant::now();
        // A target that could not be added was replaced after the plan was made.
        let (compiled, lists) = std::thread::scope(|scope| {
            // In parallel: the list takes as long as a build without changes.
            let lists = self.targets.iter().map(|target| {
                let list = linked(&self.build.root, &self.build.package, target.triple);
                (target.platform, scope.spawn(move || list.read()))
            });
            let lists: Vec<_> = lists.collect();
            let compiled = follow_cargo(&self.command(), progress);
            self.seconds = started.elapsed().as_secs_f64();
            let ended = lists.into_iter().map(|(platform, list)| (platform, joined(list)));
            (compiled, ended.collect())
        });
        compiled?;
        self.lists = lists;
        self.binaries.clear();
        for target in &self.targets {
            self.binaries.insert(target.platform, static_binary(&self.build, target)?);
        }
        let triples: Vec<_> = self.targets.iter().map(|target| target.triple).collect();
        Ok(triples.join(", "))
    }

    fn audit(&mut self, platform: Platform) -> Result<String> {
        let target = self.targets.iter().find(|target| target.platform == platform);
        let target = target.context("no binary of this platform was built")?;
        let list = self.lists.remove(&platform).context("nobody asked cargo for the crates")??;
        let (path, crates) = with_bill(&self.build, target, &list)?;
        self.binaries.insert(platform, path);
        Ok(format!("{crates} crates listed in the section .dep-v0"))
    }
}

impl Action for BinaryStep {
    type State = BinaryWork;

    fn command(&self) -> Option<&Cmd> {
        match self {
            Self::Graph(cmd) | Self::AddTarget(_, cmd) | Self::Compile(cmd) | Self::Audit(_, cmd) => {
                Some(cmd)
            }
        }
    }

    fn run(&self, work: &mut BinaryWork, progress: &Progress) -> Result<String> {
        match self {
            Self::Graph(cmd) => {
                let tree = cmd.read()?;
                let crates = no_c(&tree)?;
                work.notes.extend(strays(&tree, &work.build.root).into_iter().map(|stray| {
                    format!("the crate {stray} lies outside the workspace: no commit says what the image has of it")
                }));
                Ok(format!("no C in it; {crates} crate{}", if crates == 1 { "" } else { "s" }))
            }
            Self::AddTarget(target, cmd) => work.add_target(target, cmd, progress),
            Self::Compile(_) => work.compile(progress),
            Self::Audit(platform, _) => work.audit(*platform),
        }
    }
}

fn stand_in(wanted: &str, instead: &str) -> String {
    format!(
        "{wanted} cannot be had here, so {instead} is built, linked statically: other bytes than elsewhere"
    )
}

/// Runs cargo and shows the crate being compiled.
pub fn follow_cargo(cmd: &Cmd, progress: &Progress) -> Result<()> {
    cmd.follow(|line| progress.output(compiling(line).unwrap_or(line)))
}
