//! Components that a test needs. A test whose component is missing prints that it was skipped, or fails where
//! `XTASK_REQUIRE` names the component.

use std::io::Write as _;
use std::process::Command;

/// Whether a component is present. If not, prints that the test was skipped and why; panics where XTASK_REQUIRE
/// names the component.
#[must_use]
pub fn have(component: &str, present: bool, why: &str) -> bool {
    let required = std::env::var("XTASK_REQUIRE").unwrap_or_default();
    if !present {
        assert!(
            !required.split(',').any(|name| name == component),
            "{component} is required and missing: {why}"
        );
        // To the process's own standard error: the test runner captures that of `eprintln!`.
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let line = format!("\nskipped: {test} needs {component}: {why}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    present
}

/// Whether a program is on PATH and ends with status 0.
#[must_use]
pub fn have_program(component: &str, program: &str, args: &[&str]) -> bool {
    let answers = Command::new(program).args(args).output().is_ok_and(|output| output.status.success());
    have(component, answers, &format!("`{program} {}` does not answer", args.join(" ")))
}
