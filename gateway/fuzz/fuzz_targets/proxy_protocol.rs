//! Any bytes as a PROXY protocol header, v1 and v2.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| gateway::proxy_protocol::fuzz(bytes));
