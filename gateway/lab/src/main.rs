//! `gateway-lab`: what measures the gateway. It runs the compiled program, never a part of it, beside
//! programs that nobody here wrote.

#![forbid(unsafe_code)]

mod bench;
mod conformance;
mod fuzz;
mod oracles;
mod program;
mod reload;
mod soak;
mod store;
mod table;
mod target;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measure the gateway: speed beside nginx and HAProxy, conformance, a soak
#[derive(Parser, Debug)]
#[command(name = "gateway-lab")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Bench(bench::Flags),
    Policies(bench::policies::Flags),
    Conformance(conformance::Flags),
    Soak(soak::Flags),
    Reload(reload::Flags),
    Store(store::Flags),
    Fuzz(fuzz::Flags),
    #[command(hide = true)]
    Serve(soak::Serve),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = program::end_with_signals().and_then(|()| match cli.command {
        Command::Bench(flags) => flags.run(),
        Command::Policies(flags) => flags.run(),
        Command::Conformance(flags) => flags.run(),
        Command::Soak(flags) => flags.run(),
        Command::Reload(flags) => flags.run(),
        Command::Store(flags) => flags.run(),
        Command::Fuzz(flags) => flags.run(),
        Command::Serve(serve) => serve.run(),
    });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("gateway-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
