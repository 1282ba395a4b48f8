//! Any bytes as a request head: one that is whole has one reading, whatever follows it and however it arrives.

#![no_main]

use gateway::http::fields::Fields;
use gateway::http::head::HeadLimits;
use gateway::http1::request::parse;
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { max_bytes: 4096, max_fields: 16 };

fuzz_target!(|bytes: &[u8]| {
    let mut fields = Fields::new();
    let Ok(Some(head)) = parse(bytes, &LIMITS, &mut fields) else { return };
    assert!(head.length <= bytes.len() && head.target.0 < head.target.1);
    for field in fields.iter() {
        assert!(!field.name.is_empty());
        assert!(!field.value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    let whole = &bytes[..head.length];
    let mut others = Fields::new();
    assert_eq!(parse(whole, &LIMITS, &mut others), Ok(Some(head)));
    let list = |fields: &Fields| -> Vec<(Vec<u8>, Vec<u8>)> {
        fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
    };
    assert_eq!(list(&fields), list(&others));
    for length in 0..whole.len() {
        assert_eq!(parse(&whole[..length], &LIMITS, &mut others), Ok(None), "at {length}");
    }
});
