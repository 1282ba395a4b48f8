//! Credentials and tokens, as a registry with a token service wants them.

use std::fs;

use super::fault_proxy::{Fault, FaultProxy, Guard};
use super::live::Live;
use super::*;
use crate::retry::Clock as _;

fn stage(guard: Guard) -> Option<(Live, FaultProxy, String)> {
    let live = Live::docker()?;
    let proxy = FaultProxy::start(live.address);
    let registry = proxy.registry();
    push_image(&client(&registry, None).0, &reference(&registry, "a/b:t"), b"layer");
    proxy.guard(guard);
    Some((live, proxy, registry))
}

#[test]
fn a_push_needs_one_token_and_a_pull_one() {
    let Some((_live, proxy, registry)) = stage(Guard { open: false, ..Guard::default() }) else { return };
    let (client, _) = client(&registry, Some(Guard::USER));
    let image = reference(&registry, "a/c:t");
    push_image(&client, &image, b"another layer");
    assert_eq!(proxy.count("GET", "/token"), 1);
    client.manifest(&image).unwrap();
    client.manifest(&image).unwrap();
    let orders: Vec<_> = proxy.seen().into_iter().filter(|seen| seen.target.starts_with("/token")).collect();
    assert_eq!(
        orders.iter().map(|seen| seen.target.as_str()).collect::<Vec<_>>(),
        [
            "/token?service=proxy&scope=repository:a/c:pull%2Cpush",
            "/token?service=proxy&scope=repository:a/c:pull",
        ]
    );
    assert!(orders.iter().all(|order| order.headers["authorization"].starts_with("Basic ")));
    // The password goes to the token service alone.
    let others = proxy.seen().into_iter().filter(|seen| !seen.target.starts_with("/token"));
    let shown: Vec<_> = others.filter_map(|seen| seen.headers.get("authorization").cloned()).collect();
    assert!(!shown.is_empty() && shown.iter().all(|value| value.starts_with("Bearer ")), "{shown:?}");
}

#[test]
fn a_token_that_expires_in_the_middle_is_renewed() {
    let Some((_live, proxy, registry)) = stage(Guard { uses: 2, ..Guard::default() }) else { return };
    let (client, _) = client(&registry, Some(Guard::USER));
    push_image(&client, &reference(&registry, "a/d:t"), &bytes(100_000));
    assert!(proxy.count("GET", "/token") >= 4);
}

#[test]
fn a_token_is_renewed_in_time_by_the_clock() {
    let Some((_live, proxy, registry)) = stage(Guard::default()) else { return };
    let (client, clock) = client(&registry, None);
    let image = reference(&registry, "a/b:t");
    let refused = || proxy.seen().iter().filter(|seen| !seen.headers.contains_key("authorization")).count();
    client.manifest(&image).unwrap();
    let before = refused();
    clock.sleep(Duration::from_secs(289));
    client.manifest(&image).unwrap();
    assert_eq!(proxy.count("GET", "/token"), 1);
    clock.sleep(Duration::from_secs(1));
    client.manifest(&image).unwrap();
    assert_eq!(proxy.count("GET", "/token"), 2);
    // Both orders are without a password, and no request went out without a token but the first.
    assert_eq!(refused(), before + 1);
}

#[test]
fn wrong_and_missing_credentials_are_told_apart_without_showing_them() {
    let Some((_live, proxy, registry)) = stage(Guard { open: false, ..Guard::default() }) else { return };
    let image = reference(&registry, "a/b:t");
    let (wrong, _) = client(&registry, Some(("user", "hunter2-wrong")));
    let text = shown(&wrong.manifest(&image).unwrap_err());
    assert!(text.contains("the token that was handed in may not read") && text.contains("/token"), "{text}");
    let (nobody, _) = client(&registry, None);
    let text = shown(&nobody.manifest(&image).unwrap_err());
    assert!(
        text.contains("none are configured for") && text.contains(&format!("docker login {registry}")),
        "{text}"
    );
    assert_eq!(proxy.count("GET", "/token"), 2);
    // A server that repeats what it was shown.
    let echo = r#"{"errors":[{"code":"DENIED","message":"you sent hunter2-password and hunter2-token-0, dXNlcjpodW50ZXIyLXBhc3N3b3Jk"}]}"#;
    let (right, _) = client(&registry, Some(Guard::USER));
    proxy.on("GET", "/manifests/", 1, Fault::Answer(403, Vec::new(), echo));
    let text = shown(&right.manifest(&image).unwrap_err());
    assert!(text.contains("you sent *** and ***, ***"), "{text}");
}

#[test]
fn a_registry_may_require_basic_authentication() {
    let Some((_live, proxy, registry)) = stage(Guard { basic: true, ..Guard::default() }) else { return };
    let image = reference(&registry, "a/b:t");
    let (right, _) = client(&registry, Some(Guard::USER));
    right.manifest(&image).unwrap();
    right.manifest(&image).unwrap();
    // Only the first request had to be asked for it.
    assert_eq!(proxy.count("GET", "/manifests/"), 3);
    let (wrong, _) = client(&registry, Some(("user", "hunter2-wrong")));
    let text = shown(&wrong.manifest(&image).unwrap_err());
    assert!(text.contains("does not accept the token that was handed in"), "{text}");
}

#[test]
fn a_refresh_token_from_dockers_file_is_exchanged() {
    let Some((_live, proxy, registry)) = stage(Guard { open: false, ..Guard::default() }) else { return };
    let home = tempfile::tempdir().unwrap();
    let auths = format!(r#"{{"auths":{{"{registry}":{{"auth":"","identitytoken":"hunter2-refresh"}}}}}}"#);
    fs::write(home.path().join("config.json"), auths).unwrap();
    let folder = home.path().to_str().unwrap().to_owned();
    let (unset, _) = client(&registry, None);
    let client = Client::new(Options {
        environment: Environment::from_variables(|name| (name == "DOCKER_CONFIG").then(|| folder.clone())),
        ..unset.options.clone()
    });
    let image = reference(&registry, "a/b:t");
    client.manifest(&image).unwrap();
    assert_eq!((proxy.count("POST", "/token"), proxy.count("GET", "/token")), (1, 0));
    let source = client.credentials(&image).unwrap().source.to_string();
    assert_eq!(source, format!("the entry '{registry}' of {folder}/config.json"));
}

#[test]
fn credentials_go_to_no_token_service_that_is_less_safe_than_the_registry() {
    for realm in ["http://192.0.2.1/token", "ftp://x/", "token", "http://user:pw@127.0.0.1/"] {
        let guard = Guard { realm: Some(realm.into()), ..Guard::default() };
        let Some((_live, _proxy, registry)) = stage(guard) else { return };
        let (client, _) = client(&registry, Some(Guard::USER));
        let text = shown(&client.manifest(&reference(&registry, "a/b:t")).unwrap_err());
        assert!(text.contains("its token service is n"), "{text}");
    }
}

#[test]
fn a_failing_token_service_is_retried() {
    let Some((_live, proxy, registry)) = stage(Guard::default()) else { return };
    let (client, clock) = client(&registry, None);
    proxy.on("GET", "/token", 2, Fault::Answer(503, vec![("Retry-After", "1".into())], "busy"));
    client.manifest(&reference(&registry, "a/b:t")).unwrap();
    assert_eq!(clock.slept.lock().unwrap().len(), 2);
    proxy.on("GET", "/token", 1, Fault::Answer(200, Vec::new(), "{}"));
    let (fresh, _) = super::client(&registry, None);
    let text = shown(&fresh.manifest(&reference(&registry, "a/b:t")).unwrap_err());
    assert!(text.contains("has no token"), "{text}");
}
