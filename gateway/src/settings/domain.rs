//! Validation of host names (RFC 1035 section 2.3.4, RFC 1123 section 2.1).

use std::net::IpAddr;

/// Checks a host name or IP address without brackets, and returns it in lower case. `_` is allowed, since
/// container engines create such names; a trailing dot is allowed too.
///
/// # Errors
///
/// What is wrong with it.
pub fn check(name: &str) -> Result<String, &'static str> {
    if name.parse::<IpAddr>().is_ok() {
        return Ok(name.to_ascii_lowercase());
    }
    let bare = name.strip_suffix('.').unwrap_or(name);
    if bare.is_empty() {
        return Err("the host is missing");
    }
    if bare.len() > 253 {
        return Err("a host name has at most 253 characters");
    }
    for label in bare.split('.') {
        if label.is_empty() {
            return Err("a host name has no empty label");
        }
        if label.len() > 63 {
            return Err("a label of a host name has at most 63 characters");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a label of a host name neither begins nor ends with '-'");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err("a host name holds letters, digits, '-', '_' and '.'");
        }
    }
    // Some resolvers interpret such a name as an IPv4 address, in different ways.
    let last = bare.rsplit('.').next().unwrap_or(bare);
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a host name that ends in a number is no IPv4 address");
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn host_names() {
        let long = "a".repeat(63);
        let good =
            ["a", "A-b.c_d", "a.b.", "1a", "1.2.3.4", "::1", "xn--a", &long, &vec!["a"; 127].join(".")];
        for name in good {
            assert_eq!(check(name).as_deref(), Ok(name.to_ascii_lowercase().as_str()), "{name}");
        }
        let bad = [
            "",
            ".",
            "-x",
            "x-",
            "a.-b",
            "a-.b",
            "x..y",
            ".a",
            "a..",
            "a b",
            "a/b",
            "é",
            "a:b",
            "[::1]",
            "1.2.3",
            "1.2.3.256",
            "a.1",
            "*.a",
            &"a".repeat(64),
            &vec!["a"; 128].join("."),
        ];
        for name in bad {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
