//! Scripts that a server runs as one step.

use std::fmt::Write;

/// A script in Lua with its hash, which EVALSHA takes.
#[derive(Debug)]
pub struct Script {
    /// The script.
    pub text: &'static str,
    /// Its SHA-1 in hexadecimal digits.
    pub hash: String,
}

impl Script {
    /// A script that no server has loaded yet.
    pub fn new(text: &'static str) -> Self {
        let digest = sha1_smol::Sha1::from(text).digest().bytes();
        let hash = digest.iter().fold(String::new(), |mut hash, byte| {
            // Writing to memory does not fail.
            let _ = write!(hash, "{byte:02x}");
            hash
        });
        Self { text, hash }
    }
}

#[cfg(test)]
mod tests {
    use super::Script;

    #[test]
    fn the_hash_is_that_of_a_server() {
        // What `SCRIPT LOAD "return 1"` replies.
        assert_eq!(Script::new("return 1").hash, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
