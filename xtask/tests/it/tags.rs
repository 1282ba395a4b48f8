//! Which tags publishing writes: versions by the rules of the settings, and none that belong to something else.

use crate::support;

use serde_json::{Value, json};

use support::Ran;
use support::fault_proxy::{Fault, FaultProxy};
use support::live::Live;
use support::published::{Workshop, get, put, states, tagged};

const APP: &str = "[[tags]]\ntype = \"semver\"\npattern = \"{{version}}\"\nprefix = \"app-\"\n\
                   [[tags]]\ntype = \"semver\"\npattern = \"{{major}}.{{minor}}\"\nsuffix = \"-slim\"\n\
                   [[tags]]\ntype = \"ref\"\nevent = \"branch\"\n";

/// A workshop with these settings behind the repository's line, its image of the commit that has them.
fn workshop(repository: &str, settings: &str) -> Workshop {
    let mut workshop = Workshop::new(1);
    let text = format!("package = \"hello\"\nrepository = \"{repository}\"\n{settings}");
    workshop.hello.write("xtask/image.toml", &text);
    workshop.hello.commit();
    workshop.image(1, 1000);
    workshop
}

/// A run of GitHub Actions for this ref.
fn on(workshop: &Workshop, reference: &str, args: &[&str]) -> Ran {
    let mut command = workshop.command(args);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_REF", reference);
    Ran::of(&mut command)
}

#[test]
fn an_environment_tag_is_refused_by_publish() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let (ours, theirs) = (format!("{registry}/owner/app"), format!("{registry}/owner/live"));
    let settings = format!(
        "[[tags]]\ntype = \"ref\"\nevent = \"branch\"\n[[environments]]\nname = \"production\"\n\
         [[environments]]\nname = \"live\"\nrepository = \"{theirs}\"\n"
    );
    let workshop = workshop(&ours, &settings);
    workshop
        .publish(&ours, &["production"])
        .code(2)
        .says("the tag of the environment production")
        .says("cargo xtask promote TAG --to production");
    workshop.publish(&theirs, &["live"]).code(2).says("the environment live");
    for args in [&["tags"][..], &["publish"]] {
        let ran = on(&workshop, "refs/heads/production", args).code(2);
        ran.says("ref branch gives the tag 'production'").says("cargo xtask promote");
    }
    assert_eq!(get(&registry, "/v2/owner/app/tags/list").0, 404, "nothing was sent");
    // In this repository nothing runs that is called so.
    workshop.publish(&ours, &["live"]).code(0);
    let raw = "package = \"hello\"\n[[tags]]\ntype = \"raw\"\nvalue = \"production\"\n\
               [[environments]]\nname = \"production\"\n";
    workshop.hello.write("xtask/image.toml", raw);
    workshop.run(&["tags"]).code(2).says("image.toml:2:1: raw production gives the tag 'production'");
}

#[test]
fn the_tag_rules_decide_which_tags_are_versions() {
    let Some(live) = Live::docker() else { return };
    let repository = format!("{}/owner/app", live.registry());
    let mut workshop = workshop(&repository, APP);
    workshop.publish(&repository, &["app-0.3.0"]).code(0);
    let first = workshop.digest.clone();
    workshop.image(2, 1000);
    workshop.publish(&repository, &["app-0.3.0"]).code(3).says("published with other bytes");
    for branch in ["app-0.3.0", "app-0.3", "1.0-slim", "1.2.3-slim"] {
        for args in [&["publish"][..], &["tags"]] {
            let ran = on(&workshop, &format!("refs/heads/{branch}"), args).code(2);
            ran.says(&format!("'{branch}', which is reserved for releases"));
        }
    }
    assert_eq!(tagged(&live.registry(), "owner/app", "app-0.3.0"), Some(first));
    let tags = on(&workshop, "refs/heads/app-main", &["publish", "--json"]).code(0).json();
    assert_eq!(states(&tags), [("app-main".to_owned(), "created".to_owned())]);
}

#[test]
fn publish_refuses_tags_reserved_for_referrers() {
    let Some(live) = Live::crane() else { return };
    let registry = live.registry();
    let repository = format!("{registry}/owner/app");
    let workshop = workshop(&repository, "[[tags]]\ntype = \"ref\"\nevent = \"branch\"\n");
    workshop.publish(&repository, &["1.0.0"]).code(0);
    let list = format!("sha256-{}", &workshop.digest[7..]);
    let before = tagged(&registry, "owner/app", &list);
    for tag in [&list, &format!("{list}.sig"), "xtask-prune"] {
        workshop.publish(&repository, &[tag]).code(2).says("is reserved for");
        for args in [&["publish"][..], &["tags"]] {
            on(&workshop, &format!("refs/heads/{tag}"), args).code(2).says("is reserved for");
        }
    }
    assert_eq!(tagged(&registry, "owner/app", &list), before);
    // Where an image has that tag already, nothing takes it away.
    let (_, index) = get(&registry, "/v2/owner/app/manifests/1.0.0");
    let path = format!("/v2/owner/app/manifests/{list}");
    let other: Value = serde_json::from_slice(&index).unwrap();
    let other =
        json!({ "schemaVersion": 2, "mediaType": other["mediaType"], "manifests": other["manifests"] });
    put(&registry, &path, support::published::INDEX, other.to_string().as_bytes());
    workshop.publish(&repository, &["1.0.0"]).code(0).says("the registry takes no referrers");
    let required = ["publish", "--repository", &repository, "--tag", "1.0.0", "--attach", "require"];
    workshop.run(&required).code(1).says("referrers");
    assert_eq!(get(&registry, &path).1, other.to_string().as_bytes());
}

#[test]
fn a_version_with_something_around_it_is_published() {
    let Some(live) = Live::docker() else { return };
    let repository = format!("{}/owner/app", live.registry());
    let rules = "[[tags]]\ntype = \"semver\"\npattern = \"{{version}}\"\nsuffix = \"-slim\"\n\
                 [[tags]]\ntype = \"semver\"\npattern = \"release-{{version}}\"\n\
                 [[tags]]\ntype = \"semver\"\npattern = \"{{major}}.{{minor}}\"\nsuffix = \"-slim\"\n\
                 [[tags]]\ntype = \"raw\"\nvalue = \"{{version}}\"\n";
    let mut workshop = workshop(&repository, rules);
    workshop.hello.git(&["tag", "v0.3.0"]);
    workshop.image(1, 1000);
    let report = workshop.run(&["publish", "--json"]).code(0).json();
    let found = states(&report);
    let tags: Vec<_> = found.iter().map(|(tag, _)| tag.as_str()).collect();
    assert_eq!(tags, ["0.3.0-slim", "release-0.3.0", "0.3.0", "0.3-slim", "latest"]);
    assert_eq!(report["tags"][1]["moves"], "version");
    let again = workshop.run(&["publish", "--json"]).code(0).json();
    assert!(states(&again).iter().all(|(_, state)| state == "unchanged"), "{again}");
}

#[test]
fn dates_are_no_versions() {
    let rules = "[[tags]]\ntype = \"schedule\"\npattern = \"{{date 'YYYY.MM.DD'}}\"\n";
    let workshop = Workshop::new(1);
    workshop.hello.write("xtask/image.toml", &format!("package = \"hello\"\n{rules}"));
    let ran = workshop.run(&["tags"]).code(2);
    ran.says("image.toml:2:1: schedule").says("are reserved for releases").says("{{date 'YYYYMMDD'}}");
}

#[test]
fn a_registry_that_drops_a_tag_is_found_out() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let mut workshop = Workshop::new(1);
    let repository = format!("{}/owner/app", proxy.registry());
    let first = workshop.digest.clone();
    workshop.publish(&repository, &["1.0.0", "main", "latest"]).code(0);
    workshop.image(2, 1000);
    let taken = |digest: &str| {
        Fault::Answer(201, vec![("Location", "/".into()), ("Docker-Content-Digest", digest.to_owned())], "")
    };
    for (tag, words) in [("main", "was written"), ("latest", "but it still names")] {
        proxy.on("PUT", format!("/manifests/{tag}"), 20, taken(&workshop.digest));
        let ran = workshop.publish(&repository, &["1.1.0", tag]).code(1);
        ran.says(words).says(&first).says("report it to the registry's operator");
    }
    proxy.on("PUT", "/manifests/new", 20, taken(&workshop.digest));
    workshop.publish(&repository, &["new"]).code(1).says("accepted the tag but does not return it");
}

#[test]
fn two_spellings_of_a_version_are_one_version() {
    let Some(live) = Live::docker() else { return };
    let mut workshop = Workshop::new(1);
    let repository = format!("{}/owner/app", live.registry());
    workshop.publish(&repository, &["1.2.0", "v1", "v1.2.0"]).code(0);
    let first = workshop.digest.clone();
    workshop.image(2, 1000);
    let report = workshop.publish(&repository, &["1.1.0", "v1"]).code(0).json();
    assert_eq!(states(&report)[1].1, "left: v1.2.0 is out");
    assert_eq!(tagged(&live.registry(), "owner/app", "v1"), Some(first.clone()));
    workshop.publish(&repository, &["v1.1.1"]).code(0);
    workshop.image(3, 1000);
    workshop.publish(&repository, &["1.1.1"]).code(3).says("v1.1.1").says("published with other bytes");
    assert_eq!(tagged(&live.registry(), "owner/app", "1.1.1"), None);
}

#[test]
fn the_tag_of_a_commit_is_given_once_and_never_to_other_files() {
    let Some(live) = Live::docker() else { return };
    let repository = format!("{}/owner/app", live.registry());
    let mut workshop = workshop(&repository, "[[tags]]\ntype = \"sha\"\n");
    let report = workshop.run(&["publish", "--json"]).code(0).json();
    let (tag, first) = (states(&report)[0].0.clone(), workshop.digest.clone());
    assert_eq!((tag.len(), report["tags"][0]["moves"].as_str()), (11, Some("commit")));
    workshop.image(2, 1000);
    for args in [&["publish", "--json"][..], &["publish", "--json", "--tag", &tag]] {
        let report = workshop.run(args).code(0).json();
        assert_eq!(states(&report)[0].1, format!("left: it names {first}"));
    }
    workshop.hello.write("hello/src/main.rs", "fn main() {}\n");
    let tags = workshop.run(&["tags", "--json"]).code(0).json();
    assert_eq!(
        (&tags["tags"][0]["tag"], &tags["tags"][0]["motion"]),
        (&json!(format!("{tag}-dirty")), &json!("free"))
    );
    assert_eq!(tagged(&live.registry(), "owner/app", &tag), Some(first));
}

#[test]
fn provenance_is_about_the_source_of_the_image() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let repository = format!("{registry}/owner/app");
    let workshop = workshop(&repository, "");
    let old = workshop.run(&["version", "--json"]).json()["revision"].clone();
    workshop.hello.git(&["commit", "--quiet", "--allow-empty", "--message", "later"]);
    let statement = |report: &Value| {
        let read = |path: String| serde_json::from_slice::<Value>(&get(&registry, &path).1).unwrap();
        let provenance = report["attached"][0]["digest"].as_str().unwrap();
        let manifest = read(format!("/v2/owner/app/manifests/{provenance}"));
        read(format!("/v2/owner/app/blobs/{}", manifest["layers"][0]["digest"].as_str().unwrap()))
    };
    let ran = workshop.publish(&repository, &["0.9.0"]).code(0);
    let said = statement(&ran.json());
    ran.says("which is not the commit here").says("the image has the version 0.3.0-dev");
    let materials = said["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    assert_eq!((materials.len(), &materials[0]["digest"]["gitCommit"]), (1, &old), "{said:#}");
    assert_eq!(said["predicate"]["runDetails"]["builder"]["id"], "urn:cargo-xtask:unknown");
    let image = format!("{repository}:0.9.0");
    workshop.run(&["verify", &image]).code(0).says(old.as_str().unwrap());
}

#[test]
fn an_image_is_not_published_as_another_version() {
    let Some(live) = Live::docker() else { return };
    let repository = format!("{}/owner/app", live.registry());
    let mut workshop = workshop(&repository, "");
    let labels = json!({ "org.opencontainers.image.version": "1.0.0" });
    workshop.image_with(1, 1000, &labels);
    workshop.publish(&repository, &["9.9.9"]).code(2).says("the image is release 1.0.0").says("9.9.9");
    workshop.publish(&repository, &["1.0.0", "main"]).code(0);
    assert_eq!(tagged(&live.registry(), "owner/app", "9.9.9"), None);
    workshop.run(&["verify", &format!("{repository}:1.0.0")]).code(0);
}
