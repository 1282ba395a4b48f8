//! `cargo xtask binary`: builds the static binary of a platform. The Dockerfile's build stage runs this command.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use super::build_flags::BuildFlags;
use cli_support::error::Fault;
use cli_support::plan::{Action, Plan};
use cli_support::process::Cmd;
use cli_support::ui::{self, Progress, Ui};
use oci_image::platform::{Platform, PlatformChoice};
use rust_workspace::binary::{self, Build, Package, Toolchain, Zig};
use rust_workspace::git::GitSource;
use rust_workspace::settings::{CompileC, Workspace};
use rust_workspace::tags::run_tag;

/// Build the static binary of a platform
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask binary --platform linux/arm64 --out dist")]
pub struct Flags {
    /// linux/amd64, linux/arm64, or host
    #[arg(long, default_value = "host", value_name = "PLATFORM")]
    platform: PlatformChoice,
    /// The folder for the binary
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
    // Last: the help heading applies to all flags that follow.
    #[command(flatten)]
    build: BuildFlags,
}

/// A step of `cargo xtask binary`.
#[derive(Debug)]
enum BinaryCommandStep {
    Build(binary::BinaryStep),
    Copy(PathBuf),
}

impl Flags {
    /// Makes the plan, and prints it or runs it.
    pub fn run(self) -> Result<()> {
        let mut work = self.work()?;
        let mut plan = Plan::new("binary");
        work.plan(&mut plan, BinaryCommandStep::Build);
        let target = self.out.join(&work.build.selection.binary);
        let reason = format!("copy the binary to {}", target.display());
        plan.step("copy", reason, ["compile"], BinaryCommandStep::Copy(target.clone()));
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let ui = Ui::detect();
        let steps = plan.run(&mut work, ui)?;
        work.notes.iter().for_each(|note| ui.warn(note));
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.binary/1",
                "command": "binary",
                "path": target.display().to_string(),
                "target": work.targets.first().map(|target| target.triple),
                "steps": steps,
                "notes": work.notes,
            });
            ui::print(&format!("{report:#}\n"));
        }
        Ok(())
    }

    fn work(&self) -> Result<binary::BinaryWork> {
        let mut workspace = Workspace::find()?;
        self.build.apply(&mut workspace.settings.build);
        let platforms = self.platform.resolve(&workspace.settings.platforms)?;
        let &[platform] = &platforms[..] else {
            return Err(Fault::usage("--platform: binary builds one platform")
                .hint(format!("{} or {}", Platform::ALL[0], Platform::ALL[1]))
                .into());
        };
        let toolchain = Toolchain::read()?;
        let targets = binary::choose(&[platform], &toolchain)?;
        let package = Package::of(&workspace)?;
        let settings = workspace.settings.build.clone();
        let mut build = Build::of(
            &package,
            &GitSource::read(&workspace.root, run_tag().as_deref(), &workspace.settings.tag_prefix)?,
        );
        build.zig = (settings.c == CompileC::Zig).then(Zig::find).transpose()?;
        Ok(binary::BinaryWork::new(build, toolchain, targets, settings))
    }
}

impl Action for BinaryCommandStep {
    type State = binary::BinaryWork;

    fn command(&self) -> Option<&Cmd> {
        match self {
            Self::Build(step) => step.command(),
            Self::Copy(_) => None,
        }
    }

    fn run(&self, work: &mut binary::BinaryWork, progress: &Progress) -> Result<String> {
        match self {
            Self::Build(step) => step.run(work, progress),
            Self::Copy(target) => {
                let binary = work.binaries.values().next().context("no binary was built")?;
                let at = || target.display().to_string();
                if let Some(dir) = target.parent() {
                    fs::create_dir_all(dir).with_context(at)?;
                }
                fs::copy(binary, target).with_context(at)?;
                Ok(at())
            }
        }
    }
}
