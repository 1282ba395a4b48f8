//! Components that a test needs: skipped aloud where one is missing, failed where it is required.

use std::io::Write as _;
use std::process::Command;

/// Whether a component is here. If not, the test says so and passes, unless XTASK_REQUIRE names it.
#[must_use]
pub fn have(component: &str, present: bool, why: &str) -> bool {
    let required = std::env::var("XTASK_REQUIRE").unwrap_or_default();
    if !present {
        assert!(
            !required.split(',').any(|name| name == component),
            "{component} is required and missing: {why}"
        );
        // Written past the test runner's capture, which would hide it.
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let line = format!("\nskipped: {test} needs {component}: {why}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    present
}

/// Whether a program is on PATH and answers.
#[must_use]
pub fn have_program(component: &str, program: &str, args: &[&str]) -> bool {
    let answers = Command::new(program).args(args).output().is_ok_and(|output| output.status.success());
    have(component, answers, &format!("`{program} {}` does not answer", args.join(" ")))
}
