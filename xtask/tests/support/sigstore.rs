//! A Sigstore on this machine, of the real services: Fulcio, a CT log (TesseraCT), Rekor v2, a timestamp authority,
//! and an issuer that stands in for GitHub's.
//!
//! Its programs are looked for in the folder `XTASK_SIGSTORE`. `XTASK_REQUIRE=sigstore` builds what is missing there
//! with Go, which takes about 12 minutes, once.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::published::get_as;
use super::{download, go_program, have, have_program};

/// Program, and the Go package that it is built of: the newest versions that Go 1.26 builds.
const PROGRAMS: [(&str, &str); 4] = [
    ("fulcio", "github.com/sigstore/fulcio@v1.8.8"),
    ("rekor", "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix@v2.3.0"),
    ("tsa", "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server@v2.1.2"),
    ("ctlog", "github.com/transparency-dev/tesseract/cmd/tesseract/posix@v0.1.1"),
];

const SINCE: &str = "start-time=2020-01-01T00:00:00Z";

/// Where an issuer listens with TLS, its host name, and the files of its certificate and key.
pub struct IssuerTls<'a> {
    pub address: &'a str,
    pub name: &'a str,
    pub certificate: &'a str,
    pub key: &'a str,
}

pub struct Sigstore {
    children: Vec<Child>,
    folder: tempfile::TempDir,
    issuer: String,
    /// The timestamp authority always takes port 2112 for its metrics: one Sigstore a machine.
    _only: File,
}

impl Sigstore {
    /// Starts all services; none where their programs are not there and nobody requires them.
    pub fn start() -> Option<Self> {
        Self::start_with(None)
    }

    /// The same with an issuer of this name behind TLS.
    pub fn start_with(issuer_tls: Option<&IssuerTls<'_>>) -> Option<Self> {
        let bin = programs()?;
        if !have_program("cosign", "cosign", &["version"]) {
            return None;
        }
        let issuer = go_program("sigstore-issuer")?;
        let only = File::create(std::env::temp_dir().join("xtask-sigstore.lock")).unwrap();
        only.lock().unwrap();
        let at: Vec<String> = (0..9).map(|_| free()).collect();
        let url = |number: usize| format!("http://{}", at[number]);
        let folder = tempfile::tempdir().unwrap();
        let issuer_url = issuer_tls.map_or_else(|| url(0), |tls| format!("https://{}", tls.name));
        let mut sigstore = Self { children: Vec::new(), issuer: issuer_url.clone(), folder, _only: only };
        let dir = sigstore.folder.path().to_owned();
        let port = |number: usize| at[number].rsplit(':').next().unwrap().to_owned();
        if let Some(tls) = issuer_tls {
            sigstore.run(&issuer, &[tls.address, &issuer_url, tls.certificate, tls.key]);
        } else {
            sigstore.run(&issuer, &[&at[0]]);
            up(&at[0], "/keys");
        }
        let config = format!(
            "oidc-issuers:\n  {issuer_url}: {{issuer-url: \"{issuer_url}\", client-id: sigstore, type: github-workflow}}\n"
        );
        fs::write(dir.join("fulcio.yaml"), config).unwrap();
        for key in ["ctlog", "rekor"] {
            openssl(
                &dir,
                &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &format!("{key}.key")],
            );
            openssl(&dir, &["pkey", "-in", &format!("{key}.key"), "-pubout", "-out", &format!("{key}.pub")]);
        }
        let host = "127.0.0.1";
        sigstore.run(
            &bin.join("fulcio"),
            &[
                "serve",
                "--ca",
                "ephemeralca",
                "--config-path",
                "fulcio.yaml",
                "--ct-log-url",
                &url(3),
                "--host",
                host,
                "--port",
                &port(1),
                "--grpc-host",
                host,
                "--grpc-port",
                &port(2),
                "--metrics-port",
                &port(8),
                "--legacy-unix-domain-socket",
                &format!("@xtask-{}", port(1)),
            ],
        );
        let tsa = [
            "serve",
            "--timestamp-signer",
            "memory",
            "--host",
            host,
            "--port",
            &port(4),
            "--disable-ntp-monitoring",
        ];
        sigstore.run(&bin.join("tsa"), &tsa);
        fs::create_dir(dir.join("rekor")).unwrap();
        fs::create_dir(dir.join("ctlog")).unwrap();
        sigstore.run(
            &bin.join("rekor"),
            &[
                "serve",
                "--hostname",
                host,
                "--storage-dir",
                "rekor",
                "--signer-filepath",
                "rekor.key",
                "--http-address",
                host,
                "--http-port",
                &port(5),
                "--grpc-address",
                host,
                "--grpc-port",
                &port(6),
                "--http-metrics-port",
                &port(7),
                "--checkpoint-interval",
                "500ms",
                "--batch-max-age",
                "100ms",
            ],
        );
        fs::write(dir.join("fulcio.pem"), up(&at[1], "/api/v1/rootCert")).unwrap();
        sigstore.run(
            &bin.join("ctlog"),
            &[
                "--http_endpoint",
                &at[3],
                "--origin",
                "ctlog.local",
                "--storage_dir",
                "ctlog",
                "--private_key",
                "ctlog.key",
                "--roots_pem_file",
                "fulcio.pem",
                "--checkpoint_interval",
                "500ms",
                "--batch_max_age",
                "100ms",
            ],
        );
        up(&at[3], "/ct/v1/get-roots");
        fs::write(dir.join("tsa.pem"), up(&at[4], "/api/v1/timestamp/certchain")).unwrap();
        up(&at[5], "/healthz");
        cosign(
            &dir,
            &[
                "trusted-root",
                "create",
                "--out",
                "root.json",
                "--fulcio",
                &format!("url={},certificate-chain=fulcio.pem,{SINCE}", url(1)),
                "--ctfe",
                &format!("url={},public-key=ctlog.pub,{SINCE}", url(3)),
                "--rekor",
                &format!("url={},public-key=rekor.pub,{SINCE},origin={host}", url(5)),
                "--tsa",
                &format!("url={}/api/v1/timestamp,certificate-chain=tsa.pem,{SINCE}", url(4)),
            ],
        );
        cosign(
            &dir,
            &[
                "signing-config",
                "create",
                "--out",
                "config.json",
                "--fulcio",
                &format!("url={},api-version=1,{SINCE},operator=local", url(1)),
                "--rekor",
                &format!("url={},api-version=2,{SINCE},operator=local", url(5)),
                "--rekor-config",
                "ANY",
                "--tsa",
                &format!("url={}/api/v1/timestamp,api-version=1,{SINCE},operator=local", url(4)),
                "--tsa-config",
                "ANY",
                "--oidc-provider",
                &format!("url={issuer_url},api-version=1,{SINCE},operator=local"),
            ],
        );
        Some(sigstore)
    }

    /// The issuer's URL; `/token` below it gives a job's tokens to `Authorization: bearer test`.
    pub fn issuer(&self) -> String {
        self.issuer.clone()
    }

    pub fn trusted_root(&self) -> PathBuf {
        self.folder.path().join("root.json")
    }

    pub fn signing_config(&self) -> PathBuf {
        self.folder.path().join("config.json")
    }

    fn run(&mut self, program: &Path, args: &[&str]) {
        let name = program.file_name().unwrap().to_string_lossy().into_owned();
        let log = File::create(self.folder.path().join(format!("{name}.log"))).unwrap();
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.children.push(command.spawn().unwrap());
    }
}

impl Drop for Sigstore {
    fn drop(&mut self) {
        for child in &mut self.children {
            // One that has ended by itself needs no end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The folder with all programs; none where one is missing and nobody requires it.
fn programs() -> Option<PathBuf> {
    let known = std::env::var_os("XTASK_SIGSTORE").map(PathBuf::from);
    let bin = known.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("sigstore"));
    let required =
        std::env::var("XTASK_REQUIRE").is_ok_and(|list| list.split(',').any(|one| one == "sigstore"));
    for (name, package) in PROGRAMS.iter().filter(|_| required) {
        if bin.join(name).is_file() {
            continue;
        }
        let new = bin.join(format!("{name}.new"));
        fs::create_dir_all(&new).unwrap();
        let path = format!("{}:/usr/local/go/bin", std::env::var("PATH").unwrap_or_default());
        let built = download(1800, |command| {
            command.env("GOBIN", &new).env("PATH", &path).args(["go", "install", package]);
        });
        assert!(built.is_ok(), "go install {package}: {built:?}");
        let built = fs::read_dir(&new).unwrap().next().unwrap().unwrap().path();
        fs::rename(built, bin.join(name)).unwrap();
    }
    let is_there = PROGRAMS.iter().all(|(name, _)| bin.join(name).is_file());
    have("sigstore", is_there, "XTASK_REQUIRE=sigstore builds it, once").then_some(bin)
}

/// A free port on this machine, which nothing else takes until it is used, most likely.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Waits until a service answers with 200; gives its answer.
fn up(at: &str, path: &str) -> Vec<u8> {
    for _ in 0..300 {
        if std::net::TcpStream::connect(at).is_ok() {
            let (status, body) = get_as(at, path, "*/*");
            if status == 200 {
                return body;
            }
        }
        sleep(Duration::from_millis(100));
    }
    panic!("http://{at}{path} does not come up");
}

fn openssl(dir: &Path, args: &[&str]) {
    let output = Command::new("openssl").args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn cosign(dir: &Path, args: &[&str]) {
    let output = Command::new("cosign").args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
