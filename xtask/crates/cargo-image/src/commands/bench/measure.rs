//! Measuring two candidates in rounds. Both run once in each round, so that other work on the machine slows both. The
//! result is the ratio of the medians, which one slow run does not change.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use cli_support::ui::{Progress, Table, seconds};

/// One thing that is timed.
pub struct Candidate<'a> {
    /// Its name in the table.
    pub name: &'static str,
    /// Makes the state that `run` starts from; not timed.
    pub prepare: Box<dyn FnMut() -> Result<()> + 'a>,
    /// The timed operation.
    pub run: Box<dyn FnMut() -> Result<()> + 'a>,
}

/// The times of one candidate.
#[derive(Clone, Debug, Serialize)]
pub struct Times {
    /// The candidate's name.
    pub name: &'static str,
    /// Seconds, one value for each round.
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
    /// The subject of the comparison.
    pub what: &'static str,
    /// Ours.
    pub ours: Times,
    /// The reference.
    pub theirs: Times,
    /// Median of ours over median of theirs.
    pub ratio: f64,
    /// The largest wanted ratio.
    pub goal: f64,
}

impl Comparison {
    /// Compares the medians.
    pub fn of(what: &'static str, goal: f64, ours: Times, theirs: Times) -> Self {
        let ratio = ours.median() / theirs.median();
        Self { what, ours, theirs, ratio, goal }
    }
}

/// Times both candidates in each of `rounds` rounds. The one that runs first changes with each round.
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
    Ok(Comparison::of(what, goal, ours, theirs))
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
