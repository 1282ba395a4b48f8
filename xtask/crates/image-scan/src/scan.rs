//! The steps of a scan. Each reads the results of the steps before it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::engines::Engine;
use crate::engines::builtin::{licence, yanked};
use crate::engines::trivy::{Deployed, Fetch, Options, Trivy};
use crate::finding::{Finding, merge};
use crate::image::inventory::{self, Inventory};
use crate::image::platforms::{self, Image, Wanted};
use crate::image::source::{ImageSource, Pulled};
use crate::policy::blind_spots::{KnownPackages, blind_spots, nothing_scanned};
use crate::policy::gate::Rules;
use crate::policy::sbom_check::{self, OwnProgram, SbomCheck};
use crate::policy::unlisted;
use crate::policy::vex::Vex;
use crate::report::ScanResult;
use crate::report::platform::PlatformReport;
use cli_support::error::Fault;
use cli_support::plan::Action;
use cli_support::process::Cmd;
use cli_support::time::Date;
use cli_support::ui::Progress;
use oci_image::layout::Layout;
use oci_image::platform::Platform;
use rust_workspace::settings::Unlisted;

/// One step.
#[derive(Debug)]
pub enum ScanStep {
    /// Copies the image into a layout and finds its platforms.
    Image(ImageSource),
    /// Reads every layer of every platform.
    Inventory,
    /// Compares the lists of crates with this workspace's source.
    Lists(OwnProgram),
    /// Scans the image.
    Engine(Box<dyn Engine>),
    /// Looks up yanked versions in this registry index.
    Yanked(String),
    /// Checks the licences of crates; true for the image that is built from this workspace.
    Licences(bool),
    /// Downloads Trivy.
    Fetch(Fetch),
    /// Checks configuration files of the source with Trivy.
    Config(ConfigStep),
    /// Merges the findings and applies policy.
    Gate,
}

/// A check of configuration files.
#[derive(Debug)]
pub struct ConfigStep {
    options: Options,
    deployed: Deployed,
    cmd: Cmd,
}

impl ConfigStep {
    /// The check of a file or folder.
    pub fn new(trivy: &Trivy, options: Options, deployed: Deployed) -> Self {
        let cmd = trivy.scan_config(&options, &deployed.path);
        Self { options, deployed, cmd }
    }
}

/// The settings of a scan.
#[derive(Debug)]
pub struct ScanSetup {
    /// The workspace's root.
    pub root: PathBuf,
    /// A folder for an image that is not in a layout.
    pub work: PathBuf,
    /// The path of the workspace's program in its image.
    pub expected: Option<String>,
    /// The platforms that must be in the image; every platform in it where unset.
    pub platforms: Option<Vec<Platform>>,
    /// The platforms that `publish` requires.
    pub published: Vec<Platform>,
    /// The rules of the gate.
    pub rules: Rules,
    /// Exceptions for unknown programs.
    pub unlisted: Vec<Unlisted>,
    /// The greatest age of advisories in days, where the settings set one.
    pub max_age: Option<u64>,
    /// The allowed licences; all where empty.
    pub licences: Vec<String>,
    /// VEX documents.
    pub vex: Vec<Vex>,
    /// Whether Trivy scans too.
    pub has_trivy: bool,
    /// The fault where the builtin engine does not cover the image, and Trivy is missing; a note where unset.
    pub partial: Option<Fault>,
    /// Today.
    pub today: Date,
}

/// The state between the steps.
#[derive(Debug)]
pub struct ScanWork {
    /// The settings.
    pub setup: ScanSetup,
    layout: Option<Layout>,
    images: Vec<Image>,
    inventories: Vec<Inventory>,
    found: Vec<Finding>,
    /// The result.
    pub result: ScanResult,
}

impl ScanWork {
    /// The state before the first step, with faults and notes about the settings.
    pub fn new(setup: ScanSetup, faults: Vec<Fault>, notes: Vec<String>) -> Self {
        let result = ScanResult {
            findings: Vec::new(),
            faults,
            notes,
            platforms: Vec::new(),
            engines: Vec::new(),
            yanked: "not looked up: not requested".to_owned(),
        };
        let (images, inventories) = (Vec::new(), Vec::new());
        Self { setup, layout: None, images, inventories, found: Vec::new(), result }
    }

    fn layout(&self) -> Result<&Layout> {
        self.layout.as_ref().context("the step 'image' did not run")
    }

    fn image(&mut self, source: &ImageSource, progress: &Progress) -> Result<String> {
        let wanted = Wanted(self.setup.platforms.as_deref());
        let Pulled { layout, only, absent } =
            source.pull(&self.setup.work, wanted, &|text| progress.detail(text))?;
        let refused = || Fault::gate("cannot read the image").at(layout.dir().display());
        let found = platforms::find(&layout, only, wanted).with_context(refused)?;
        let names: Vec<_> = found.images.iter().map(|image| image.platform.to_string()).collect();
        let lacks = |platform: &&Platform| !found.images.iter().any(|image| image.platform.is(**platform));
        for platform in self.setup.platforms.iter().flatten().filter(lacks) {
            let what = format!("the image has nothing for {platform}");
            let hint = format!(
                "build it (cargo xtask image --platform all), or leave it out: --platform {}",
                names.join(",")
            );
            self.result.faults.push(Fault::gate(what).at(layout.dir().display()).hint(hint));
        }
        let missing: Vec<_> = self.setup.published.iter().filter(lacks).map(ToString::to_string).collect();
        if self.setup.platforms.is_none() && !missing.is_empty() {
            self.result.notes.push(format!(
                "the image has nothing for {}, which publish requires: cargo xtask image --platform all",
                missing.join(", ")
            ));
        }
        let skipped = absent.iter().chain(&found.skipped);
        self.result.notes.extend(skipped.map(|what| format!("not scanned: {what}")));
        self.images = found.images;
        self.layout = Some(layout);
        Ok(names.join(", "))
    }

    fn inventory(&mut self) -> Result<String> {
        let layout = self.layout()?.clone();
        let refused = || Fault::gate("cannot read the image").at(layout.dir().display());
        let read = |image: &Image| {
            let started = Instant::now();
            inventory::read(&layout, image).map(|read| (read, started.elapsed().as_secs_f64()))
        };
        // One platform a core at a time, because each needs memory.
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut inventories = Vec::new();
        for images in self.images.chunks(cores) {
            let all = std::thread::scope(|scope| {
                let threads: Vec<_> = images.iter().map(|image| scope.spawn(move || read(image))).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                    .collect::<Result<Vec<_>>>()
            });
            inventories.extend(all.with_context(refused)?);
        }
        let expected = self.setup.expected.as_deref();
        let packages = if self.setup.has_trivy { KnownPackages::All } else { KnownPackages::None };
        let mut crates = 0;
        for (inventory, seconds) in inventories {
            crates += inventory.crates();
            let excepted = unlisted::excepted(&inventory, expected, &self.setup.unlisted, self.setup.today);
            self.result.faults.extend(blind_spots(&inventory, expected, packages, &excepted));
            self.found.extend(unlisted::findings(&excepted, &inventory));
            self.result.platforms.push(PlatformReport::of(&inventory, seconds, excepted));
            self.inventories.push(inventory);
        }
        Ok(format!("{crates} crates in {} platforms", self.inventories.len()))
    }

    fn lists(&mut self, own: &OwnProgram) -> Result<String> {
        let (mut verified, mut reasons) = (0, BTreeSet::new());
        for (inventory, report) in self.inventories.iter().zip(&mut self.result.platforms) {
            let check = sbom_check::compare(&self.setup.root, own, inventory)?;
            report.list = Some(check.name());
            match check {
                SbomCheck::Verified => verified += 1,
                SbomCheck::Unverified(why) => drop(reasons.insert(why)),
                SbomCheck::Mismatch(fault) => self.result.faults.push(fault),
            }
        }
        let notes = reasons.iter().map(|why| format!("the list of crates is not verified: {why}"));
        self.result.notes.extend(notes);
        Ok(format!("{verified} of {} lists of crates are verified", self.inventories.len()))
    }

    fn engine(&mut self, engine: &dyn Engine, progress: &Progress) -> Result<String> {
        let probe = engine.probe(&self.inventories, progress)?;
        self.result.faults.extend(probe.faults);
        let before = self.found.len();
        self.found.extend(probe.findings);
        let scans = engine.scan(self.layout()?, &self.inventories, progress)?;
        let mut gaps = Vec::new();
        for ((inventory, report), scan) in self.inventories.iter().zip(&mut self.result.platforms).zip(scans)
        {
            if let Some(packages) = scan.packages {
                self.result.faults.extend(nothing_scanned(inventory, packages, &report.overlooked));
            }
            report.add(engine.name(), &scan);
            gaps.extend(scan.not_covered);
            self.found.extend(scan.findings);
        }
        if !self.setup.has_trivy && !gaps.is_empty() {
            if let Some(fault) = self.setup.partial.take() {
                self.result.faults.push(fault);
            } else {
                let name = engine.name();
                self.result.notes.extend(gaps.iter().map(|gap| format!("not covered by {name}: {gap}")));
            }
        }
        let database = engine.database()?;
        match database.check_age(self.setup.today, self.setup.max_age) {
            Err(fault) => self.result.faults.push(fault),
            Ok(warning) => self.result.notes.extend(warning),
        }
        let date = database.report.database;
        self.result.engines.push(database.report);
        Ok(format!("{} findings; database of {date}", self.found.len() - before))
    }

    /// Looks up yanked versions. An index that does not answer is only a note, because a yanked version is a warning.
    fn yanked(&mut self, index: &str) -> String {
        let crates = yanked::crates(&self.inventories);
        match yanked::look_up(index, &crates) {
            Ok(notes) => {
                self.result.yanked = format!("{} crates looked up at {index}", crates.len());
                let found = self.inventories.iter().flat_map(|inventory| yanked::findings(inventory, &notes));
                self.found.extend(found);
                format!("{} of {} crates have yanked or missing versions", notes.len(), crates.len())
            }
            Err(error) => {
                self.result.yanked = format!("not looked up: {error:#}");
                self.result.notes.push(format!("yanked versions were {}", self.result.yanked));
                "not looked up".to_owned()
            }
        }
    }

    fn licences(&mut self, here: bool) -> Result<String> {
        let licences = licence::of_workspace(&self.setup.root)?;
        let before = self.found.len();
        for (inventory, report) in self.inventories.iter().zip(&mut self.result.platforms) {
            let (found, unknown) = licence::findings(inventory, &licences, &self.setup.licences, here);
            self.found.extend(found);
            if unknown > 0 {
                let platform = &inventory.image.platform;
                let gap = format!("{platform}: licences of {unknown} crates that are not in this Cargo.lock");
                self.result.notes.push(format!("not checked: {gap}"));
                report.not_covered.push(gap);
            }
        }
        Ok(format!("{} licences are not allowed", self.found.len() - before))
    }

    fn config(&mut self, step: &ConfigStep) -> Result<String> {
        step.options.prepare()?;
        let what = format!("Trivy failed on {}", step.deployed.name);
        let scan = step.deployed.read(&step.options.output_of(&step.cmd, what)?)?;
        let count = scan.findings.len();
        self.found.extend(scan.findings);
        self.result.faults.extend(scan.faults);
        self.result.notes.extend(scan.notes);
        Ok(format!("{count} findings"))
    }

    fn gate(&mut self) -> String {
        let mut findings = merge(std::mem::take(&mut self.found));
        let (rules, today) = (&self.setup.rules, self.setup.today);
        let exceptions = self.result.platforms.iter().map(|report| report.overlooked.as_slice());
        let scanned: Vec<_> = self.inventories.iter().zip(exceptions).collect();
        for (faults, notes) in [
            rules.apply_exceptions(&mut findings, today),
            unlisted::check_entries(&self.setup.unlisted, &scanned, today),
        ] {
            self.result.faults.extend(faults);
            self.result.notes.extend(notes);
        }
        for vex in &self.setup.vex {
            self.result.notes.extend(vex.apply(&mut findings));
        }
        let failing = findings.iter().filter(|finding| rules.fails(finding)).count();
        let outcome = format!("{} findings, {failing} of them fail", findings.len());
        self.result.findings = findings;
        outcome
    }
}

impl Action for ScanStep {
    type State = ScanWork;

    fn command(&self) -> Option<&Cmd> {
        match self {
            Self::Engine(engine) => engine.command(),
            Self::Config(step) => Some(&step.cmd),
            _ => None,
        }
    }

    fn run(&self, work: &mut ScanWork, progress: &Progress) -> Result<String> {
        match self {
            Self::Image(source) => work.image(source, progress),
            Self::Inventory => work.inventory(),
            Self::Lists(own) => work.lists(own),
            Self::Engine(engine) => work.engine(engine.as_ref(), progress),
            Self::Yanked(index) => Ok(work.yanked(index)),
            Self::Licences(here) => work.licences(*here),
            Self::Fetch(fetch) => fetch.run(),
            Self::Config(step) => work.config(step),
            Self::Gate => Ok(work.gate()),
        }
    }
}
