//! Any text as a template: what is accepted is written with its texts and the values of its variables.

#![no_main]

use gateway::settings::Template;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(template) = Template::parse(text) else { return };
    let mut out = Vec::new();
    template.write(&mut out, |_, out| out.push(b'\0'));
    let written = out.iter().filter(|byte| **byte == 0).count();
    let literal = text.bytes().filter(|byte| *byte == 0).count();
    assert!(written >= literal && out.len() <= text.len());
});
