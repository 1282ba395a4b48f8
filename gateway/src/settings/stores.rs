//! Reads `[stores.NAME]`.

use std::time;

use super::kinds::{Duration, List, Parsed, ParsedBy, Switch, Text, count};
use super::reader::Reader;
use super::report::{Placed, Report};
use super::secret::SecretValue;
use super::{FileKind, Scheme, Store, endpoints};
use crate::endpoint::Address;

/// Reads all stores in the file.
pub fn read(root: &mut Reader<'_, '_>) -> Vec<Store> {
    let doc = "Redis or Valkey, in which limits count for several gateways; limits name them";
    root.named("stores", doc).into_iter().map(|(name, table)| store(name, table)).collect()
}

const SERVER: ParsedBy<Address> = Parsed {
    label: "`\"host:port\"` or `\"unix:/path\"`",
    pattern: Some("^(unix:(//)?/.+|[^/@?#]+:[0-9]+)$"),
    read: server,
};

fn server(text: &Placed<String>, report: &Report<'_>) -> Option<Address> {
    let parsed = if text.value.contains("://") && !text.value.starts_with("unix:") {
        Err("it has a scheme; 'tls' and 'password' are keys of their own")
    } else {
        endpoints::parse(&text.value)
    };
    match parsed {
        Ok(endpoint) if endpoint.scheme == Scheme::Http => Some(endpoint.address),
        Ok(_) => None,
        Err(reason) => {
            // The part before `@` is a secret.
            let shown = if text.value.contains('@') {
                report.hide(text.span.clone());
                String::new()
            } else {
                format!(" '{}'", text.value.escape_debug())
            };
            report.add(
                &text.span,
                format!("the server{shown} cannot be used: {reason}; write \"host:port\" or \"unix:/path\""),
            );
            None
        }
    }
}

fn prefix(text: &Placed<String>, report: &Report<'_>) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    if !text.value.bytes().all(fits) || text.value.len() > 100 {
        let advice = "use at most 100 letters, digits, '-', '_', '.', ':' and '/'";
        report.add(&text.span, format!("'{}' cannot begin a key: {advice}", text.value.escape_debug()));
        return None;
    }
    Some(text.value.clone())
}

fn store(name: Placed<String>, mut table: Reader<'_, '_>) -> Store {
    let report = table.report;
    let before = report.count();
    let servers = table.need(
        "servers",
        List(SERVER),
        "[\"redis:6379\"]",
        "its servers: one, or some of a cluster, of which the others are found",
    );
    let servers: Vec<Address> =
        servers.map(|list| list.value.into_iter().map(|server| server.value).collect()).unwrap_or_default();
    if servers.is_empty() && report.count() == before {
        table.lacks("servers", "[\"redis:6379\"]");
    }
    let mut tls = false;
    table.set(&mut tls, "tls", Switch, "whether the connections are TLS");
    let ca = table.placed("ca", Text, "the system's", "the authorities of its certificates, in PEM");
    if ca.is_some() && !tls {
        report.add(&table.span, "'ca' has no effect without 'tls'; add tls = true");
    }
    let ca = ca.map(|path| report.file(FileKind::Authorities, &path));
    let user = table.get("user", Text, "the default user", "the user of `AUTH`");
    let password = table.get("password", SecretValue, "none", "the password of `AUTH`");
    if user.is_some() && password.is_none() {
        report.add(&table.span, "'user' has no effect without 'password'; add it");
    }
    let (mut database, mut timeout) = (0, time::Duration::from_millis(50));
    table.set(&mut database, "database", count(0..=65_535), "the number of its database; 0 in a cluster");
    table.set(&mut timeout, "timeout", Duration::Positive, "the longest time that a request waits for it");
    let kind = Parsed { label: "text", pattern: Some("^[A-Za-z0-9._:/-]{1,100}$"), read: prefix };
    let prefix = table.get("prefix", kind, "`\"gateway:\"`", "what all keys begin with");
    let place = report.place(&name.span);
    table.finish();
    Store {
        name: name.value,
        place,
        servers,
        tls,
        ca,
        user,
        password,
        database,
        timeout,
        prefix: prefix.unwrap_or_else(|| "gateway:".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::parse;

    const HEAD: &str = "[[listeners]]\naddress = '127.0.0.1:0'\n[[routes]]\nlimits = ['a']\nrespond = { status = 204 }\n\
                        [limits.a]\nrequests = 1\nper = '1s'\n";

    #[test]
    fn stores_are_read() {
        let text = "store = 's'\nfail = 'closed'\n[stores.s]\nservers = ['redis:6379', '[::1]:6380', 'unix:/run/redis.sock']\n\
                    tls = true\nuser = 'u'\npassword = 'p'\ndatabase = 2\ntimeout = '20ms'\nprefix = 'x:'\n";
        let (settings, problems) = parse("f", &format!("{HEAD}{text}"));
        assert_eq!(problems, []);
        let store = &settings.stores[0];
        let servers: Vec<String> = store.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["redis:6379", "[::1]:6380", "unix:/run/redis.sock"]);
        assert_eq!((store.tls, store.database, store.prefix.as_str()), (true, 2, "x:"));
        assert!(!format!("{store:?}").contains("\"p\""), "{store:?}");
    }

    #[test]
    fn mistakes_are_named() {
        let store = "store = 's'\n[stores.s]\n";
        let table = [
            ("store = 's'".to_owned(), "there is no store 's'; add [stores.s]"),
            ("store = 'redi'\n[stores.redis]\nservers = ['a:1']".to_owned(), "did you mean 'redis'?"),
            ("fail = 'open'".to_owned(), "'fail' has no effect without 'store'"),
            (
                "concurrent = 1\nstore = 's'\n[stores.s]\nservers = ['a:1']".to_owned(),
                "counted by each process",
            ),
            (store.to_owned(), "lacks 'servers'"),
            (format!("{store}servers = []"), "lacks 'servers'"),
            (format!("{store}servers = ['a']"), "the server 'a' cannot be used: the port is missing"),
            (format!("{store}servers = ['redis://a:1']"), "it has a scheme"),
            (format!("{store}servers = ['a:1']\nca = '/x'"), "'ca' has no effect without 'tls'"),
            (format!("{store}servers = ['a:1']\nuser = 'u'"), "'user' has no effect without 'password'"),
            (format!("{store}servers = ['a:1']\nprefix = '{{a}}'"), "cannot begin a key"),
            (format!("{store}servers = ['a:1']\ntimeout = '0s'"), "'timeout' must be"),
        ];
        for (text, expected) in table {
            let head = if text.starts_with("concurrent") {
                HEAD.replace("requests = 1\nper = '1s'\n", "")
            } else {
                HEAD.to_owned()
            };
            let (_, problems) = parse("f", &format!("{head}{text}\n"));
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert!(lines.len() == 1 && lines[0].contains(expected), "{text}\n{lines:#?}");
        }
    }
}
