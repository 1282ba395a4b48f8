//! The steps of a scan: each reads what the ones before it left and leaves its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::advisory_db::AdvisoryDb;
use super::age::Age;
use super::builtin::Packages;
use super::finding::{Finding, merge};
use super::gate::Rules;
use super::inventory::{self, Inventory};
use super::platform_report::{Engine, PlatformReport};
use super::platforms::{self, Image, Wanted};
use super::sbom_check::{self, Own, SbomCheck};
use super::source::{self, ImageSource, Pulled};
use super::trivy::{self, Deployed, Fetch, Trivy};
use super::vex::Vex;
use super::{builtin, checks, licence, unlisted, view, yanked};
use cli_support::error::Fault;
use cli_support::plan::Action;
use cli_support::process::Cmd;
use cli_support::time::Date;
use cli_support::ui::Progress;
use oci_image::layout::Layout;
use oci_image::platform::Platform;
use oci_registry::Client;
use rust_workspace::settings::Unlisted;

/// One step.
#[derive(Debug)]
pub enum ScanStep {
    /// Brings the image into a layout and finds its platforms.
    Image(ImageSource),
    /// Reads every layer of every platform.
    Inventory,
    /// Holds the lists in programs against this workspace's source.
    Lists(Own),
    /// Holds the crates against RustSec's facts, and the set-up against the rules.
    Builtin,
    /// Asks this index which versions their makers took back.
    Yanked(String),
    /// Holds the licences of crates against the list; true for the image that is built here.
    Licences(bool),
    /// Fetches Trivy where it is not installed.
    Fetch(Fetch),
    /// Asks Trivy about each platform's manifest.
    Trivy(Cmd),
    /// Asks Trivy about files of the source.
    Config(Cmd, Deployed),
    /// Merges what was found and decides.
    Gate,
}

/// What does not change from step to step.
#[derive(Debug)]
pub struct ScanSetup {
    /// The workspace's root.
    pub root: PathBuf,
    /// A folder for what is not in a layout yet.
    pub work: PathBuf,
    /// The path of the program that must be in the image, where it is known.
    pub expected: Option<String>,
    /// The platforms that must be in it; those of its index where unset.
    pub platforms: Option<Vec<Platform>>,
    /// The platforms that `publish` will want; that one is missing is told.
    pub published: Vec<Platform>,
    /// What fails.
    pub rules: Rules,
    /// Programs that nobody knows, and that are overlooked.
    pub unlisted: Vec<Unlisted>,
    /// Days that advisories may be old, where the settings say it.
    pub max_age: Option<u64>,
    /// The fewest advisories that the builtin engine may know.
    pub min_advisories: u64,
    /// Licences that are allowed; any where empty.
    pub licences: Vec<String>,
    /// VEX documents, below the root.
    pub vex: Vec<String>,
    /// Trivy, where it is part of the plan.
    pub trivy: Option<(Trivy, trivy::Options)>,
    /// Whether what the builtin engine does not cover is left uncovered, and why Trivy is not there.
    pub partial: Option<Fault>,
    /// This day.
    pub today: Date,
}

/// What the steps hand on.
#[derive(Debug)]
pub struct ScanWork {
    /// The same for every step.
    pub setup: ScanSetup,
    layout: Option<Layout>,
    images: Vec<Image>,
    inventories: Vec<Inventory>,
    found: Vec<Finding>,
    /// What was found, merged, the worst first.
    pub findings: Vec<Finding>,
    /// Why a clean answer would mean nothing.
    pub faults: Vec<Fault>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Each platform as it was seen.
    pub platforms: Vec<PlatformReport>,
    /// The engines that ran, and what they know.
    pub engines: Vec<Engine>,
    /// Whether anybody asked which versions of crates were taken back.
    pub yanked: String,
}

impl ScanWork {
    /// The state before the first step.
    pub fn new(setup: ScanSetup) -> Self {
        Self {
            setup,
            layout: None,
            images: Vec::new(),
            inventories: Vec::new(),
            found: Vec::new(),
            findings: Vec::new(),
            faults: Vec::new(),
            notes: Vec::new(),
            platforms: Vec::new(),
            engines: Vec::new(),
            yanked: "not looked up: not asked for".to_owned(),
        }
    }

    fn layout(&self) -> Result<&Layout> {
        self.layout.as_ref().context("no image was found")
    }

    /// Finds the platforms; an image that lacks one that must be there does not pass.
    fn image(&mut self, source: &ImageSource, progress: &Progress) -> Result<String> {
        let client = Client::new(source::client_options());
        let wanted = Wanted(self.setup.platforms.as_deref());
        let tell = |text: &str| progress.detail(text);
        let Pulled { layout, only, absent } = source.pull(&client, &self.setup.work, wanted, &tell)?;
        let refused = || Fault::gate("the image cannot be looked at").at(layout.dir().display());
        let found = platforms::find(&layout, only, wanted).with_context(refused)?;
        for &platform in self.setup.platforms.iter().flatten() {
            if !found.images.iter().any(|image| image.platform.is(platform)) {
                let what =
                    format!("the image has nothing for {platform}, so that this platform is not looked at");
                let hint = format!(
                    "build it (cargo xtask image --platform all), or leave it out: --platform {}",
                    found.images.iter().map(|image| image.platform.to_string()).collect::<Vec<_>>().join(",")
                );
                self.faults.push(Fault::gate(what).at(layout.dir().display()).hint(hint));
            }
        }
        let has = |platform: &Platform| found.images.iter().any(|image| image.platform.is(*platform));
        let lacks: Vec<_> =
            self.setup.published.iter().filter(|one| !has(one)).map(ToString::to_string).collect();
        if self.setup.platforms.is_none() && !lacks.is_empty() {
            self.notes.push(format!(
                "the image has nothing for {}, which publish will want: cargo xtask image --platform all",
                lacks.join(", ")
            ));
        }
        self.notes.extend(absent.iter().chain(&found.skipped).map(|what| format!("not looked at: {what}")));
        let names: Vec<_> = found.images.iter().map(|image| image.platform.to_string()).collect();
        self.images = found.images;
        self.layout = Some(layout);
        Ok(names.join(", "))
    }

    fn inventory(&mut self) -> Result<String> {
        let layout = self.layout()?.clone();
        let refused = || Fault::gate("the image cannot be looked at").at(layout.dir().display());
        // An image may name a hundred platforms, and each that is read takes memory.
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = cores.min(self.images.len());
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads)
                .map(|first| {
                    let (layout, images) = (&layout, &self.images);
                    let take = move |image| {
                        let started = Instant::now();
                        inventory::take(layout, image).map(|taken| (taken, started.elapsed().as_secs_f64()))
                    };
                    let own = images.iter().enumerate().skip(first).step_by(threads);
                    scope.spawn(move || {
                        own.map(|(place, image)| take(image).map(|taken| (place, taken)))
                            .collect::<Result<Vec<_>>>()
                    })
                })
                .collect();
            let mut all = Vec::new();
            for thread in threads {
                match thread.join() {
                    Ok(taken) => all.extend(taken?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all.sort_by_key(|(place, _)| *place);
            Ok::<_, anyhow::Error>(all)
        });
        let mut crates = 0;
        for (_, (inventory, seconds)) in taken.with_context(refused)? {
            crates += inventory.crates();
            self.platforms.push(PlatformReport::of(&inventory, seconds));
            let known = if self.setup.trivy.is_some() { Packages::Asked } else { Packages::Unknown };
            let expected = self.setup.expected.as_deref();
            let silent = unlisted::silent(&inventory, expected);
            let (entries, today) = (&self.setup.unlisted, self.setup.today);
            let overlooked = unlisted::overlooked(&inventory, &silent, entries, today);
            self.faults.extend(builtin::blind_spots(&inventory, expected, known, &overlooked));
            self.found.extend(unlisted::findings(&overlooked, &inventory));
            if let Some(report) = self.platforms.last_mut() {
                report.overlooked = overlooked;
            }
            self.inventories.push(inventory);
        }
        Ok(format!("{crates} crates in {} platforms", self.inventories.len()))
    }

    /// What is too old is a fault, what soon will be is told.
    fn aged(&mut self, age: &Age) {
        match age.check() {
            Err(fault) => self.faults.push(fault),
            Ok(warning) => self.notes.extend(warning),
        }
    }

    fn lists(&mut self, own: &Own) -> Result<String> {
        let (mut held, mut taken) = (0, BTreeSet::new());
        for (inventory, report) in self.inventories.iter().zip(&mut self.platforms) {
            let worth = sbom_check::compare(&self.setup.root, own, inventory)?;
            report.list = Some(worth.name());
            match worth {
                SbomCheck::Verified => held += 1,
                SbomCheck::Unverified(why) => drop(taken.insert(why)),
                SbomCheck::Mismatch(fault) => self.faults.push(fault),
            }
        }
        let notes = taken.iter().map(|why| format!("the lists of crates were taken at their word: {why}"));
        self.notes.extend(notes);
        Ok(format!("{held} of {} lists are what the source gives", self.inventories.len()))
    }

    fn builtin(&mut self) -> Result<String> {
        let facts = AdvisoryDb::read(&self.setup.root)?;
        self.aged(&Age::of_facts(&facts, self.setup.today, self.setup.max_age));
        if let Err(fault) = facts.check_count(self.setup.min_advisories) {
            self.faults.push(fault);
        }
        let before = self.found.len();
        for (inventory, report) in self.inventories.iter().zip(&mut self.platforms) {
            let started = Instant::now();
            self.found.extend(builtin::findings(inventory, &facts)?);
            self.found.extend(checks::findings(inventory));
            report.seconds += started.elapsed().as_secs_f64();
            report.not_covered = builtin::not_covered(inventory);
        }
        let gaps: Vec<_> = self.platforms.iter().flat_map(|report| report.not_covered.clone()).collect();
        if self.setup.trivy.is_none() && !gaps.is_empty() {
            match self.setup.partial.take() {
                Some(fault) => self.faults.push(fault),
                None => self
                    .notes
                    .extend(gaps.iter().map(|gap| format!("not covered by the builtin engine: {gap}"))),
            }
        }
        self.engines.push(Engine {
            name: builtin::NAME,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database: facts.day(),
            commit: facts.head.commit.clone(),
            advisories: Some(facts.head.advisories),
        });
        Ok(format!(
            "{} findings; {} advisories of {}",
            self.found.len() - before,
            facts.head.advisories,
            facts.day()
        ))
    }

    /// That the index does not answer is told and fails nothing: a version that is taken back is a warning.
    fn yanked(&mut self, index: &str) -> String {
        let asked = yanked::asked(&self.inventories);
        match yanked::look_up(index, &asked) {
            Ok(said) => {
                self.yanked = format!("{} crates looked up at {index}", asked.len());
                let found = self.inventories.iter().flat_map(|inventory| yanked::findings(inventory, &said));
                self.found.extend(found);
                format!(
                    "{} of {} crates have versions that are not offered any more",
                    said.len(),
                    asked.len()
                )
            }
            Err(error) => {
                self.yanked = format!("not looked up: {error:#}");
                self.notes.push(format!("yanked versions were {}", self.yanked));
                "not looked up".to_owned()
            }
        }
    }

    fn licences(&mut self, here: bool) -> Result<String> {
        let licences = licence::of_workspace(&self.setup.root)?;
        let before = self.found.len();
        for (inventory, report) in self.inventories.iter().zip(&mut self.platforms) {
            let allowed = &self.setup.licences;
            let (found, unknown) = licence::findings(inventory, &licences, allowed, here);
            self.found.extend(found);
            if unknown > 0 {
                let platform = &inventory.image.platform;
                let gap = format!(
                    "{platform}: licences of {unknown} crates that are not in this workspace's Cargo.lock"
                );
                self.notes.push(format!("not looked at: {gap}"));
                report.not_covered.push(gap);
            }
        }
        Ok(format!("{} that are not allowed", self.found.len() - before))
    }

    fn trivy(&mut self, progress: &Progress) -> Result<String> {
        let Some((trivy, options)) = self.setup.trivy.clone() else { return Ok("not there".to_owned()) };
        options.prepare()?;
        let layout = Layout::open(&self.layout()?.dir().canonicalize()?)?;
        let dir = view::readable(&layout, &self.images, &options.dir)?;
        let mut crates = BTreeSet::new();
        let before = self.found.len();
        for (inventory, report) in self.inventories.iter().zip(&mut self.platforms) {
            let target = format!("{}@{}", dir.display(), inventory.image.digest);
            progress.detail(&target);
            let cmd = trivy.image(&options, &target, &[layout.dir(), &dir]);
            let what = format!("Trivy did not finish with {}", inventory.image.platform);
            let json = cmd.read_bytes().map_err(|error| Trivy::ended(error, what, options.offline))?;
            let answer = trivy::read(&json, inventory)?;
            self.faults.extend(answer.nothing_seen(inventory, &report.overlooked));
            crates.insert(answer.crates);
            report.trivy_crates = Some(answer.crates);
            self.found.extend(answer.findings);
        }
        // Only now is the database the one that the answers were made with.
        let database = trivy.database(&options)?;
        let offline = options.offline;
        self.aged(&Age::of_trivy(database, self.setup.today, self.setup.max_age, offline));
        let version = trivy.version.to_string();
        self.engines.push(Engine { name: trivy::NAME, version, database, commit: None, advisories: None });
        Ok(format!("{} findings; database of {database}", self.found.len() - before))
    }

    fn config(&mut self, cmd: &Cmd, deployed: &Deployed) -> Result<String> {
        let mut offline = false;
        if let Some((_, options)) = &self.setup.trivy {
            options.prepare()?;
            offline = options.offline;
        }
        let what = format!("Trivy did not finish with {}", deployed.name);
        let json = cmd.read_bytes().map_err(|error| Trivy::ended(error, what, offline))?;
        let looked = deployed.read(&json)?;
        let count = looked.findings.len();
        self.found.extend(looked.findings);
        self.faults.extend(looked.faults);
        self.notes.extend(looked.notes);
        Ok(format!("{count} findings"))
    }

    fn gate(&mut self) -> String {
        self.findings = merge(std::mem::take(&mut self.found));
        let (faults, notes) = self.setup.rules.overlook(&mut self.findings, self.setup.today);
        self.faults.extend(faults);
        self.notes.extend(notes);
        let reports = self.platforms.iter().map(|report| report.overlooked.as_slice());
        let seen: Vec<_> = self.inventories.iter().zip(reports).collect();
        let (faults, notes) = unlisted::judge(&self.setup.unlisted, &seen, self.setup.today);
        self.faults.extend(faults);
        self.notes.extend(notes);
        for path in &self.setup.vex {
            match Vex::read(&self.setup.root, path) {
                Ok(Some(vex)) => {
                    vex.apply(&mut self.findings);
                    if vex.honoured(&self.findings) == 0 {
                        self.notes.push(format!("{path}: no statement in it keeps a finding from counting"));
                    }
                    self.notes.extend(vex.notes);
                }
                Ok(None) => {
                    let what =
                        format!("{path} is not OpenVEX: what the builtin engine finds counts all the same");
                    self.notes.push(what);
                }
                // Trivy's step ends with the same words.
                Err(_) if self.setup.trivy.is_some() => {}
                Err(error) => self.faults.push(Fault::gate(format!("{error:#}"))),
            }
        }
        let failing = self.findings.iter().filter(|finding| self.setup.rules.fails(finding)).count();
        format!("{} findings, {failing} of which fail", self.findings.len())
    }
}

impl Action for ScanStep {
    type State = ScanWork;

    fn command(&self) -> Option<&Cmd> {
        match self {
            Self::Trivy(cmd) | Self::Config(cmd, _) => Some(cmd),
            _ => None,
        }
    }

    fn run(&self, work: &mut ScanWork, progress: &Progress) -> Result<String> {
        match self {
            Self::Image(source) => work.image(source, progress),
            Self::Inventory => work.inventory(),
            Self::Lists(own) => work.lists(own),
            Self::Builtin => work.builtin(),
            Self::Yanked(index) => Ok(work.yanked(index)),
            Self::Licences(here) => work.licences(*here),
            Self::Fetch(fetch) => fetch.run(),
            Self::Trivy(_) => work.trivy(progress),
            Self::Config(cmd, deployed) => work.config(cmd, deployed),
            Self::Gate => Ok(work.gate()),
        }
    }
}
