//! The tables in docker/metadata-action's documents, and what goes beyond them.

use super::*;

const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

fn rule(text: &str) -> Rule {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    let own = |text: &str| text.to_owned();
    Rule::of(match kind {
        "semver" => RuleKind::Semver(own(rest)),
        "branch" => RuleKind::Ref(RefKind::Branch),
        "tag" => RuleKind::Ref(RefKind::Tag),
        "pr" => RuleKind::Ref(RefKind::Pr),
        "edge" => RuleKind::Edge((!rest.is_empty()).then(|| own(rest))),
        "sha" => RuleKind::Sha { long: rest == "long" },
        "schedule" => RuleKind::Schedule(own(rest)),
        _ => RuleKind::Raw(own(rest)),
    })
}

fn event(text: &str) -> Event {
    let (name, reference) = text.split_once(' ').unwrap_or((text, ""));
    let reference = match reference.split_once(' ') {
        Some(("branch", name)) => Some(Ref::Branch(name.to_owned())),
        Some(("tag", name)) => Some(Ref::Tag(name.to_owned())),
        Some((_, number)) => Some(Ref::Pull(number.to_owned())),
        None => None,
    };
    Event { name: name.into(), reference, default_branch: Some("main".into()), ..Event::default() }
}

fn names(rules: &[Rule], event: &Event, latest: Latest) -> Result<Vec<String>, String> {
    let version = Version::parse("1.2.4-dev.4+g0123456").unwrap();
    let facts = TagInputs {
        rules,
        latest,
        around_latest: ("", ""),
        tag_prefix: "",
        event,
        version: &version,
        revision: Some(REVISION),
        dirty: false,
        time: 1_709_210_096,
    };
    let derived = derive(&facts).map_err(|fault| fault.to_string())?;
    Ok(derived.tags.into_iter().map(|tag| tag.name).collect())
}

/// The tables in docker/metadata-action's README, and its source where that says more.
#[test]
fn the_documented_cases() {
    let full = ["semver {{version}}", "semver {{major}}.{{minor}}", "semver {{major}}", "sha"];
    let cases: [(&[&str], &str, &[&str]); 26] = [
        (&full, "push tag v1.2.3", &["1.2.3", "1.2", "1", "sha-0123456", "latest"]),
        (&full, "push tag v2.0.8-beta.67", &["2.0.8-beta.67", "sha-0123456"]),
        (&full, "push branch main", &["sha-0123456"]),
        (&["semver {{raw}}"], "push tag v1.2.3", &["v1.2.3", "latest"]),
        (&["semver {{ raw }}"], "push tag v2.0.8-rc2", &["v2.0.8-rc2"]),
        (&["semver {{major}}.{{minor}}.{{patch}}"], "push tag 1.2.3", &["1.2.3", "latest"]),
        (&["semver v{{major}}"], "push tag v1.2.3", &["v1", "latest"]),
        (&["semver {{version}}"], "push tag p1/v1.2", &["1.2.4-dev.4-g0123456"]),
        (&["branch"], "push branch main", &["main"]),
        (&["branch"], "push branch feat/some thing", &["feat-some-thing"]),
        (&["branch"], "push tag v1.2.3", &["1.2.4-dev.4-g0123456"]),
        (&["tag"], "push tag v1.2.3", &["v1.2.3", "latest"]),
        (&["tag"], "push tag v1.2.3-rc.1", &["v1.2.3-rc.1"]),
        (&["tag"], "push tag hello/world", &["hello-world", "latest"]),
        (&["pr"], "pull_request pull 2", &["pr-2"]),
        (&["edge"], "push branch main", &["edge"]),
        (&["edge", "branch"], "push branch dev", &["dev"]),
        (&["edge dev"], "push branch dev", &["edge"]),
        (&["edge dev", "sha"], "push branch main", &["sha-0123456"]),
        (&["sha long"], "push branch main", &["sha-0123456789abcdef0123456789abcdef01234567"]),
        (&["schedule nightly"], "schedule branch main", &["nightly"]),
        (&["schedule {{date 'YYYYMMDD'}}"], "schedule branch main", &["20240229"]),
        (&["schedule nightly", "sha"], "push branch main", &["sha-0123456"]),
        (&["raw {{branch}}-{{sha}}"], "push branch main", &["main-0123456"]),
        (&["raw {{version}}"], "push branch main", &["1.2.4-dev.4-g0123456"]),
        // Priorities: schedule, semver, edge, ref, raw, sha.
        (
            &["sha", "raw foo", "branch", "edge", "schedule nightly"],
            "schedule branch main",
            &["nightly", "edge", "main", "foo", "sha-0123456"],
        ),
    ];
    for (rules, on, expected) in cases {
        let rules: Vec<_> = rules.iter().map(|text| rule(text)).collect();
        assert_eq!(names(&rules, &event(on), Latest::Auto).unwrap(), expected, "{rules:?} {on}");
    }
}

#[test]
fn tags_follow_prefixes_and_other_rule_keys() {
    let version = Version::new(1, 2, 3);
    let derived = |rules: &[Rule], on: &str, prefix: &str| {
        let facts = TagInputs {
            rules,
            latest: Latest::Auto,
            around_latest: ("", "-alpine"),
            tag_prefix: prefix,
            event: &event(on),
            version: &version,
            revision: Some(REVISION),
            dirty: false,
            time: 0,
        };
        let derived = derive(&facts).unwrap();
        (derived.tags.into_iter().map(|tag| tag.name).collect::<Vec<_>>(), derived.notes)
    };
    let rules = [rule("semver {{version}}"), rule("semver {{major}}.{{minor}}")];
    for (on, prefix, expected, notes) in [
        ("push tag app-v1.2.3", "app-", &["1.2.3", "1.2", "latest-alpine"][..], 0),
        ("push tag app/1.2.3", "app/", &["1.2.3", "1.2", "latest-alpine"], 0),
        ("push tag app-v1.2.3", "", &["1.2.3"], 1),
        ("push tag other-v9.0.0", "app-", &["1.2.3"], 1),
        ("git", "", &["1.2.3"], 1),
    ] {
        let (tags, found) = derived(&rules, on, prefix);
        assert_eq!(
            (tags, found.len()),
            (expected.iter().map(|&name| name.to_owned()).collect(), notes),
            "{on}: {found:?}"
        );
    }
    let valued = Rule { value: Some("v2.0.1".into()), ..rule("semver {{major}}") };
    assert_eq!(derived(&[valued], "push branch main", "").0, ["2", "latest-alpine"]);
    let pushed = Rule { events: vec!["push".into()], ..rule("raw x") };
    assert_eq!(derived(std::slice::from_ref(&pushed), "push branch main", "").0, ["x"]);
    assert_eq!(derived(&[pushed], "schedule branch main", "").0, ["1.2.3"]);
}

#[test]
fn a_branch_never_takes_a_tag_of_the_releases() {
    for branch in ["1.2", "latest", "0.3.0", "v1.2.3", "7"] {
        let fault =
            names(&[rule("branch")], &event(&format!("push branch {branch}")), Latest::Auto).unwrap_err();
        assert!(fault.contains("is reserved for releases"), "{branch}: {fault}");
    }
}

#[test]
fn other_rules_give_the_sources_own_version_alone() {
    let slim = Rule { suffix: Some("-slim".into()), ..rule("semver {{major}}") };
    for (given, expected) in [
        (rule("raw {{version}}"), Ok("1.2.4-dev.4-g0123456")),
        (rule("raw {{tag}}"), Ok("v1.2.3")),
        (rule("raw latest"), Ok("latest")),
        (rule("raw 1.5.0"), Err("is reserved for releases")),
        (rule("raw 1.2.4-slim"), Err("is reserved for releases")),
        (Rule { suffix: Some("-slim".into()), ..rule("raw 1.2.3") }, Ok("1.2.3-slim")),
        (rule("schedule {{date 'YYYY'}}"), Err("is reserved for releases")),
        (rule("raw sha256-aa"), Err("is reserved for lists")),
    ] {
        let found = names(&[given.clone(), slim.clone()], &event("schedule tag v1.2.3"), Latest::Never);
        match (found, expected) {
            (Ok(found), Ok(name)) => assert!(found.iter().any(|tag| tag == name), "{found:?}"),
            (Err(found), Err(words)) => assert!(found.contains(words), "{found}"),
            (found, _) => panic!("{given:?}: {found:?}"),
        }
    }
}

#[test]
fn a_commits_name_is_marked_where_files_differ_from_it() {
    let version = Version::new(1, 2, 3);
    let rules = [rule("sha"), rule("sha long"), rule("raw x-{{sha}}")];
    for (dirty, expected) in [
        (false, ["x-0123456 free", "sha-0123456 commit", &format!("sha-{REVISION} commit")]),
        (true, ["x-0123456-dirty free", "sha-0123456-dirty free", &format!("sha-{REVISION}-dirty free")]),
    ] {
        let facts = TagInputs {
            rules: &rules,
            latest: Latest::Never,
            around_latest: ("", ""),
            tag_prefix: "",
            event: &Event::default(),
            version: &version,
            revision: Some(REVISION),
            dirty,
            time: 0,
        };
        let tags = derive(&facts).unwrap().tags;
        let found: Vec<_> = tags.iter().map(|tag| format!("{} {}", tag.name, tag.motion.word())).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn the_default_rules_are_schedule_branch_tag_and_pull_request() {
    for (on, expected) in [
        ("schedule branch main", vec!["nightly", "main"]),
        ("push branch main", vec!["main"]),
        ("push tag v1.2.3", vec!["v1.2.3", "latest"]),
        ("pull_request pull 7", vec!["pr-7"]),
        ("push", vec!["1.2.4-dev.4-g0123456"]),
    ] {
        assert_eq!(names(&Rule::defaults(), &event(on), Latest::Auto).unwrap(), expected, "{on}");
    }
}

#[test]
fn prefixes_priorities_and_conditions() {
    let tag = event("push tag v1.2.3");
    let of = |rules: Vec<Rule>, latest| names(&rules, &tag, latest).unwrap();
    let slim = Rule { suffix: Some("-slim".into()), ..rule("semver {{major}}") };
    assert_eq!(of(vec![slim.clone()], Latest::Auto), ["1-slim", "latest"]);
    assert_eq!(of(vec![slim], Latest::Never), ["1-slim"]);
    assert_eq!(of(vec![rule("sha")], Latest::Always), ["sha-0123456", "latest"]);
    let bare = Rule { prefix: Some(String::new()), priority: Some(2000), ..rule("sha") };
    // The tag with the highest priority decides about `latest`.
    assert_eq!(of(vec![rule("semver {{version}}"), bare], Latest::Auto), ["0123456", "1.2.3"]);
    let branched = Rule { prefix: Some("{{tag}}-".into()), ..rule("sha") };
    assert_eq!(of(vec![branched], Latest::Auto), ["v1.2.3-0123456"]);
    let never = Rule { enable: Some("{{is_default_branch}}".into()), ..rule("raw x") };
    assert_eq!(of(vec![never, rule("raw y")], Latest::Auto), ["y"]);
    let unknown = names(&[rule("raw {{nope}}")], &tag, Latest::Auto).unwrap_err();
    assert!(unknown.contains("unknown name 'nope'"), "{unknown}");
    let unknown = names(&[rule("semver {{sha}}")], &tag, Latest::Auto).unwrap_err();
    assert!(unknown.contains("not a pattern for versions"), "{unknown}");
}

#[test]
fn an_invalid_tag_name_is_an_error() {
    let long = format!("push branch {}", "x".repeat(129));
    for branch in ["push branch -x", "push branch .x", "push branch @x", &long] {
        let fault = names(&[rule("branch")], &event(branch), Latest::Auto).unwrap_err();
        assert!(fault.contains("is not a valid tag"), "{branch}: {fault}");
        let prefixed = Rule { prefix: Some("b".into()), ..rule("branch") };
        assert_eq!(names(&[prefixed], &event(branch), Latest::Auto).is_ok(), branch.len() < 100, "{branch}");
    }
    let unclear = Rule { enable: Some("{{branch}}".into()), ..rule("raw x") };
    let fault = names(&[unclear], &event("push branch main"), Latest::Auto).unwrap_err();
    assert!(fault.contains("reads 'main', not true or false"), "{fault}");
}
