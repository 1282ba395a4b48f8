//! `resolv.conf(5)` and `hosts(5)`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Maximum number of servers in `resolv.conf(5)`.
const MAX_SERVERS: usize = 3;

/// The servers, and the search list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
    /// Timeout of one query.
    pub timeout: Duration,
    /// Number of passes through the servers.
    pub attempts: u32,
}

impl Config {
    /// Parses `resolv.conf`. Unknown lines and options are ignored.
    ///
    /// A server is an address, or `[address]:port` as on OpenBSD. The default `timeout` is one second, since
    /// the timeout of a waiting request is rarely longer.
    pub fn parse(text: &str) -> Self {
        let mut config = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(1),
            attempts: 2,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => config.servers.extend(words.next().and_then(server)),
                // The last line wins.
                Some("search" | "domain") => {
                    config.search = words.map(|word| word.trim_matches('.').to_owned()).collect();
                    config.search.retain(|domain| !domain.is_empty());
                }
                Some("options") => words.for_each(|word| config.option(word)),
                _ => {}
            }
        }
        config.servers.truncate(MAX_SERVERS);
        if config.servers.is_empty() {
            config.servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
        }
        config
    }

    fn option(&mut self, word: &str) {
        let Some((key, value)) = word.split_once(':') else { return };
        let Ok(value) = value.parse::<u32>() else { return };
        match key {
            "ndots" => self.ndots = usize::try_from(value.min(15)).unwrap_or(15),
            "timeout" => self.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The fully qualified names to query, in order.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(full) = name.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let dots = name.bytes().filter(|&byte| byte == b'.').count();
        let mut names: Vec<_> = self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let at = if dots >= self.ndots { 0 } else { names.len() };
        names.insert(at, name.to_owned());
        names
    }
}

fn server(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 53));
    }
    let (address, port) = text.strip_prefix('[')?.split_once("]:")?;
    Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
}

/// The addresses of a name in `hosts`; `localhost` needs no line (RFC 6761 section 6.3).
pub(super) fn hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split_once('#').map_or(line, |(line, _)| line);
        let mut words = line.split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !found.contains(&address) {
            found.push(address);
        }
    }
    if found.is_empty() && name.eq_ignore_ascii_case("localhost") {
        found.extend([IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Config, hosts};

    #[test]
    fn kubernetes_file_is_parsed() {
        let config = Config::parse(
            "# comment\nsearch a.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\n\
             nameserver fd00::1\nnameserver [127.0.0.1]:5353\nnameserver 10.0.0.4\nnameserver x\n\
             options ndots:5 timeout:3 attempts:99 rotate edns0 ndots:x\n",
        );
        let servers: Vec<_> = config.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.96.0.10:53", "[fd00::1]:53", "127.0.0.1:5353"]);
        assert_eq!((config.timeout, config.attempts), (Duration::from_secs(3), 5));
        let table: [(&str, &[&str]); 4] = [
            ("db", &["db.a.svc.cluster.local", "db.svc.cluster.local", "db"]),
            (
                "api.example",
                &["api.example.a.svc.cluster.local", "api.example.svc.cluster.local", "api.example"],
            ),
            ("api.example.", &["api.example"]),
            (
                "a.b.c.d.e.f",
                &["a.b.c.d.e.f", "a.b.c.d.e.f.a.svc.cluster.local", "a.b.c.d.e.f.svc.cluster.local"],
            ),
        ];
        for (name, expected) in table {
            assert_eq!(config.candidates(name), expected, "{name}");
        }
    }

    #[test]
    fn empty_file_means_localhost() {
        let config = Config::parse("");
        assert_eq!(config.servers, ["127.0.0.1:53".parse().expect("an address")]);
        assert_eq!(config.candidates("a.example"), ["a.example"]);
    }

    #[test]
    fn hosts_files_are_parsed() {
        let text = "127.0.0.1 localhost # x.example\n10.0.0.1\ta.example A b\n::1 a.example\n10.0.0.1 a.example\nx y\n";
        let table: [(&str, &[&str]); 5] = [
            ("a.example", &["10.0.0.1", "::1"]),
            ("A.Example.", &["10.0.0.1", "::1"]),
            ("b", &["10.0.0.1"]),
            ("x.example", &[]),
            ("localhost", &["127.0.0.1"]),
        ];
        for (name, expected) in table {
            let found: Vec<_> = hosts(text, name).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{name}");
        }
        assert_eq!(hosts("", "localhost").len(), 2);
    }
}
