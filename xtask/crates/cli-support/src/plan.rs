//! A plan: what a command will do, as data. It is printed, compared in tests, and run, in that shape.

use std::fmt;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::error::{Fault, plain, render};
use crate::process::{Cmd, checkpoint};
use crate::ui::{self, Progress, Ui, seconds};

/// What a step does when it is its turn.
pub trait Action {
    /// What the steps of a plan hand on to each other.
    type State;

    /// The child process that it is, where it is one.
    fn command(&self) -> Option<&Cmd> {
        None
    }

    /// Does it, and says in a few words what came of it.
    fn run(&self, state: &mut Self::State, progress: &Progress) -> Result<String>;
}

/// One thing that a command will do.
#[derive(Debug)]
pub struct Step<A> {
    /// A short name, unique in its plan.
    pub name: &'static str,
    /// Why it is done.
    pub reason: String,
    /// What it reads: files, references, settings.
    pub inputs: Vec<String>,
    /// How it is done.
    pub action: A,
}

/// The steps of a command, in order.
#[derive(Debug)]
pub struct Plan<A> {
    command: &'static str,
    steps: Vec<Step<A>>,
}

/// How a step went.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// The step's name.
    pub name: &'static str,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// What came of it.
    pub outcome: String,
}

impl<A: Action> Plan<A> {
    /// A plan without steps for the command of this name.
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

    /// Runs the steps one after the other and stops at the first that fails.
    pub fn run(&self, state: &mut A::State, ui: Ui) -> Result<Vec<StepReport>> {
        let mut reports = Vec::new();
        for step in &self.steps {
            reports.push(Self::run_step(step, state, ui)?);
        }
        Ok(reports)
    }

    /// Runs every step, also after one that fails, and names all that failed.
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

    /// The plan with the steps of these names alone; all of them where no name is given.
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

    /// Prints the plan: what `--dry-run` shows, and with `--json` the document.
    pub fn print(&self, json: bool) {
        ui::print(&if json { format!("{:#}\n", self.json()) } else { self.to_string() });
    }

    /// The plan as one JSON document (docs/json.md).
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

/// The reports' total, for a closing line.
pub fn total(reports: &[StepReport]) -> String {
    seconds(reports.iter().map(|report| report.seconds).sum())
}
