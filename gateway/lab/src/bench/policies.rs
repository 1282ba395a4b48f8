//! What policies cost: the gateway with one of them against the gateway with the bare route, in the same run.
//!
//! Both get the same requests, so that the cost is the policy's and not that of longer heads.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;

use super::callgrind;
use super::load::Wrk;
use super::proxies::{Candidate, Kind, Options, Proxy, Upstream};
use super::rows::{CONNECTIONS, Setting};
use crate::program::{Program, free_ports};
use crate::store::redis;
use crate::table::number;
use crate::target::{self, gateway_dir};

/// What a route has beyond its upstream, and what its requests have.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The settings beside listeners, upstreams and routes, tables only.
    pub tables: String,
    /// The keys of the route.
    pub route: String,
    /// The access log is on.
    pub logs: bool,
    /// Fields of each request, with CRLF behind each.
    pub fields: String,
}

/// The policies whose instructions are counted, by the names in docs/policies.md.
pub const COUNTED: [(&str, &str); 18] = [
    ("api-key", "API keys"),
    ("basic", "names and passwords (Basic), password known"),
    ("jwt", "signed tokens (JWT), token known"),
    ("authorization", "authorization"),
    ("clients", "addresses"),
    ("maintenance", "maintenance, from an exempt address"),
    ("cors", "CORS, a request of another site"),
    ("security-headers", "fields for browsers"),
    ("query", "the query"),
    ("max-response", "long responses"),
    ("request-headers", "`request_headers`, one set"),
    ("response-headers", "`response_headers`, one set"),
    ("rate-limit", "rate limit"),
    ("quota", "quota"),
    ("concurrent", "requests in flight"),
    ("access-log", "access log"),
    ("traces", "traces at 1 %"),
    ("all", "JWT, rate limit, access log, traces at 1 %"),
];

impl Policy {
    /// The policy of a name; `store` is the port of a Redis.
    pub fn named(name: &str, setting: Setting<'_>, store: u16) -> Result<Self> {
        let dir = setting.dir;
        let route = |route: &str| Ok(Self { route: route.to_owned(), ..Self::default() });
        let limit = |amount: &str| {
            let tables = format!("[limits.limit]\n{amount}\n");
            Ok(Self { tables, route: "limits = ['limit']\n".to_owned(), ..Self::default() })
        };
        match name {
            "api-key" => {
                // Of `secret-1`.
                let hash = "f7e7c36e458e80e6b6a2c67d0a9ec09bd718dadd7bfa8d6bf6e7ad526e46c2f7";
                let file = written(dir, "keys", &format!("partner:{hash}\n"))?;
                let table = format!("api_key]\nheader = 'X-API-Key'\nfile = '{file}'");
                Ok(authenticated(&table, "X-API-Key: secret-1"))
            }
            "basic" => {
                // Of `secret`. A password that is known is not hashed again.
                let hash = "$5$saltsaltsalt$TihBZCRsJxAxHgKub.mCOdu9X7QLi980jJxe7T2aZg7";
                let file = written(dir, "users", &format!("me:{hash}\n"))?;
                let table = format!("basic]\nfile = '{file}'");
                Ok(authenticated(&table, "Authorization: Basic bWU6c2VjcmV0"))
            }
            "jwt" => jwt(dir),
            "authorization" => route("[[routes.authorization]]\nmethods = ['GET']\n"),
            "clients" => route("clients = { allow = ['127.0.0.0/8'] }\n"),
            "maintenance" => route("maintenance = { exempt = ['127.0.0.0/8'] }\n"),
            "cors" => Ok(Self {
                route: "cors = { origins = ['https://app.example.com'] }\n".to_owned(),
                fields: "Origin: https://app.example.com\r\n".to_owned(),
                ..Self::default()
            }),
            "security-headers" => route("security_headers = true\n"),
            "query" => route("request_query = { set = { source = 'gateway' } }\n"),
            "max-response" => route("max_response_bytes = '1MiB'\n"),
            "request-headers" => route("request_headers = { set = { X-Service = 'a' } }\n"),
            "response-headers" => route("response_headers = { set = { X-Service = 'a' } }\n"),
            "rate-limit" => limit("requests = 1000000000\nper = '1s'"),
            "quota" => limit("requests = 1000000000\nper = 'day'"),
            "concurrent" => limit("concurrent = 1000000"),
            "shared-limit" => {
                let mut policy: Self =
                    limit("requests = 1000000000\nper = '1s'\nstore = 'redis'\nfail = 'closed'")?;
                // Long: no request is to pass by `fail` on a busy machine.
                writeln!(policy.tables, "[stores.redis]\nservers = ['127.0.0.1:{store}']\ntimeout = '10s'")?;
                Ok(policy)
            }
            "access-log" => Ok(Self { logs: true, ..Self::default() }),
            "traces" => Ok(Self {
                tables: format!(
                    "[traces]\nendpoint = 'http://127.0.0.1:{}/sink'\none_in = 100\n",
                    setting.upstream
                ),
                ..Self::default()
            }),
            "observed" => Self::all(&["access-log", "traces"], setting),
            "all" => Self::all(&["jwt", "rate-limit", "access-log", "traces"], setting),
            _ => anyhow::bail!("no policy of the name {name}"),
        }
    }

    /// Several together.
    fn all(names: &[&str], setting: Setting<'_>) -> Result<Self> {
        let mut all = Self::default();
        for name in names {
            let Self { tables, route, logs, fields } = Self::named(name, setting, 0)?;
            all.tables.push_str(&tables);
            all.route.push_str(&route);
            all.logs |= logs;
            all.fields.push_str(&fields);
        }
        Ok(all)
    }

    /// The bare route, asked by the same requests.
    fn bare(&self) -> Self {
        Self { fields: self.fields.clone(), ..Self::default() }
    }
}

/// Writes a file that only its owner reads.
fn written(dir: &Path, name: &str, text: &str) -> Result<String> {
    let path = dir.join(name);
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    Ok(path.display().to_string())
}

fn authenticated(table: &str, field: &str) -> Policy {
    Policy {
        tables: format!("[authenticators.a.{table}\n"),
        route: "authentication.any = ['a']\n".to_owned(),
        logs: false,
        fields: format!("{field}\r\n"),
    }
}

/// A token of PyJWT that is valid until 2125, and its key; after the first request the token is known.
fn jwt(dir: &Path) -> Result<Policy> {
    let path = gateway_dir().join("tests/data/tokens.json");
    let data: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
    let keys = written(dir, "keys.json", &data["jwks"].to_string())?;
    let token = data["tokens"][0]["token"].as_str().context("the first token")?;
    let table = format!(
        "jwt]\nalgorithms = ['RS256']\nissuers = ['https://id.example']\naudiences = ['api']\nkeys_file = '{keys}'"
    );
    Ok(authenticated(&table, &format!("Authorization: Bearer {token}")))
}

/// The two gateways that are compared, and what they need.
struct Pair {
    bare: Proxy,
    with: Proxy,
    script: String,
    _redis: Option<Program>,
}

impl Pair {
    fn start(setting: Setting<'_>, candidate: &Candidate, name: &str) -> Result<Self> {
        let [port] = free_ports()?;
        let redis = (name == "shared-limit").then(|| redis(setting.dir, port)).transpose()?;
        let policy = Policy::named(name, setting, port)?;
        let start = |policy: &Policy| {
            let options = Options { policy: Some(policy), ..Options::default() };
            candidate.start(setting.dir, setting.upstream, options)
        };
        let mut script = String::new();
        for (field, value) in policy.fields.lines().filter_map(|line| line.split_once(": ")) {
            writeln!(script, "wrk.headers['{field}'] = '{value}'")?;
        }
        Ok(Self { bare: start(&policy.bare())?, with: start(&policy)?, script, _redis: redis })
    }

    fn wrk(&self, setting: Setting<'_>, proxy: &Proxy, connections: u32) -> Result<super::load::Run> {
        let url = format!("http://127.0.0.1:{}/", proxy.plain);
        let wrk = Wrk { url: &url, connections, seconds: setting.seconds, script: &self.script };
        wrk.run(setting.dir, proxy.worker)
    }
}

/// Requests per CPU second with a policy over those with the bare route. The order turns around in between, so that
/// a machine that slows down meets both.
pub fn throughput(setting: Setting<'_>, candidate: &Candidate, name: &str) -> Result<f64> {
    let pair = Pair::start(setting, candidate, name)?;
    let mut sums = [(0.0, 0.0); 2];
    for which in [0, 1, 1, 0] {
        let proxy = [&pair.bare, &pair.with][which];
        let run = pair.wrk(setting, proxy, CONNECTIONS)?;
        sums[which].0 += run.requests;
        sums[which].1 += run.cpu;
    }
    let [bare, with] = sums.map(|(requests, cpu)| requests / cpu);
    Ok(with / bare)
}

/// The median latency with a policy over that with the bare route, one request at a time.
pub fn latency(setting: Setting<'_>, candidate: &Candidate, name: &str) -> Result<f64> {
    let pair = Pair::start(setting, candidate, name)?;
    let mut sums = [0.0; 2];
    for which in [0, 1, 1, 0] {
        sums[which] += pair.wrk(setting, [&pair.bare, &pair.with][which], 1)?.p50;
    }
    Ok(sums[1] / sums[0])
}

/// The instructions that each policy adds to a request, counted by callgrind
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  gateway-lab policies
  gateway-lab policies --only jwt,rate-limit

Prints a table for docs/policies.md. Needs nginx and valgrind, and for passwords, keys and tokens a gateway
compiled with VALGRIND_BUG_494162=1 in the environment: valgrind lacks an instruction of the cryptography.")]
pub struct Flags {
    /// The gateway's program [default: compiled as for the image]
    #[arg(long, value_name = "BINARY")]
    gateway: Option<PathBuf>,
    /// These policies alone
    #[arg(long, value_name = "POLICY,…", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(COUNTED.map(|(name, _)| name)))]
    only: Vec<String>,
}

impl Flags {
    /// Counts and tells.
    pub fn run(self) -> Result<u8> {
        let kind = Kind::Gateway(target::gateway(self.gateway.as_deref())?);
        let candidate = Candidate { name: "gateway".to_owned(), kind };
        let dir = tempfile::tempdir().context("a folder for the run")?;
        let upstream = Upstream::start(dir.path())?;
        let setting = Setting { dir: dir.path(), upstream: upstream.port, seconds: 0.0, rate: 0.0 };
        let mut counted = HashMap::new();
        println!("| policy | bare | with it | cost |\n|---|---|---|---|");
        for (name, what) in COUNTED {
            if !self.only.is_empty() && !self.only.iter().any(|only| only == name) {
                continue;
            }
            let policy = Policy::named(name, setting, 0)?;
            let count = |policy: &Policy| {
                callgrind::instructions(&candidate, setting.dir, setting.upstream, Some(policy))
                    .with_context(|| name.to_owned())
            };
            // Both get the same requests, most of them without further fields.
            let bare = match counted.get(&policy.fields) {
                Some(&bare) => bare,
                None => count(&policy.bare())?,
            };
            counted.insert(policy.fields.clone(), bare);
            let with = count(&policy)?;
            let cost = number(with - bare);
            println!("| {what} | {} | {} | {cost} |", number(bare), number(with));
        }
        Ok(0)
    }
}
