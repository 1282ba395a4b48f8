//! Programs that nobody here wrote, through the gateway: h2spec, Autobahn's cases, grpcio, opentelemetry-proto, h2load,
//! wrk, slowhttptest and testssl.sh.

mod grpc;
mod h2spec;
mod load;
mod otlp;
mod slow;
pub mod tools;
mod websocket;

use std::path::Path;

use anyhow::Result;

/// What an oracle said.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub name: &'static str,
    /// What ran: program and version.
    pub program: String,
    pub ran: usize,
    /// A line for each case that failed.
    pub faults: Vec<String>,
}

/// What an oracle works with.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// The gateway's program.
    pub binary: &'a Path,
    /// A folder for this run.
    pub dir: &'a Path,
    /// Whether the long cases are left out.
    pub short: bool,
}

/// An oracle.
#[derive(Clone, Copy, Debug)]
pub struct Oracle {
    pub name: &'static str,
    /// What must be installed.
    pub needs: &'static [&'static str],
    run: fn(Stage<'_>) -> Result<Verdict>,
}

/// All of them.
pub const ORACLES: &[Oracle] = &[
    Oracle { name: "h2spec", needs: &["go"], run: h2spec::plain },
    Oracle { name: "h2spec-tls", needs: &["go"], run: h2spec::tls },
    Oracle { name: "autobahn", needs: &["python3"], run: websocket::run },
    Oracle { name: "grpc-h2c", needs: &["python3"], run: grpc::plain },
    Oracle { name: "grpc-tls", needs: &["python3"], run: grpc::tls },
    Oracle { name: "otlp", needs: &["python3"], run: otlp::run },
    Oracle { name: "h2load", needs: &["h2load"], run: load::h2load },
    Oracle { name: "wrk", needs: &["wrk"], run: load::wrk },
    Oracle { name: "slowhttptest", needs: &["slowhttptest"], run: slow::run },
    Oracle { name: "testssl", needs: &["testssl"], run: load::testssl },
];

impl Oracle {
    /// The programs it needs that are not here.
    pub fn missing(&self) -> Vec<&'static str> {
        self.needs.iter().copied().filter(|tool| !crate::program::exists(tool)).collect()
    }

    /// Runs it; what goes wrong before its first case is a fault as well.
    pub fn run(&self, stage: Stage<'_>) -> Verdict {
        let missing = self.missing();
        let nothing =
            |fault| Verdict { name: self.name, program: String::new(), ran: 0, faults: vec![fault] };
        if !missing.is_empty() {
            return nothing(format!("not found: {}", missing.join(", ")));
        }
        (self.run)(stage).unwrap_or_else(|error| nothing(format!("{error:#}")))
    }
}
