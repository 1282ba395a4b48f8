//! Comments that make Trivy ignore findings.

use std::fs;

use serde_json::{Value, json};

use crate::control::{SETTINGS, facts, finding};
use crate::database::Database;
use crate::support::{Hello, Ran, copy, forge, have_program, have_targets, in_days};

/// A template of a Helm chart with many findings.
const TEMPLATE: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\nspec:\n  containers:\n    - name: x\n      image: {{ .Values.image }}\n      \
    securityContext:\n        privileged: true\n";

#[test]
fn a_comment_that_trivy_obeys_is_refused() {
    if !have_targets() || !have_program("trivy", "trivy", &["--version"]) {
        return;
    }
    let good = &Hello::new();
    good.write("xtask/image.toml", &format!("platforms = ['linux/amd64']\n{SETTINGS}"));
    good.write("xtask/advisories.jsonl", &facts());
    good.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    let Some(database) = Database::new(good) else { return };
    database.make();
    let trivy = &|hello: &Hello, args: &[&str]| database.scan(hello, args);
    let id = "DS-0029";
    let dockerfile = |comment: &str| {
        good.write("Dockerfile", &format!("FROM x:1\nUSER 1\n{comment}\nRUN apt-get install -y x\n"));
    };
    let fails = |report: &Value| finding(report, id).is_some_and(|one| one["fails"] == true);
    dockerfile("# none");
    assert!(fails(&trivy(good, &["--json"]).code(3).json()));
    let later = in_days(30);
    for comment in [
        format!("# trivy:ignore:{id}"),
        format!("# tfsec:ignore:{id}:exp:{later} why"),
        format!("# trivy:ignore:*:exp:{later} why"),
    ] {
        dockerfile(&comment);
        let ran = trivy(good, &["--json"]).code(3).says("Dockerfile:3: ").says("[[scan.ignore]]");
        assert!(!fails(&ran.json()), "Trivy obeys {comment}");
    }
    fs::remove_file(good.path().join("Dockerfile")).unwrap();
    chart(good, trivy);
    history(good, trivy);
}

/// Trivy obeys them in a Helm chart, but not in a file for Kubernetes. They are refused in both.
fn chart(good: &Hello, trivy: &dyn Fn(&Hello, &[&str]) -> Ran) {
    let commented = TEMPLATE.replace('\n', " # trivy:ignore:*\n");
    good.write("deploy/chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n");
    good.write("deploy/chart/values.yaml", "image: x:1\n");
    let of_chart = |report: &Value| {
        let all = report["findings"].as_array().unwrap();
        all.iter().filter(|one| one["place"].as_str().unwrap().starts_with("deploy/")).count()
    };
    good.write("deploy/chart/templates/pod.yaml", TEMPLATE);
    assert!(of_chart(&trivy(good, &["--json"]).code(3).json()) > 5);
    good.write("deploy/chart/templates/pod.yaml", &commented);
    let ran =
        trivy(good, &["--json"]).code(3).says("deploy/chart/templates/pod.yaml:1: this comment makes Trivy");
    assert_eq!(of_chart(&ran.json()), 0, "Trivy reports nothing");
    fs::remove_dir_all(good.path().join("deploy/chart")).unwrap();
    good.write("deploy/pod.yaml", &commented.replace("{{ .Values.image }}", "x:1"));
    trivy(good, &["--json"]).code(3).says("deploy/pod.yaml:1: this comment makes Trivy");
    fs::remove_dir_all(good.path().join("deploy")).unwrap();
}

/// Comments in the history of an image.
fn history(good: &Hello, trivy: &dyn Fn(&Hello, &[&str]) -> Ran) {
    let other = good.path().join("target/commented");
    let step = "RUN /bin/sh -c apt-get install -y x # buildkit";
    for (step, silences) in [(step.to_owned(), false), (step.replace("x #", "x # trivy:ignore:* #"), true)] {
        copy(&good.layout(), &other);
        forge::configs(&other, |config| {
            let steps = config["history"].as_array_mut().unwrap();
            steps[0]["created_by"] = json!(step);
        });
        let report = trivy(good, &["--json", "--image", "target/commented"]).code(3).json();
        assert_eq!(finding(&report, "DS-0029").is_none(), silences, "{report:#}");
        assert_eq!(finding(&report, "XT-INLINE-IGNORE").is_some(), silences, "{report:#}");
        fs::remove_dir_all(&other).unwrap();
    }
    // A step that Trivy cannot parse switches its checks of the history off.
    copy(&good.layout(), &other);
    forge::configs(&other, |config| {
        config["history"].as_array_mut().unwrap()[0]["created_by"] = json!("ENV =x");
    });
    let report = trivy(good, &["--json", "--image", "target/commented"]).code(3).json();
    assert_eq!(finding(&report, "XT-UNCHECKED-HISTORY").unwrap()["fails"], true, "{report:#}");
}
