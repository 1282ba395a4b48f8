//! Keys by URL: rotated under load, with the server of the keys down, and under a flood of tokens that
//! name unknown keys. `JWKS_OUTAGE=60` runs it with an outage of a minute and says the numbers;
//! `GATEWAY_BINARY` names another program than the debug build, such as the one of the image.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use graviola::signing::eddsa::Ed25519SigningKey;

use crate::authentication::{gateway, get};
use crate::client::Client;
use crate::gateway::PATIENCE;
use crate::upstream::{Upstream, response};

/// The shortest time between two fetches in the settings of these tests.
const INTERVAL: Duration = Duration::from_millis(500);

/// A key of an issuer.
struct Key {
    id: &'static str,
    key: Ed25519SigningKey,
}

impl Key {
    fn new(id: &'static str) -> Self {
        Self { id, key: Ed25519SigningKey::generate().expect("a key") }
    }

    fn jwk(&self) -> String {
        let x = BASE64URL.encode(self.key.public_key().as_bytes());
        format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"{}\",\"x\":\"{x}\"}}", self.id)
    }

    /// A token that names a key, signed with this one.
    fn token(&self, kid: &str, number: usize) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        let header = format!("{{\"alg\":\"EdDSA\",\"kid\":\"{kid}\"}}");
        let claims = format!("{{\"sub\":\"u{number}\",\"exp\":{}}}", now + 600);
        let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
        let signature = BASE64URL.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

fn set(keys: &[&Key]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

/// The server of the keys.
struct Issuer {
    server: Upstream,
    keys: Arc<Mutex<String>>,
    down: Arc<AtomicBool>,
    fetches: Arc<Mutex<Vec<Instant>>>,
}

impl Issuer {
    fn start(keys: String) -> Self {
        let keys = Arc::new(Mutex::new(keys));
        let down = Arc::new(AtomicBool::new(false));
        let fetches: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let (current, is_down, noted) = (Arc::clone(&keys), Arc::clone(&down), Arc::clone(&fetches));
        let server = Upstream::start(move |_, client| {
            noted.lock().expect("fetches").push(Instant::now());
            if !is_down.load(Ordering::SeqCst) {
                client.send(response(200, &current.lock().expect("keys")));
            }
            false
        });
        Self { server, keys, down, fetches }
    }

    fn publish(&self, keys: &[&Key]) {
        *self.keys.lock().expect("keys") = set(keys);
    }

    /// How many fetches there were, and the shortest time between two.
    fn fetches(&self) -> (usize, Duration) {
        let fetches = self.fetches.lock().expect("fetches");
        let gaps = fetches.windows(2).map(|pair| pair[1] - pair[0]);
        (fetches.len(), gaps.min().unwrap_or(Duration::MAX))
    }
}

fn settings(issuer: &Issuer, more: &str) -> String {
    format!(
        "[authenticators.users.jwt]\nalgorithms = ['EdDSA']\nkeys_url = 'http://{}/jwks'\n\
         min_refresh_interval = '{}ms'\nleeway = '0s'\n{more}\n\
         [[routes]]\nupstream = 'a'\nauthentication.any = ['users']\n",
        issuer.server.address,
        INTERVAL.as_millis()
    )
}

/// At most one fetch began in each interval. The server sees a fetch later than it began, by a time
/// that varies, so that the number counts and not the time between two.
fn assert_bounded(issuer: &Issuer, begun: Instant) {
    let (fetches, _) = issuer.fetches();
    let intervals = begun.elapsed().as_millis() / INTERVAL.as_millis();
    assert!(fetches as u128 <= intervals + 1, "{fetches} fetches in {intervals} intervals");
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[test]
fn a_key_that_was_published_before_its_token_is_found() {
    let (one, two) = (Key::new("one"), Key::new("two"));
    let issuer = Issuer::start(set(&[&one]));
    let upstream = Upstream::saying("ok");
    let begun = Instant::now();
    let gateway = gateway(&upstream, &settings(&issuer, ""));
    let status = |token: String| get(&gateway, "/", &bearer(&token)).status;
    assert_eq!(status(one.token("one", 1)), 200);
    // Just fetched, without the key. The next fetch has to wait, and so has the token.
    assert_eq!(status(one.token("none", 1)), 401);
    issuer.publish(&[&one, &two]);
    assert_eq!(status(two.token("two", 1)), 200);
    // A key that is withdrawn is withdrawn for tokens that were verified before, too.
    issuer.publish(&[&two]);
    assert_eq!(status(two.token("three", 1)), 401);
    assert_eq!(status(one.token("one", 1)), 401);
    assert_bounded(&issuer, begun);
}

#[test]
fn without_keys_nothing_passes() {
    let one = Key::new("one");
    let issuer = Issuer::start("no keys".to_owned());
    let upstream = Upstream::saying("ok");
    let gateway = gateway(&upstream, &settings(&issuer, "refresh_interval = '600ms'\nmax_age = '1500ms'"));
    let answer = get(&gateway, "/", &bearer(&one.token("one", 1)));
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    gateway.says("authenticator 'users': the keys cannot be fetched");
    issuer.publish(&[&one]);
    assert_eq!(get(&gateway, "/", &bearer(&one.token("one", 1))).status, 200);
    gateway.says("authenticator 'users': the keys were fetched again");
    issuer.down.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    let mut passed = 0;
    let refused = loop {
        let status = get(&gateway, "/", &bearer(&one.token("one", passed))).status;
        if status != 200 {
            break status;
        }
        passed += 1;
        thread::sleep(Duration::from_millis(20));
        assert!(begun.elapsed() < Duration::from_secs(10), "keys of any age are used");
    };
    assert!(passed > 10 && begun.elapsed() > Duration::from_millis(800), "{passed} {:?}", begun.elapsed());
    assert_eq!(refused, 503, "too old");
}

#[test]
fn keys_rotate_under_load_with_their_server_down_and_under_a_flood() {
    let outage = std::env::var("JWKS_OUTAGE").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let keys: [Key; 3] = [Key::new("one"), Key::new("two"), Key::new("three")];
    let issuer = Issuer::start(set(&[&keys[0]]));
    let upstream = Upstream::saying("ok");
    let more = "refresh_interval = '1s'\nmax_age = '10m'\nmax_waiting = 8";
    let begun = Instant::now();
    let gateway = gateway(&upstream, &settings(&issuer, more));
    // Clients sign with the newest key that is published.
    let newest = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    let [passed, flood, flood_unsettled] = [const { AtomicUsize::new(0) }; 3];
    let address = gateway.address;
    thread::scope(|scope| {
        for client in 0..4 {
            let (keys, newest, done) = (&keys, &newest, &done);
            let passed = &passed;
            scope.spawn(move || {
                let mut connection = Client::connect(address);
                let mut number = client;
                while !done.load(Ordering::SeqCst) {
                    let key = &keys[newest.load(Ordering::SeqCst)];
                    let fields = bearer(&key.token(key.id, number));
                    connection.send(format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
                    // Also not with 503, though the flood takes all places of those that wait.
                    assert_eq!(connection.answer().status, 200, "a good token of {}", key.id);
                    passed.fetch_add(1, Ordering::SeqCst);
                    number += 4;
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
        for client in 0..12 {
            let (keys, done) = (&keys, &done);
            let (flood, flood_unsettled) = (&flood, &flood_unsettled);
            scope.spawn(move || {
                // Signed by a real key, so that only the name of the key is wrong.
                let mut requests = String::new();
                for number in 0..50 {
                    let token = keys[0].token(&format!("unknown-{client}-{number}"), number);
                    write!(requests, "GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", bearer(&token)).expect("a text");
                }
                let mut connection = Client::from(Ipv4Addr::new(127, 0, 0, 2), address);
                while !done.load(Ordering::SeqCst) {
                    connection.send(&requests);
                    for _ in 0..50 {
                        if done.load(Ordering::SeqCst) {
                            return;
                        }
                        match connection.answer().status {
                            401 => {}
                            503 => drop(flood_unsettled.fetch_add(1, Ordering::SeqCst)),
                            other => panic!("a token of an unknown key was answered with {other}"),
                        }
                        flood.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        for (number, published) in [(1, &keys[..2]), (2, &keys[1..])] {
            thread::sleep(Duration::from_millis(1200));
            issuer.publish(&published.iter().collect::<Vec<_>>());
            newest.store(number, Ordering::SeqCst);
        }
        thread::sleep(Duration::from_millis(1500));
        // Every worker knows the newest key by now; an outage changes nothing for it.
        issuer.down.store(true, Ordering::SeqCst);
        thread::sleep(Duration::from_secs(outage));
        issuer.down.store(false, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(700));
        // A slow machine needs longer for as much load.
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline
            && (passed.load(Ordering::SeqCst) <= 100 || flood.load(Ordering::SeqCst) <= 1000)
        {
            thread::sleep(Duration::from_millis(50));
        }
        done.store(true, Ordering::SeqCst);
    });
    let elapsed = begun.elapsed();
    let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    let (fetches, shortest) = issuer.fetches();
    println!(
        "{:.1} s: {} good tokens passed, none was refused; {} tokens of unknown keys ({} a second), none passed, {} of them were not decided (503); \
         {fetches} fetches, the shortest time between two {shortest:?}",
        elapsed.as_secs_f64(),
        count(&passed),
        count(&flood),
        count(&flood) as u128 * 1000 / elapsed.as_millis(),
        count(&flood_unsettled),
    );
    assert!(count(&passed) > 100 && count(&flood) > 1000, "{} {}", count(&passed), count(&flood));
    assert_bounded(&issuer, begun);
}
