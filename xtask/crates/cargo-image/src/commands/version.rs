//! `cargo xtask version`: prints the version of this source.

use anyhow::Result;
use clap::Args;
use semver::Version;

use cli_support::threads::joined;
use cli_support::ui::{self, Ui};
use rust_workspace::binary::{self, Package};
use rust_workspace::git::GitSource;
use rust_workspace::settings::{Settings, Workspace};
use rust_workspace::tags::{self, Event};
use rust_workspace::version::version_tag;

/// Print the version of this source
#[derive(Args, Debug)]
#[command(after_help = "\
The version is the version tag on this commit (v1.2.3 or 1.2.3). Without one it is 1.2.4-dev.N+gSHA: the next patch
version, N commits after the tag.

Examples:
  cargo xtask version
  cargo xtask version --json")]
pub struct Flags {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The inputs of all commands about releases.
#[derive(Debug)]
pub struct VersionReport {
    /// The workspace.
    pub workspace: Workspace,
    /// The package.
    pub package: Package,
    /// Commit and tags, from git.
    pub source: GitSource,
    /// The event that started the CI job.
    pub event: Event,
    /// The source's version.
    pub version: Version,
}

impl VersionReport {
    /// Reads them. An error if git's tag and Cargo.toml have different versions.
    pub fn read() -> Result<Self> {
        let mut workspace = Workspace::find()?;
        let prefix = workspace.settings.tag_prefix.as_str();
        // cargo and git run at the same time.
        let (metadata, source, event) = std::thread::scope(|scope| {
            let source = scope.spawn(|| GitSource::read(&workspace.root, tags::run_tag().as_deref(), prefix));
            let event = scope.spawn(|| Event::read(&workspace.root, prefix));
            (binary::metadata(&workspace.root), joined(source), joined(event))
        });
        let settings = &workspace.settings;
        let package = Package::find(&metadata?, settings)?;
        let source = source?;
        tags::check(&event, &source, &package.version, &package.name, prefix)?;
        for doubt in source.doubt().map(str::to_owned).into_iter().chain(source.dirt()) {
            Ui::detect().warn(&doubt);
        }
        let version = source.version(&package.version);
        fill_in(&mut workspace.settings, &event, &source, &version)?;
        Ok(Self { workspace, package, source, event, version })
    }
}

/// Fills in the templates of labels.
pub fn fill_in(settings: &mut Settings, event: &Event, source: &GitSource, version: &Version) -> Result<()> {
    let inputs = tags::TagInputs {
        rules: &[],
        latest: settings.latest,
        around_latest: ("", ""),
        tag_prefix: &settings.tag_prefix,
        event,
        version,
        revision: source.revision.as_deref(),
        dirty: source.dirty,
        time: source.time,
    };
    Ok(tags::fill_labels(&mut settings.labels, &inputs)?)
}

impl Flags {
    /// Prints the version.
    pub fn run(self) -> Result<()> {
        let checkout = VersionReport::read()?;
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.version/1",
                "command": "version",
                "version": checkout.version.to_string(),
                "tag": version_tag(&checkout.version),
                "release": checkout.version.pre.is_empty() && checkout.source.nearest.as_ref().is_some_and(|(_, ahead)| *ahead == 0),
                "package": checkout.package.version.to_string(),
                "revision": checkout.source.revision,
                "dirty": checkout.source.dirty,
            });
            ui::print(&format!("{report:#}\n"));
        } else {
            ui::print(&format!("{}\n", checkout.version));
        }
        ui::write_outputs("", &[("version", checkout.version.to_string())])
    }
}
