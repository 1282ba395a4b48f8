//! `cargo xtask image`: from source to an OCI image layout.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use super::build_flags::BuildFlags;
use super::report::history::{self, Run};
use super::version::fill_in;
use crate::image::base::BaseName;
use crate::image::buildx::{self, BaseArgument, CannotPull};
use crate::image::docker::Docker;
use crate::image::inputs::{Engine, ImageInputs, layout_dir};
use crate::image::layer::Tree;
use crate::image::report::{ImageReport, Row};
use crate::image::verify::Verify;
use crate::image::work::{ImageSetup, ImageStep, ImageWork};
use cli_support::error::Fault;
use cli_support::plan::Plan;
use cli_support::process::{Cmd, find};
use cli_support::threads::joined;
use cli_support::time::{now, rfc3339};
use cli_support::ui::{self, Ui};
use oci_image::archive;
use oci_image::layout::{Layout, Lock};
use oci_image::platform::{Platform, PlatformChoice};
use rust_workspace::binary::{self, Build, Package, Target, Toolchain, Zig};
use rust_workspace::git::GitSource;
use rust_workspace::settings::{Buildx, CompileC, Secret, Settings, Workspace};
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

/// Overrides of `[buildx]` for one run.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Docker buildx")]
pub struct BuildxFlags {
    /// The builder to use
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,
    /// The network of RUN steps: default, none, host
    #[arg(long, value_name = "MODE", value_parser = rust_workspace::settings::NETWORKS)]
    network: Option<String>,
    /// A named context: NAME=docker-image://OTHER, NAME=DIR
    #[arg(long, value_name = "NAME=VALUE")]
    build_context: Vec<String>,
    /// A secret by its source: id=NAME,src=FILE or id=NAME,env=VARIABLE
    // Parsed by us: clap would repeat a secret that was given by its value.
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// Where cached steps come from
    #[arg(long, value_name = "CACHE")]
    cache_from: Vec<String>,
    /// Where cached steps go
    #[arg(long, value_name = "CACHE")]
    cache_to: Vec<String>,
}

impl BuildxFlags {
    /// The flags as they were given, for another call of this command.
    pub fn arguments(&self) -> Vec<String> {
        let several = [
            ("--build-context", &self.build_context),
            ("--secret", &self.secret),
            ("--cache-from", &self.cache_from),
            ("--cache-to", &self.cache_to),
        ];
        let once = [("--builder", &self.builder), ("--network", &self.network)];
        let once = once.into_iter().flat_map(|(flag, value)| value.iter().map(move |value| (flag, value)));
        let several =
            several.into_iter().flat_map(|(flag, values)| values.iter().map(move |value| (flag, value)));
        once.chain(several).flat_map(|(flag, value)| [flag.to_owned(), value.clone()]).collect()
    }
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
        let mut facts = self.facts()?;
        let setup = self.setup(&facts)?;
        self.check(&facts, &setup)?;
        let plan = self.plan(&facts)?;
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let ui = Ui::detect();
        let output = self.output(&facts);
        // Two locks: for the folders that all runs share, and for an output folder elsewhere.
        let own = layout_dir(&facts.package.target_dir);
        let waiting = |dir: &Path, by: &str| {
            ui.warn(&format!("another run{by} is writing {}; waiting for it to end", dir.display()));
        };
        let _own = Lock::take(&own, |by| waiting(&own, by))?;
        let _other = (output != own).then(|| Lock::take(&output, |by| waiting(&output, by))).transpose()?;
        let started = Instant::now();
        let mut work = ImageWork::new(setup, facts.build_work())?;
        let mut ran = plan.run(&mut work, ui);
        if let Err(error) = &ran
            && error.downcast_ref::<CannotPull>().is_some()
            && self.engine == EngineFlag::Auto
        {
            // Both engines make the same image.
            ui.warn(&format!(
                "{CannotPull}; building with the native engine, which makes the same image (--engine buildx would fail here)"
            ));
            facts.engine = Engine::Native;
            facts.targets = binary::choose(&facts.platforms, &facts.toolchain)?;
            work = ImageWork::new(self.setup(&facts)?, facts.build_work())?;
            ran = self.plan(&facts)?.run(&mut work, ui);
        }
        record(&facts, &work, ran.is_ok(), started)?;
        self.report(&facts, work, ran?, ui)
    }

    fn facts(&self) -> Result<ImageInputs> {
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
    fn check(&self, facts: &ImageInputs, setup: &ImageSetup) -> Result<()> {
        setup.files.leaves_room_for(&setup.path)?;
        if facts.base == BaseName::Scratch
            && let Some(check) = &facts.workspace.settings.container.healthcheck
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
        if let BaseName::Layout(dir, _) = &facts.base {
            Layout::open(dir)?;
            if dir.canonicalize().ok() == setup.output.canonicalize().ok() {
                return Err(Fault::usage("--output must not be the base image's folder").into());
            }
        }
        if self.pin && !matches!(facts.base, BaseName::Registry(_)) {
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
        let options = self.buildx_options(&workspace.settings)?;
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

    fn buildx_options(&self, settings: &Settings) -> Result<Buildx, Fault> {
        let mut options = settings.buildx.clone();
        let flags = &self.buildx;
        options.builder = flags.builder.clone().or(options.builder);
        options.network = flags.network.clone().or(options.network);
        for context in &flags.build_context {
            let (name, value) = context.split_once('=').ok_or_else(|| {
                Fault::usage(format!("--build-context '{context}' is not NAME=VALUE"))
                    .hint("--build-context rust:1.95-slim-bookworm=docker-image://mirror.lan/rust:1.95")
            })?;
            options.contexts.insert(name.to_owned(), value.to_owned());
        }
        for secret in &flags.secret {
            options
                .secrets
                .push(secret.parse::<Secret>().map_err(|what| Fault::usage(format!("--secret: {what}")))?);
        }
        options.cache_from.extend(flags.cache_from.iter().cloned());
        options.cache_to.extend(flags.cache_to.iter().cloned());
        Ok(options)
    }

    fn plan(&self, facts: &ImageInputs) -> Result<Plan<ImageStep>> {
        let mut plan = Plan::new("image");
        let settings = &facts.workspace.settings;
        let base = self.base.as_deref().unwrap_or(&settings.base);
        plan.step("base", format!("the base image: {base}"), [base], ImageStep::Base(facts.base.clone()));
        match facts.engine {
            Engine::Native => facts.build_work().plan(&mut plan, ImageStep::Build),
            Engine::Buildx => self.plan_buildx(facts, &mut plan)?,
        }
        let content =
            settings.files.iter().map(|file| file.source.clone()).chain([facts.package.binary.clone()]);
        plan.step(
            "layers",
            "files and binary, sorted, with fixed owner, mode and time",
            content,
            ImageStep::Assemble,
        );
        let output = self.output(facts);
        plan.step(
            "layout",
            format!("replace the image in {} atomically", output.display()),
            ["layers"],
            ImageStep::Write,
        );
        if self.pin {
            let reason =
                format!("write the base image with its digest into {}", rust_workspace::settings::file());
            plan.step("pin", reason, ["base"], ImageStep::Pin(facts.workspace.root.clone()));
        }
        let budgets = settings.budgets;
        if self.verify && (budgets.compressed.is_some() || budgets.seconds.is_some()) {
            let reason = "check the budgets before the second build";
            plan.step("budget", reason, ["layout"], ImageStep::Budget(budgets));
        }
        if self.verify {
            let (verify, reason) =
                (Self::verify(facts), "the same source in another folder must give the same bytes");
            plan.step("verify", reason, ["source"], verify);
        }
        if let Some(path) = self.archive_path(facts) {
            let reason = "an archive for docker load, podman load and skopeo";
            plan.step("archive", reason, [output.display().to_string()], ImageStep::Archive(path));
        }
        if let (Some(loader), Some(path)) = (facts.loader, self.archive_path(facts)) {
            let cmd = Cmd::new(loader).args(["load", "--input"]).arg(&path);
            plan.step(
                "load",
                format!("load the image into {loader}"),
                [path.display().to_string()],
                ImageStep::Load(cmd),
            );
        }
        Ok(plan)
    }

    fn plan_buildx(&self, facts: &ImageInputs, plan: &mut Plan<ImageStep>) -> Result<()> {
        let options = self.buildx_options(&facts.workspace.settings)?;
        let made = facts.package.target_dir.join("xtask").join("buildx.tar");
        let base = match &facts.base {
            BaseName::Scratch => BaseArgument::Name("scratch".to_owned()),
            BaseName::Registry(reference) => BaseArgument::Name(reference.to_string()),
            BaseName::Layout(dir, digest) => {
                let layout = Layout::open(dir)?;
                BaseArgument::Layout(
                    dir.clone(),
                    crate::image::base::top_of(&layout, digest.as_ref())?.digest,
                )
            }
        };
        let labels = facts.labels();
        let request = buildx::Request {
            root: &facts.workspace.root,
            output: &made,
            platforms: &facts.platforms,
            options: &options,
            labels: &labels,
            epoch: facts.source.time,
            base,
        };
        let inputs = [options.dockerfile.as_str(), "source"];
        let mut reason = "the Dockerfile's build stage runs cargo xtask binary for each platform".to_owned();
        if self.engine == EngineFlag::Auto {
            reason.push_str("; if its images cannot be pulled, the native engine builds instead");
        }
        plan.step("buildx", reason, inputs, ImageStep::Buildx(buildx::command(&request), made.clone()));
        let reason = "both engines must make the same image";
        plan.step("import", reason, [made.display().to_string()], ImageStep::Import(made));
        Ok(())
    }

    fn verify(facts: &ImageInputs) -> ImageStep {
        let copy = facts.package.target_dir.join("xtask").join("verify-source");
        let own = facts.build();
        // Packages of the repository beside the workspace belong to the source.
        let source = own.repository.clone().unwrap_or_else(|| facts.package.root.clone());
        let root =
            facts.package.root.strip_prefix(&source).map_or_else(|_| copy.clone(), |below| copy.join(below));
        let repository = own.repository.as_ref().map(|_| copy.clone());
        let build = Build { target_dir: root.join("target"), root, repository, ..own };
        let command = build.command(&facts.targets, &facts.toolchain);
        ImageStep::Verify(Verify { source, copy, build, command })
    }

    fn output(&self, facts: &ImageInputs) -> PathBuf {
        self.output.clone().unwrap_or_else(|| layout_dir(&facts.package.target_dir))
    }

    /// The file of `--archive`, or the one that `--load` needs.
    fn archive_path(&self, facts: &ImageInputs) -> Option<PathBuf> {
        let own = || facts.package.target_dir.join("xtask").join("load.tar");
        self.archive.clone().or_else(|| self.load.then(own))
    }

    fn setup(&self, facts: &ImageInputs) -> Result<ImageSetup> {
        let settings = &facts.workspace.settings;
        Ok(ImageSetup {
            output: self.output(facts),
            platforms: facts.platforms.clone(),
            path: facts.binary_path(),
            files: Tree::of_settings(&facts.workspace.root, &settings.files)?,
            recipe: facts.recipe(),
        })
    }

    fn report(
        &self,
        facts: &ImageInputs,
        work: ImageWork,
        steps: Vec<cli_support::plan::StepReport>,
        ui: Ui,
    ) -> Result<()> {
        let settings = &facts.workspace.settings;
        let Some(image) = work.image else { return Err(anyhow::anyhow!("no image was made")) };
        let digest = image.digest;
        let rows = image.platforms.into_iter();
        let rows = rows.map(|made| Row::new(made, work.build_seconds, settings.budgets)).collect();
        let mut report = ImageReport {
            engine: facts.engine.name(),
            reference: settings.repository.as_ref().map(|_| format!("{}@{digest}", facts.repository())),
            layout: shown(&work.setup.output),
            version: facts.version(),
            steps,
            ..ImageReport::new(digest, rows)
        };
        report.notes.splice(..0, work.build.notes);
        report.notes.extend(facts.source.missing.as_ref().map(|why| {
            format!(
                "{why}: the image has no revision; its version is the crate's and its time is {}",
                rfc3339(facts.source.time)
            )
        }));
        report.notes.extend(facts.source.doubt().map(str::to_owned));
        report.notes.extend(facts.source.dirt());
        for note in &report.notes {
            ui.warn(note);
        }
        if self.json {
            ui::print(&format!("{:#}\n", serde_json::to_value(&report)?));
        } else {
            ui::print(&format!("\n{}\n{}  {}\n", report.table(), report.digest, report.layout));
        }
        let mut outputs = vec![("digest", report.digest.to_string())];
        outputs.extend(report.reference.clone().map(|reference| ("reference", reference)));
        ui::write_outputs(&report.markdown(), &outputs)?;
        Ok(report.verdict()?)
    }
}

/// Adds the build to the history that `cargo xtask report` shows.
fn record(facts: &ImageInputs, work: &ImageWork, succeeded: bool, started: Instant) -> Result<()> {
    let platforms = work.image.iter().flat_map(|image| &image.platforms);
    let seconds = if succeeded { work.build_seconds } else { started.elapsed().as_secs_f64() };
    let compressed_bytes = platforms.map(|made| made.compressed_bytes).max();
    let run = Run { time: rfc3339(now()), succeeded, seconds, compressed_bytes };
    history::add(&facts.package.target_dir, &run)
}

/// The path, relative to the current folder where possible.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
