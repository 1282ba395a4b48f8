//! The steps of a build with cargo, shared by `image` and `binary`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use super::graph::{all_crates, strays};
use super::native::{certain, check_linked, linked_libraries, refused, suspects};
use super::outside::outside;
use super::{Build, Suspect, Target, Toolchain, Zig, cannot_add, compiling, static_binary, with_sbom};
use crate::settings::{BuildSettings, CompileC};
use anyhow::{Context as _, Result};
use cli_support::error::Fault;
use cli_support::plan::{Action, Plan};
use cli_support::process::Cmd;
use cli_support::threads::joined;
use cli_support::ui::Progress;
use oci_image::platform::Platform;

/// One step.
#[derive(Debug)]
pub enum BinaryStep {
    /// Lists the crates and checks which of them compile C.
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
    /// The build.
    pub build: Build,
    /// With what.
    pub toolchain: Toolchain,
    /// The target of each platform.
    pub targets: Vec<Target>,
    /// The settings of the build.
    pub settings: BuildSettings,
    /// The linked crates that can compile C.
    suspects: Vec<Suspect>,
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
    pub fn new(build: Build, toolchain: Toolchain, targets: Vec<Target>, settings: BuildSettings) -> Self {
        let binaries = BTreeMap::new();
        let stand_ins = targets.iter().filter(|target| target.triple.ends_with("-gnu"));
        let stand_ins = stand_ins.map(|target| stand_in(target.platform.musl_target(), target.triple));
        let notes = stand_ins.chain(build.flags.omitted()).chain(outside(&build.root)).collect();
        let lists = BTreeMap::new();
        let suspects = Vec::new();
        Self { build, toolchain, targets, settings, suspects, lists, binaries, seconds: 0.0, notes }
    }

    /// Adds the steps to a plan; `wrap` converts them to the plan's type.
    pub fn plan<A: Action>(&self, plan: &mut Plan<A>, wrap: impl Fn(BinaryStep) -> A) {
        let reason = match (self.settings.c, &self.build.zig) {
            (CompileC::Refuse, _) => "a C dependency would need a C compiler for every target".to_owned(),
            (_, Some(zig)) => format!("lists the crates; zig {} compiles C code", zig.version),
            (_, None) => "lists the crates; this machine's C compilers compile C code".to_owned(),
        };
        let triples: Vec<_> = self.targets.iter().map(|target| target.triple).collect();
        let graph = self.build.tree(&triples);
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
            let list = self.build.linked(&[target.triple]);
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
                let list = self.build.linked(&[target.triple]);
                (target.platform, scope.spawn(move || list.read()))
            });
            let lists: Vec<_> = lists.collect();
            let compiled = follow_cargo(&self.command(), progress);
            self.seconds = started.elapsed().as_secs_f64();
            let ended = lists.into_iter().map(|(platform, list)| (platform, joined(list)));
            (compiled, ended.collect())
        });
        if let Err(error) = compiled {
            return Err(self.explain(error));
        }
        self.check_linked()?;
        self.lists = lists;
        self.binaries.clear();
        for target in &self.targets {
            self.binaries.insert(target.platform, static_binary(&self.build, target)?);
        }
        let triples: Vec<_> = self.targets.iter().map(|target| target.triple).collect();
        Ok(triples.join(", "))
    }

    /// Lists the crates. Crates that certainly compile C are an error before the build.
    fn graph(&mut self, tree: &Cmd) -> Result<String> {
        let tree = tree.read()?;
        let triples: Vec<_> = self.targets.iter().map(|target| target.triple).collect();
        // Without the build dependencies this is faster, and most workspaces end here.
        let linked = self.build.linked(&triples).read()?;
        self.suspects = suspects(&tree, &linked);
        self.suspects.retain(|suspect| !self.settings.allow_c.contains(&suspect.name));
        if self.settings.c == CompileC::Refuse && !self.suspects.is_empty() {
            let metadata = all_crates(&self.build.root)?;
            let certain = certain(&self.suspects, &metadata);
            if !certain.is_empty() {
                return Err(refused(&certain, &self.build.selection.package, triples[0]).into());
            }
        }
        self.notes.extend(strays(&tree, self.build.repository.as_deref().unwrap_or(&self.build.root)).into_iter().map(|stray| {
            format!("the crate {stray} lies outside the workspace: no commit says what the image has of it")
        }));
        if self.build.zig.is_some() {
            Zig::prepare(&self.build.zig_dir(), &triples)?;
        }
        let crates: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        let c = match &self.suspects[..] {
            [] => "no C in them".to_owned(),
            some => {
                let names: Vec<_> = some.iter().map(|suspect| suspect.name.as_str()).collect();
                format!("build scripts of {} can compile C", names.join(", "))
            }
        };
        Ok(format!("{} crate{}; {c}", crates.len(), if crates.len() == 1 { "" } else { "s" }))
    }

    /// Checks what build scripts linked, where some can compile C and the settings refuse it.
    fn check_linked(&self) -> Result<()> {
        if self.settings.c != CompileC::Refuse || self.suspects.is_empty() {
            return Ok(());
        }
        // Cargo repeats the messages of a build that is up to date.
        let messages = self.command().args(["--message-format", "json"]).read_raw()?;
        let triples: Vec<_> = self.targets.iter().map(|target| target.triple).collect();
        Ok(check_linked(&linked_libraries(&messages, &triples)?, &self.settings)?)
    }

    /// Adds what can be the cause of a failed build.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let script = error.to_string().contains("failed to run custom build command");
        let error = if script && !self.suspects.is_empty() && self.build.zig.is_none() {
            let suspects: Vec<_> = self.suspects.iter().collect();
            error.context(refused(&suspects, &self.build.selection.package, self.targets[0].triple))
        } else {
            error
        };
        if self.notes.is_empty() {
            return error;
        }
        error.context(Fault::failed("the build failed").hint(self.notes.join("\n")))
    }

    fn audit(&mut self, platform: Platform) -> Result<String> {
        let target = self.targets.iter().find(|target| target.platform == platform);
        let target = target.context("no binary of this platform was built")?;
        let list = self.lists.remove(&platform).context("nobody asked cargo for the crates")??;
        let (path, crates) = with_sbom(&self.build, target, &list)?;
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
            Self::Graph(cmd) => work.graph(cmd),
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
