//! Messages for people, on standard error.

use std::fmt::Display;
use std::io::Write;

/// Writes one line. A closed standard error is ignored.
pub fn say(message: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "gateway: {message}");
}

/// Writes one line without a prefix, such as a problem that begins with its file.
pub fn print_line(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
