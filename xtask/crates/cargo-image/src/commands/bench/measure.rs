//! Measuring: rounds in which every candidate runs once, so that a noisy moment meets all of them,
//! and ratios of medians, which one slow run does not move.

mod publish;

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

pub use publish::Publish;

use cli_support::ui::{Progress, Table, seconds};

/// One thing that is timed.
pub struct Candidate<'a> {
    /// Its name in the table.
    pub name: &'static str,
    /// Brings about the state that it starts from; not timed.
    pub prepare: Box<dyn FnMut() -> Result<()> + 'a>,
    /// What is timed.
    pub run: Box<dyn FnMut() -> Result<()> + 'a>,
}

/// The times of one candidate.
#[derive(Clone, Debug, Serialize)]
pub struct Times {
    /// Its name.
    pub name: &'static str,
    /// Seconds, a value a round.
    pub seconds: Vec<f64>,
}

impl Times {
    /// The median in seconds.
    pub fn median(&self) -> f64 {
        median(&self.seconds)
    }
}

/// Two candidates compared.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What was compared.
    pub what: &'static str,
    /// Ours.
    pub ours: Times,
    /// What it is held against.
    pub theirs: Times,
    /// Median of ours over median of theirs.
    pub ratio: f64,
    /// The ratio that is wanted, at most.
    pub goal: f64,
}

/// Times both, one after the other, in each of `rounds` rounds; who begins changes with each.
pub fn compare<'a>(
    what: &'static str,
    goal: f64,
    rounds: usize,
    mut ours: Candidate<'a>,
    mut theirs: Candidate<'a>,
    progress: &Progress,
) -> Result<Comparison> {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            let candidate = if which == 0 { &mut ours } else { &mut theirs };
            progress.detail(&format!("{what}: round {} of {rounds}, {}", round + 1, candidate.name));
            (candidate.prepare)()?;
            let started = Instant::now();
            (candidate.run)()?;
            times[which].push(started.elapsed().as_secs_f64());
        }
    }
    let [our_times, their_times] = times;
    let ours = Times { name: ours.name, seconds: our_times };
    let theirs = Times { name: theirs.name, seconds: their_times };
    let ratio = ours.median() / theirs.median();
    Ok(Comparison { what, ours, theirs, ratio, goal })
}

/// The comparisons as a table.
pub fn table(comparisons: &[Comparison]) -> Table {
    let mut table = Table::new(&["what", "ours", ">median", "against", ">median", ">ratio", ">goal", ""]);
    for comparison in comparisons {
        table.row([
            comparison.what.to_owned(),
            comparison.ours.name.to_owned(),
            seconds(comparison.ours.median()),
            comparison.theirs.name.to_owned(),
            seconds(comparison.theirs.median()),
            format!("{:.2}", comparison.ratio),
            format!("{:.2}", comparison.goal),
            if comparison.ratio <= comparison.goal { "met" } else { "missed" }.to_owned(),
        ]);
    }
    table
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expected) in [(&[3.0, 1.0, 2.0][..], 2.0), (&[4.0, 1.0], 2.5), (&[7.0], 7.0)] {
            assert!((median(values) - expected).abs() < f64::EPSILON);
        }
        assert!(median(&[]).is_nan());
    }
}
