//! `cargo xtask image`: from source to an OCI image layout.

pub mod buildx_flags;
mod outcome;
mod plan;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use self::buildx_flags::BuildxFlags;
use super::build_flags::BuildFlags;
use super::version::fill_in;
use crate::image::base::BaseName;
use crate::image::buildx::CannotPull;
use crate::image::docker::Docker;
use crate::image::inputs::{Engine, ImageInputs, layout_dir};
use crate::image::layer::Tree;
use crate::image::system_files::system_files;
use crate::image::work::{ImageSetup, ImageWork};
use cli_support::error::Fault;
use cli_support::process::{Cmd, find};
use cli_support::threads::joined;
use cli_support::ui::Ui;
use oci_image::archive;
use oci_image::layout::{Layout, Lock};
use oci_image::platform::{Platform, PlatformChoice};
use rust_workspace::binary::{self, Package, Target, Toolchain, Zig};
use rust_workspace::git::GitSource;
use rust_workspace::settings::{CompileC, Settings, Workspace};
use rust_workspace::tags::{Event, has_template, run_tag};

/// Make the image: an OCI layout in target/image
#[derive(Args, Debug, Default)]
#[command(after_help = "\
Examples:
  cargo xtask image                            this machine's platform
  cargo xtask image --platform all             every platform of xtask/image.toml
  cargo xtask image --load                     also load it into Docker or Podman
  cargo xtask image --base python:3.11-slim    on another base image
  cargo xtask image --platform all --verify    build twice and compare
  cargo xtask image --dry-run                  show the plan and do nothing

Exit codes: 0 done, 1 failed, 2 usage or settings, 3 over budget")]
pub struct Flags {
    /// native builds with cargo, buildx with the Dockerfile; auto is buildx if Docker answers
    #[arg(long, value_enum, default_value_t, value_name = "ENGINE")]
    engine: EngineFlag,
    /// linux/amd64, linux/arm64, several with commas, all, or host [default: host; with --load, those of an image in the
    /// output folder that has several]
    #[arg(long, value_name = "LIST")]
    platform: Option<PlatformChoice>,
    /// The folder of the image layout [default: target/image]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The base image: scratch, a reference, or the folder of an image layout
    #[arg(long, value_name = "REF")]
    base: Option<String>,
    /// Write the base image with its digest into xtask/image.toml
    #[arg(long)]
    pin: bool,
    /// Load the image into Docker or Podman
    #[arg(long)]
    load: bool,
    /// Also write an archive for docker load, podman load and skopeo
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// Build again in another folder and compare file by file
    #[arg(long)]
    verify: bool,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
    // Last: the help heading applies to all flags that follow.
    #[command(flatten)]
    build: BuildFlags,
    #[command(flatten)]
    buildx: BuildxFlags,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum EngineFlag {
    /// buildx where Docker answers and there is a Dockerfile, else native
    #[default]
    Auto,
    /// cargo here, and nothing else
    Native,
    /// docker buildx through the Dockerfile
    Buildx,
}

impl Flags {
    /// Makes the plan, and prints it or runs it.
    pub fn run(self) -> Result<()> {
        let mut inputs = self.inputs()?;
        let setup = self.setup(&inputs)?;
        self.check(&inputs, &setup)?;
        let plan = self.plan(&inputs)?;
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let ui = Ui::detect();
        let output = self.output(&inputs);
        // Two locks: for the folders that all runs share, and for an output folder elsewhere.
        let own = layout_dir(&inputs.package.target_dir);
        let waiting = |dir: &Path, by: &str| {
            ui.warn(&format!("another run{by} is writing {}; waiting for it to end", dir.display()));
        };
        let _own = Lock::take(&own, |by| waiting(&own, by))?;
        let _other = (output != own).then(|| Lock::take(&output, |by| waiting(&output, by))).transpose()?;
        let started = Instant::now();
        let mut work = ImageWork::new(setup, inputs.build_work())?;
        let mut ran = plan.run(&mut work, ui);
        if let Err(error) = &ran
            && error.downcast_ref::<CannotPull>().is_some()
            && self.engine == EngineFlag::Auto
        {
            // Both engines make the same image.
            ui.warn(&format!(
                "{CannotPull}; building with the native engine, which makes the same image (--engine buildx would fail here)"
            ));
            inputs.engine = Engine::Native;
            inputs.targets = binary::choose(&inputs.platforms, &inputs.toolchain)?;
            work = ImageWork::new(self.setup(&inputs)?, inputs.build_work())?;
            ran = self.plan(&inputs)?.run(&mut work, ui);
        }
        if let Err(error) = outcome::record(&inputs, &work, ran.is_ok(), started) {
            ui.warn(&format!("the build is not in the history of cargo xtask report: {error:#}"));
        }
        self.report(&inputs, work, ran?, ui)
    }

    fn inputs(&self) -> Result<ImageInputs> {
        let mut workspace = Workspace::find()?;
        self.build.apply(&mut workspace.settings.build);
        let settings = &workspace.settings;
        let here = std::env::current_dir().context("the current folder")?;
        let base = match &self.base {
            Some(base) => BaseName::parse(base, &here)?,
            None => BaseName::parse(&settings.base, &workspace.root)?,
        };
        let engine = self.engine(&workspace)?;
        // rustc, cargo and git run at the same time.
        let (toolchain, metadata, source) = std::thread::scope(|scope| {
            let toolchain = scope.spawn(Toolchain::read);
            let source =
                scope.spawn(|| GitSource::read(&workspace.root, run_tag().as_deref(), &settings.tag_prefix));
            let metadata = binary::metadata(&workspace.root);
            (joined(toolchain), metadata, joined(source))
        });
        let toolchain = toolchain?;
        let package = Package::find(&metadata?, settings)?;
        let platforms = self.platforms(settings, &package)?;
        let targets = match engine {
            Engine::Native => binary::choose(&platforms, &toolchain)?,
            // Built in the container: only the names are needed here.
            Engine::Buildx => platforms.iter().map(|&platform| Target::musl(platform)).collect(),
        };
        let source = source?;
        let zig =
            (engine == Engine::Native && settings.build.c == CompileC::Zig).then(Zig::find).transpose()?;
        let loader = ["docker", "podman"]
            .into_iter()
            .find(|program| self.load && find(program).is_some() && Cmd::new(program).arg("info").succeeds());
        if self.load && loader.is_none() {
            return Err(Fault::usage("--load: neither Docker nor Podman answers")
                .hint("start one of them, or write an archive for another machine: --archive FILE")
                .into());
        }
        // Without a template no variable of a run is in the image.
        if has_template(&workspace.settings.labels) {
            let event = Event::read(&workspace.root, &workspace.settings.tag_prefix);
            let version = source.version(&package.version);
            fill_in(&mut workspace.settings, &event, &source, &version)?;
        }
        Ok(ImageInputs {
            workspace,
            package,
            source,
            toolchain,
            engine,
            platforms,
            targets,
            base,
            loader,
            zig,
        })
    }

    /// The platforms of the flag. `--load` alone keeps those of an image with several, which would else be replaced by an
    /// image of one.
    fn platforms(&self, settings: &Settings, package: &Package) -> Result<Vec<Platform>> {
        let choice = match &self.platform {
            Some(choice) => choice,
            None if self.load => {
                let output = self.output.clone().unwrap_or_else(|| layout_dir(&package.target_dir));
                let there = Layout::open(&output).and_then(|layout| layout.images()).unwrap_or_default();
                let is_there = |platform: &Platform| {
                    there.iter().any(|image| image.platform.as_ref().is_some_and(|spec| spec.is(*platform)))
                };
                let there: Vec<_> = Platform::ALL.into_iter().filter(is_there).collect();
                match Platform::host() {
                    Some(host) if there.len() > 1 && there.contains(&host) => return Ok(there),
                    _ => &PlatformChoice::Host,
                }
            }
            None => &PlatformChoice::Host,
        };
        Ok(choice.resolve(&settings.platforms)?)
    }

    /// Reports errors that do not need a build to be found.
    fn check(&self, inputs: &ImageInputs, setup: &ImageSetup) -> Result<()> {
        for tree in [&setup.system, &setup.files] {
            tree.leaves_room_for(&setup.path, "the binary")?;
        }
        for (path, _) in setup.system.files() {
            setup.files.leaves_room_for(&format!("/{path}"), "the file of [container]")?;
        }
        if inputs.workspace.settings.container.tmp && inputs.base != BaseName::Scratch {
            let what = "[container] tmp is for base = \"scratch\": a base image has its own /tmp";
            return Err(Fault::usage(what).at(rust_workspace::settings::file()).into());
        }
        if inputs.base == BaseName::Scratch
            && let Some(check) = &inputs.workspace.settings.container.healthcheck
            && let Some(program) = check.command.first()
            && *program != setup.path
            && !setup.files.contains(program)
        {
            let what =
                format!("the health check's program {program} is not in the image: it has {}", setup.path);
            return Err(Fault::usage(what)
                .at(rust_workspace::settings::file())
                .hint("correct command in [container.healthcheck], add the program to [[files]], or remove the section")
                .into());
        }
        Layout::may_write(&setup.output)?;
        if let Some(archive) = &self.archive {
            archive::may_write(archive)?;
        }
        let written = [("--output", Some(&setup.output)), ("--archive", self.archive.as_ref())];
        for (flag, path) in written.into_iter().filter_map(|(flag, path)| Some((flag, path?))) {
            if let Some(layout) = Layout::around(path) {
                let what =
                    format!("{flag}: {} lies in the image layout {}", path.display(), layout.display());
                return Err(Fault::usage(what).hint("choose a path outside of it").into());
            }
        }
        if let BaseName::Layout(dir, _) = &inputs.base {
            Layout::open(dir)?;
            if dir.canonicalize().ok() == setup.output.canonicalize().ok() {
                return Err(Fault::usage("--output must not be the base image's folder").into());
            }
        }
        if self.pin && !matches!(inputs.base, BaseName::Registry(_)) {
            return Err(Fault::usage(
                "--pin: the base image is not in a registry, so there is no digest to write",
            )
            .into());
        }
        Ok(())
    }

    fn engine(&self, workspace: &Workspace) -> Result<Engine> {
        if self.engine == EngineFlag::Native {
            if workspace.settings.build.c == CompileC::Docker {
                let what = "--engine native: [build] c = \"docker\" compiles C in the Dockerfile";
                return Err(Fault::usage(what).at(rust_workspace::settings::file()).into());
            }
            return match self.buildx.arguments().first() {
                Some(flag) => Err(Fault::usage(format!(
                    "{flag} is for docker buildx and cannot be used with --engine native"
                ))
                .into()),
                None => Ok(Engine::Native),
            };
        }
        let options = self.buildx.over(&workspace.settings.buildx)?;
        let explicit = self.engine == EngineFlag::Buildx;
        let docker = match fs::read_to_string(workspace.root.join(&options.dockerfile)) {
            Err(_) => Docker::Unable(format!("{} does not exist", options.dockerfile)),
            // The project's own: its image is another one.
            Ok(text) if !explicit && !text.contains("xtask binary") => {
                Docker::Unable(format!("{} does not call cargo xtask binary", options.dockerfile))
            }
            Ok(_) => match self.build.first() {
                Some(flag) => {
                    Docker::Unable(format!("{flag} is not passed to the Dockerfile; set it in [build]"))
                }
                None => Docker::probe(options.builder.as_deref()),
            },
        };
        let c_in_docker = workspace.settings.build.c == CompileC::Docker;
        match (self.engine, docker) {
            (EngineFlag::Auto, Docker::Unable(why)) if c_in_docker => {
                Err(Fault::usage(format!("[build] c = \"docker\": {why}"))
                    .at(rust_workspace::settings::file())
                    .hint("cargo xtask doctor says what is missing; c = \"zig\" needs no Docker")
                    .into())
            }
            (_, Docker::Ready { .. }) => Ok(Engine::Buildx),
            (EngineFlag::Buildx, Docker::Unable(why)) => Err(Fault::usage(format!("--engine buildx: {why}"))
                .hint("cargo xtask doctor says what is missing; --engine native needs only cargo")
                .into()),
            (_, Docker::Unable(_)) => Ok(Engine::Native),
        }
    }

    fn output(&self, inputs: &ImageInputs) -> PathBuf {
        self.output.clone().unwrap_or_else(|| layout_dir(&inputs.package.target_dir))
    }

    /// The file of `--archive`, or the one that `--load` needs.
    fn archive_path(&self, inputs: &ImageInputs) -> Option<PathBuf> {
        let own = || inputs.package.target_dir.join("xtask").join("load.tar");
        self.archive.clone().or_else(|| self.load.then(own))
    }

    fn setup(&self, inputs: &ImageInputs) -> Result<ImageSetup> {
        let settings = &inputs.workspace.settings;
        Ok(ImageSetup {
            output: self.output(inputs),
            platforms: inputs.platforms.clone(),
            path: inputs.binary_path(),
            system: system_files(&settings.container)?,
            files: Tree::of_settings(&inputs.workspace.root, &settings.files)?,
            recipe: inputs.recipe(),
        })
    }
}
