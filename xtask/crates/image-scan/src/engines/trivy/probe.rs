//! The probe of Trivy's database: a scan of an SBOM with components that have known vulnerabilities.
//!
//! With a database that is empty or lacks a source, Trivy reports no vulnerabilities and no error. The result is not
//! cached: Trivy takes a second, and detecting a changed database would need a hash of all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::answer::{TrivyReport, findings, parse};
use super::coverage::{UNKNOWN_SYSTEM, critical};
use super::{Options, Trivy};
use crate::engines::Probe;
use crate::finding::Finding;
use crate::image::inventory::Inventory;
use cli_support::error::Fault;

/// Crates with an old advisory of severity critical or high: name, version and the advisory's ids. One that Trivy finds
/// is enough.
const KNOWN_CRATES: [(&str, &str, [&str; 3]); 3] = [
    ("smallvec", "1.6.0", ["RUSTSEC-2021-0003", "CVE-2021-25900", "GHSA-43w2-9j62-hq99"]),
    ("spin", "0.5.1", ["RUSTSEC-2019-0013", "CVE-2019-16137", "GHSA-hv7x-f3pv-gpwr"]),
    ("hyper", "0.14.2", ["RUSTSEC-2021-0020", "CVE-2021-21299", "GHSA-6hfq-h8hq-87mf"]),
];

/// Distributions that are probed: `ID` in os-release(5), and the type of their package URLs. Each version of them has had
/// advisories about openssl.
const KNOWN_SYSTEMS: [(&str, &str); 3] = [("alpine", "apk"), ("debian", "deb"), ("ubuntu", "deb")];
const KNOWN_PACKAGE: &str = "openssl";

/// A distribution: `ID` and `VERSION_ID` in os-release(5), and the type of its package URLs.
type System = (String, String, &'static str);

/// Probes the database for crates, and for the distributions of these platforms.
pub(super) fn run(trivy: &Trivy, options: &Options, inventories: &[Inventory]) -> Result<Probe> {
    let mut systems: BTreeMap<System, BTreeSet<String>> = BTreeMap::new();
    for inventory in inventories {
        if let Some(system) = system(inventory) {
            systems.entry(system).or_default().insert(inventory.image.platform.to_string());
        }
    }
    let mut probe = Probe::default();
    let scans: Vec<_> = if systems.is_empty() { vec![None] } else { systems.iter().map(Some).collect() };
    for scan in scans {
        let system = scan.map(|(system, _)| system);
        let report = scan_sbom(trivy, options, &sbom(system))?;
        if !knows_crates(&report) {
            let what =
                "Trivy's database has no advisories about crates: Trivy does not find a known vulnerability";
            let hint = "download it again (trivy clean --vuln-db), or name a source with a complete one (databases in [scan])";
            probe.faults.push(Fault::gate(what).at(KNOWN_CRATES[0].2[0]).hint(hint));
            return Ok(probe);
        }
        let Some(((id, version, _), platforms)) = scan else { continue };
        if !knows_system(&report) {
            let note = "Trivy's database has no advisories for it: Trivy finds none about an old openssl";
            let subject = format!("{id} {version}");
            let finding = critical(UNKNOWN_SYSTEM, subject, note, "/etc/os-release");
            probe.findings.push(Finding { platforms: platforms.clone(), ..finding });
        }
    }
    Ok(probe)
}

/// The distribution of a platform, where it has packages and is one that is probed.
fn system(inventory: &Inventory) -> Option<System> {
    let release = inventory.release();
    let (id, version) = (release.get("ID")?, release.get("VERSION_ID")?);
    let (_, kind) = KNOWN_SYSTEMS.iter().find(|(known, _)| known == id)?;
    (!inventory.packages.is_empty()).then(|| (id.clone(), version.clone(), *kind))
}

fn scan_sbom(trivy: &Trivy, options: &Options, sbom: &Value) -> Result<TrivyReport> {
    let path = options.dir.join("probe.cdx.json");
    fs::write(&path, sbom.to_string()).with_context(|| path.display().to_string())?;
    let what = "Trivy failed on the probe of its database".to_owned();
    parse(&options.output_of(&trivy.scan_sbom(options, &path), what)?)
}

/// A CycloneDX document (ECMA-424) with the known components.
fn sbom(system: Option<&System>) -> Value {
    let component = |name: &str, version: &str, purl: &str| json!({ "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl });
    let crates = KNOWN_CRATES.iter();
    let crates =
        crates.map(|(name, version, _)| component(name, version, &format!("pkg:cargo/{name}@{version}")));
    let mut components: Vec<_> = crates.collect();
    if let Some((id, version, kind)) = system {
        components
            .push(json!({ "type": "operating-system", "bom-ref": "os", "name": id, "version": version }));
        let purl = format!("pkg:{kind}/{id}/{KNOWN_PACKAGE}@0?distro={id}-{version}");
        components.push(component(KNOWN_PACKAGE, "0", &purl));
    }
    json!({ "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components })
}

fn knows_crates(report: &TrivyReport) -> bool {
    findings(report, None).iter().any(|finding| {
        KNOWN_CRATES
            .iter()
            .any(|(name, _, ids)| finding.subject == *name && ids.iter().any(|id| finding.is_called(id)))
    })
}

fn knows_system(report: &TrivyReport) -> bool {
    findings(report, None).iter().any(|finding| finding.subject == KNOWN_PACKAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::builtin::advisory_db::AdvisoryDb;

    #[test]
    fn known_crates_have_their_advisories() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let database = AdvisoryDb::read(root).unwrap();
        for (name, version, ids) in KNOWN_CRATES {
            let version = version.parse().unwrap();
            let advisory = database.about(name, &version).find(|one| one.id == ids[0]);
            let advisory = advisory.unwrap_or_else(|| panic!("{name} {version}"));
            assert!(["critical", "high"].contains(&&*advisory.severity().to_string()), "{name}");
            assert!(ids[1..].iter().all(|id| advisory.aliases.iter().any(|one| one == id)), "{advisory:?}");
        }
    }

    #[test]
    fn vulnerabilities_of_known_components_prove_a_database() {
        let report = |package: &str, id: &str| {
            let found = json!([{ "VulnerabilityID": id, "PkgName": package }]);
            let report = json!({ "SchemaVersion": 2, "Results": [{ "Vulnerabilities": found }] });
            parse(report.to_string().as_bytes()).unwrap()
        };
        for (package, id, crates, system) in [
            ("smallvec", "CVE-2021-25900", true, false),
            ("spin", "GHSA-hv7x-f3pv-gpwr", true, false),
            ("smallvec", "CVE-2021-1", false, false),
            ("openssl", "CVE-2021-25900", false, true),
            ("none", "none", false, false),
        ] {
            let report = report(package, id);
            assert_eq!((knows_crates(&report), knows_system(&report)), (crates, system), "{package} {id}");
        }
    }
}
