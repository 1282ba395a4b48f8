//! A gateway that runs for some cases.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;

use crate::program::{Program, free_ports};
use crate::target;

/// A gateway with a plain and a TLS listener.
#[derive(Debug)]
pub struct Gateway {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub program: Program,
}

/// The parts of its settings that cases differ in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings<'a> {
    /// Keys at the top.
    pub top: &'a str,
    /// Keys of both listeners.
    pub listener: &'a str,
    /// Keys of the upstream.
    pub upstream: &'a str,
    /// Keys of the one route.
    pub route: &'a str,
}

impl Gateway {
    /// Starts one before these endpoints.
    pub fn start(binary: &Path, dir: &Path, endpoints: &[String], settings: Settings<'_>) -> Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("gateway-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let [plain, tls, admin] = free_ports()?;
        let (certificate, key) = target::certificate();
        let Settings { top, listener, upstream, route } = settings;
        let text = format!(
            "threads = 2\n{top}\n[admin]\naddress = '127.0.0.1:{admin}'\n\
             [[listeners]]\naddress = '127.0.0.1:{plain}'\n{listener}\n\
             [[listeners]]\naddress = '127.0.0.1:{tls}'\n{listener}\n\
             tls = {{ certificate = '{}', key = '{}' }}\n\
             [upstreams.app]\nendpoints = {endpoints:?}\n{upstream}\n\
             [[routes]]\nname = 'all'\nupstream = 'app'\n{route}\n",
            certificate.display(),
            key.display(),
        );
        let file = dir.join(format!("{name}.toml"));
        fs::write(&file, text)?;
        let mut command = Command::new(binary);
        command.arg("run").arg("--config").arg(&file).env_remove("GATEWAY_CONFIG");
        let mut program = Program::start(&name, dir, command)?;
        program.listening(&[plain, tls, admin])?;
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self { plain: at(plain), tls: at(tls), program })
    }
}
