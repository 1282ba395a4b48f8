//! `cargo xtask doctor`: the tools on this machine, and what missing ones are for.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::image::docker::Docker;
use cli_support::process::{Cmd, find};
use cli_support::ui::{self, Table};
use oci_image::platform::Platform;
use oci_registry::{Client, Options, Reference};
use rust_workspace::binary::{Toolchain, ZIG_INSTALL, Zig};
use rust_workspace::settings::Workspace;

/// List the tools on this machine, and what missing ones are for
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask doctor
  cargo xtask doctor --registry ghcr.io/owner/name    also the source of the credentials, never their value")]
pub struct Flags {
    /// Also print the source of the credentials for this image's registry
    #[arg(long, value_name = "REF")]
    registry: Option<Reference>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// One tool.
#[derive(Debug, Serialize)]
struct Finding {
    tool: String,
    found: bool,
    /// Its version, or why it cannot be used.
    state: String,
    /// The purpose.
    adds: String,
    /// How to install it: a command or a page.
    get: String,
}

impl Flags {
    /// Finds the tools and prints them.
    pub fn run(self) -> Result<()> {
        let findings = findings()?;
        let credentials = self.registry.as_ref().map(credentials).transpose()?;
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.doctor/1",
                "command": "doctor",
                "tools": findings,
                "credentials": credentials,
            });
            ui::print(&format!("{report:#}\n"));
            return Ok(());
        }
        let mut table = Table::new(&["", "tool", "state", "what it is for"]);
        for finding in &findings {
            table.row([
                if finding.found { "yes" } else { "no" },
                &finding.tool,
                &finding.state,
                &finding.adds,
            ]);
        }
        ui::print(&table.to_string());
        let missing: Vec<_> = findings.iter().filter(|finding| !finding.found).collect();
        if !missing.is_empty() {
            let width = missing.iter().map(|finding| finding.tool.len()).max().unwrap_or(0);
            ui::print("\nHow to install the missing ones. cargo xtask image needs none of them.\n");
            for finding in missing {
                ui::print(&format!("  {:width$}  {}\n", finding.tool, finding.get));
            }
        }
        if let Some(credentials) = credentials {
            ui::print(&format!("\n{credentials}\n"));
        }
        Ok(())
    }
}

fn credentials(reference: &Reference) -> Result<String> {
    let found = Client::new(Options::default()).credentials(reference)?;
    Ok(format!("{}: {}", reference.name(), found.source))
}

fn findings() -> Result<Vec<Finding>> {
    let toolchain = Toolchain::read()?;
    let mut findings = vec![Finding {
        tool: "rust".to_owned(),
        found: true,
        state: format!("{} on {}", toolchain.version, toolchain.host),
        adds: "the native engine: images with cargo alone".to_owned(),
        get: String::new(),
    }];
    for platform in Platform::ALL {
        let triple = platform.musl_target();
        findings.push(Finding {
            tool: triple.to_owned(),
            found: toolchain.has(triple),
            state: if toolchain.has(triple) {
                "installed"
            } else {
                "not installed; cargo xtask image adds it"
            }
            .to_owned(),
            adds: format!("static binaries for {platform}"),
            get: format!("rustup target add {triple}"),
        });
    }
    let builder = Workspace::find().ok().and_then(|workspace| workspace.settings.buildx.builder);
    let (found, state) = match Docker::probe(builder.as_deref()) {
        Docker::Ready { engine, buildx } => (true, format!("engine {engine}, buildx {buildx}")),
        Docker::Unable(why) => (false, why),
    };
    findings.push(Finding {
        tool: "docker".to_owned(),
        found,
        state,
        adds: "--engine buildx, and --load".to_owned(),
        get: "https://docs.docker.com/engine/install/".to_owned(),
    });
    let zig = Zig::find();
    findings.push(Finding {
        tool: "zig".to_owned(),
        found: zig.is_ok(),
        state: match &zig {
            Ok(zig) => format!("{} at {}", zig.version, zig.program.display()),
            Err(fault) => fault.what().to_owned(),
        },
        adds: "C code in images: [build] c = \"zig\"".to_owned(),
        get: ZIG_INSTALL.to_owned(),
    });
    for (tool, adds, get) in [
        ("git", "revision, version and time of the image", "install git from your system's packages"),
        ("podman", "--load without Docker", "https://podman.io/docs/installation"),
        (
            "trivy",
            "vulnerabilities of a base's own packages",
            "https://trivy.dev/latest/getting-started/installation/",
        ),
        ("cosign", "signatures", "https://docs.sigstore.dev/cosign/system_config/installation/"),
        (
            "actionlint",
            "the workflow check of cargo xtask ci",
            "go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12",
        ),
        ("cargo-deny", "the check of dependencies of cargo xtask ci", "cargo install --locked cargo-deny"),
    ] {
        findings.push(Finding {
            tool: tool.to_owned(),
            found: find(tool).is_some(),
            state: version(tool),
            adds: adds.to_owned(),
            get: get.to_owned(),
        });
    }
    Ok(findings)
}

/// The first version number in the output of `--version` or `version`.
fn version(tool: &str) -> String {
    if find(tool).is_none() {
        return "not on PATH".to_owned();
    }
    let ask = |arg: &str| Cmd::new(tool).arg(arg).limit(Duration::from_secs(10)).read().ok();
    let number = |text: String| {
        let words = text.split_whitespace().map(|word| word.trim_start_matches('v').trim_end_matches(','));
        let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
        words.into_iter().find(is_version).map(str::to_owned)
    };
    let version = ["--version", "version"].into_iter().find_map(|arg| ask(arg).and_then(number));
    version.unwrap_or_else(|| "version unknown".to_owned())
}
