//! Publishing through a registry that is as unreliable as ghcr.io on a bad day, and runs that are killed.
//!
//! `XTASK_PUBLISHES` and `XTASK_KILLS` set how many; the defaults are for every day.

use crate::support;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::Ran;
use support::fault_proxy::{Fault, FaultProxy, Guard};
use support::live::Live;
use support::published::{Workshop, get, is_whole, tagged};

const TOKEN: &str = "hunter2-password";

fn amount(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Every tag that names something, but the lists of referrers. Debian's registry writes a tag in several
/// steps: it may be listed, and name nothing yet.
fn tags(registry: &str, repository: &str) -> BTreeSet<String> {
    let (_, list) = get(registry, &format!("/v2/{repository}/tags/list"));
    let list: Value = serde_json::from_slice(&list).unwrap_or_default();
    let names = list["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let names = names.filter(|name| !name.starts_with("sha256-"));
    names.filter(|name| tagged(registry, repository, name).is_some()).map(str::to_owned).collect()
}

/// Whether all of a tag is there. A tag that is being written anew may not be readable for a moment; what
/// is wrong for good is wrong a little later too.
fn is_whole_soon(registry: &str, repository: &str, tag: &str) -> bool {
    (0..5).any(|again| {
        thread::sleep(Duration::from_millis(again * 40));
        is_whole(registry, repository, tag)
    })
}

/// A reader that looks at every tag all the while, until it is told to stop; the tags that were not whole.
fn poll(registry: &str, repository: &str, stop: &AtomicBool) -> (usize, Vec<String>) {
    let (mut looks, mut broken) = (0, Vec::new());
    while !stop.load(Ordering::SeqCst) {
        for tag in tags(registry, repository) {
            looks += 1;
            if !is_whole_soon(registry, repository, &tag) {
                broken.push(tag);
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
    (looks, broken)
}

#[test]
fn publishing_succeeds_if_one_request_in_five_fails() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    proxy.guard(Guard { uses: 12, ..Guard::default() });
    proxy.chaos(20, 42);
    let repository = format!("{}/user/image", proxy.registry());
    let registry = live.registry();
    let count = amount("XTASK_PUBLISHES", 40);
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let started = Instant::now();
    let (ended, polled) = thread::scope(|scope| {
        let reader = scope.spawn(|| poll(&registry, "user/image", &stop));
        let publish = || {
            let mut ended = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return ended;
                }
                let workshop = Workshop::with(number as u64 + 1, 20_000);
                let version = format!("1.{}.{}", number / 10, number % 10);
                let minor = format!("1.{}", number / 10);
                let tags = [&version, &minor, "1", "latest"].map(|tag| ["--tag", tag]).concat();
                let args = ["publish", "--json", "--token-stdin", "--user", "user", "--timeout", "3"];
                let args = [&args[..], &["--repository", &repository]].concat();
                let mut run = workshop.command(&[&args[..], &tags[..]].concat());
                run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
                let mut child = run.spawn().unwrap();
                std::io::Write::write_all(&mut child.stdin.take().unwrap(), TOKEN.as_bytes()).unwrap();
                let ran = Ran::from_output(child.wait_with_output().unwrap());
                assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
                ended.push((number, version, workshop.digest.clone(), ran));
            }
        };
        let workers: Vec<_> = (0..16).map(|_| scope.spawn(publish)).collect();
        let ended: Vec<_> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        stop.store(true, Ordering::SeqCst);
        (ended, reader.join().unwrap())
    });
    let (looks, broken) = polled;
    assert_eq!(broken, Vec::<String>::new(), "tags on something incomplete, in {looks} looks");
    let mut done: Vec<usize> = Vec::new();
    for (number, version, digest, ran) in &ended {
        if ran.code == Some(0) {
            done.push(*number);
            assert_eq!(tagged(&registry, "user/image", version).as_ref(), Some(digest), "{version}");
        } else {
            assert_eq!(ran.code, Some(1), "{ran:?}");
            eprintln!("{version} ended in an error:\n{}", ran.stderr);
            let named = [
                "no data for",
                "rate limit",
                "in trouble",
                "the connection",
                "ended",
                "kept moving",
                "fewer requests",
            ];
            assert!(named.iter().any(|cause| ran.stderr.contains(cause)), "{}", ran.stderr);
        }
    }
    let seen = proxy.seen().len();
    let (wrong, seconds) = (proxy.went_wrong(), started.elapsed().as_secs_f32());
    let rate = done.len() * 100 / count;
    eprintln!(
        "{} of {count} published ({rate} %), {wrong} of {seen} requests faulty, {looks} looks, {seconds:.1} s",
        done.len()
    );
    assert!(rate >= 95, "{rate} %");
    // The published image as a consumer pulls it, directly from the registry.
    let consumer = Workshop::with(1, 1000);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((_, version, _, ran)) = ended.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if ran.code == Some(0) {
                        consumer.run(&["verify", &format!("{registry}/user/image:{version}")]).code(0);
                    }
                }
            });
        }
    });
    if done.len() == count {
        let last = ended.iter().max_by_key(|(number, ..)| *number).unwrap();
        for tag in ["latest", "1"] {
            assert_eq!(tagged(&registry, "user/image", tag).as_ref(), Some(&last.2), "{tag}");
        }
    }
}

#[test]
fn a_run_that_is_killed_leaves_nothing_half_made_and_the_next_one_ends_it() {
    let Some(live) = Live::docker() else { return };
    let registry = live.registry();
    let mut took = Duration::from_millis(300);
    for kill in 0..u32::try_from(amount("XTASK_KILLS", 12)).unwrap() {
        let workshop = Workshop::with(u64::from(kill) + 1, 400_000);
        let name = format!("owner/app{kill}");
        let repository = format!("{registry}/{name}");
        let args = ["publish", "--json", "--repository", &repository, "--tag", "1.0.0", "--tag", "latest"];
        let mut child = workshop.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Moments all over the run, by a step that no number of kills is a multiple of.
        thread::sleep(took.mul_f64((f64::from(kill) * 0.618).fract()));
        child.kill().unwrap();
        child.wait().unwrap();
        for tag in tags(&registry, &name) {
            assert!(is_whole_soon(&registry, &name, &tag), "killed as number {kill}: {tag}");
        }
        let started = Instant::now();
        workshop.publish(&repository, &["1.0.0", "latest"]).code(0);
        took = started.elapsed().max(Duration::from_millis(100));
        for tag in ["1.0.0", "latest"] {
            assert_eq!(tagged(&registry, &name, tag).as_ref(), Some(&workshop.digest));
        }
        assert!(is_whole(&registry, &name, "latest"));
    }
}

#[test]
fn ten_versions_at_once_leave_the_moving_tags_on_the_highest() {
    let Some(live) = Live::docker() else { return };
    let repository = format!("{}/owner/app", live.registry());
    let workshops: Vec<_> = (0..10).map(|seed| Workshop::with(seed + 1, 5000)).collect();
    thread::scope(|scope| {
        for (number, workshop) in workshops.iter().enumerate() {
            let repository = &repository;
            scope.spawn(move || {
                let version = format!("1.{number}.0");
                workshop.publish(repository, &[&version, "1", "latest"]).code(0);
            });
        }
    });
    for tag in ["1", "latest"] {
        assert_eq!(tagged(&live.registry(), "owner/app", tag).as_ref(), Some(&workshops[9].digest), "{tag}");
    }
}

#[test]
fn without_the_right_to_push_nothing_is_sent_and_the_cause_is_named() {
    let Some(live) = Live::docker() else { return };
    let proxy = FaultProxy::start(live.address);
    let workshop = Workshop::new(1);
    let repository = format!("{}/user/image", proxy.registry());
    let denied = r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
    proxy.on("POST", "/blobs/uploads/", 1, Fault::Answer(403, Vec::new(), denied));
    workshop.publish(&repository, &["1.0.0"]).code(1).says("step 'rights'").says("requires credentials");
    proxy.guard(Guard::default());
    workshop.publish(&repository, &["1.0.0"]).code(1).says("step 'rights'").says("requires credentials");
    assert_eq!((proxy.count("PUT", ""), proxy.count("PATCH", "")), (0, 0));
}
