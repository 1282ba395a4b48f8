//! The integration tests of `cargo xtask`: they run the built program. One program for all of them links once and keeps
//! both cores busy to its end.

mod advisories;
mod assets;
mod base;
mod commands_reference;
mod diagrams;
mod environments;
mod foreign;
mod hostile_environment;
mod image_native;
mod image_refusals;
mod keyless;
mod plans;
mod promote;
mod prune;
mod publish;
mod publish_faults;
mod race;
mod readers;
mod refusals;
mod registry_habits;
mod release;
mod report;
mod scan_hostile;
mod scan_truth;
mod schemas;
mod secrets;
mod signals;
#[path = "../support/mod.rs"]
mod support;
mod tag_update;
mod tags;
mod tutorial;
mod verify;
mod versions;
mod workflows;
mod workspace_commands;
