//! What was measured, as a table and as JSON.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::proxies::Candidate;
use super::rows::{Goal, Row};
use crate::table::{median, number, table};

/// The values of one row.
#[derive(Clone, Debug)]
pub struct Measured {
    pub row: Row,
    /// A list for each candidate, a value for each round.
    pub values: Vec<Vec<f64>>,
    /// Loads that did not succeed.
    pub failures: Vec<String>,
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Report {
    names: Vec<String>,
    pub rows: Vec<Measured>,
    rounds: u32,
    seconds: f64,
    /// Requests per second at which latency was measured.
    pub latency_rate: Option<f64>,
    load_before: String,
}

impl Report {
    /// One without values.
    pub fn new(candidates: &[Candidate], rows: &[Row], rounds: u32, seconds: f64) -> Self {
        let rows = rows
            .iter()
            .map(|&row| Measured { row, values: vec![Vec::new(); candidates.len()], failures: Vec::new() })
            .collect();
        let names = candidates.iter().map(|candidate| candidate.name.clone()).collect();
        Self { names, rows, rounds, seconds, latency_rate: None, load_before: machine_load() }
    }

    /// Whether a load failed.
    pub fn failed(&self) -> bool {
        self.rows.iter().any(|row| !row.failures.is_empty())
    }

    fn at(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    fn median(&self, measured: &Measured, name: &str) -> f64 {
        self.at(name).map_or(f64::NAN, |at| median(&measured.values[at]))
    }

    /// The gateway's median over that of the better of nginx and HAProxy.
    fn ratio(&self, measured: &Measured) -> f64 {
        let (nginx, haproxy) = (self.median(measured, "nginx"), self.median(measured, "haproxy"));
        let better = if measured.row.more { nginx.max(haproxy) } else { nginx.min(haproxy) };
        self.median(measured, "gateway") / better
    }

    /// Whether the goal is met; nothing without goal or value.
    fn met(&self, measured: &Measured) -> Option<bool> {
        let (value, goal) = match measured.row.goal {
            Goal::OfBetter(goal) => (self.ratio(measured), goal),
            Goal::Of(goal) => (self.median(measured, "gateway"), goal),
            Goal::None => return None,
        };
        value.is_finite().then_some(if measured.row.more { value >= goal } else { value <= goal })
    }

    /// For people.
    pub fn text(&self) -> String {
        let baseline = self.at("baseline").is_some();
        let mut head = vec!["row".to_owned(), "what".to_owned(), "unit".to_owned()];
        head.extend(self.names.iter().map(|name| format!(">{name}")));
        head.push(">of better".to_owned());
        if baseline {
            head.push(">of baseline".to_owned());
        }
        head.extend([">goal".to_owned(), String::new()]);
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|measured| {
                let row = measured.row;
                let mut cells = vec![row.name.to_owned(), row.what.to_owned(), row.unit.to_owned()];
                cells.extend(measured.values.iter().map(|values| number(median(values))));
                cells.push(ratio(self.ratio(measured)));
                if baseline {
                    let old = self.median(measured, "baseline");
                    cells.push(ratio(self.median(measured, "gateway") / old));
                }
                let sign = if row.more { "≥" } else { "≤" };
                cells.push(match row.goal {
                    Goal::OfBetter(goal) => format!("{sign} {goal:.2}"),
                    Goal::Of(goal) => format!("{sign} {}", number(goal)),
                    Goal::None => String::new(),
                });
                cells.push(match self.met(measured) {
                    Some(true) => "met".to_owned(),
                    Some(false) => "missed".to_owned(),
                    None => String::new(),
                });
                cells
            })
            .collect();
        let mut text = table(&head, &rows);
        text.push_str(&format!(
            "\nMedians of {} rounds with loads of {} s; one worker each, access log on. ",
            self.rounds, self.seconds
        ));
        if let Some(rate) = self.latency_rate {
            text.push_str(&format!("Latency at {} requests/s. ", number(rate)));
        }
        text.push_str(&format!(
            "Load of the machine before {}, after {}.\n",
            self.load_before,
            machine_load()
        ));
        for measured in &self.rows {
            for failure in &measured.failures {
                text.push_str(&format!("failed: {}: {failure}\n", measured.row.name));
            }
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> String {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|measured| {
                let row = measured.row;
                let values: Value = self
                    .names
                    .iter()
                    .zip(&measured.values)
                    .map(|(name, values)| {
                        (name.clone(), json!({ "median": finite(median(values)), "rounds": values }))
                    })
                    .collect::<serde_json::Map<_, _>>()
                    .into();
                let (against, goal) = match row.goal {
                    Goal::OfBetter(goal) => (Some("better"), Some(goal)),
                    Goal::Of(goal) => (Some("itself"), Some(goal)),
                    Goal::None => (None, None),
                };
                json!({
                    "row": row.name,
                    "what": row.what,
                    "unit": row.unit,
                    "more_is_better": row.more,
                    "values": values,
                    "ratio_to_better": finite(self.ratio(measured)),
                    "goal": goal,
                    "goal_against": against,
                    "met": self.met(measured),
                    "failures": measured.failures,
                })
            })
            .collect();
        let document = json!({
            "schema": "gateway-lab/1",
            "command": "bench",
            "machine": { "processor": processor(), "cores": std::thread::available_parallelism().map_or(0, usize::from),
                "load_before": self.load_before, "load_after": machine_load() },
            "versions": { "nginx": version("nginx", "-v"), "haproxy": version("haproxy", "-v"),
                "wrk": version("wrk", "-v"), "h2load": version("h2load", "--version") },
            "rounds": self.rounds,
            "seconds": self.seconds,
            "latency_rate": self.latency_rate,
            "rows": rows,
        });
        format!("{document:#}\n")
    }
}

fn ratio(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "-".to_owned() }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Processes that ran or waited to run, over the last minute.
fn machine_load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(String::new, |(_, name)| name.to_owned())
}

/// The first line of what a program says of itself; some end with a failure after it.
fn version(program: &str, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}
