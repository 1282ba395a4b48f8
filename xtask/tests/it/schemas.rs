//! Documents for other programs, validated with the official schemas of their formats: SARIF 2.1.0,
//! CycloneDX 1.6, SPDX 2.3.

use crate::support;

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use support::{Hello, Ran, forge, have_targets, installed};

/// Validates the files that it is given: each with the validator of its format, all by its authors or, for
/// SARIF, by the schema that Microsoft ships.
const VALIDATE: &str = r"
import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema import validators
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
schema = json.load(open(sys.argv[1]))
wrong = 0
for path in sys.argv[2:]:
    text = open(path).read()
    if path.endswith('.cdx.json'):
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        errors = [] if error is None else [error]
    elif path.endswith('.spdx.json'):
        errors = [one.validation_message for one in validate_full_spdx_document(parse_file(path))]
    else:
        validator = validators.validator_for(schema)(schema)
        errors = [f'{list(one.path)}: {one.message}' for one in validator.iter_errors(json.loads(text))]
    for error in errors:
        wrong += 1
        print(path, error)
sys.exit(1 if wrong else 0)
";

/// Python with the validators, and the schema of SARIF.
const INSTALL: &str = "python3 -m venv .
bin/pip install --quiet --disable-pip-version-check 'cyclonedx-python-lib[json-validation]==11.6.0' \
  'spdx-tools==0.8.3' jsonschema
npm pack --silent @microsoft/jest-sarif@1.0.0-beta.0
tar xzf microsoft-jest-sarif-1.0.0-beta.0.tgz";

#[test]
fn documents_are_valid() {
    if !have_targets() {
        return;
    }
    let Some(dir) = installed("schemas", INSTALL) else { return };
    let (python, schema) = (dir.join("bin/python"), dir.join("package/lib/schemas/sarif-2.1.0-rtm.5.json"));
    let hello = Hello::new();
    hello.write("xtask/image.toml", "package = 'hello'\n");
    hello.write("xtask/advisories.jsonl", &support::one_fact());
    hello.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    // Somebody else's, who does not keep to what is usual.
    let foreign = hello.path().join("target/foreign");
    support::copy(&hello.layout(), &foreign);
    forge::configs(&foreign, |config| {
        config["created"] = json!("yesterday");
        config["config"]["Labels"] =
            json!({ "org.opencontainers.image.title": "A <b>name</b>/with ünusual|parts" });
        config["config"]["Env"] = json!(["<b>_TOKEN=y"]);
    });
    let mut files = Vec::new();
    for image in ["target/image", "target/foreign"] {
        for format in ["cyclonedx", "spdx"] {
            let out = format!("bills/{image}");
            let args = ["sbom", "--json", "--format", format, "--image", image, "--output", &out];
            let report = hello.run(&args).code(0).json();
            let paths = report["documents"].as_array().unwrap().iter();
            files.extend(paths.map(|one| one["path"].as_str().unwrap().to_owned()));
        }
        let sarif = format!("{}.sarif", image.replace('/', "-"));
        let mut command = hello.command();
        command.args(["scan", "--engine", "builtin", "--image", image]);
        Ran::of(command.args(["--format", "sarif", "--output", &sarif])).code(3);
        files.push(sarif);
    }
    // One with a program in no package.
    let settings =
        format!("package = 'hello'\nplatforms = ['linux/amd64']\n{}", forge::unlisted(&hello, "/opt/x"));
    let day = support::in_days(9);
    let entry = format!("[[scan.unlisted]]\npath = '/opt/x'\nreason = 'a test'\nexpires = '{day}'\n");
    hello.write("xtask/image.toml", &format!("{settings}{entry}"));
    hello.run(&["image", "--engine", "native"]).code(0);
    for (format, ending) in [("cyclonedx", "cdx"), ("spdx", "spdx")] {
        hello.run(&["sbom", "--format", format, "--output", "bills/unlisted"]).code(0);
        files.push(format!("bills/unlisted/hello-linux-amd64.{ending}.json"));
    }
    assert_eq!(files.len(), 12, "{files:?}");
    let bill = fs::read_to_string(hello.path().join(&files[5])).unwrap();
    let bill: Value = serde_json::from_str(&bill).unwrap();
    assert_eq!(bill["metadata"]["timestamp"], "1970-01-01T00:00:00Z");
    assert_eq!(bill["metadata"]["component"]["name"], "A <b>name</b>/with ünusual|parts");
    assert!(!bill["metadata"]["component"]["purl"].as_str().unwrap().contains("repository_url"), "{bill:#}");
    let mut command = Command::new(python);
    command.args(["-c", VALIDATE]).arg(schema).args(&files).current_dir(hello.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
