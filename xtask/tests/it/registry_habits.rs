//! Publish, publish again, verify and promote against registries that do not behave like Docker's.

use std::process::Command;

use crate::support::Ran;
use crate::support::published::{Workshop, check, states};
use crate::support::stand_in::{Habit, StandIn};

use Habit::*;

const AWAY: &str = "http://registry.internal:5000";

/// A registry, its habits, and whether documents can be attached there.
const REGISTRIES: [(&str, &[Habit], bool); 49] = [
    ("as the specification has it", &[], true),
    ("without a referrers API", &[NoReferrers(404)], true),
    ("GitLab: a list's tag is the image, and is kept", &[TagIsDigest { keeps: true }], true),
    ("GitLab: a list's tag is the image, and is refused", &[TagIsDigest { keeps: false }], false),
    ("referrers answered by 401", &[NoReferrers(401)], true),
    ("referrers answered by 403", &[NoReferrers(403)], true),
    ("referrers answered by 410", &[NoReferrers(410)], true),
    ("referrers noted and not listed", &[LosesReferrers], true),
    ("referrers refused", &[RefusesSubject(400)], false),
    ("referrers refused as a media type", &[RefusesSubject(415)], false),
    ("lists of referrers refused", &[RefusesListTag(403)], false),
    ("Artifactory: 403 for what is not there", &[Missing(403), NoReferrers(403)], true),
    ("401 for what is not there, and no list of tags", &[Missing(401), MissingBlob(401), NoTags(401)], true),
    ("403 for blobs that are not there", &[MissingBlob(403)], true),
    ("Quay: 202 and 200 for a PUT", &[PutManifest(202), PutBlob(200), Patch(200)], true),
    ("204 for a PUT", &[PutManifest(204), PutBlob(204), NoCancel], true),
    ("storage that refuses HEAD", &[HeadRedirects(403)], true),
    ("storage that knows no HEAD", &[HeadRedirects(405), NoHead(405)], true),
    ("tags in pages, links to another host", &[Pages(2, AWAY), MaxPage(100)], true),
    ("tags in pages, links to another path", &[Pages(1, "/artifactory/api/docker/app")], true),
    ("no list of tags", &[NoTags(405)], true),
    ("no digests in answers", &[NoDigest], true),
    ("relative locations with a query", &[Location(""), MinChunk(5_000_000), NoMount(405)], true),
    ("429 now and then", &[Throttles(7, 429, "0")], true),
    ("429 until a date", &[Throttles(6, 429, "Wed, 21 Oct 2015 07:28:00 GMT")], true),
    ("503 for a moment", &[Throttles(9, 503, "10ms")], true),
    ("403 that is a rate limit", &[Throttles(8, 403, "0.01")], true),
    ("pages for refusals", &[HtmlErrors, NoReferrers(404)], true),
    ("pages for refusals of what is not there", &[HtmlErrors, Missing(403), MissingBlob(403)], true),
    ("400 for what is not there", &[Missing(400), MissingBlob(400), NoReferrers(400)], true),
    ("410 for what is not there", &[Missing(410), MissingBlob(410)], true),
    ("405 for HEAD", &[NoHead(405), NoHeadBlob(405)], true),
    ("403 for HEAD", &[NoHead(403), NoHeadBlob(403)], true),
    ("400 and 501 for HEAD", &[NoHead(400), NoHeadBlob(501)], true),
    ("a page for referrers", &[ReferrersPage("<!doctype html><title>registry</title>")], true),
    ("an empty object for referrers", &[ReferrersPage("{}")], true),
    ("an empty list for referrers", &[ReferrersPage(r#"{"schemaVersion":2,"manifests":[]}"#)], true),
    ("referrers answered by 500", &[NoReferrers(500)], true),
    ("referrers answered by 501", &[NoReferrers(501)], true),
    ("referrers answered by 406", &[NoReferrers(406)], true),
    ("a subject must be there first", &[NeedsSubject(404)], true),
    ("a subject must be there first, by 400", &[NeedsSubject(400), NoReferrers(404)], true),
    ("a page for the list of tags", &[TagsPage("<!doctype html>")], true),
    ("a list of tags without end", &[EndlessTags], true),
    ("names of headers in capitals, no length for HEAD", &[Capitals, NoLength], true),
    ("manifests as JSON", &[ServedAs("application/json"), NoDigest], true),
    ("locations beside the upload, 201 for a POST", &[Location("."), Patch(201)], true),
    ("uploads that break off, and 416 for their rest", &[BreaksUploads(416)], true),
    ("ECR: many at once", &[PutBlob(201), NoReferrers(405), MaxPage(999), Missing(404), NoCancel], true),
];

fn publish(workshop: &Workshop, repository: &str, more: &[&str]) -> Ran {
    let args = [
        "publish",
        "--json",
        "--repository",
        repository,
        "--tag",
        "1.2.3",
        "--tag",
        "1.2",
        "--tag",
        "latest",
    ];
    workshop.run(&[&args[..], more].concat())
}

#[test]
fn publish_verify_and_promote_work_with_each_registry_behavior() {
    let workshop = Workshop::new(7);
    workshop.hello.write("xtask/image.toml", "package = \"hello\"\n[[environments]]\nname = \"live\"\n");
    for (what, habits, attaches) in REGISTRIES {
        let stand_in = StandIn::start(habits);
        let repository = format!("{}/owner/app", stand_in.registry());
        let first = publish(&workshop, &repository, &[]);
        assert_eq!(first.code, Some(0), "{what}: {}", first.stderr);
        let report = first.json();
        assert_eq!(
            report["attached"].as_array().unwrap().len(),
            if attaches { 2 } else { 0 },
            "{what}: {report}"
        );
        assert_eq!(
            first.stderr.contains("nothing is attached to the image"),
            !attaches,
            "{what}: {}",
            first.stderr
        );
        for tag in ["1.2.3", "1.2", "latest"] {
            assert_eq!(stand_in.tags("owner/app").get(tag), Some(&workshop.digest), "{what}: {tag}");
        }
        let again = publish(&workshop, &repository, &[]);
        assert_eq!(again.code, Some(0), "{what}: {}", again.stderr);
        let again = again.json();
        assert_eq!(again["blobs_sent"], 0, "{what}");
        assert!(states(&again).iter().all(|(_, state)| state == "unchanged"), "{what}: {again}");
        let verified = workshop.run(&["verify", "--json", &format!("{repository}:1.2.3")]);
        assert_eq!(verified.code, Some(if attaches { 0 } else { 3 }), "{what}: {}", verified.stderr);
        let verified = verified.json();
        assert_eq!(check(&verified, "complete").0, "ok", "{what}: {verified}");
        assert_eq!(
            check(&verified, "provenance").0,
            if attaches { "ok" } else { "failed" },
            "{what}: {verified}"
        );
        let promoted = workshop.run(&["promote", "1.2.3", "--to", "live", "--repository", &repository]);
        assert_eq!(promoted.code, Some(if attaches { 0 } else { 3 }), "{what}: {}", promoted.stderr);
        let live = stand_in.tags("owner/app").get("live").cloned();
        assert_eq!(live, attaches.then(|| workshop.digest.clone()), "{what}");
    }
}

#[test]
fn tokens_come_from_services_of_every_kind() {
    let workshop = Workshop::new(7);
    for habits in [
        &[Tokens("GET", "token")][..],
        &[Tokens("GET", "access_token"), ExpiresIn],
        &[Tokens("POST", "access_token")],
        &[Tokens("POST", "token"), Missing(401)],
        &[Tokens("GET", "access_token"), Challenge("Bearer realm=\"{}?account=a%2Fb&x=\",service=\"s\"")],
        &[Tokens("GET", "token"), Challenge("bearer REALM={},Service=s,scope=\"a:b:pull\""), Capitals],
        &[Tokens("GET", "token"), Challenge("Negotiate, Basic realm=\"x, y\", Bearer realm=\"{}\"")],
    ] {
        let stand_in = StandIn::start(habits);
        let repository = format!("{}/owner/app", stand_in.registry());
        let (user, password) = StandIn::USER;
        let mut login =
            workshop.command(&["publish", "--json", "--repository", &repository, "--tag", "1.0.0"]);
        login.args(["--token-stdin", "--user", user]);
        let ran = Ran::with_input(&mut login, password);
        assert_eq!(ran.code, Some(0), "{habits:?}: {}", ran.stderr);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("hunter2"), "{habits:?}");
    }
}

#[test]
fn attaching_can_be_required_or_left_out() {
    let workshop = Workshop::new(7);
    let stand_in = StandIn::start(&[RefusesSubject(400)]);
    let repository = format!("{}/owner/app", stand_in.registry());
    let ran = publish(&workshop, &repository, &["--attach", "require"]);
    ran.code(1).says("--attach require").says("does not accept this manifest");
    assert!(stand_in.tags("owner/app").is_empty(), "no tag is written");
    let ran = publish(&workshop, &repository, &["--attach", "never"]).code(0);
    assert!(!ran.stderr.contains("nothing is attached"), "{}", ran.stderr);
    assert_eq!(stand_in.manifests("owner/app").len(), 3, "the index and two platforms");
}

#[test]
fn somebodys_image_under_a_lists_tag_stays() {
    let workshop = Workshop::new(7);
    let stand_in = StandIn::start(&[NoReferrers(404)]);
    let repository = format!("{}/owner/app", stand_in.registry());
    let list = format!("sha256-{}", &workshop.digest[7..]);
    publish(&workshop, &repository, &["--attach", "never"]).code(0);
    let manifest =
        std::fs::read(workshop.hello.layout().join("blobs/sha256").join(&workshop.digest[7..])).unwrap();
    let path = format!("/v2/owner/app/manifests/{list}");
    crate::support::published::put(&stand_in.registry(), &path, crate::support::published::INDEX, &manifest);
    let ran = publish(&workshop, &repository, &[]).code(0);
    assert!(ran.stderr.contains("the tag for it names another manifest"), "{}", ran.stderr);
    assert_eq!(stand_in.tags("owner/app")[&list], workshop.digest);
}

#[test]
fn a_moving_tag_without_a_list_of_tags_follows_the_image_that_has_it() {
    let mut workshop = Workshop::new(7);
    let stand_in = StandIn::start(&[NoTags(405)]);
    let repository = format!("{}/owner/app", stand_in.registry());
    for (version, state) in
        [("1.2.0", "created"), ("1.1.0", "left: the image there says 1.2.0"), ("1.3.0", "moved")]
    {
        let revision = workshop.run(&["version", "--json"]).json()["revision"].clone();
        let labels = serde_json::json!({
            "org.opencontainers.image.version": version, "org.opencontainers.image.revision": revision });
        workshop.image_with(u64::from(version.as_bytes()[2]), 1000, &labels);
        let report = workshop.publish(&repository, &[version, "latest"]).code(0).json();
        assert_eq!(states(&report)[1], ("latest".to_owned(), state.to_owned()), "{version}");
    }
}

/// `prune` of a package on ghcr.io: the stand-in is both the registry, by a proxy, and GitHub's API.
fn prune(workshop: &Workshop, stand_in: &StandIn, token: &str) -> Ran {
    let args =
        ["prune", "--keep", "1", "--delete", "--json", "--plain-http", "--repository", "ghcr.io/owner/app"];
    Ran::of(&mut github(workshop.command(&args), stand_in, token))
}

fn github(mut command: Command, stand_in: &StandIn, token: &str) -> Command {
    let at = format!("http://{}", stand_in.registry());
    command.env("ALL_PROXY", &at).env("GITHUB_API_URL", &at).env("GITHUB_TOKEN", token);
    for name in
        ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"]
    {
        command.env_remove(name);
    }
    command
}

#[test]
fn packages_on_github_are_pruned_by_its_rest_api() {
    let (all, no_delete) =
        ("write:packages, delete:packages, read:packages", "read:packages, write:packages");
    for (organisation, scopes) in [(true, all), (false, all), (true, no_delete), (true, "repo")] {
        let mut workshop = Workshop::new(1);
        let stand_in = StandIn::start(&[Packages { organisation, scopes }, NoDelete(405), NoReferrers(404)]);
        for (seed, version) in [(1, "1.0.0"), (2, "1.1.0"), (3, "1.2.0")] {
            workshop.image(seed, 1000);
            let args = ["publish", "--plain-http", "--repository", "ghcr.io/owner/app", "--tag", version];
            Ran::of(&mut github(workshop.command(&args), &stand_in, "hunter2-password")).code(0);
        }
        let before = stand_in.manifests("owner/app");
        prune(&workshop, &stand_in, "hunter2-other").code(1).says("GitHub does not accept GITHUB_TOKEN");
        let ran = prune(&workshop, &stand_in, "hunter2-password");
        if scopes != all {
            let ran = ran.code(1);
            let lacks = if scopes == "repo" { "read:packages" } else { "delete:packages" };
            ran.says("nothing has been deleted").says(lacks);
            assert_eq!(stand_in.manifests("owner/app"), before, "{scopes}");
            continue;
        }
        let report = ran.code(0).json();
        assert_eq!(report["tags"].as_array().unwrap().len(), 2, "{report}");
        let tags = stand_in.tags("owner/app");
        let versions: Vec<_> = tags.keys().filter(|tag| !tag.starts_with("sha256-")).collect();
        assert_eq!(versions, ["1.2.0"], "{tags:?}");
        assert_eq!(tags.len(), 2, "the list of what is attached to 1.2.0: {tags:?}");
        let asked = stand_in.seen();
        let deletes: Vec<_> = asked
            .iter()
            .filter(|asked| asked.method == "DELETE" && asked.path.contains("/packages/"))
            .collect();
        assert_eq!(
            deletes.len(),
            before.len() + 1 - stand_in.manifests("owner/app").len(),
            "the journal too"
        );
    }
}
