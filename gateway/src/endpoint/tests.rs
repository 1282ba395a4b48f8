//! Clusters as used by a worker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Address, Balance, BudgetSettings, Cluster, ClusterConfig, EndpointConfig, EndpointId, FailureShare,
    HealthSettings, Local, Moment, Outcome,
};

fn endpoint(name: &str, weight: u32, priority: u8) -> EndpointConfig {
    let address = Address::Host { host: name.to_owned(), port: 80 };
    EndpointConfig { weight, priority, ..EndpointConfig::new(address) }
}

fn config(endpoints: Vec<EndpointConfig>) -> ClusterConfig {
    ClusterConfig {
        name: "a".to_owned(),
        endpoints,
        balance: Balance::RoundRobin,
        health: HealthSettings::default(),
        circuit: None,
        budget: BudgetSettings::default(),
    }
}

/// Three equal endpoints: a, b and c.
fn three() -> ClusterConfig {
    config(vec![endpoint("a", 1, 0), endpoint("b", 1, 0), endpoint("c", 1, 0)])
}

fn cluster(config: ClusterConfig) -> (Cluster, Local) {
    let cluster = Cluster::new(config, None, Moment::START);
    let local = cluster.local(0, 1);
    (cluster, local)
}

fn at(seconds: u64) -> Moment {
    Moment::from_millis(seconds * 1000)
}

/// How often each endpoint is picked in `requests` requests.
fn picks(cluster: &Cluster, local: &Local, now: Moment, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let pick = cluster.pick(local, None, &[], now).expect("an endpoint");
        *counts.entry(pick.endpoint.name.clone()).or_default() += 1;
    }
    counts
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|&(name, count)| (format!("{name}:80"), count)).collect()
}

fn id(cluster: &Cluster, name: &str) -> EndpointId {
    cluster.endpoints.iter().find(|endpoint| endpoint.name == format!("{name}:80")).expect("it").id
}

#[test]
fn endpoint_that_always_answers_500_is_ejected() {
    let (cluster, local) = cluster(three());
    let mut errors = 0;
    for request in 0..3000u64 {
        let now = Moment::from_millis(10_000 + request);
        let pick = cluster.pick(&local, None, &[], now).expect("an endpoint");
        let status = if pick.endpoint.name == "b:80" { 500 } else { 200 };
        errors += usize::from(status == 500);
        cluster.report(&local, pick.index, Outcome::Status(status), now);
    }
    assert_eq!(errors, 5, "five in a row eject it");
    assert_eq!(cluster.in_service(at(12)), (2, 3));
    // Back after five seconds with a tenth of its weight; the first error ejects it for twice as long.
    let mut errors = 0;
    for request in 0..3000u64 {
        let now = Moment::from_millis(15_100 + request);
        let pick = cluster.pick(&local, None, &[], now).expect("an endpoint");
        let status = if pick.endpoint.name == "b:80" { 500 } else { 200 };
        errors += usize::from(status == 500);
        cluster.report(&local, pick.index, Outcome::Status(status), now);
    }
    assert_eq!(errors, 1);
    assert_eq!(cluster.in_service(at(25)), (2, 3));
    assert_eq!(cluster.in_service(at(26)), (3, 3));
}

#[test]
fn every_kind_of_failure_ejects() {
    for (outcome, after) in
        [(Outcome::ConnectFailed, 3), (Outcome::Reset, 5), (Outcome::TimedOut, 5), (Outcome::Status(503), 5)]
    {
        let (cluster, local) = cluster(three());
        for attempt in 1..=after {
            let ejection = cluster.report(&local, 1, outcome, at(1));
            let expected = (attempt == after).then_some(Duration::from_secs(5));
            assert_eq!(ejection.map(|ejection| ejection.time), expected, "{outcome:?} {attempt}");
        }
        assert_eq!(cluster.report(&local, 1, outcome, at(2)), None, "it is ejected already");
        assert_eq!(picks(&cluster, &local, at(2), 4), counts(&[("a", 2), ("c", 2)]));
    }
    let (cluster, local) = cluster(three());
    for status in [200, 204, 301, 404, 429] {
        for _ in 0..100 {
            assert_eq!(cluster.report(&local, 1, Outcome::Status(status), at(1)), None);
        }
    }
    assert_eq!(cluster.report(&local, 99, Outcome::Reset, at(1)), None, "there is no such endpoint");
}

#[test]
fn half_of_the_responses_being_errors_ejects_by_percentage() {
    let mut config = three();
    config.health.failure_share =
        Some(FailureShare { percent: 40, min_requests: 20, window: Duration::from_secs(10) });
    let (cluster, local) = cluster(config);
    let mut ejected_after = None;
    for request in 0..100 {
        let status = if request % 2 == 0 { 200 } else { 500 };
        if cluster.report(&local, 0, Outcome::Status(status), at(1)).is_some() {
            ejected_after.get_or_insert(request + 1);
        }
    }
    assert_eq!(ejected_after, Some(20));
}

#[test]
fn ejections_stop_at_the_limit() {
    for (percent, ejected) in [(0, 1), (50, 1), (67, 2), (100, 3)] {
        let mut config = three();
        config.health.max_ejected_percent = percent;
        let (cluster, local) = cluster(config);
        for index in 0..3 {
            for _ in 0..10 {
                cluster.report(&local, index, Outcome::ConnectFailed, at(1));
            }
        }
        assert_eq!(cluster.in_service(at(2)), (3 - ejected, 3), "{percent} %");
        // If all are ejected, all are tried.
        let used = picks(&cluster, &local, at(2), 30).len();
        assert_eq!(used, if ejected == 3 { 3 } else { 3 - ejected }, "{percent} %");
    }
}

#[test]
fn concurrent_ejections_keep_the_limit() {
    let mut config = config((0..20).map(|number| endpoint(&format!("e{number}"), 1, 0)).collect());
    config.health.max_ejected_percent = 50;
    let cluster = Arc::new(Cluster::new(config, None, Moment::START));
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let cluster = Arc::clone(&cluster);
            std::thread::spawn(move || {
                let local = cluster.local(worker, 4);
                for index in (0..20).chain(0..20) {
                    for _ in 0..5 {
                        cluster.report(&local, index, Outcome::Reset, at(1));
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("no panic");
    }
    assert_eq!(cluster.in_service(at(2)), (10, 20));
}

#[test]
fn tried_endpoints_come_last() {
    let (cluster, local) = cluster(three());
    let (a, b, c) = (id(&cluster, "a"), id(&cluster, "b"), id(&cluster, "c"));
    for _ in 0..3 {
        cluster.report(&local, 2, Outcome::ConnectFailed, at(1));
    }
    let table: [(&[EndpointId], u64, &[&str]); 7] = [
        (&[], 2, &["a:80", "b:80"]),
        (&[a], 2, &["b:80"]),
        // A tried endpoint in service is better than an ejected one.
        (&[a, b], 2, &["a:80", "b:80"]),
        (&[a, b, c], 2, &["a:80", "b:80"]),
        (&[a, b], 100, &["c:80"]),
        (&[a], 100, &["b:80", "c:80"]),
        (&[a, b, c], 100, &["a:80", "b:80", "c:80"]),
    ];
    for (tried, second, expected) in table {
        for _ in 0..20 {
            let pick = cluster.pick(&local, None, tried, at(second)).expect("an endpoint");
            assert!(
                expected.contains(&pick.endpoint.name.as_str()),
                "{tried:?} {second} {}",
                pick.endpoint.name
            );
        }
    }
}

#[test]
fn an_upstream_without_weight_has_no_endpoint() {
    for endpoints in [vec![], vec![endpoint("a", 0, 0), endpoint("b", 0, 1)]] {
        for balance in
            [Balance::RoundRobin, Balance::LeastRequests, Balance::ConsistentHash { max_load_percent: 125 }]
        {
            let (cluster, local) = cluster(ClusterConfig { balance, ..config(endpoints.clone()) });
            assert!(cluster.pick(&local, Some(1), &[], at(1)).is_none());
        }
    }
    let (cluster, local) = cluster(config(vec![endpoint("a", 0, 0), endpoint("b", 1, 1)]));
    assert_eq!(picks(&cluster, &local, at(1), 3), counts(&[("b", 3)]));
}

#[test]
fn next_zone_takes_the_missing_share() {
    let near: Vec<_> = (0..4).map(|number| endpoint(&format!("near{number}"), 1, 0)).collect();
    let far = vec![endpoint("far", 1, 1)];
    let (cluster, local) = cluster(config([far, near].concat()));
    let near_share = |now| {
        let picks = picks(&cluster, &local, now, 10_000);
        10_000 - picks.get("far:80").copied().unwrap_or(0)
    };
    let take_out = |name: &str| {
        assert!(cluster.probed(id(&cluster, name), false, at(1)));
    };
    assert_eq!(near_share(at(1)), 10_000);
    take_out("near0");
    assert_eq!(near_share(at(1)), 10_000, "three of four are enough");
    take_out("near1");
    // Half of the weight is 1/0.7 of its share.
    assert!(near_share(at(1)).abs_diff(7_142) < 250, "{}", near_share(at(1)));
    take_out("near2");
    take_out("near3");
    assert_eq!(near_share(at(1)), 0);
    take_out("far");
    assert_eq!(picks(&cluster, &local, at(1), 100).len(), 5, "all are down, so that all are tried");
}

#[test]
fn slow_start_grows_to_the_full_share() {
    for balance in [Balance::RoundRobin, Balance::LeastRequests] {
        let (cluster, local) = cluster(ClusterConfig { balance, ..three() });
        assert!(cluster.probed(id(&cluster, "a"), false, at(1)));
        assert_eq!(picks(&cluster, &local, at(2), 30).len(), 2);
        assert!(cluster.probed(id(&cluster, "a"), true, at(10)));
        // A tenth, a half and all of the weight of the other two.
        for (second, expected) in [(10, 476), (15, 2_000), (20, 3_333), (99, 3_333)] {
            let count = picks(&cluster, &local, at(second), 10_000)["a:80"];
            assert!(count.abs_diff(expected) < 200, "{balance:?} {second}: {count}");
        }
    }
}

#[test]
fn new_settings_keep_ids_and_health() {
    let (old, local) = cluster(three());
    for _ in 0..3 {
        old.report(&local, 1, Outcome::ConnectFailed, at(1));
    }
    let next = config(vec![endpoint("b", 1, 0), endpoint("c", 7, 0), endpoint("d", 1, 0)]);
    let new = Cluster::new(next, Some(&old), at(2));
    assert_eq!(id(&new, "b"), id(&old, "b"));
    assert_eq!(id(&new, "c"), id(&old, "c"), "another weight is no other connection");
    assert!(Arc::ptr_eq(&new.endpoints[0], &old.endpoints[1]));
    assert!(old.endpoints.iter().all(|endpoint| endpoint.id != id(&new, "d")));
    let local = new.local(0, 1);
    let picks = picks(&new, &local, at(2), 710);
    assert_eq!(picks, counts(&[("c", 700), ("d", 10)]), "b is ejected, d begins slowly");
    assert_eq!(new.in_service(at(6)), (3, 3));
}

#[test]
fn equal_keys_keep_their_endpoint_until_it_is_removed() {
    let balance = Balance::ConsistentHash { max_load_percent: 125 };
    let (cluster, local) = cluster(ClusterConfig { balance, ..three() });
    let pick =
        |key, now| cluster.pick(&local, Some(key), &[], now).expect("an endpoint").endpoint.name.clone();
    let before: Vec<_> = (0..300).map(|key| pick(key, at(1))).collect();
    cluster.probed(id(&cluster, "b"), false, at(2));
    for (key, before) in (0..).zip(&before) {
        let now = pick(key, at(3));
        assert!(now == *before || before == "b:80");
        assert_ne!(now, "b:80");
    }
    cluster.probed(id(&cluster, "b"), true, at(4));
    let after: Vec<_> = (0..300).map(|key| pick(key, at(99))).collect();
    assert_eq!(before, after);
}

#[test]
fn workers_start_at_different_endpoints() {
    for weights in [[1, 1, 1], [1, 2, 1]] {
        let endpoints = ["a", "b", "c"].iter().zip(weights).map(|(name, weight)| endpoint(name, weight, 0));
        let cluster = Cluster::new(config(endpoints.collect()), None, Moment::START);
        let firsts: std::collections::BTreeSet<_> = (0..3)
            .map(|worker| cluster.pick(&cluster.local(worker, 3), None, &[], at(1)).expect("one").index)
            .collect();
        assert_eq!(firsts.len(), 3, "{weights:?}");
    }
}
