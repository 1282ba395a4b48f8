//! Components that a test needs: skipped aloud where one is missing, failed where XTASK_REQUIRE names it.

use std::io::Write as _;
use std::process::Command;

/// Whether a program is here and answers.
pub fn have(program: &str) -> bool {
    have_program(program, program)
}

/// The same for a component of another name than its program.
pub fn have_program(component: &str, program: &str) -> bool {
    have_with(component, program, "--version")
}

/// The same for a program that tells its version in another way.
pub fn have_with(component: &str, program: &str, argument: &str) -> bool {
    let present = Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success());
    if !present {
        let required = std::env::var("XTASK_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == component), "{program} is required and missing");
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        // Written past the test runner's capture, which would hide it.
        let _ = writeln!(std::io::stderr(), "\nskipped: {test} needs {program}");
    }
    present
}
