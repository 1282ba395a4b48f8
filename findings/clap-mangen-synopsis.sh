#!/usr/bin/env bash
# Library: Rust crate clap_mangen 0.3.3 with clap 4.6.9.
# Expected: the synopsis of a manual page is the usage that the program's help prints, as clap knows it.
# Does: the synopsis has no values of options. A required option is in angle brackets as if it were a value, behind all
# optional ones. The source in the title of a page without a version ends with a space.
# Output seen:
#   help: Usage: tool [OPTIONS] --out <DIR> <FILE>
#   title: .TH tool 1  "tool "
#   synopsis: tool [--jobs] [-h|--help] <--out> <FILE>
# Why it matters: a reader of `man tool` types the option without its value. Pages made in a build script are installed
# without anybody comparing them with the help.

. "$(dirname "$0")/lib/common.bash"
rust 'clap = "=4.6.9"
clap_mangen = "=0.3.3"' >output <<'EOF'
use clap::{Arg, Command};

fn main() {
    let mut tool = Command::new("tool")
        .arg(Arg::new("out").long("out").value_name("DIR").required(true))
        .arg(Arg::new("jobs").long("jobs").value_name("N"))
        .arg(Arg::new("file").value_name("FILE").required(true));
    println!("help: {}", tool.render_usage());
    let mut page = Vec::new();
    clap_mangen::Man::new(tool).render(&mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    let lines: Vec<&str> = page.lines().collect();
    let place = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap();
    println!("title: {}", lines[place(".TH")].trim_end());
    let synopsis = lines[place(".SH SYNOPSIS") + 1];
    println!("synopsis: {}", synopsis.replace("\\fB", "").replace("\\fR", "").replace("\\fI", "").replace("\\-", "-").trim());
}
EOF
check <output
