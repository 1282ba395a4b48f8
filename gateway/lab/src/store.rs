//! `gateway-lab store`: two gateways share a limit in Redis, which is killed, restarted, stopped and continued
//! while requests come at a constant rate. What clients saw in each phase, for each `fail` of the limit.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::bench::client::{Connection, block_on, quantile};
use crate::program::{Program, free_ports};
use crate::target;

/// Connections to each gateway.
const CONNECTIONS: u32 = 16;
/// What happens to Redis at the begin of each phase.
const PHASES: [&str; 5] = ["running", "killed", "restarted", "stopped", "continued"];

/// A shared limit while its Redis fails
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  gateway-lab store
  gateway-lab store --seconds 3 --rate 200

3 where a request failed, or more passed than the limit while Redis was running.")]
pub struct Flags {
    /// The gateway's program [default: compiled as for the image]
    #[arg(long, value_name = "BINARY")]
    gateway: Option<PathBuf>,
    /// The length of a phase
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    seconds: u32,
    /// Requests per second over both gateways; half of them are within the limit
    #[arg(long, default_value_t = 1000, value_name = "N")]
    rate: u32,
    /// The longest time that a request waits for Redis, in milliseconds
    #[arg(long, default_value_t = 50, value_name = "MS")]
    timeout: u32,
}

/// A request: when it was due after the begin, its status, and the time to its answer.
type Sample = (Duration, u16, f64);

impl Flags {
    /// Runs it and tells.
    pub fn run(self) -> Result<u8> {
        ensure!(self.seconds > 0 && self.rate >= 2, "--seconds must be 1 or more, --rate 2 or more");
        let binary = target::gateway(self.gateway.as_deref())?;
        println!(
            "Two gateways, {} requests per second, a limit of {} per second, timeout {} ms, phases of {} s.\n",
            self.rate,
            self.rate / 2,
            self.timeout,
            self.seconds
        );
        println!(
            "| `fail` | Redis | passed per second | 429 | 503 | p50 | p99 | slowest |\n|---|---|---|---|---|---|---|---|"
        );
        let mut is_exact = true;
        for fail in ["local", "open", "closed"] {
            let samples = self.measure(&binary, fail)?;
            for (number, phase) in PHASES.iter().enumerate() {
                let passed = self.tell(fail, phase, &samples, number);
                // The burst, and what comes back in the time.
                let most = u64::from(self.rate / 2) * u64::from(self.seconds + 1);
                is_exact &= number != 0 || passed <= most;
            }
        }
        Ok(if is_exact { 0 } else { 3 })
    }

    fn measure(&self, binary: &Path, fail: &str) -> Result<Vec<Sample>> {
        let dir = tempfile::tempdir().context("a folder for the run")?;
        let [redis_port, one, one_admin, two, two_admin] = free_ports()?;
        let redis = redis(dir.path(), redis_port)?;
        let mut gateways = Vec::new();
        for (name, ports) in [("one", [one, one_admin]), ("two", [two, two_admin])] {
            let file = dir.path().join(format!("{name}.toml"));
            std::fs::write(&file, self.settings(ports, redis_port, fail))?;
            let mut command = Command::new(binary);
            command.arg("run").arg("--config").arg(&file);
            let mut gateway = Program::start(name, dir.path(), command)?;
            gateway.listening(&ports)?;
            gateways.push(gateway);
        }
        let (rate, time) =
            (self.rate, Duration::from_secs(self.seconds.into()) * u32::try_from(PHASES.len())?);
        let begin = Instant::now() + Duration::from_millis(500);
        let load = thread::spawn(move || block_on(load([one, two], rate, begin, time))?);
        let phase = Duration::from_secs(self.seconds.into());
        let wait_for =
            |number: u32| thread::sleep((begin + phase * number).saturating_duration_since(Instant::now()));
        wait_for(1);
        redis.signal(Signal::KILL);
        wait_for(2);
        drop(redis);
        let restarted = self::redis(dir.path(), redis_port)?;
        wait_for(3);
        restarted.signal(Signal::STOP);
        wait_for(4);
        restarted.signal(Signal::CONT);
        load.join().map_err(|_| anyhow::anyhow!("the load's thread panicked"))?
    }

    fn settings(&self, [port, admin]: [u16; 2], redis: u16, fail: &str) -> String {
        format!(
            "threads = 1\nwatch = false\naccess_log = false\nadmin.address = '127.0.0.1:{admin}'\n\
             [[listeners]]\nname = 'web'\naddress = '127.0.0.1:{port}'\n\
             [stores.redis]\nservers = ['127.0.0.1:{redis}']\ntimeout = '{}ms'\n\
             [limits.shared]\nrequests = {}\nper = '1s'\nkey = []\nstore = 'redis'\nfail = '{fail}'\n\
             [[routes]]\nlimits = ['shared']\nrespond = {{ status = 200, body = 'x' }}\n",
            self.timeout,
            self.rate / 2
        )
    }

    /// Prints a phase; gives how many requests passed.
    fn tell(&self, fail: &str, name: &str, samples: &[Sample], number: usize) -> u64 {
        let phase: Vec<&Sample> = samples
            .iter()
            .filter(|(due, ..)| due.as_secs() / u64::from(self.seconds) == number as u64)
            .collect();
        let of = |status: u16| phase.iter().filter(|(_, found, _)| *found == status).count();
        let mut times: Vec<f64> = phase.iter().map(|(.., time)| *time).collect();
        let [p50, p99, slowest] = [0.5, 0.99, 1.0].map(|part| quantile(&mut times, part) * 1e3);
        let passed = of(200) as u64;
        println!(
            "| `{fail}` | {name} | {} | {} | {} | {p50:.2} ms | {p99:.2} ms | {slowest:.1} ms |",
            passed / u64::from(self.seconds),
            of(429),
            of(503)
        );
        passed
    }
}

/// Starts a Redis that keeps nothing.
pub fn redis(dir: &Path, port: u16) -> Result<Program> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
    let mut redis =
        Program::start("redis", dir, command).context("redis-server is in the package of its name")?;
    redis.listening(&[port])?;
    Ok(redis)
}

/// Sends requests at a constant rate, each connection its part. A request that is late counts from when it was
/// due.
async fn load(ports: [u16; 2], rate: u32, begin: Instant, time: Duration) -> Result<Vec<Sample>> {
    let connections = CONNECTIONS * 2;
    let interval = Duration::from_secs(1) * connections / rate;
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        tasks.spawn(async move {
            let mut connection = Connection::open(ports[number as usize % 2]).await?;
            let mut samples = Vec::new();
            let mut due = interval * number / connections;
            while due < time {
                tokio::time::sleep_until((begin + due).into()).await;
                let status = connection.status().await?;
                samples.push((due, status, (begin + due).elapsed().as_secs_f64()));
                due += interval;
            }
            anyhow::Ok(samples)
        });
    }
    let mut all = Vec::new();
    while let Some(samples) = tasks.join_next().await {
        all.extend(samples??);
    }
    Ok(all)
}
