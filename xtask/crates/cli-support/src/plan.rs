//! Plans: the steps of a command as data, which is printed, compared in tests and run.

use std::fmt;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::error::{Fault, plain, render};
use crate::process::{Cmd, checkpoint};
use crate::ui::{self, Progress, Ui, seconds};

/// The action of a step.
pub trait Action {
    /// The state that the steps of a plan share.
    type State;

    /// The child process, if the action is one.
    fn command(&self) -> Option<&Cmd> {
        None
    }

    /// Does it and returns the outcome in a few words.
    fn run(&self, state: &mut Self::State, progress: &Progress) -> Result<String>;
}

/// A step of a plan.
#[derive(Debug)]
pub struct Step<A> {
    /// Its short name.
    pub name: &'static str,
    /// Its purpose.
    pub reason: String,
    /// Its inputs: files, references, settings.
    pub inputs: Vec<String>,
    /// Its action.
    pub action: A,
}

/// The steps of a command, in order.
#[derive(Debug)]
pub struct Plan<A> {
    command: &'static str,
    steps: Vec<Step<A>>,
}

/// The result of a step.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// The step's name.
    pub name: &'static str,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Its outcome in a few words.
    pub outcome: String,
}

impl<A: Action> Plan<A> {
    /// A plan without steps for this command.
    pub fn new(command: &'static str) -> Self {
        Self { command, steps: Vec::new() }
    }

    /// Adds a step.
    pub fn step<S: Into<String>>(
        &mut self,
        name: &'static str,
        reason: impl Into<String>,
        inputs: impl IntoIterator<Item = S>,
        action: A,
    ) {
        let inputs = inputs.into_iter().map(Into::into).collect();
        self.steps.push(Step { name, reason: reason.into(), inputs, action });
    }

    /// Runs the steps in order and stops at the first failure.
    pub fn run(&self, state: &mut A::State, ui: Ui) -> Result<Vec<StepReport>> {
        let mut reports = Vec::new();
        for step in &self.steps {
            reports.push(Self::run_step(step, state, ui)?);
        }
        Ok(reports)
    }

    /// Runs all steps, also after a failure. The error names the failed steps.
    pub fn run_all(&self, state: &mut A::State, ui: Ui) -> Result<Vec<StepReport>> {
        let mut reports = Vec::new();
        let mut failed = Vec::new();
        for step in &self.steps {
            match Self::run_step(step, state, ui) {
                Ok(report) => reports.push(report),
                Err(error) => {
                    ui::error(&render(&error));
                    failed.push(step.name);
                }
            }
        }
        if failed.is_empty() {
            return Ok(reports);
        }
        Err(Fault::failed(format!(
            "{} of {} steps failed: {}",
            failed.len(),
            self.steps.len(),
            failed.join(", ")
        ))
        .into())
    }

    fn run_step(step: &Step<A>, state: &mut A::State, ui: Ui) -> Result<StepReport> {
        let started = Instant::now();
        let progress = ui.step(step.name, &step.reason);
        let outcome = step.action.run(state, &progress);
        checkpoint();
        let outcome = outcome.with_context(|| format!("step '{}'", step.name))?;
        progress.done(&plain(&outcome));
        Ok(StepReport { name: step.name, seconds: started.elapsed().as_secs_f64(), outcome })
    }

    /// Keeps only the named steps; without names, all of them.
    pub fn only(mut self, names: &[String]) -> Result<Self, Fault> {
        let known: Vec<_> = self.steps.iter().map(|step| step.name).collect();
        if let Some(name) = names.iter().find(|name| !name.is_empty() && !known.contains(&name.as_str())) {
            return Err(Fault::usage(format!("there is no step '{name}'"))
                .hint(format!("steps: {}", known.join(", "))));
        }
        self.steps
            .retain(|step| names.iter().all(String::is_empty) || names.iter().any(|name| name == step.name));
        Ok(self)
    }

    /// Prints the plan for `--dry-run`, with `json` as a document.
    pub fn print(&self, json: bool) {
        ui::print(&if json { format!("{:#}\n", self.json()) } else { self.to_string() });
    }

    /// The plan as a JSON document (docs/json.md).
    pub fn json(&self) -> serde_json::Value {
        let step = |step: &Step<A>| {
            let mut object = serde_json::json!({
                "name": step.name,
                "reason": step.reason,
                "inputs": step.inputs,
            });
            if let Some(command) = step.action.command() {
                object["command"] = serde_json::json!(command);
            }
            object
        };
        serde_json::json!({
            "schema": "xtask.plan/1",
            "command": self.command,
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
        })
    }
}

impl<A: Action> fmt::Display for Plan<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cargo xtask {} would do this:", self.command)?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "\n{}. {}: {}", number + 1, step.name, step.reason)?;
            for input in &step.inputs {
                writeln!(f, "   from  {input}")?;
            }
            if let Some(command) = step.action.command() {
                writeln!(f, "   run   {command}")?;
            }
        }
        Ok(())
    }
}

/// The total duration of the steps, formatted.
pub fn total(reports: &[StepReport]) -> String {
    seconds(reports.iter().map(|report| report.seconds).sum())
}
