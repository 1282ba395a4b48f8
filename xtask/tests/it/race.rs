//! Two runs that publish other bytes as the same version.

use crate::support;

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use support::Ran;
use support::fault_proxy::{Fault, FaultProxy};
use support::live::Live;
use support::published::{Workshop, tagged};

/// While the first is on its way with its version's tag, the second comes past it.
fn race(fault: Fault) -> (Ran, Ran, [String; 2], Option<String>) {
    let live = Live::docker().unwrap();
    let proxy = FaultProxy::start(live.address);
    let (first, second) = (Workshop::new(1), Workshop::new(2));
    let slow = format!("{}/owner/app", proxy.registry());
    let direct = format!("{}/owner/app", live.registry());
    proxy.on("PUT", "/manifests/1.0.0", 1, fault);
    let mut run = first.command(&["publish", "--repository", &slow, "--tag", "1.0.0", "--tag", "latest"]);
    let child = run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for _ in 0..2000 {
        if proxy.count("PUT", "/manifests/1.0.0") > 0 {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    // The registry has finished its work by then.
    thread::sleep(Duration::from_millis(200));
    let theirs = second.publish(&direct, &["1.0.0", "latest"]);
    let ours = Ran::from_output(child.wait_with_output().unwrap());
    let digests = [first.digest.clone(), second.digest.clone()];
    (ours, theirs, digests, tagged(&live.registry(), "owner/app", "1.0.0"))
}

#[test]
fn the_second_of_two_publishes_of_a_version_names_the_published_digest() {
    if Live::docker().is_none() {
        return;
    }
    // The first one's try fails, and the second has published before the next one.
    let later = || vec![("Retry-After", "3".to_owned())];
    let (ours, theirs, [_, second], tagged) = race(Fault::Answer(503, later(), ""));
    theirs.code(0);
    ours.code(3).says("this version is published with other bytes").says(&second);
    assert_eq!(tagged, Some(second));
    // The first one's arrives, and its answer is late or lost.
    for fault in [Fault::Slow(2000), Fault::LoseAnswer] {
        let (ours, theirs, [first, _], tagged) = race(fault);
        ours.code(0);
        theirs.code(3).says("this version is published with other bytes").says(&first);
        assert_eq!(tagged, Some(first));
    }
}
