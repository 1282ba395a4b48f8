//! Caches answers for their TTL, and longer if no server answers (RFC 8767).

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::config::{Config, hosts};
use super::transport::{Found, lookup};
use crate::dial::open::late;

/// Minimum and maximum TTL of an answer. The minimum avoids one query for each connection if the TTL is zero.
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(1));
/// Maximum TTL of a negative answer (RFC 2308), and its default if the server sends none.
const NEGATIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(5));
/// TTL of addresses from `hosts`.
const HOSTS: Duration = Duration::from_secs(5);
/// How long an expired answer may be used while no server answers.
const STALE: Duration = Duration::from_hours(24);
/// Delay before the next query after no server answered.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// How long to wait for a fresh answer while an expired one is available.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(1);

/// Resolves names. The process has one resolver; workers that need the same name share one query.
#[derive(Debug)]
pub struct Resolver {
    resolv_conf: PathBuf,
    hosts: PathBuf,
    names: Mutex<HashMap<String, Arc<Slot>>>,
}

/// The cache entry of a name. It is locked during a query, so that there is one query at a time.
type Slot = tokio::sync::Mutex<Option<Resolved>>;

#[derive(Debug)]
struct Resolved {
    /// IPv6 first; empty if the name has no address.
    addresses: Vec<IpAddr>,
    good_until: Instant,
    usable_until: Instant,
    /// Rotation of the addresses: index of the next first address.
    turn: usize,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(Path::new("/etc/resolv.conf"), Path::new("/etc/hosts"))
    }
}

impl Resolver {
    /// A resolver with these files; they are read again for each query.
    pub fn new(resolv_conf: &Path, hosts: &Path) -> Self {
        Self { resolv_conf: resolv_conf.to_owned(), hosts: hosts.to_owned(), names: Mutex::default() }
    }

    /// The addresses of a name, or of an IP address in text form. The addresses of each family rotate with
    /// each call, so that connections spread over them.
    ///
    /// # Errors
    ///
    /// The name has no address, or no server answers and no answer is cached.
    pub async fn resolve(&self, host: &str, deadline: Instant) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let slot = {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(names.entry(host.to_ascii_lowercase()).or_default())
        };
        let mut known = timeout_at(deadline, slot.lock()).await.map_err(|_| late())?;
        let now = Instant::now();
        if let Some(answer) = known.as_mut().filter(|known| now < known.good_until) {
            return answer.next();
        }
        let old = known.as_mut().filter(|old| now < old.usable_until && !old.addresses.is_empty());
        let limit = match old {
            Some(_) => now + REFRESH_TIMEOUT.min(deadline.saturating_duration_since(now) / 2),
            None => deadline,
        };
        match (timeout_at(limit, self.ask(host)).await.unwrap_or_else(|_| Err(late())), old) {
            (Ok(new), _) => known.insert(new).next(),
            (Err(_), Some(old)) => {
                old.good_until = Instant::now() + RETRY_DELAY;
                old.next()
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn ask(&self, host: &str) -> io::Result<Resolved> {
        let listed = hosts(&read(&self.hosts), host);
        if !listed.is_empty() {
            let (v6, v4): (Vec<_>, Vec<_>) = listed.into_iter().partition(IpAddr::is_ipv6);
            return Ok(Resolved::new([v6, v4].concat(), HOSTS));
        }
        let config = Config::parse(&read(&self.resolv_conf));
        let Found { addresses, ttl } = lookup(host, &config).await?;
        let told = ttl.map(|seconds| Duration::from_secs(u64::from(seconds)));
        let good = if addresses.is_empty() {
            told.unwrap_or(NEGATIVE.1).clamp(TTL.0, NEGATIVE.0)
        } else {
            told.unwrap_or(TTL.0).clamp(TTL.0, TTL.1)
        };
        Ok(Resolved::new(addresses, good))
    }
}

impl Resolved {
    fn new(addresses: Vec<IpAddr>, good: Duration) -> Self {
        let good_until = Instant::now() + good;
        Self { addresses, good_until, usable_until: good_until + STALE, turn: 0 }
    }

    /// The addresses, those of each family rotated by one more each time.
    fn next(&mut self) -> io::Result<Vec<IpAddr>> {
        if self.addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no such name, or it has no address"));
        }
        let mut addresses = self.addresses.clone();
        let v6 = addresses.iter().take_while(|address| address.is_ipv6()).count();
        let (first, second) = addresses.split_at_mut(v6);
        for family in [first, second] {
            let turn = self.turn % family.len().max(1);
            family.rotate_left(turn);
        }
        self.turn = self.turn.wrapping_add(1);
        Ok(addresses)
    }
}

/// The content of a file; empty if it does not exist, as in the C library.
fn read(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
