//! `cargo xtask promote`: an image that is published, byte for byte, into an environment.

use anyhow::Result;
use clap::Args;

use super::publish::Target;
use super::verify::{TrustFlags, image};
use crate::environments::{Setup, Step, Work, find, place};
use crate::error::Fault;
use crate::plan::Plan;
use crate::publish::Trust;
use crate::registry::Reference;
use crate::settings::Workspace;
use crate::tags::Event;
use crate::time::{now, rfc3339};
use crate::ui::{self, Ui};
use crate::verify::Demands;

/// Put a published image into an environment; rolling back is promoting an older one
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask promote 1.2.3 --to staging
  cargo xtask promote --from staging --to production     what runs in the one, into the other
  cargo xtask promote sha256:… --to production           roll back to an older image

Exit codes: 0 done, 1 failed, 2 usage or settings, 3 the environment does not take it")]
pub struct Flags {
    /// A version, tag or digest; what runs in --from where there is none
    #[arg(value_name = "IMAGE", required_unless_present = "from")]
    image: Option<String>,
    /// The environment, of `[[environments]]` in xtask/image.toml
    #[arg(long, value_name = "ENV")]
    to: String,
    /// The environment that it must run in now
    #[arg(long, value_name = "ENV")]
    from: Option<String>,
    #[command(flatten)]
    trust: TrustFlags,
    #[command(flatten)]
    target: Target,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

impl Flags {
    /// Plans, and then prints the plan or runs it.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let setup = self.setup(&workspace)?;
        let plan = plan(&setup);
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let ui = Ui::detect();
        let client = self.target.client(&setup.place, ui)?;
        let mut work = Work { setup, client, digest: None, previous: None };
        let steps = plan.run(&mut work, ui)?;
        let Some(digest) = work.digest else { return Err(anyhow::anyhow!("no image was promoted")) };
        let reference = work.setup.place.with_digest(digest).to_string();
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.promote/1",
                "command": "promote",
                "environment": work.setup.to.name,
                "digest": digest,
                "reference": reference,
                "previous": work.previous,
                "by": work.setup.by,
                "at": work.setup.at,
                "steps": steps,
            });
            ui::print(&format!("{report:#}\n"));
        } else {
            let before = work.previous.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
            ui::print(&format!("\n{} runs {reference}\nbefore: {before}\n", work.setup.to.name));
        }
        let summary = format!("### Promoted to {}\n\n`{reference}`\n", work.setup.to.name);
        ui::write_outputs(&summary, &[("digest", digest.to_string()), ("reference", reference)])
    }

    fn setup(&self, workspace: &Workspace) -> Result<Setup> {
        let repository = self.target.repository(workspace.settings.repository.as_deref())?;
        let to = find(workspace, &self.to)?.clone();
        let named = |name: &String| -> Result<(String, Reference), Fault> {
            Ok((name.clone(), place(find(workspace, name)?, &repository)?))
        };
        let from = self.from.as_ref().map(named).transpose()?;
        let after = to.after.as_ref().map(named).transpose()?;
        let image = match (&self.image, &from) {
            (Some(text), _) if text.contains('/') => image(text, Some(workspace))?,
            (Some(text), _) => match text.parse() {
                Ok(digest) => repository.with_digest(digest),
                Err(_) => repository.with_tag(text)?,
            },
            (None, Some((_, place))) => place.clone(),
            (None, None) => return Err(Fault::usage("which image? a version, tag or digest").into()),
        };
        let of_settings = || {
            let issuer = "https://token.actions.githubusercontent.com".to_owned();
            let identity = to.identity.clone().map(|identity| Trust::Identity { identity, issuer });
            to.key.clone().map(Trust::Key).or(identity)
        };
        let demands = Demands {
            // A flag adds a demand where the environment has none; it never takes the place of one.
            trust: of_settings().filter(|_| to.signed).or_else(|| self.trust.trust()),
            signed: to.signed,
            scanned_within_days: to.scanned_within_days,
            ..Demands::default()
        };
        let event = Event::read(&workspace.root);
        Ok(Setup {
            place: place(&to, &repository)?,
            by: event.actor.unwrap_or_else(|| "unknown".to_owned()),
            at: rfc3339(now()),
            run: event.run.map(|run| run.url),
            folder: workspace.root.join("target").join("xtask"),
            plain_http: self.target.plain_http,
            image,
            to,
            from,
            after,
            demands,
        })
    }
}

fn plan(setup: &Setup) -> Plan<Step> {
    let mut plan = Plan::new("promote");
    let (to, image, place) = (&setup.to.name, setup.image.to_string(), setup.place.to_string());
    let reason = format!("the image, and what runs in {to} now");
    plan.step("find", reason, [&image, &place], Step::Find);
    plan.step(
        "demands",
        format!("what {to} asks of an image"),
        [crate::settings::FILE, &image],
        Step::Demands,
    );
    if setup.place.name() != setup.image.name() {
        let reason = format!("the same bytes and all that refers to them, into {}", setup.place.name());
        plan.step("copy", reason, [&image], Step::Copy);
    }
    plan.step("tag", format!("the same manifest under {place}"), [&image], Step::Tag);
    plan.step(
        "record",
        format!("by {} at {}, as a referrer of it", setup.by, setup.at),
        ["tag"],
        Step::Record,
    );
    plan
}
