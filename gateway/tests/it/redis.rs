//! A real redis-server, alone or as a cluster.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::gateway::PATIENCE;
use crate::have::have_program;

/// A server that keeps nothing on disk, ended with the test.
pub struct Redis {
    child: Child,
    pub address: SocketAddr,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
}

/// Whether redis-server is here.
pub fn have() -> bool {
    have_program("redis", "redis-server")
}

impl Redis {
    /// Starts one with further arguments.
    pub fn start(arguments: &[&str]) -> Self {
        // A cluster needs another port, 10000 above it.
        let address = loop {
            let port =
                TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
            let bus = port.port().checked_add(10_000);
            if bus.is_some_and(|bus| TcpListener::bind(("127.0.0.1", bus)).is_ok()) {
                break port;
            }
        };
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let child = spawn(address, &arguments, &folder);
        let server = Self { child, address, arguments, folder };
        server.listens();
        server
    }

    fn listens(&self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What redis-cli says to a command.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let port = self.address.port().to_string();
        let output =
            Command::new("redis-cli").args(["-p", &port]).args(arguments).output().expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Sends a signal, as `kill -NAME` does.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill");
        assert!(status.success());
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again at the same address, empty.
    pub fn restart(&mut self) {
        self.child = spawn(self.address, &self.arguments, &self.folder);
        self.listens();
    }
}

fn spawn(address: SocketAddr, arguments: &[String], folder: &tempfile::TempDir) -> Child {
    let port = address.port().to_string();
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"])
        .args(arguments)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server")
}

/// A cluster of three servers without replicas.
pub fn cluster() -> [Redis; 3] {
    let servers = [0, 1, 2].map(|_| Redis::start(&["--cluster-enabled", "yes"]));
    let mut command = Command::new("redis-cli");
    command.args(["--cluster", "create"]);
    command.args(servers.iter().map(|server| server.address.to_string()));
    let output = command.arg("--cluster-yes").output().expect("redis-cli");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let deadline = Instant::now() + PATIENCE;
    while !servers.iter().all(|server| server.cli(&["cluster", "info"]).contains("cluster_state:ok")) {
        assert!(Instant::now() < deadline, "the cluster does not come up");
        thread::sleep(Duration::from_millis(50));
    }
    servers
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
