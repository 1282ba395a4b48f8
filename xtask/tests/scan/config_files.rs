//! Configuration files in the source.

use std::fs;

use crate::control::{SETTINGS, plain};
use crate::database::Database;
use crate::support::{Hello, in_days};

#[test]
fn every_configuration_file_is_checked() {
    let Some(good) = &plain() else { return };
    let Some(database) = Database::new(good) else { return };
    database.make();
    let trivy = |hello: &Hello, args: &[&str]| database.scan(hello, args);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\nspec:\n  containers:\n    - name: x\n      image: x:1\n      \
        securityContext:\n        privileged: true\n";
    good.write("deploy/pod.yaml", pod);
    let report = trivy(good, &["--json"]).code(3).json();
    let found = report["findings"].as_array().unwrap();
    let failing: Vec<_> = found.iter().filter(|one| one["fails"] == true).collect();
    assert!(failing.iter().all(|one| one["place"] == "deploy/pod.yaml"), "{report:#}");
    let entries = failing.iter().map(|one| {
        let (id, day) = (one["id"].as_str().unwrap(), in_days(9));
        let subject = "deploy/pod.yaml";
        format!("[[scan.ignore]]\nid = '{id}'\nsubject = '{subject}'\nreason = 'a test'\nexpires = '{day}'\n")
    });
    let entries: std::collections::BTreeSet<_> = entries.collect();
    let list = entries.into_iter().collect::<String>();
    good.write("xtask/image.toml", &format!("{SETTINGS}{list}"));
    let again = trivy(good, &["--json"]).code(0).json();
    assert_eq!(again["findings"].as_array().unwrap().len(), found.len(), "all of them are still reported");
    let ignored = again["findings"].as_array().unwrap().iter().filter(|one| one["ignored"].is_string());
    assert_eq!(ignored.count(), failing.len());
    for (name, text) in [("broken.yaml", "a: [\n"), ("pod.yaml.tmpl", pod)] {
        good.write(&format!("deploy/{name}"), text);
        trivy(good, &[]).code(3).says(&format!("deploy/{name}: Trivy did not check this file"));
        fs::remove_file(good.path().join("deploy").join(name)).unwrap();
    }
    good.write("xtask/image.toml", SETTINGS);
    fs::remove_dir_all(good.path().join("deploy")).unwrap();
    trivy(good, &[]).code(0).says("not checked, no such file or folder: Dockerfile, deploy");
    good.write("xtask/image.toml", &format!("{SETTINGS}deploy = ['deploy']\n"));
    trivy(good, &[]).code(2).says("'deploy' does not exist");
    good.write("xtask/image.toml", SETTINGS);
}
