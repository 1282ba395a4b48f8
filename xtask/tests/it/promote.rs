//! An image after it is published: signed, verified, promoted, rolled back, pruned.

use crate::support;

use serde_json::{Value, json};

use support::Ran;
use support::fault_proxy::{Fault, FaultProxy, Guard};
use support::live::Live;
use support::published::{Workshop, check, get, put, signing, tagged};

#[test]
fn a_signed_image_is_verified_and_each_check_can_fail() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let workshop = Workshop::new(3);
    let sbom = json!({ "bomFormat": "CycloneDX", "specVersion": "1.6", "of": workshop.digest });
    workshop.hello.write("target/sbom/hello-linux-amd64.cdx.json", &sbom.to_string());
    workshop.hello.write("target/sbom/older.cdx.json", r#"{"bomFormat":"of another image"}"#);
    let repository = format!("{}/owner/app", proxy.registry());
    let image = format!("{repository}:1.0.0");
    let signs = workshop.key_pair();
    let mut publish = workshop.command(&["publish", "--json", "--repository", &repository, "--tag", "1.0.0"]);
    if signs {
        publish = signing(publish);
    }
    let ran = Ran::of(&mut publish).code(0);
    assert!(!format!("{ran:?}").contains("hunter2"));
    let with_key =
        ["verify", "--json", "--require-sbom", "--scanned-within", "36500", &image, "--key", "cosign.pub"];
    let args = if signs { &with_key[..] } else { &with_key[..6] };
    let report = workshop.run(args).code(0).json();
    assert_eq!(report["digest"], workshop.digest);
    for name in ["complete", "provenance", "scan", "sbom"] {
        assert_eq!(check(&report, name).0, "ok", "{report}");
    }
    if signs {
        assert_eq!(check(&report, "signature").0, "ok");
        let again = Ran::of(&mut publish).code(0).json();
        for name in ["sign", "attest"] {
            let step = again["steps"].as_array().unwrap().iter().find(|step| step["name"] == name).unwrap();
            assert_eq!(step["outcome"], "already signed with this key", "{name}");
        }
        assert_eq!(again["bytes_sent"], 0);
        // Another key has not signed it.
        std::fs::remove_file(workshop.hello.path().join("cosign.key")).unwrap();
        std::fs::remove_file(workshop.hello.path().join("cosign.pub")).unwrap();
        assert!(workshop.key_pair());
        let report = workshop.run(args).code(3).json();
        assert_eq!(check(&report, "signature").0, "failed", "{report}");
        assert!(check(&report, "provenance").1.contains("does not have the required signature"), "{report}");
    }
    let args = ["verify", "--json", &image];
    let failed = |more: &[&str], name: &str, words: &str| {
        let report = workshop.run(&[&args[..], more].concat()).code(3).json();
        let (state, detail) = check(&report, name);
        assert!(state == "failed" && detail.contains(words), "{detail}");
    };
    failed(&["--scanned-within", "1"], "scan", "days old");
    failed(&["--builder", "https://github.com/"], "provenance", "is required");
    for _ in 0..2 {
        proxy.on("GET", "/blobs/", 2, Fault::Corrupt(3));
    }
    failed(&[], "complete", "sends other bytes");
    proxy.on("GET", "/blobs/", 99, Fault::Answer(404, Vec::new(), ""));
    failed(&["--require-sbom"], "sbom", "no such image");
}

#[test]
fn missing_and_wrong_documents_of_an_image_are_reported() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let workshop = Workshop::new(3);
    let repository = format!("{registry}/owner/app");
    workshop.publish(&repository, &["1.0.0"]).code(0);
    let list = format!("/v2/owner/app/manifests/sha256-{}", &workshop.digest[7..]);
    let (_, all) = get(&registry, &list);
    let mut all: Value = serde_json::from_slice(&all).unwrap();
    let entries = all["manifests"].as_array().unwrap().clone();
    let image = format!("{repository}:1.0.0");
    let verify = || workshop.run(&["verify", "--json", &image]).code(3).json();
    // Documents of another image under this one's name.
    let other = Workshop::new(4);
    other.publish(&repository, &["1.0.1"]).code(0);
    let (_, theirs) = get(&registry, &format!("/v2/owner/app/manifests/sha256-{}", &other.digest[7..]));
    put(&registry, &list, "application/vnd.oci.image.index.v1+json", &theirs);
    let report = verify();
    assert!(check(&report, "provenance").1.contains("another image"), "{report}");
    assert!(check(&report, "scan").1.contains("another image"), "{report}");
    all["manifests"] = json!(entries[..1]);
    put(&registry, &list, "application/vnd.oci.image.index.v1+json", all.to_string().as_bytes());
    assert_eq!(check(&verify(), "scan"), ("failed", "there is none"));
}

#[test]
fn a_token_that_was_handed_in_serves_cosign_too_and_shows_nowhere() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    // All processes are looked at, and there may be others' tests among them.
    let word = unique();
    proxy.guard(Guard { word: word.clone(), open: false, ..Guard::default() });
    let workshop = Workshop::new(3);
    let of_key = format!("{word}-key");
    if !workshop.key_pair_with(&of_key) {
        return;
    }
    let repository = format!("{}/user/image", proxy.registry());
    let args = [
        "publish",
        "--repository",
        &repository,
        "--tag",
        "1.0.0",
        "--sign",
        "key",
        "--token-stdin",
        "--user",
        "user",
    ];
    for wrong in [false, true] {
        let mut run = workshop.command(&args);
        run.env("COSIGN_KEY", "cosign.key").env("COSIGN_PASSWORD", &of_key);
        run.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = run.stderr(std::process::Stdio::piped()).spawn().unwrap();
        let token = format!("{word}-{}", if wrong { "wrong" } else { "password" });
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), token.as_bytes()).unwrap();
        // All arguments of all processes while it runs: cosign is one of them.
        let mut seen = String::new();
        while child.try_wait().unwrap().is_none() {
            seen += &arguments();
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let ran = Ran::from_output(child.wait_with_output().unwrap());
        assert!(!seen.contains(&word), "in the process list");
        assert!(!format!("{ran:?}").contains(&word), "{ran:?}");
        if wrong {
            ran.code(1).says("step 'rights'");
        } else {
            ran.code(0).says("with cosign.key");
        }
        let plan = workshop.run(&[&args[..], &["--dry-run", "--json"]].concat());
        assert!(!format!("{plan:?}").contains(&word));
        search(&workshop.hello.path().join("target"), &word);
    }
}

/// The arguments of all processes; nothing where this system has no such list.
fn arguments() -> String {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned() + "\n").collect()
}

/// A secret that no other run of a test has.
fn unique() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("hunter2-{}-{}", std::process::id(), now.as_nanos())
}

fn search(dir: &std::path::Path, word: &str) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() {
            search(&entry.path(), word);
        } else {
            let bytes = std::fs::read(entry.path()).unwrap();
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "a token in {}", entry.path().display());
        }
    }
}

fn settings(registry: &str) -> String {
    format!(
        "package = \"hello\"\nrepository = \"{registry}/owner/app\"\n\
         [[environments]]\nname = \"staging\"\n\
         [[environments]]\nname = \"production\"\nafter = \"staging\"\nrepository = \"{registry}/prod/app\"\ntag = \"live\"\n"
    )
}

#[test]
fn promotion_keeps_the_bytes_and_its_record_and_rolls_back() {
    let with_api = support::go_program("referrers-registry").and_then(|path| Live::of_program(&path));
    for live in [Live::docker(), Live::crane(), with_api].into_iter().flatten() {
        let registry = live.registry();
        let mut workshop = Workshop::new(1);
        workshop.hello.write("xtask/image.toml", &settings(&registry));
        let repository = format!("{registry}/owner/app");
        let first = workshop.digest.clone();
        workshop.publish(&repository, &["1.0.0"]).code(0);
        workshop.image(2, 1000);
        let second = workshop.digest.clone();
        workshop.publish(&repository, &["1.1.0"]).code(0);
        workshop.run(&["promote", "1.0.0", "--to", "prod"]).code(2).says("environments: staging, production");
        workshop.run(&["promote", "1.0.0", "--to", "production"]).code(3).says("never been in staging");
        workshop.run(&["promote", "1.0.0", "--to", "staging", "--dry-run"]).code(0).says("owner/app:staging");
        workshop.run(&["promote", "--to=staging", "--", "--help"]).code(2).says("'--help' is not a tag");
        assert_eq!(tagged(&registry, "owner/app", "staging"), None);
        let report = workshop.run(&["promote", "1.0.0", "--to", "staging", "--json"]).code(0).json();
        assert_eq!((&report["digest"], &report["previous"]), (&json!(first), &Value::Null));
        let overlay =
            |digest: &str| format!("images:\n  - newName: {registry}/prod/app\n    digest: {digest}\n");
        let written = ["promote", "--from", "staging", "--to", "production", "--write", "overlay"];
        workshop.run(&written).code(2).says("the overlay cannot be read");
        workshop.hello.write("overlay/kustomization.yaml", "images: []\n");
        workshop.run(&written).code(2).says("no image has newName");
        workshop.hello.write("overlay/kustomization.yaml", &overlay("sha256:0"));
        workshop.run(&written).code(0).says("in place of sha256:0");
        let text = std::fs::read_to_string(workshop.hello.path().join("overlay/kustomization.yaml")).unwrap();
        assert_eq!(text, overlay(&first));
        assert_eq!(tagged(&registry, "prod/app", "live").as_ref(), Some(&first));
        workshop
            .run(&["promote", "1.1.0", "--from", "staging", "--to", "production"])
            .code(3)
            .says("staging has another image");
        workshop.run(&["promote", &second, "--to", "staging"]).code(0);
        workshop.run(&["promote", "--from", "staging", "--to", "production"]).code(0);
        let rows = workshop.run(&["environments", "--json"]).code(0).json();
        assert_eq!(rows["environments"][1]["digest"], second.as_str());
        assert_eq!(rows["environments"][1]["previous"], first.as_str());
        assert!(rows["environments"][0]["since"].is_string(), "{rows}");
        // All that was said of it went along.
        let image = format!("{registry}/prod/app:live");
        let report = workshop.run(&["verify", "--json", &image]).code(0).json();
        assert_eq!(check(&report, "provenance").0, "ok");
        let report = workshop.run(&["promote", &first, "--to", "production", "--json"]).code(0).json();
        assert_eq!(report["previous"], second.as_str());
        assert_eq!(tagged(&registry, "prod/app", "live").as_ref(), Some(&first));
        workshop.run(&["promote", &first, "--to", "production"]).code(0).says("the tag already names it");
    }
}

#[test]
fn required_signatures_are_copied_and_verified_on_both_sides() {
    for live in [Live::docker(), Live::crane()].into_iter().flatten() {
        let registry = live.registry();
        let mut workshop = Workshop::new(1);
        let text = format!(
            "package = \"hello\"\nrepository = \"{registry}/owner/app\"\n[[environments]]\nname = \"production\"\n\
             repository = \"{registry}/prod/app\"\nsigned = true\nkey = \"cosign.pub\"\n"
        );
        workshop.hello.write("xtask/image.toml", &text);
        if !workshop.key_pair() {
            return;
        }
        let repository = format!("{registry}/owner/app");
        workshop.publish(&repository, &["1.0.0"]).code(0);
        workshop.run(&["promote", "1.0.0", "--to", "production"]).code(3).says("production requires more: ");
        assert_eq!(tagged(&registry, "prod/app", "production"), None);
        workshop.image(2, 1000);
        let args = ["publish", "--repository", &repository, "--tag", "1.1.0"];
        Ran::of(&mut signing(workshop.command(&args))).code(0);
        workshop.run(&["promote", "1.1.0", "--to", "production"]).code(0).says("signature");
        let image = format!("{registry}/prod/app:production");
        let report = workshop.run(&["verify", "--json", &image, "--key", "cosign.pub"]).code(0).json();
        assert_eq!(check(&report, "signature").0, "ok", "{report}");
        // The key of the settings lies where the workspace begins, wherever somebody stands in it.
        let mut below = workshop.command(&["promote", "1.1.0", "--to", "production"]);
        Ran::of(below.current_dir(workshop.hello.path().join("xtask"))).code(0);
        std::fs::remove_file(workshop.hello.path().join("cosign.pub")).unwrap();
        workshop
            .run(&["promote", "1.1.0", "--to", "production"])
            .code(2)
            .says("xtask/image.toml: environment 'production': the public key is neither");
    }
}
