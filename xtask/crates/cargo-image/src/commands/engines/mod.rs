//! `cargo xtask engines`: installs and starts the container engines, the registry and the scanners of the tests.
//!
//! The steps that install Debian packages, start daemons or make base images need Debian and root. The others need
//! Go, Python or rustup alone; without root they install to `~/.local/bin`.

mod bases;
mod packages;
mod services;
mod tools;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use xshell::{Cmd, Shell, cmd};

use cli_support::error::Fault;
use cli_support::plan::{Action, Plan};
use cli_support::process::find;
use cli_support::ui::{self, Progress, Ui};
use rust_workspace::settings::Workspace;

/// The registry of the tests.
const REGISTRY: &str = "localhost:5000";
/// Downloads and base images, shared by all checkouts.
const CACHE: &str = "/var/tmp/engines-cache";
/// Logs, the registry's blobs, package lists.
const STATE: &str = "/var/tmp/engines";

/// Install and start the engines that the tests use: Docker, Podman, a registry, scanners
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask engines                    every step; on Debian, as root
  cargo xtask engines start registry     after the machine restarted
  cargo xtask engines targets crane      two steps that need neither Debian nor root
  cargo xtask engines --dry-run          print the plan

A program that is on PATH is not installed again.")]
pub struct Flags {
    /// Run only these steps, in the order of the plan
    #[arg(value_enum, value_name = "STEP")]
    steps: Vec<EngineStep>,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

/// One step. Running it again is cheap: it does only what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineStep {
    /// Both musl targets, by rustup
    Targets,
    /// Docker Engine, buildx, podman, skopeo, crane, cosign, a registry, qemu, mmdebstrap
    Install,
    /// dockerd with the containerd image store
    Start,
    /// arm64 programs through qemu
    Binfmt,
    /// A registry without a password on localhost:5000
    Registry,
    /// crane, built by Go
    Crane,
    /// docker-registry, built by Go
    DockerRegistry,
    /// Trivy, built by Go
    Trivy,
    /// Syft, from PyPI
    Syft,
    /// local/rust, laid out like the official image
    Base,
    /// localhost:5000/python for two platforms, from Debian's packages
    Python,
    /// The linter for workflows, built by Go
    Actionlint,
}

impl EngineStep {
    fn name(self) -> &'static str {
        match self {
            Self::Targets => "targets",
            Self::Crane => "crane",
            Self::DockerRegistry => "docker-registry",
            Self::Install => "install",
            Self::Start => "start",
            Self::Binfmt => "binfmt",
            Self::Registry => "registry",
            Self::Trivy => "trivy",
            Self::Syft => "syft",
            Self::Base => "base",
            Self::Python => "python",
            Self::Actionlint => "actionlint",
        }
    }

    /// Whether the step needs Debian's packages and root.
    fn needs_debian(self) -> bool {
        matches!(
            self,
            Self::Install | Self::Start | Self::Binfmt | Self::Registry | Self::Base | Self::Python
        )
    }

    fn reason(self) -> String {
        self.to_possible_value()
            .and_then(|value| value.get_help().map(ToString::to_string))
            .unwrap_or_default()
    }
}

impl Flags {
    /// Plans, and then prints the plan or runs it.
    pub fn run(self) -> Result<()> {
        let root = Workspace::find()?.root;
        let mut plan = Plan::new("engines");
        for step in EngineStep::value_variants() {
            if self.steps.is_empty() || self.steps.contains(step) {
                plan.step(step.name(), step.reason(), [""; 0], *step);
            }
        }
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let chosen = |step: &EngineStep| self.steps.is_empty() || self.steps.contains(step);
        if EngineStep::value_variants().iter().any(|step| chosen(step) && step.needs_debian()) {
            check_debian_root()?;
        }
        let reports = plan.run(&mut Machine::new(&root)?, Ui::detect())?;
        let report =
            serde_json::json!({ "schema": "xtask.engines/1", "command": "engines", "steps": reports });
        ui::print(&if self.json { format!("{report:#}\n") } else { "\nthe engines are ready\n".to_owned() });
        Ok(())
    }
}

/// Checks that this is Debian and that the user is root.
fn check_debian_root() -> Result<(), Fault> {
    let what = if find("apt-get").is_none() || !Path::new("/etc/debian_version").exists() {
        "engines: some of these steps need Debian's packages, and this is no Debian system"
    } else if is_root() {
        return Ok(());
    } else {
        "engines: some of these steps need root, to install packages and to start dockerd"
    };
    let steps = EngineStep::value_variants().iter().filter(|step| !step.needs_debian());
    let names: Vec<_> = steps.map(|step| step.name()).collect();
    Err(Fault::usage(what).hint(format!("these need neither: cargo xtask engines {}", names.join(" "))))
}

/// Whether this process belongs to root.
fn is_root() -> bool {
    Path::new("/proc/self").metadata().is_ok_and(|meta| owner(&meta) == 0)
}

#[cfg(unix)]
fn owner(meta: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(meta)
}

#[cfg(not(unix))]
fn owner(_: &std::fs::Metadata) -> u32 {
    u32::MAX
}

impl Action for EngineStep {
    type State = Machine;

    fn run(&self, machine: &mut Machine, _: &Progress) -> Result<String> {
        match self {
            Self::Targets => tools::targets(machine),
            Self::Crane => tools::crane(machine),
            Self::DockerRegistry => tools::docker_registry(machine),
            Self::Install => packages::install(machine),
            Self::Start => services::dockerd(machine),
            Self::Binfmt => services::binfmt(machine),
            Self::Registry => services::registry(machine),
            Self::Base => bases::rust(machine),
            Self::Python => bases::python(machine),
            Self::Trivy => tools::trivy(machine),
            Self::Syft => tools::syft(machine),
            Self::Actionlint => tools::actionlint(machine),
        }
    }
}

/// This machine; commands run in the workspace's root, where rust-toolchain.toml applies.
struct Machine {
    sh: Shell,
}

impl Machine {
    fn new(root: &Path) -> Result<Self> {
        let sh = Shell::new()?;
        sh.set_var("DEBIAN_FRONTEND", "noninteractive");
        sh.change_dir(root);
        for dir in [CACHE, STATE] {
            sh.create_dir(dir)?;
        }
        Ok(Self { sh })
    }

    /// Runs a command whose output goes to a log; after a failure its last lines are in the error.
    fn logged(&self, log: &str, cmd: Cmd<'_>) -> Result<()> {
        let shown = cmd.to_string();
        let output = cmd.quiet().ignore_status().output()?;
        let text = [output.stdout, output.stderr].concat();
        let log = format!("{STATE}/{log}.log");
        self.sh.write_file(&log, &text)?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&text);
        Err(Fault::failed(format!("{}: {shown}{}", output.status, last_lines(&text))).at(log).into())
    }

    /// The folder for programs: `/usr/local/bin` for root, else `~/.local/bin`. The steps of a GitHub job that
    /// follow have it on their PATH.
    fn bin(&self) -> Result<PathBuf> {
        if is_root() {
            return Ok("/usr/local/bin".into());
        }
        let home = std::env::var_os("HOME").map(PathBuf::from).context("HOME is not set")?;
        let bin = home.join(".local/bin");
        self.sh.create_dir(&bin)?;
        if let Some(file) = std::env::var_os("GITHUB_PATH") {
            let listed = self.sh.read_file(&file).unwrap_or_default();
            let line = format!("{}\n", bin.display());
            if !listed.contains(&line) {
                self.sh.write_file(&file, listed + &line)?;
            }
        }
        Ok(bin)
    }

    /// The path of a program that a step has installed, also where its folder is not on PATH.
    fn installed(&self, name: &str) -> Result<PathBuf> {
        let bin = self.bin()?.join(name);
        Ok(find(name).unwrap_or(bin))
    }

    /// The Debian mirror of apt's configuration, so that no host is named here.
    fn mirror(&self) -> Result<String> {
        let read = |path: &str| self.sh.read_file(path).unwrap_or_default();
        let new = read("/etc/apt/sources.list.d/debian.sources");
        let old = read("/etc/apt/sources.list");
        mirror_of(&new, &old).ok_or_else(|| Fault::failed("no Debian mirror in apt's configuration").into())
    }

    /// Starts a program that goes on after this command, its output in a log.
    fn daemon(&self, log: &str, program: &str) -> Result<()> {
        let script = format!("setsid {program} >{STATE}/{log}.log 2>&1 </dev/null &");
        Ok(cmd!(self.sh, "sh -c {script}").quiet().run()?)
    }

    /// The last lines of a log, for an error.
    fn tail(&self, log: &str) -> String {
        let text = self.sh.read_file(format!("{STATE}/{log}.log")).unwrap_or_default();
        last_lines(&text)
    }
}

/// The standard output of a command, without its last line break.
fn read(cmd: Cmd<'_>) -> Result<String> {
    let shown = cmd.to_string();
    cmd.quiet().ignore_stderr().read().with_context(|| shown)
}

/// Whether a command ends with status 0.
fn succeeds(cmd: Cmd<'_>) -> bool {
    cmd.quiet().ignore_status().output().is_ok_and(|output| output.status.success())
}

/// The last lines of a text, each on a line of its own behind a bar.
fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].iter().flat_map(|line| ["\n| ", line]).collect()
}

/// The first mirror in apt's sources, of the deb822 format or of the format with one line each.
fn mirror_of(deb822: &str, lines: &str) -> Option<String> {
    let new = deb822.lines().find_map(|line| line.strip_prefix("URIs:")?.split_whitespace().next());
    let old = lines
        .lines()
        .filter(|line| line.starts_with("deb "))
        .find_map(|line| line.split_whitespace().find(|word| word.contains("://")));
    new.or(old).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::mirror_of;

    #[test]
    fn the_mirror_is_found_in_both_formats() {
        let new = "Types: deb\nURIs: http://one/debian http://two\nSuites: bookworm\n";
        let old =
            "# deb http://no\ndeb-src http://src x\ndeb [signed-by=/k] http://three/debian bookworm main\n";
        for (deb822, lines, expected) in [
            (new, "", Some("http://one/debian")),
            ("", old, Some("http://three/debian")),
            (new, old, Some("http://one/debian")),
            ("", "", None),
        ] {
            assert_eq!(mirror_of(deb822, lines).as_deref(), expected);
        }
    }
}
