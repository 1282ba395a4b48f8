//! Any text as a settings file: it is read or its problems are told, each with a place in it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (_, problems) = gateway::settings::parse("fuzz.toml", text);
    for problem in problems {
        assert!(problem.to_string().starts_with("fuzz.toml"), "{problem}");
    }
});
