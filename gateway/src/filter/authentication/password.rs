//! Hashes of passwords: bcrypt, SHA-crypt and Argon2 (RFC 9106).

use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use bcrypt::HashParts;
use sha_crypt::ShaCrypt;

/// The highest cost of bcrypt: each step doubles the time.
const MAX_BCRYPT_COST: u32 = 15;
/// The most rounds of SHA-crypt.
const MAX_ROUNDS: u32 = 1_000_000;
/// The most memory of Argon2 in KiB.
const MAX_MEMORY: u32 = 256 << 10;
/// The most passes of Argon2 over its memory.
const MAX_PASSES: u32 = 16;
/// The longest password in bytes: the time of SHA-crypt grows with the length.
const MAX_PASSWORD: usize = 256;

/// The hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Form);

#[derive(Clone, PartialEq, Eq)]
enum Form {
    Bcrypt(String),
    ShaCrypt(String),
    Argon2(Box<argon2::PasswordHash>),
}

/// The form, never the hash: who has it can guess the password.
impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Form::Bcrypt(_) => "bcrypt",
            Form::ShaCrypt(_) => "SHA-crypt",
            Form::Argon2(_) => "Argon2",
        })
    }
}

impl PasswordHash {
    /// Reads a hash.
    ///
    /// # Errors
    ///
    /// It is of another form, malformed, or takes too long to compute.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let form = match text.get(..3) {
            Some("$2a" | "$2b" | "$2y") => {
                let parts: HashParts = text.parse().map_err(|_| "the bcrypt hash is malformed")?;
                if !(4..=MAX_BCRYPT_COST).contains(&parts.get_cost()) {
                    return Err("the cost of bcrypt must be from 4 to 15");
                }
                Form::Bcrypt(text.to_owned())
            }
            Some("$5$" | "$6$") => Form::ShaCrypt(sha_crypt(text)?.to_owned()),
            Some("$ar") => {
                let hash = argon2::PasswordHash::new(text).map_err(|_| "the Argon2 hash is malformed")?;
                let params = Params::try_from(&hash).map_err(|_| "the Argon2 hash is malformed")?;
                if params.m_cost() > MAX_MEMORY || params.t_cost() > MAX_PASSES {
                    return Err("Argon2 must use at most 256 MiB (m=262144) and 16 passes (t=16)");
                }
                Form::Argon2(Box::new(hash))
            }
            Some("$ap" | "$1$") => {
                return Err("MD5 is too fast for passwords; make a bcrypt hash with 'htpasswd -B'");
            }
            Some("{SH" | "{SS" | "{PL") => {
                return Err("SHA-1 and plain text are not accepted; make a bcrypt hash with 'htpasswd -B'");
            }
            _ => {
                return Err(
                    "it is no hash of bcrypt, SHA-crypt or Argon2; make one with 'gateway hash-password'",
                );
            }
        };
        Ok(Self(form))
    }

    /// Computes the hash of a password and compares it. It takes milliseconds to seconds.
    pub fn matches(&self, password: &[u8]) -> bool {
        if password.len() > MAX_PASSWORD {
            return false;
        }
        match &self.0 {
            Form::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Form::ShaCrypt(hash) => ShaCrypt::default().verify_password(password, hash.as_str()).is_ok(),
            Form::Argon2(hash) => Argon2::default().verify_password(password, hash.as_ref()).is_ok(),
        }
    }
}

/// Checks `$6$SALT$HASH` or `$6$rounds=N$SALT$HASH`.
fn sha_crypt(text: &str) -> Result<&str, &'static str> {
    const MALFORMED: &str = "the SHA-crypt hash is malformed";
    let digits = if text.starts_with("$5$") { 43 } else { 86 };
    let parts: Vec<&str> = text.split('$').skip(2).collect();
    let (rounds, hash) = match parts[..] {
        [_, hash] => (None, hash),
        [rounds, _, hash] => (Some(rounds), hash),
        _ => return Err(MALFORMED),
    };
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    if hash.len() != digits || !hash.bytes().all(is_digit) {
        return Err(MALFORMED);
    }
    if let Some(rounds) = rounds {
        let rounds = rounds.strip_prefix("rounds=").and_then(|rounds| rounds.parse().ok());
        if !rounds.is_some_and(|rounds: u32| (1000..=MAX_ROUNDS).contains(&rounds)) {
            return Err("SHA-crypt must have from 1,000 to 1,000,000 rounds");
        }
    }
    Ok(text)
}

/// A hash of a password by Argon2id with 19 MiB and 2 passes and a random salt.
///
/// # Errors
///
/// The system has no random numbers, or the password is empty, too long, or holds a control character.
pub fn hash_password(password: &str) -> Result<String, String> {
    if password.is_empty() || password.len() > MAX_PASSWORD || password.chars().any(char::is_control) {
        return Err("the password must have 1 to 256 bytes and no control characters".to_owned());
    }
    let mut salt = [0; 16];
    graviola::random::fill(&mut salt).map_err(|error| format!("no random salt: {error:?}"))?;
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| format!("the hash cannot be computed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::{PasswordHash, hash_password};

    /// Hashes of `crypt(3)` of libxcrypt 4.4.33 and of `openssl passwd`.
    #[test]
    fn hashes_of_other_implementations_are_known() {
        let table = [
            ("$2b$04$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG", "pässword"),
            ("$2y$04$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG", "pässword"),
            ("$5$saltsalt$0rl.MZtoLLPP3X0Rdl8riRnphIcAXJY27/aOAyK2hB5", "pw"),
            (
                "$6$rounds=1000$saltsalt$nII71HJmawaDYdXrUHYtoWV/pe6ZN/eQzrZXdKjhrcMU0onLRg6A5m38udZu.lA6f53rIQturF4FMx1X99KF/0",
                "pw",
            ),
            (
                "$6$saltsalt$pauPrmdmG4BTE9h2HPmywiw152IFch6BJCEsaY6D.PLTfpV8sqvXwWdyfsgVgozkYH9B80bAip/08R2BPH2xk/",
                "pw",
            ),
        ];
        for (text, password) in table {
            let hash = PasswordHash::parse(text).expect(text);
            assert!(hash.matches(password.as_bytes()), "{text}");
            for wrong in ["", "p", "PW", "pw ", "passwort"] {
                assert!(!hash.matches(wrong.as_bytes()), "{text} {wrong}");
            }
            assert!(!hash.matches(&[b'x'; 257]), "{text}");
            assert!(!format!("{hash:?}").contains("salt"), "{hash:?}");
        }
        let own = hash_password("a password").expect("a hash");
        assert!(own.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{own}");
        assert_ne!(own, hash_password("a password").expect("a hash"));
        let own = PasswordHash::parse(&own).expect("its own");
        assert!(own.matches(b"a password") && !own.matches(b"another"));
    }

    #[test]
    fn what_is_no_hash_or_too_costly_is_refused() {
        let table = [
            ("", "no hash"),
            ("secret", "no hash"),
            ("$2x$04$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG", "no hash"),
            ("$2b$31$abcdefghijklmnopqrstuum174eFeoTj0DHmtuueFaS3Wde4P7wHG", "from 4 to 15"),
            ("$2b$04$abc", "malformed"),
            (
                "$6$rounds=999999999$s$pauPrmdmG4BTE9h2HPmywiw152IFch6BJCEsaY6D.PLTfpV8sqvXwWdyfsgVgozkYH9B80bAip/08R2BPH2xk/",
                "rounds",
            ),
            ("$6$s$short", "malformed"),
            ("$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "256 MiB"),
            ("$argon2id$", "malformed"),
            ("$apr1$saltsalt$xxxx", "MD5"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"),
            ("{PLAIN}pw", "plain text"),
        ];
        for (text, expected) in table {
            let problem = PasswordHash::parse(text).expect_err(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
        for bad in ["", "a\nb", &"x".repeat(257)] {
            assert!(hash_password(bad).is_err(), "{bad:?}");
        }
    }
}
