//! Memory and threads of the gateway over time.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::conformance::Wire;
use crate::program::resident;
use crate::table::median;

/// Samples.
#[derive(Debug)]
pub struct Monitor {
    id: u32,
    last: Instant,
    /// Resident bytes.
    memory: Vec<f64>,
    threads: Vec<usize>,
    faults: Vec<String>,
}

/// How much the last third may be above the second, in share and in bytes.
const GROWTH: (f64, f64) = (1.1, 2e6);

impl Monitor {
    /// Of a process.
    pub fn new(id: u32) -> Self {
        Self { id, last: Instant::now(), memory: Vec::new(), threads: vec![threads(id)], faults: Vec::new() }
    }

    /// Takes a sample, once a second at most.
    pub fn look(&mut self) {
        if self.last.elapsed() < Duration::from_secs(1) {
            return;
        }
        self.last = Instant::now();
        #[allow(clippy::cast_precision_loss)] // Below a terabyte.
        if let Ok(bytes) = resident(self.id) {
            self.memory.push(bytes as f64);
            self.threads.push(threads(self.id));
        }
    }

    /// The gateway must still answer on each of its workers: so many connections meet all of them.
    pub fn end(&mut self, port: u16, runs: bool) {
        if !runs {
            self.faults.push("the gateway ended".to_owned());
            return;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let answered = (0..100)
            .filter(|_| {
                let answer = Wire::connect(address).and_then(|mut wire| {
                    wire.send(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
                    wire.response("GET")
                });
                matches!(answer, Ok(Some(response)) if response.status() == 200)
            })
            .count();
        if answered < 100 {
            self.faults.push(format!("{answered} of 100 new connections answered at the end"));
        }
    }

    /// Medians of the second and the last third.
    fn thirds(&self) -> [f64; 2] {
        let third = self.memory.len() / 3;
        [median(&self.memory[third..2 * third]), median(&self.memory[2 * third..])]
    }

    /// What is wrong.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.faults.clone();
        let [second, last] = self.thirds();
        if last > second * GROWTH.0 && last > second + GROWTH.1 {
            faults.push(format!("memory grew: {}", self.text()));
        }
        let (first, lowest) = (self.threads[0], self.threads.iter().copied().min().unwrap_or_default());
        if lowest < first {
            faults.push(format!("a thread was lost: {first} at the start, {lowest} later"));
        }
        faults
    }

    /// For people.
    pub fn text(&self) -> String {
        let [second, last] = self.thirds();
        format!(
            "Memory: {:.1} MB in the second third, {:.1} MB in the last; {} threads.",
            second / 1e6,
            last / 1e6,
            self.threads[0]
        )
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({ "second_third": self.thirds()[0], "last_third": self.thirds()[1], "samples": self.memory,
            "threads": self.threads[0] })
    }
}

fn threads(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count)
}
