//! Any bytes as a response head, the first of them choosing the request's method.

#![no_main]

use gateway::http::fields::Fields;
use gateway::http::head::HeadLimits;
use gateway::http1::response::parse;
use http::Method;
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { max_bytes: 4096, max_fields: 16 };

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let method = [Method::GET, Method::HEAD, Method::CONNECT][usize::from(choice % 3)].clone();
    let mut fields = Fields::new();
    let Ok(Some(head)) = parse(bytes, &method, &LIMITS, &mut fields) else { return };
    assert!(head.length <= bytes.len());
    for field in fields.iter() {
        assert!(!field.name.is_empty());
        assert!(!field.value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    let whole = &bytes[..head.length];
    let mut others = Fields::new();
    assert_eq!(parse(whole, &method, &LIMITS, &mut others), Ok(Some(head)));
    for length in 0..whole.len() {
        assert_eq!(parse(&whole[..length], &method, &LIMITS, &mut others), Ok(None), "at {length}");
    }
});
