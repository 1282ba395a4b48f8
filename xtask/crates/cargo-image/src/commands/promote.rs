//! `cargo xtask promote`: deploys a published image to an environment, byte for byte.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::publish::Target;
use super::verify::{TrustFlags, image};
use crate::environments::{Overlay, Place, Places, PromoteSetup, PromoteStep, PromoteWork, Promoted};
use crate::publish::{GITHUB_ISSUER, Sigstore, Trust};
use crate::verify::Demands;
use cli_support::error::Fault;
use cli_support::plan::Plan;
use cli_support::ui::{self, Ui};
use rust_workspace::settings::{Environment, Sign, Workspace};
use rust_workspace::tags::Event;

/// Deploy a published image to an environment, or roll back to an older one
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask promote 1.2.3 --to staging
  cargo xtask promote --from staging --to production     the image in staging
  cargo xtask promote sha256:… --to production           roll back to an older image
  cargo xtask promote 1.2.3 --to staging --write deploy/kubernetes/overlays/staging

Exit codes: 0 done, 1 failed, 2 usage or settings, 3 the environment requires more")]
pub struct Flags {
    /// A version, tag or digest [default: the image in --from]
    #[arg(value_name = "IMAGE", required_unless_present = "from")]
    image: Option<String>,
    /// An environment of `[[environments]]` in xtask/image.toml
    #[arg(long, value_name = "ENV")]
    to: String,
    /// The environment in which the image must be now
    #[arg(long, value_name = "ENV")]
    from: Option<String>,
    #[command(flatten)]
    trust: TrustFlags,
    #[command(flatten)]
    target: Target,
    /// Also write the digest into the kustomization.yaml in this folder
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

impl Flags {
    /// Prints the plan, or runs it.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let setup = self.setup(&workspace)?;
        let plan = plan(&setup);
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let ui = Ui::detect();
        let environments = [&setup.from, &setup.after];
        let mut others: Vec<_> = environments.into_iter().flatten().map(|place| &place.at).collect();
        others.push(&setup.image);
        let client = self.target.client_for(&setup.to.at, &others, ui)?;
        let to = setup.to.clone();
        let mut work = PromoteWork::new(setup, client);
        let steps = plan.run(&mut work, ui)?;
        let Promoted { digest, previous, record } = work.promoted()?;
        let (name, reference) = (to.environment.name, to.at.with_digest(digest).to_string());
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.promote/1",
                "command": "promote",
                "environment": name,
                "digest": digest,
                "reference": reference,
                "previous": previous,
                "by": record.by,
                "at": record.at,
                "steps": steps,
            });
            ui::print(&format!("{report:#}\n"));
        } else {
            let before = previous.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
            ui::print(&format!("\n{name} runs {reference}\nbefore: {before}\n"));
        }
        let summary = format!("### Promoted to {name}\n\n`{reference}`\n");
        ui::write_outputs(&summary, &[("digest", digest.to_string()), ("reference", reference)])
    }

    fn setup(&self, workspace: &Workspace) -> Result<PromoteSetup> {
        let repository = self.target.repository(workspace.settings.repository.as_deref())?;
        let places = Places::of(workspace, &repository)?;
        let named = |name: &Option<String>| -> Result<Option<Place>, Fault> {
            name.as_ref().map(|name| places.find(name).cloned()).transpose()
        };
        let to = places.find(&self.to)?.clone();
        if let Some(other) = places
            .all()
            .iter()
            .find(|other| other.at == to.at && other.environment.name != to.environment.name)
        {
            let (one, other) = (&to.environment.name, &other.environment.name);
            return Err(Fault::usage(format!("{one} and {other} have the same tag")).at(&to.at).into());
        }
        let (from, after) = (named(&self.from)?, named(&to.environment.after)?);
        let image = match (&self.image, &from) {
            (Some(text), _) => image(text, || Ok(repository.clone()))?,
            (None, Some(from)) => from.at.clone(),
            (None, None) => {
                return Err(Fault::usage("no image is named: give a version, tag or digest").into());
            }
        };
        places.must_know(&image)?;
        let event = Event::read(&workspace.root, &workspace.settings.tag_prefix);
        Ok(PromoteSetup {
            by: event.actor.unwrap_or_else(|| "unknown".to_owned()),
            run: event.run.map(|run| run.url),
            folder: workspace.root.join("target").join("xtask"),
            plain_http: self.target.plain_http,
            overlay: self.write.as_deref().map(|folder| Overlay::find(folder, &to.at.name())).transpose()?,
            demands: self.demands(&to.environment, &workspace.root, &workspace.settings.sign)?,
            image,
            to,
            from,
            after,
        })
    }

    /// The issuer for an environment's identity: that of the settings, else the flag's. They must not differ.
    fn issuer(&self, to: &Environment) -> Result<String, Fault> {
        match (to.issuer.as_deref(), self.trust.issuer()?) {
            (Some(set), Some(flag)) if set != flag => {
                let what = format!("--issuer is {flag}, and the environment {} has {set}", to.name);
                Err(Fault::usage(what).at(rust_workspace::settings::file()).hint("leave out --issuer"))
            }
            (set, flag) => Ok(set.or(flag).unwrap_or(GITHUB_ISSUER).to_owned()),
        }
    }

    fn demands(&self, to: &Environment, root: &Path, sign: &Sign) -> Result<Demands, Fault> {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let sigstore = Sigstore::of(sign, root, get)?;
        let of_settings = match (&to.key, &to.identity) {
            (Some(key), _) => {
                let place = format!("{}: environment '{}'", rust_workspace::settings::file(), to.name);
                Some(Trust::key(key, root, place)?)
            }
            (None, Some(identity)) => Some(Trust::Identity {
                identity: identity.clone(),
                issuer: self.issuer(to)?,
                trusted_root: sigstore.trusted_root.clone(),
            }),
            (None, None) => None,
        };
        Ok(Demands {
            // A flag adds a requirement; it does not replace one of the environment.
            trust: match of_settings.filter(|_| to.signed) {
                Some(trust) => Some(trust),
                None => self.trust.trust(&sigstore)?,
            },
            signed: to.signed,
            scanned_within_days: to.scanned_within_days,
            ..Demands::default()
        })
    }
}

fn plan(setup: &PromoteSetup) -> Plan<PromoteStep> {
    let mut plan = Plan::new("promote");
    let (to, place) = (&setup.to.environment.name, setup.to.at.to_string());
    let image = setup.image.to_string();
    let reason = format!("find the image, and the one in {to} now");
    plan.step("find", reason, [&image, &place], PromoteStep::Find);
    plan.step(
        "demands",
        format!("check what {to} requires"),
        [rust_workspace::settings::file(), &image],
        PromoteStep::Demands,
    );
    if setup.to.at.name() != setup.image.name() {
        let name = setup.to.at.name();
        let reason = format!("copy the image and its referrers to {name}");
        plan.step("copy", reason, [&image], PromoteStep::Copy);
        plan.step("verify", format!("check the copy as {to} requires"), [&name], PromoteStep::Verify);
    }
    plan.step("tag", format!("put the manifest under {place}"), [&image], PromoteStep::Tag);
    plan.step("record", format!("attach a record: by {}", setup.by), ["tag"], PromoteStep::Record);
    if let Some(overlay) = &setup.overlay {
        let path = overlay.path.display().to_string();
        plan.step("overlay", format!("write the digest into {path}"), [&path], PromoteStep::Overlay);
    }
    plan
}
