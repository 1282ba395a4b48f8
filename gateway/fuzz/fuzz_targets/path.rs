//! Any bytes as a path: what is accepted has one form, which is its own.

#![no_main]

use gateway::http::path::Path;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &[u8]| {
    let mut path = Path::default();
    if path.read(raw).is_err() {
        return;
    }
    let text = path.as_str();
    assert!(text.starts_with('/') && !text.contains("//"), "{text:?}");
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte)), "{text:?}");
    assert!(!text.split('/').any(|segment| segment == "." || segment == ".."), "{text:?}");
    let mut again = Path::default();
    assert!(again.read(text.as_bytes()).is_ok(), "{text:?}");
    assert_eq!(again.as_str(), text);
});
