//! Reads a settings file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time;

use toml::de::DeTable;

use super::kinds::{Address, Duration, Switch, Text, count, size};
use super::print::effective;
use super::problem::{Place, Problem};
use super::reader::Reader;
use super::record::{Mode, Table};
use super::report::Report;
use super::secret::SecretValue;
use super::{
    Settings, authenticators, limits, listeners, observe, policies, routes, stores, traces, upstreams,
};
use crate::observe::log_settings::LogSettings;

/// A larger file is not a settings file.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Maximum size of the settings on the admin page, in bytes.
const MAX_SHOWN_BYTES: usize = 256 << 10;

/// Reads a settings file.
///
/// The result has the settings as far as they could be read, so that the caller can report more problems;
/// with any problem they must not be used.
pub fn load(path: &Path) -> (Settings, Vec<Problem>) {
    match text_of(path) {
        Ok(text) => {
            let file = path.display().to_string();
            let (mut settings, problems) = parse(&file, &text);
            if problems.is_empty() {
                settings.shown = shown(&file, &text);
            }
            (settings, problems)
        }
        Err(problem) => (empty(), vec![problem]),
    }
}

/// The settings with secrets masked, for the admin page.
fn shown(file: &str, text: &str) -> String {
    let mut shown = effective(&examine_text(file, text).keys);
    if shown.len() > MAX_SHOWN_BYTES {
        shown.truncate(shown.floor_char_boundary(MAX_SHOWN_BYTES));
        shown.push_str("\n# and more that is not shown here\n");
    }
    shown
}

/// A settings file with all findings.
#[derive(Debug)]
pub struct Examined {
    /// The settings, as far as they could be read.
    pub settings: Settings,
    /// Errors: the settings cannot be used.
    pub problems: Vec<Problem>,
    /// Warnings about valid but suspicious settings.
    pub warnings: Vec<Problem>,
    /// Every key with its value.
    pub keys: Table,
    /// The text with secrets masked; lines and columns are unchanged.
    pub shown: String,
}

/// Reads a settings file, and records the value of each key.
pub fn examine(path: &Path) -> Examined {
    match text_of(path) {
        Ok(text) => examine_text(&path.display().to_string(), &text),
        Err(problem) => Examined {
            settings: empty(),
            problems: vec![problem],
            warnings: Vec::new(),
            keys: Table::default(),
            shown: String::new(),
        },
    }
}

/// Every key of a settings file.
pub fn describe() -> Table {
    let report = Report::new("", "", Mode::Describe);
    let reader = Reader::of(DeTable::new(), 0..0, "the file", &report);
    keys(reader, |reader| read(reader, &mut empty()))
}

/// The text of a settings file.
fn text_of(path: &Path) -> Result<String, Problem> {
    let failed = |place, text| Problem { file: path.display().to_string(), place, code: None, text };
    let unreadable =
        |error: std::io::Error| failed(None, format!("cannot be read: {error}; name it with --config"));
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE_BYTES {
        return Err(failed(None, "is larger than 4 MiB; is this the settings file?".to_owned()));
    }
    String::from_utf8(std::fs::read(path).map_err(unreadable)?).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let place = Place::of(&String::from_utf8_lossy(error.as_bytes()), good);
        failed(Some(place), "is not valid UTF-8; save it as UTF-8".to_owned())
    })
}

/// Reads settings from a text; `file` is its name in problems.
pub fn parse(file: &str, text: &str) -> (Settings, Vec<Problem>) {
    let report = Report::new(file, text, Mode::Read);
    let (mut settings, _) = read_text(text, &report);
    let found = report.into_found();
    (settings.files, settings.secrets) = (found.files, found.secrets);
    (settings, found.problems)
}

/// Like [`examine`], from a text.
pub fn examine_text(file: &str, text: &str) -> Examined {
    let report = Report::new(file, text, Mode::Record);
    let (mut settings, keys) = read_text(text, &report);
    let found = report.into_found();
    (settings.files, settings.secrets) = (found.files, found.secrets);
    Examined { settings, problems: found.problems, warnings: found.warnings, keys, shown: found.shown }
}

fn read_text<'t>(text: &'t str, report: &Report<'t>) -> (Settings, Table) {
    let mut settings = empty();
    let mut table = Table::default();
    let (root, mut errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let span = root.span();
        let reader = Reader::of(root.into_inner(), span, "the file", report);
        table = keys(reader, |reader| read(reader, &mut settings));
    }
    // Settings cannot be read from invalid TOML: only the syntax errors are reported.
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    for (number, error) in errors.iter().enumerate() {
        let span = error.span().unwrap_or_default();
        let found = error.message().replace('\n', " ");
        let rest = if number + 1 == errors.len() { "; the rest is checked once it is" } else { "" };
        report.add(&span, format!("the file is not valid TOML here: {found}{rest}"));
    }
    if !errors.is_empty() {
        report.hide_secret_lines();
    }
    (settings, table)
}

/// The keys that were read.
fn keys<'t, 'r>(reader: Reader<'t, 'r>, read: impl FnOnce(Reader<'t, 'r>)) -> Table {
    let log = reader.log();
    read(reader);
    log.map(|log| log.take()).unwrap_or_default()
}

fn read(mut root: Reader<'_, '_>, settings: &mut Settings) {
    let threads = root.get(
        "threads",
        count(1..=1024),
        "one for each processor",
        "worker threads; each accepts on a socket of its own",
    );
    settings.threads = threads.unwrap_or(settings.threads);
    root.set(
        &mut settings.watch,
        "watch",
        Switch,
        "whether the settings are reloaded when their file or a file that it names has changed",
    );
    root.set(
        &mut settings.drain_delay,
        "drain_delay",
        Duration::OrZero,
        "how long the gateway goes on accepting after it was told to stop, while `/readyz` already says no",
    );
    root.set(
        &mut settings.drain_timeout,
        "drain_timeout",
        Duration::OrZero,
        "the longest time for requests in flight to finish after that",
    );
    let mut admin = root.section("admin", "the admin listener");
    admin.set(
        &mut settings.admin,
        "address",
        Address,
        "where `/livez`, `/readyz`, `/metrics` and `POST /-/reload` are; keep it away from the public",
    );
    settings.admin_token = admin.get(
        "token",
        SecretValue,
        "none",
        "opens `/-/` to other machines, as a bearer token or as the password of any user; at least 16 bytes",
    );
    admin.finish();
    let doc = "above so much memory in use, further requests get 503, see gateway.md; 0 for no bound";
    settings.max_memory =
        root.get("max_memory", size(0..=1 << 50), "80 % of the limit of the cgroup, if it has one", doc);
    let doc = "a Unix socket at which a second gateway with these settings takes the sockets of the first over, see gateway.md";
    settings.takeover = root.get("takeover", Text, "none", doc).map(PathBuf::from);
    root.set(
        &mut settings.replicas,
        "replicas",
        count(1..=100_000),
        "how many gateways run with these settings; `gateway check` warns of limits that each counts for itself",
    );
    let doc = "refuses all requests with 503, see below; a route may have its own";
    let maintenance = root.table("maintenance", "none", doc).map(policies::maintenance);
    settings.listeners = listeners::read(&mut root, settings.admin);
    settings.upstreams = upstreams::read(&mut root);
    settings.authenticators = authenticators::read(&mut root);
    settings.stores = stores::read(&mut root);
    settings.limits = limits::read(&mut root, &settings.stores);
    settings.routes =
        routes::read(&mut root, &settings.upstreams, &settings.authenticators, &settings.limits);
    for route in &mut settings.routes {
        let own = route.policies.maintenance.take();
        route.policies.maintenance = own.or_else(|| maintenance.clone());
    }
    if let Some(log) = observe::access_log(&mut root, &settings.routes) {
        settings.access_log = log;
    }
    settings.traces = traces::read(&mut root);
    root.finish();
}

fn empty() -> Settings {
    Settings {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        admin_token: None,
        takeover: None,
        max_memory: None,
        replicas: 1,
        drain_delay: time::Duration::ZERO,
        drain_timeout: time::Duration::from_secs(30),
        watch: true,
        access_log: LogSettings::default(),
        traces: None,
        admin: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8081)),
        listeners: Vec::new(),
        upstreams: Vec::new(),
        authenticators: Vec::new(),
        stores: Vec::new(),
        limits: Vec::new(),
        routes: Vec::new(),
        shown: String::new(),
        files: Vec::new(),
        secrets: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;
    use crate::settings::{Action, Forward, PathMatch};

    const GOOD: &str = r#"
        threads = 3
        drain_timeout = "10s"
        [admin]
        address = "127.0.0.1:0"
        [[listeners]]
        name = "web"
        address = "[::]:8080"
        header_timeout = "5s"
        max_header_bytes = "8KiB"
        max_body_bytes = 1000
        trusted_proxies = ["10.0.0.0/8", "::1"]
        [upstreams.api]
        endpoints = ["http://a:80", "b:81", "[::1]:82"]
        connect_timeout = "500ms"
        [[routes]]
        hosts = ["API.example.com", "*.example.org"]
        path = "/v1/"
        methods = ["GET", "POST"]
        upstream = "api"
        request_timeout = "1m"
        [[routes]]
        upstream = "api"
    "#;

    #[test]
    fn good_settings() {
        let (settings, problems) = parse("f", GOOD);
        assert_eq!(problems, []);
        assert_eq!(settings.threads, 3);
        assert_eq!(settings.drain_timeout, Duration::from_secs(10));
        let listener = &settings.listeners[0];
        assert_eq!(listener.head.max_bytes, 8192);
        assert_eq!(listener.max_body_bytes, 1000);
        assert_eq!(listener.trusted_proxies.len(), 2);
        let upstream = &settings.upstreams[0];
        let endpoints: Vec<String> = upstream.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(endpoints, ["a:80", "b:81", "[::1]:82"]);
        assert_eq!(upstream.connect_timeout, Duration::from_millis(500));
        let route = &settings.routes[0];
        assert_eq!(route.hosts, ["api.example.com", "*.example.org"]);
        assert_eq!(route.path, PathMatch::Prefix("/v1".to_owned()));
        assert_eq!(route.action, Action::Forward(Forward::to("api")));
        assert_eq!(route.name, "GET,POST api.example.com,*.example.org/v1");
        assert_eq!(settings.routes[1].name, "/");
    }

    #[test]
    fn every_problem_is_found_and_placed() {
        let text = "\
thread = 2
drain_timeout = 5
[admin]
address = \"localhost\"
[[listeners]]
address = \"0.0.0.0:8080\"
header_timout = \"5s\"
idle_timeout = \"0s\"
tls = { certificate = \"a.pem\" }
[upstreams.api]
endpoints = [\"https://a/x\", \"a\", 5]
[upstreams.none]
[[routes]]
upstream = \"apo\"
path = \"/a/../b\"
hosts = [\"a b\", \"*.x.*\"]
methods = [\"get\", \"G T\"]
[[routes]]
path = \"v1\"
";
        let (_, problems) = parse("f", text);
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected = [
            "f:1:1: unknown key 'thread' in the file; did you mean 'threads'?",
            "f:2:17: 'drain_timeout' must be a duration",
            "f:4:11: 'address' must be an IP address with port",
            "f:7:1: unknown key 'header_timout' in [[listeners]]; did you mean 'header_timeout'?",
            "f:8:16: 'idle_timeout' must be a duration above zero",
            "f:9:7: tls lacks 'key'",
            "f:11:14: 'https://a/x' is not an endpoint: it has a path",
            "f:11:29: 'a' is not an endpoint: the port is missing",
            "f:11:34: an item of 'endpoints' must be a text that is not empty or a table, not 5",
            "f:12:1: [upstreams.none] lacks 'endpoints'",
            "f:14:12: there is no upstream 'apo'; did you mean 'api'?",
            "f:15:8: '/a/../b' is not canonical; write '/b'",
            "f:16:10: 'a b' is not a host",
            "f:16:17: '*.x.*' is not a host",
            "f:17:12: 'get' is not a method; write 'GET'",
            "f:17:19: 'G T' is not a method",
            "f:18:1: [[routes]] lacks 'upstream'",
            "f:19:8: 'v1' does not begin with '/'",
        ];
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.contains(expected), "\n{line}\n{expected}\n{lines:#?}");
        }
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    }

    #[test]
    fn a_wrong_value_is_shown() {
        let table = [
            ("threads = 0", "f:1:11: 'threads' must be a whole number from 1 to 1024, not 0"),
            ("threads = -1", "from 1 to 1024, not -1"),
            ("threads = 2.0", "from 1 to 1024, not 2.0"),
            ("threads = '2'", "from 1 to 1024, not '2'"),
            ("threads = [2]", "from 1 to 1024, not an array"),
            ("threads = {}", "from 1 to 1024, not a table"),
            ("access_log = 1", "must be true or false or a table, not 1"),
            ("drain_delay = 5", "\"5m\", not 5"),
            ("drain_delay = true", "\"5m\", not true"),
            ("admin = 5", "admin must be a table, not 5"),
            ("[[listeners]]\nmax_headers = 5", "'max_headers' must be a whole number from 8 to 1024, not 5"),
            ("[[listeners]]\nmax_header_bytes = 1", "such as \"64KiB\", not 1"),
            (
                "[upstreams.a]\nendpoints = ['']",
                "an item of 'endpoints' must be a text that is not empty or a table, not ''",
            ),
        ];
        for (text, expected) in table {
            let (_, problems) = parse("f", text);
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert!(lines.iter().any(|line| line.ends_with(expected)), "{text}\n{lines:#?}");
        }
    }

    #[test]
    fn what_excludes_each_other_is_a_problem() {
        let head = "[[listeners]]\naddress = '0.0.0.0:80'\n[upstreams.a]\nendpoints = ['a:1']\n";
        let table = [
            ("[[routes]]\nupstream='a'\n[[routes]]\nupstream='a'\n", "(f:5) take the same requests"),
            (
                "[[routes]]\nupstream='a'\nmethods=['GET']\n[[routes]]\nupstream='a'\nmethods=['PUT','GET']",
                "(f:5) take the same requests",
            ),
            (
                "[[routes]]\nupstream='a'\nname='x'\n[[routes]]\nupstream='a'\nname='x'\npath='/b'",
                "there is another route 'x' (f:5)",
            ),
            ("[[routes]]\nupstream='a'\n[[listeners]]\naddress='0.0.0.0:80'", "another listener"),
            (
                "[[routes]]\nupstream='a'\n[[listeners]]\nname='x'\naddress='127.0.0.1:8081'",
                "the admin listener has",
            ),
            ("", "[[routes]]"),
            ("[[routes]]\nupstream='a'\n[[routes]", "the file is not valid TOML here"),
        ];
        for (tail, expected) in table {
            let (_, problems) = parse("f", &format!("{head}{tail}"));
            assert_eq!(problems.len(), 1, "{tail}\n{problems:#?}");
            assert!(problems[0].text.contains(expected), "{tail}\n{problems:#?}");
        }
    }

    #[test]
    fn any_text_is_read_without_panic() {
        for end in 0..GOOD.len() {
            if let Some(text) = GOOD.get(..end) {
                let _ = parse("f", text);
            }
            if let Some(text) = GOOD.get(end..) {
                let _ = parse("f", text);
            }
        }
        for text in ["\0", "a = [[[[[[", "a.b.c.d = {", "=", "\u{feff}", "a = 1979-05-27"] {
            let _ = parse("f", text);
        }
    }
}
