//! Comments by which Trivy overlooks what it found.

use std::fs;

use serde_json::{Value, json};

use crate::control::{SETTINGS, facts, finding};
use crate::database::{DAY, Database};
use crate::support::{Hello, Ran, copy, forge, have_program, have_targets, in_days};

/// A chart's template in which nothing is as it should be, each line with a comment behind it.
const TEMPLATE: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\nspec:\n  containers:\n    - name: x\n      image: {{ .Values.image }}\n      \
    securityContext:\n        privileged: true\n";

/// What Trivy obeys hides nothing from the gate, unless it says why and until when.
#[test]
fn a_comment_that_trivy_obeys_says_why_and_until_when() {
    if !have_targets() || !have_program("trivy", "trivy", &["--version"]) {
        return;
    }
    let good = &Hello::new();
    good.write("xtask/image.toml", &format!("platforms = ['linux/amd64']\n{SETTINGS}"));
    good.write("xtask/advisories.jsonl", &facts());
    good.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    let Some(database) = Database::new(good) else { return };
    database.make(DAY);
    let trivy = &|hello: &Hello, args: &[&str]| database.scan(hello, args);
    let id = "DS-0029";
    let dockerfile = |comment: &str| {
        good.write("Dockerfile", &format!("FROM x:1\nUSER 1\n{comment}\nRUN apt-get install -y x\n"));
    };
    let fails = |report: &Value| finding(report, id).is_some_and(|one| one["fails"] == true);
    dockerfile("# none");
    assert!(fails(&trivy(good, &["--json"]).code(3).json()));
    let (later, today) = (in_days(30), in_days(0));
    for (comment, silences, expected) in [
        (format!("# trivy:ignore:{id}"), true, "has no day on which it ends"),
        (format!("# tfsec:ignore:{id}:exp:{later}"), true, "does not say why"),
        (format!("# trivy:ignore:*:exp:{later} why"), true, "is not one id"),
        (format!("# trivy:ignore:{id}:exp:{} why", in_days(367)), true, "366 are the most"),
        // On its day Trivy does not obey any more.
        (format!("# trivy:ignore:{id}:exp:{today} why"), false, "this told Trivy to overlook"),
        (format!("# trivy:ignore:{id}:exp:2020-01-01 why"), false, "this told Trivy to overlook"),
    ] {
        dockerfile(&comment);
        let ran = trivy(good, &["--json"]).code(3).says("Dockerfile:3: ").says(expected);
        assert_eq!(!fails(&ran.json()), silences, "{comment}");
    }
    dockerfile(&format!("# trivy:ignore:{id}:exp:{later} the base has no other way"));
    let report = trivy(good, &["--json"]).code(0).json();
    let found = finding(&report, id).unwrap();
    assert_eq!(found["ignored"], format!("the base has no other way (until {later})"));
    assert_eq!((&found["place"], &found["fails"]), (&json!("Dockerfile:3"), &json!(false)));
    fs::remove_file(good.path().join("Dockerfile")).unwrap();
    chart(good, trivy);
    history(good, trivy);
}

/// In a chart of Helm Trivy obeys them, in a file for Kubernetes it does not.
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
    let ran = trivy(good, &["--json"]).code(3).says("deploy/chart/templates/pod.yaml:1: this tells Trivy");
    assert_eq!(of_chart(&ran.json()), 0, "it does silence");
    fs::remove_dir_all(good.path().join("deploy/chart")).unwrap();
    good.write("deploy/pod.yaml", &commented.replace("{{ .Values.image }}", "x:1"));
    let ran = trivy(good, &["--json"])
        .code(3)
        .says("deploy/pod.yaml:1: in files for Kubernetes Trivy obeys no comment");
    assert!(of_chart(&ran.json()) > 5);
    fs::remove_dir_all(good.path().join("deploy")).unwrap();
}

/// What an image's steps say for themselves.
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
}
