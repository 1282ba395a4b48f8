//! The proxies that are compared, with settings that ask the same of each: one worker, an access log,
//! connections to the upstream kept, forwarded fields and a request id added.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::policies::Policy;
use crate::program::{Program, free_ports};
use crate::target;

/// Which program forwards.
#[derive(Clone, Debug)]
pub enum Kind {
    Nginx,
    Haproxy,
    /// A gateway's program.
    Gateway(PathBuf),
}

/// A proxy of the comparison.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its column.
    pub name: String,
    pub kind: Kind,
}

/// A proxy that runs.
#[derive(Debug)]
pub struct Proxy {
    /// The process that does the work: of nginx the worker.
    pub worker: u32,
    /// HTTP/1.1.
    pub plain: u16,
    /// HTTP/2 by prior knowledge.
    pub h2c: u16,
    /// TLS, with HTTP/2 and HTTP/1.1 by ALPN.
    pub tls: u16,
    _program: Program,
}

/// How a proxy is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// A program that runs the proxy, such as valgrind.
    pub within: &'a [String],
    /// So many routes of the gateway instead of one; see [`route_target`].
    pub routes: Option<usize>,
    /// What the gateway's route has beyond its upstream; without it, an access log and nothing else.
    pub policy: Option<&'a Policy>,
}

/// The server behind them all: 1 KB at `/`, files below `/files/`, anything below `/sink` is read and dropped.
#[derive(Debug)]
pub struct Upstream {
    pub port: u16,
    _program: Program,
}

const NGINX: &str = "worker_processes 1; daemon off; error_log stderr crit;\n\
    events { worker_connections 8192; }\n";

impl Upstream {
    /// Starts it with files of 1 MB and 100 MB.
    pub fn start(dir: &Path) -> Result<Self> {
        let [port] = free_ports()?;
        let files = dir.join("files");
        fs::create_dir_all(&files)?;
        fs::write(files.join("1m"), vec![b'x'; 1_000_000])?;
        fs::write(files.join("100m"), vec![b'x'; 100_000_000])?;
        // The workers are of another user, and a folder for one run is closed to it.
        open_to_all(dir)?;
        let text = format!(
            "{NGINX}pid {dir}/upstream.pid;\n\
             http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600; sendfile on;\n\
             client_max_body_size 0; client_body_buffer_size 2m; client_body_temp_path {dir}/up-body;\n\
             server {{ listen 127.0.0.1:{port} backlog=4096; root {dir};\n\
             location / {{ return 200 \"{body}\"; }}\n\
             location /files/ {{ }}\n\
             location /sink {{ proxy_pass http://127.0.0.1:{port}/; proxy_pass_request_body off;\n\
             proxy_set_header Content-Length \"\"; }} }} }}\n",
            dir = dir.display(),
            body = "x".repeat(1024),
        );
        let mut program = nginx("upstream", dir, &text, &[])?;
        program.listening(&[port])?;
        Ok(Self { port, _program: program })
    }
}

fn open_to_all(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).context("the run's folder")
}

fn nginx(name: &str, dir: &Path, settings: &str, within: &[String]) -> Result<Program> {
    let file = dir.join(format!("{name}.conf"));
    fs::write(&file, settings)?;
    let mut command = command(within, "nginx".as_ref());
    command.arg("-c").arg(&file).arg("-p").arg(dir);
    Program::start(name, dir, command)
}

fn command(within: &[String], program: &Path) -> Command {
    match within.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        None => Command::new(program),
    }
}

impl Candidate {
    /// Starts it before the upstream and waits until it listens.
    pub fn start(&self, dir: &Path, upstream: u16, options: Options<'_>) -> Result<Proxy> {
        let [plain, h2c, tls, admin] = free_ports()?;
        let name = format!("{}-{plain}", self.name);
        let (mut program, h2c) = match &self.kind {
            Kind::Nginx => {
                let text =
                    nginx_settings(&name, dir, upstream, [plain, h2c, tls], !options.within.is_empty());
                (nginx(&name, dir, &text, options.within)?, h2c)
            }
            Kind::Haproxy => {
                let file = dir.join(format!("{name}.cfg"));
                let pem = dir.join("haproxy.pem");
                let (certificate, key) = target::certificate();
                fs::write(&pem, [fs::read(certificate)?, fs::read(key)?].concat())?;
                fs::write(&file, haproxy_settings(&pem, upstream, [plain, h2c, tls]))?;
                let mut command = command(options.within, "haproxy".as_ref());
                command.arg("-db").arg("-f").arg(&file);
                (Program::start(&name, dir, command)?, h2c)
            }
            Kind::Gateway(binary) => {
                let file = dir.join(format!("{name}.toml"));
                // valgrind knows too few of a processor's instructions for the gateway's TLS.
                let tls = options.within.is_empty().then_some(tls);
                fs::write(&file, gateway_settings(upstream, plain, tls, admin, options))?;
                let mut command = command(options.within, binary);
                command.arg("run").arg("--config").arg(&file);
                (Program::start(&name, dir, command)?, plain)
            }
        };
        let ports = if options.within.is_empty() { vec![plain, h2c, tls] } else { vec![plain] };
        program.listening(&ports)?;
        let worker = match self.kind {
            Kind::Nginx if options.within.is_empty() => program.first_child()?,
            _ => program.id(),
        };
        Ok(Proxy { worker, plain, h2c, tls, _program: program })
    }
}

fn nginx_settings(name: &str, dir: &Path, upstream: u16, ports: [u16; 3], alone: bool) -> String {
    let [plain, h2c, tls] = ports;
    let dir = dir.display();
    let (certificate, key) = target::certificate();
    let (certificate, key) = (certificate.display(), key.display());
    let master = if alone { "master_process off;\n" } else { "" };
    format!(
        r#"{NGINX}{master}pid {dir}/{name}.pid;
http {{
  log_format j escape=json '{{"time":"$time_iso8601","request_id":"$request_id","client":"$remote_addr","protocol":"$server_protocol","method":"$request_method","host":"$host","path":"$uri","status":$status,"received":$request_length,"sent":$body_bytes_sent,"duration":$request_time,"upstream":"$upstream_addr"}}';
  access_log {dir}/{name}.log j buffer=64k;
  keepalive_requests 100000000; keepalive_timeout 600;
  client_max_body_size 0; client_body_temp_path {dir}/{name}-body; proxy_temp_path {dir}/{name}-proxy;
  ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
  upstream app {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Request-ID $request_id;
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    listen 127.0.0.1:{h2c} http2 backlog=4096;
    listen 127.0.0.1:{tls} ssl http2 backlog=4096;
    location / {{ proxy_pass http://app; proxy_buffering off; }}
    location /files/ {{ proxy_pass http://app; proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0; }}
    location /sink {{ proxy_pass http://app; proxy_request_buffering off; client_body_buffer_size 64k; }}
  }}
}}
"#
    )
}

fn haproxy_settings(pem: &Path, upstream: u16, ports: [u16; 3]) -> String {
    let [plain, h2c, tls] = ports;
    let pem = pem.display();
    format!(
        "global\n  nbthread 1\n  maxconn 8192\n  log stdout len 1024 format raw local0\n  \
         ssl-default-bind-options ssl-min-ver TLSv1.3\n\
         defaults\n  mode http\n  timeout connect 3s\n  timeout client 600s\n  timeout server 600s\n  \
         timeout http-keep-alive 600s\n  log global\n  option httplog\n\
         frontend f\n  bind 127.0.0.1:{plain} backlog 4096\n  bind 127.0.0.1:{h2c} proto h2 backlog 4096\n  \
         bind 127.0.0.1:{tls} ssl crt {pem} alpn h2,http/1.1 backlog 4096\n  option forwardfor\n  \
         unique-id-format %[uuid()]\n  unique-id-header X-Request-ID\n  \
         http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}\n  \
         http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}\n  default_backend b\n\
         backend b\n  http-reuse always\n  server s 127.0.0.1:{upstream}\n"
    )
}

fn gateway_settings(
    upstream: u16,
    plain: u16,
    tls: Option<u16>,
    admin: u16,
    Options { routes, policy, .. }: Options<'_>,
) -> String {
    let listener = |port| {
        format!(
            "[[listeners]]\naddress = '127.0.0.1:{port}'\nidle_timeout = '10m'\nmax_body_bytes = '1GiB'\n"
        )
    };
    let logs = policy.is_none_or(|policy| policy.logs);
    let mut text = format!(
        "threads = 1\naccess_log = {logs}\n[admin]\naddress = '127.0.0.1:{admin}'\n{}",
        listener(plain)
    );
    if let Some(port) = tls {
        let (certificate, key) = target::certificate();
        text.push_str(&format!(
            "{}tls = {{ certificate = '{}', key = '{}' }}\n",
            listener(port),
            certificate.display(),
            key.display()
        ));
    }
    text.push_str(&format!("[upstreams.app]\nendpoints = ['127.0.0.1:{upstream}']\nmax_idle = 256\n"));
    match routes {
        None => {
            let (tables, route) =
                policy.map_or(("", ""), |policy| (policy.tables.as_str(), policy.route.as_str()));
            text.push_str(&format!("{tables}[[routes]]\npath = '/'\nupstream = 'app'\n{route}"));
        }
        Some(count) => {
            for index in 0..count {
                let (host, path) = route_target(index, count);
                text.push_str(&format!(
                    "[[routes]]\nhosts = ['{host}']\npath = '{path}'\nupstream = 'app'\n"
                ));
            }
        }
    }
    text
}

/// Host and path of one of `count` routes: as many hosts as paths of each, as far as that goes.
pub fn route_target(index: usize, count: usize) -> (String, String) {
    let hosts = count.isqrt().max(1);
    (format!("service-{}.example.com", index % hosts), format!("/api/v1/resource-{}", index / hosts))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn routes_differ() {
        for count in [1, 10, 10_000] {
            let all: HashSet<_> = (0..count).map(|index| route_target(index, count)).collect();
            assert_eq!(all.len(), count);
        }
        assert_eq!(route_target(9_999, 10_000).0, "service-99.example.com");
    }
}
