//! The keys of `xtask/image.toml` for docs/settings-image.md, and the test that compares them with the reader.
//!
//! `UPDATE_EXPECT=1` writes the page. The test reads each key in an example, sets each default and expects no difference,
//! and fails for a key of the reader that has no row here.

use std::collections::BTreeSet;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::reader::{self, SEEN};
use super::sections::Settings;

/// A table of the settings.
struct Section {
    /// Its head in TOML; empty for the root.
    head: &'static str,
    rows: &'static [Row],
}

/// A key.
#[derive(Clone, Copy)]
struct Row {
    key: &'static str,
    /// A value, in TOML.
    example: &'static str,
    default: Unset,
    /// Its meaning in one line.
    about: &'static str,
    /// The lines that it needs beside it; otherwise the required keys of its table.
    with: &'static str,
}

/// The value of a key that is not set.
#[derive(Clone, Copy)]
enum Unset {
    /// There is none.
    Required,
    /// This value, in TOML.
    Value(&'static str),
    /// The default in words.
    Words(&'static str),
}

use Unset::{Required, Value, Words};

const fn row(key: &'static str, example: &'static str, default: Unset, about: &'static str) -> Row {
    Row { key, example, default, about, with: "" }
}

impl Row {
    const fn with(self, with: &'static str) -> Self {
        Self { with, ..self }
    }
}

const SIGNED: &str = "name = 'a'\nsigned = true\nidentity = 'x'\n";
const REASON: &str = "Why it is allowed";
const EXPIRES: &str = "Its last day, at most 366 days from now";

const SECTIONS: &[Section] = &[
    Section {
        head: "",
        rows: &[
            row("package", "\"app\"", Required, "The cargo package whose binary goes into the image"),
            row("binary", "\"app\"", Words("the only binary, or `default-run`"), "Its binary"),
            row("repository", "\"ghcr.io/example/app\"", Words("none"), "The image's name in a registry"),
            row(
                "platforms",
                "[\"linux/amd64\"]",
                Value("[\"linux/amd64\", \"linux/arm64\"]"),
                "The platforms of `--platform all`",
            ),
            row(
                "base",
                "\"python:3.11-slim\"",
                Value("\"scratch\""),
                "The base image: `scratch`, a reference, or the folder of a layout such as `./base`",
            ),
            row(
                "labels",
                "{ \"org.opencontainers.image.vendor\" = \"Example\" }",
                Value("{}"),
                "Labels and annotations, which override the derived ones",
            ),
            row(
                "latest",
                "true",
                Value("\"auto\""),
                "Whether the tag `latest` is added; `auto` leaves it to the rules ([tags.md](tags.md))",
            ),
            row(
                "tag-prefix",
                "\"app-\"",
                Value("\"\""),
                "What is before the version in git's tags: `app-` of `app-v1.2.3`",
            ),
        ],
    },
    Section {
        head: "[container]",
        rows: &[
            row("path", "\"/usr/bin/app\"", Words("`/usr/bin/BINARY`"), "The binary's path in the image"),
            row("user", "\"1000:1000\"", Value("\"65532:65532\""), "User and group"),
            row(
                "entrypoint",
                "[\"/usr/bin/app\", \"run\"]",
                Words("the binary"),
                "The program and its fixed arguments",
            ),
            row("cmd", "[\"--verbose\"]", Value("[]"), "Default arguments, which `docker run` can replace"),
            row("expose", "[\"8080/tcp\"]", Value("[]"), "Ports"),
            row(
                "env",
                "{ NAME = \"value\" }",
                Value("{}"),
                "Environment variables, added to those of the base image",
            ),
            row("workdir", "\"/srv\"", Words("that of the base image, or `/`"), "The working folder"),
            row(
                "stop-signal",
                "\"SIGINT\"",
                Words("that of the base image, or SIGTERM"),
                "The signal that stops the container: a name or a number",
            ),
            row("volumes", "[\"/data\"]", Value("[]"), "Folders whose content outlives the container"),
            row(
                "ca-certificates",
                "true",
                Value("false"),
                "Whether the image has /etc/ssl/certs/ca-certificates.crt: the authorities that Mozilla trusts",
            ),
            row(
                "time-zones",
                "true",
                Value("false"),
                "Whether the image has /usr/share/zoneinfo, the time zone database of IANA",
            ),
            row(
                "tmp",
                "true",
                Value("false"),
                "Whether the image has /tmp, which every user may write; with `base = \"scratch\"` only",
            ),
        ],
    },
    Section {
        head: "[container.healthcheck]",
        rows: &[
            row(
                "command",
                "[\"/usr/bin/app\", \"health\"]",
                Required,
                "The check that Docker runs; Kubernetes has probes",
            ),
            row("interval", "30", Value("10"), "Seconds between two checks"),
            row("timeout", "5", Value("3"), "Seconds until a check fails"),
            row("retries", "5", Value("3"), "Failures in a row until the container is unhealthy"),
        ],
    },
    Section {
        head: "[[files]]",
        rows: &[
            row("source", "\"LICENSE-MIT\"", Required, "A file or folder of the workspace"),
            row("target", "\"/usr/share/doc/app/LICENSE-MIT\"", Required, "Its path in the image"),
            row("mode", "\"0644\"", Words("0755 if it is executable, else 0644"), "Permission bits"),
        ],
    },
    Section {
        head: "[budgets]",
        rows: &[
            row(
                "compressed",
                "\"8 MB\"",
                Words("no limit"),
                "The size of each platform: layers and configuration. Exceeded: exit code 3 after the report",
            ),
            row("seconds", "300", Words("no limit"), "The time until a platform's binary is built"),
            row(
                "slow",
                "\"fail\"",
                Value("\"warn\""),
                "Whether exceeded seconds are a warning, or exit code 3",
            ),
        ],
    },
    Section {
        head: "[build]",
        rows: &[
            row("features", "[\"postgres\"]", Value("[]"), "Features of the package"),
            row("default-features", "false", Value("true"), "Whether its default features are enabled"),
            row("all-features", "true", Value("false"), "Whether all features are enabled"),
            row("profile", "\"dist\"", Value("\"release\""), "A profile of Cargo.toml"),
            row(
                "c",
                "\"zig\"",
                Value("\"refuse\""),
                "What compiles C code of crates: nothing (`refuse`), `zig`, or the Dockerfile (`docker`)",
            ),
            row("allow-c", "[\"NAME\"]", Value("[]"), "Crates that are not checked for C code"),
        ],
    },
    Section {
        head: "[buildx]",
        rows: &[
            row("dockerfile", "\"deploy/Dockerfile\"", Value("\"Dockerfile\""), "The Dockerfile"),
            row("builder", "\"kubernetes\"", Words("the current one"), "The builder of `docker buildx ls`"),
            row(
                "network",
                "\"host\"",
                Words("the builder's"),
                "The network of RUN steps: `default`, `none` or `host`",
            ),
            row(
                "contexts",
                "{ \"rust:1.95-slim-bookworm\" = \"docker-image://mirror.lan/rust:1.95\" }",
                Value("{}"),
                "What replaces images or folders of the Dockerfile",
            ),
            row(
                "secrets",
                "[\"id=ca,src=/etc/ssl/company.pem\"]",
                Value("[]"),
                "Secrets that RUN steps can mount, by file or variable, never by value",
            ),
            row("cache-from", "[\"type=gha\"]", Value("[]"), "`--cache-from` of docker buildx"),
            row("cache-to", "[\"type=gha,mode=max\"]", Value("[]"), "`--cache-to` of docker buildx"),
        ],
    },
    Section {
        head: "[scan]",
        rows: &[
            row("severity", "[\"critical\"]", Value("[\"critical\", \"high\"]"), "The severities that fail"),
            row("unknown", "\"warn\"", Value("\"fail\""), "Whether a vulnerability without a rating fails"),
            row(
                "max-age",
                "30",
                Words("180 for the builtin engine, 30 for Trivy"),
                "The greatest age of advisories, in days",
            ),
            row(
                "min-advisories",
                "1000",
                Value("500"),
                "The fewest advisories that the builtin engine needs",
            ),
            row("require-trivy", "true", Words("`true` in CI"), "Whether Trivy is required"),
            row("yanked", "true", Words("`true` in CI"), "Whether yanked versions are looked up"),
            row(
                "index",
                "\"https://mirror.lan/index\"",
                Value("\"https://index.crates.io\""),
                "The index of crates, with the sparse protocol",
            ),
            row(
                "databases",
                "[\"mirror.lan/trivy-db:2\"]",
                Words("Trivy's own"),
                "The sources of Trivy's database, in order",
            ),
            row("cache", "\"/var/cache/trivy\"", Words("Trivy's own"), "The folder of Trivy's database"),
            row("vex", "[\"vex.json\"]", Value("[]"), "VEX documents"),
            row(
                "deploy",
                "[\"deploy\"]",
                Words("`deploy`, if it exists"),
                "Files for deployment that Trivy checks",
            ),
            row(
                "ignore-unfixed",
                "true",
                Value("false"),
                "Whether Trivy leaves out vulnerabilities without a fixed version",
            ),
            row("licences", "[\"MIT\"]", Words("all"), "The allowed licences of linked crates"),
        ],
    },
    Section {
        head: "[scan.trivy]",
        rows: &[
            row("version", "\"0.74.0\"", Required, "The Trivy to download where none is on PATH"),
            row(
                "url",
                "\"https://mirror.lan/{version}/trivy-{machine}.tar.gz\"",
                Words("the official releases"),
                "Its archives; also with `{archive}`, such as `Linux-64bit`",
            ),
            row(
                "sha256",
                "{ linux-x86_64 = \"0000000000000000000000000000000000000000000000000000000000000000\" }",
                Words("those of the tested version"),
                "The digests of the archives",
            ),
            row(
                "image",
                "\"mirror.lan/trivy@sha256:0000000000000000000000000000000000000000000000000000000000000000\"",
                Words("none"),
                "Its image, where nothing can be downloaded",
            ),
        ],
    },
    Section {
        head: "[[scan.ignore]]",
        rows: &[
            row("id", "\"RUSTSEC-2026-0001\"", Required, "The finding that is allowed"),
            row("reason", "\"the function is not called\"", Required, REASON),
            row("expires", "\"2026-12-31\"", Required, EXPIRES),
            row(
                "subject",
                "\"openssl\"",
                Words("any"),
                "The crate, path or setting; required for ids `XT-…`",
            ),
        ],
    },
    Section {
        head: "[[scan.unlisted]]",
        rows: &[
            row("path", "\"/usr/bin/tool\"", Required, "A program without a list of crates that is allowed"),
            row("reason", "\"the vendor's binary\"", Required, REASON),
            row("expires", "\"2026-12-31\"", Required, EXPIRES),
        ],
    },
    Section {
        head: "[sign]",
        rows: &[
            row(
                "trusted-root",
                "\"sigstore/root.json\"",
                Words("`COSIGN_TRUSTED_ROOT`, or the public Sigstore"),
                "What keyless signatures are verified with",
            ),
            row(
                "signing-config",
                "\"sigstore/signing.json\"",
                Words("`COSIGN_SIGNING_CONFIG`, or the public Sigstore"),
                "The services that make keyless signatures",
            ),
        ],
    },
    Section {
        head: "[flavor]",
        rows: &[
            row("latest", "\"false\"", Value("\"auto\""), "As `latest` in the root"),
            row("prefix", "\"app-\"", Value("\"\""), "What is before each tag"),
            row("suffix", "\"-slim\"", Value("\"\""), "What is behind each tag"),
            row("onlatest", "true", Value("false"), "Whether `latest` has them too")
                .with("prefix = \"app-\"\n"),
        ],
    },
    Section {
        head: "[[tags]]",
        rows: &[
            row(
                "type",
                "\"sha\"",
                Required,
                "`semver`, `ref`, `edge`, `sha`, `schedule` or `raw` ([tags.md](tags.md))",
            ),
            row(
                "pattern",
                "\"{{major}}.{{minor}}\"",
                Words("required for `semver`; `nightly` for `schedule`"),
                "The template of the tag",
            )
            .with("type = \"semver\"\n"),
            row(
                "value",
                "\"v1.2.3\"",
                Words("required for `raw`; git's tag for `semver`"),
                "The template of the tag, or the version",
            )
            .with("type = \"semver\"\npattern = \"{{version}}\"\n"),
            row("event", "\"branch\"", Words("required for `ref`"), "`branch`, `tag` or `pr`")
                .with("type = \"ref\"\n"),
            row("branch", "\"main\"", Words("the default branch"), "The branch of `edge`")
                .with("type = \"edge\"\n"),
            row("long", "true", Value("false"), "Whether `sha` has all digits"),
            row("format", "\"long\"", Value("\"short\""), "The same as in docker/metadata-action"),
            row("prefix", "\"v\"", Words("by type"), "What is before the tag"),
            row("suffix", "\"-slim\"", Words("none"), "What is behind the tag"),
            row("priority", "300", Words("by type"), "The highest gives the version of outputs"),
            row("enable", "\"{{is_default_branch}}\"", Words("always"), "When the rule applies"),
            row("events", "[\"push\"]", Value("[]"), "The events in which it applies; none means all"),
        ],
    },
    Section {
        head: "[[environments]]",
        rows: &[
            row(
                "name",
                "\"staging\"",
                Required,
                "The name for `--to` and `--from` ([promote.md](promote.md))",
            ),
            row("repository", "\"ghcr.io/example/staging\"", Words("the image's"), "Its own repository"),
            row("tag", "\"stage\"", Words("the name"), "The tag of the deployed image"),
            row("after", "\"staging\"", Words("none"), "The environment that an image must be in first")
                .with("name = \"a\"\n[[environments]]\nname = \"staging\"\n[[environments]]\nname = \"b\"\n"),
            row("signed", "true", Value("false"), "Whether a signature is required")
                .with("name = 'a'\nkey = 'cosign.pub'\n"),
            row(
                "key",
                "\"cosign.pub\"",
                Words("none"),
                "The public key of the signature: a file or a KMS URI",
            )
            .with("name = 'a'\nsigned = true\n"),
            row(
                "identity",
                "\"^https://github\\\\.com/o/app/\"",
                Words("none"),
                "The workflow of the signature, as a regular expression for its URL",
            )
            .with("name = 'a'\nsigned = true\n"),
            row("issuer", "\"https://gitlab.com\"", Words("GitHub's"), "The issuer of the workflow's tokens")
                .with(SIGNED),
            row(
                "scanned-within-days",
                "30",
                Words("no scan is required"),
                "The most days since the last scan",
            ),
        ],
    },
    Section {
        head: "[[commands]]",
        rows: &[
            row("name", "\"bench app\"", Required, "One word, or two below another command of `cargo xtask`"),
            row("package", "\"app-lab\"", Required, "The package: `cargo run --release --package app-lab`"),
            row("about", "\"The service beside nginx\"", Value("\"\""), "Its description in the help"),
            row("arguments", "[\"bench\"]", Value("[]"), "Arguments before those of the command line"),
        ],
    },
];

/// A file with a key of a section, or without it.
fn file(section: &Section, row: &Row, value: Option<&str>) -> String {
    let line = |row: &Row, value: &str| format!("{} = {value}\n", row.key);
    let is_required = |row: &&Row| matches!(row.default, Required);
    let mut others = section.rows.iter().filter(is_required).filter(|other| other.key != row.key);
    let others: String = match row.with {
        "" => others.by_ref().map(|other| line(other, other.example)).collect(),
        with => with.to_owned(),
    };
    let own = value.map(|value| line(row, value)).unwrap_or_default();
    let root = if section.head.is_empty() { "" } else { "package = \"app\"\n" };
    format!("{root}{}\n{others}{own}", section.head)
}

fn read(text: &str) -> Settings {
    let settings = reader::read::<Settings>(Path::new("image.toml"), text);
    settings.unwrap_or_else(|errors| panic!("{}\n{text}", cli_support::error::render(&errors.into())))
}

/// The kind of a value.
fn kind(value: &str) -> &'static str {
    let text = format!("x = {value}");
    let table = DeTable::parse(&text).expect("TOML");
    match table.get_ref()["x"].get_ref() {
        DeValue::String(_) => "string",
        DeValue::Boolean(_) => "true or false",
        DeValue::Integer(_) => "number",
        DeValue::Array(_) => "list",
        _ => "table",
    }
}

fn page() -> String {
    let mut page = String::new();
    for section in SECTIONS {
        if !section.head.is_empty() {
            page.push_str(&format!("\n## `{}`\n", section.head));
        }
        page.push_str("\n| key | kind | default | meaning | example |\n|---|---|---|---|---|\n");
        for row in section.rows {
            let default = match &row.default {
                Required => "required".to_owned(),
                Value(value) => format!("`{value}`"),
                Words(words) => (*words).to_owned(),
            };
            let (key, kind, about, example) = (row.key, kind(row.example), row.about, row.example);
            page.push_str(&format!("| `{key}` | {kind} | {default} | {about} | `{example}` |\n"));
        }
    }
    page
}

#[test]
fn the_rows_are_the_keys_of_the_reader() {
    SEEN.with(|seen| seen.borrow_mut().clear());
    for section in SECTIONS {
        for row in section.rows {
            let without = file(section, row, None);
            read(&file(section, row, Some(row.example)));
            let other = reader::read::<Settings>(Path::new("x"), &without).map(|other| format!("{other:?}"));
            let same = |value: &str| {
                let with = read(&file(section, row, Some(value)));
                other.as_ref().is_ok_and(|other| *other == format!("{with:?}"))
            };
            // A default needs no other keys.
            let plain = Row { with: "", ..*row };
            let is_default = |value: &str| {
                let texts =
                    [Some(value), None].map(|value| format!("{:?}", read(&file(section, &plain, value))));
                texts[0] == texts[1]
            };
            match row.default {
                Required => {
                    let error = reader::read::<Settings>(Path::new("x"), &without).expect_err(row.key);
                    let error = cli_support::error::render(&error.into());
                    assert!(error.contains(&format!("the key '{}' is missing", row.key)), "{error}");
                }
                Value(value) => assert!(is_default(value), "{} {}: not the default", section.head, row.key),
                Words(_) => {}
            }
            assert!(matches!(row.default, Required) || !same(row.example), "{}: no effect", row.key);
        }
    }
    let sections =
        ["container", "healthcheck", "files", "budgets", "build", "buildx", "scan", "trivy", "ignore"];
    let sections =
        [&sections[..], &["unlisted", "sign", "flavor", "tags", "environments", "commands"]].concat();
    let known = |section: &Section| {
        let keys = section.rows.iter().map(|row| row.key);
        keys.chain(sections.iter().copied()).collect::<BTreeSet<_>>()
    };
    let known: Vec<_> = SECTIONS.iter().map(known).collect();
    SEEN.with(|seen| {
        for keys in seen.borrow().iter() {
            let documented = known.iter().any(|known| keys.iter().all(|key| known.contains(key)));
            assert!(documented, "no section of this file has all of {keys:?}");
        }
    });
}

#[test]
fn the_page_has_the_rows() {
    const MARKS: (&str, &str) = ("<!-- keys -->\n", "\n<!-- /keys -->");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/settings-image.md");
    // A workspace that has copied the folder has no such page.
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    let (before, rest) = text.split_once(MARKS.0).expect("the mark");
    let (_, after) = rest.split_once(MARKS.1).expect("the mark");
    let expected = format!("{before}{}{}{}{after}", MARKS.0, page(), MARKS.1);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &expected).expect("written");
    } else {
        assert!(text == expected, "UPDATE_EXPECT=1 writes docs/settings-image.md");
    }
}
