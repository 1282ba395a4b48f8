//! Counts of what was sent and what became of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::table::number;

/// Counts of one load.
#[derive(Clone, Debug, Default)]
struct Count {
    sent: u64,
    expected: u64,
    cut: u64,
    unexpected: u64,
    /// The first few.
    examples: Vec<String>,
}

/// Counts of all loads.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<&'static str, Count>>,
    /// The gateway's own words about answers of 503 and 504, the first few.
    log: Mutex<Vec<String>>,
}

/// Lines of the log kept.
const LINES: usize = 10;

/// Examples kept for each load.
const EXAMPLES: usize = 5;

impl Tally {
    fn with(&self, load: &'static str, change: impl FnOnce(&mut Count)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(load).or_default();
        count.sent += 1;
        change(count);
    }

    /// Keeps a line of the access log where it tells of a service that could not be reached.
    pub fn log(&self, line: &str) {
        if line.contains("\"status\":503") || line.contains("\"status\":504") {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() < LINES && !line.contains("/lab.") {
                log.push(line.to_owned());
            }
        }
    }

    /// The lines kept.
    pub fn logged(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answered as expected.
    pub fn expected(&self, load: &'static str) {
        self.with(load, |count| count.expected += 1);
    }

    /// Not answered, by what no gateway can help: a service was killed within a response or after a request that
    /// must not be sent twice.
    pub fn cut(&self, load: &'static str) {
        self.with(load, |count| count.cut += 1);
    }

    /// Not answered as expected.
    pub fn unexpected(&self, load: &'static str, what: impl Into<String>) {
        self.with(load, |count| {
            count.unexpected += 1;
            if count.examples.len() < EXAMPLES {
                count.examples.push(what.into());
            }
        });
    }

    fn counts(&self) -> BTreeMap<&'static str, Count> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A line for each load that was not answered as expected, or did nothing.
    pub fn faults(&self) -> Vec<String> {
        self.counts()
            .iter()
            .filter(|(_, count)| count.unexpected > 0 || count.expected == 0)
            .map(|(load, count)| {
                format!(
                    "{load}: {} of {} not as expected: {}",
                    count.unexpected,
                    count.sent,
                    count.examples.join("; ")
                )
            })
            .collect()
    }

    /// Cells of a table.
    pub fn rows(&self) -> Vec<Vec<String>> {
        #[allow(clippy::cast_precision_loss)] // Counts of minutes.
        let shown = |value: u64| if value < 100 { value.to_string() } else { number(value as f64) };
        self.counts()
            .iter()
            .map(|(load, count)| {
                let mut cells = vec![(*load).to_owned()];
                cells.extend([count.sent, count.expected, count.cut, count.unexpected].map(shown));
                cells
            })
            .collect()
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        let loads: Vec<_> = self
            .counts()
            .iter()
            .map(|(load, count)| {
                serde_json::json!({ "load": load, "sent": count.sent, "expected": count.expected, "cut": count.cut,
                    "unexpected": count.unexpected, "examples": count.examples })
            })
            .collect();
        loads.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_with_examples() {
        let tally = Tally::default();
        tally.expected("a");
        tally.cut("a");
        tally.expected("b");
        (0..9).for_each(|_| tally.unexpected("b", "502"));
        assert_eq!(tally.faults(), ["b: 9 of 10 not as expected: 502; 502; 502; 502; 502"]);
        assert_eq!(tally.rows()[0], ["a", "2", "1", "1", "0"]);
    }
}
