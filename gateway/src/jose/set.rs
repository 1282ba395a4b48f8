//! Key sets (RFC 7517 section 5).

use serde_json::Value;

use super::algorithm::Algorithm;
use super::key::Key;

/// Maximum number of keys in a set.
const MAX_KEYS: usize = 256;
/// Maximum number of keys tried for one token. Only without `kid` in the token or the keys can several keys
/// match.
const MAX_TRIED: usize = 8;

/// The keys of one issuer.
#[derive(Debug, Default)]
pub struct KeySet(Vec<Key>);

/// Result of verifying the signature of a token with a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The signature is valid for one of the keys.
    Verified,
    /// A key matches the token, but the signature is invalid.
    Wrong,
    /// No key matches the token.
    Unknown,
}

impl KeySet {
    /// Parses a key set. Keys that are not for signatures, of an unsupported type, malformed or too short are
    /// skipped if at least one is usable: an issuer may publish keys for other uses.
    ///
    /// # Errors
    ///
    /// It is not a key set, or has no usable key.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let set: Value = serde_json::from_slice(json).map_err(|error| format!("it is not JSON: {error}"))?;
        let members = set.get("keys").and_then(Value::as_array).ok_or("it has no list 'keys'")?;
        if members.len() > MAX_KEYS {
            return Err(format!("it has more than {MAX_KEYS} keys"));
        }
        let (mut keys, mut wrong) = (Vec::new(), None);
        for member in members {
            match Key::read(member) {
                Ok(key) => keys.extend(key),
                Err(error) => wrong = Some(error),
            }
        }
        if keys.is_empty() {
            let none = || "it has no public key for signatures (RSA, P-256, P-384 or Ed25519)".to_owned();
            return Err(wrong.unwrap_or_else(none));
        }
        Ok(Self(keys))
    }

    /// Verifies the signature with the keys of this name. A key without a name matches every token, and a
    /// token without one matches every key.
    pub fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Lookup {
        let meant = |key: &&Key| match (&key.id, kid) {
            (Some(id), Some(kid)) => id == kid,
            _ => true,
        };
        let mut meant = self.0.iter().filter(meant).peekable();
        if meant.peek().is_none() {
            return Lookup::Unknown;
        }
        let mut fit = meant.filter(|key| key.fits(algorithm)).take(MAX_TRIED);
        if fit.any(|key| key.verifies(algorithm, message, signature)) {
            Lookup::Verified
        } else {
            Lookup::Wrong
        }
    }

    /// Whether a key has this name.
    pub fn names(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(kid))
    }
}

#[cfg(test)]
mod tests {
    use super::{KeySet, Lookup};
    use crate::jose::Algorithm;
    use crate::jose::token::base64url;

    const JOE: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const RSA: &str = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
    const RSA_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    const EC_SIGNATURE: &str =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const OKP: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const OKP_SIGNATURE: &str =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    /// RFC 7515 appendices A.2 and A.3, RFC 8037 appendix A.4.
    #[test]
    fn rfc_examples_are_verified() {
        let table = [
            (RSA, Algorithm::Rs256, format!("eyJhbGciOiJSUzI1NiJ9.{JOE}"), RSA_SIGNATURE),
            (EC, Algorithm::Es256, format!("eyJhbGciOiJFUzI1NiJ9.{JOE}"), EC_SIGNATURE),
            (
                OKP,
                Algorithm::EdDsa,
                "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
                OKP_SIGNATURE,
            ),
        ];
        for (key, algorithm, message, signature) in table {
            let set = KeySet::read(format!("{{\"keys\":[{key}]}}").as_bytes()).expect("a key");
            let signature = base64url(signature.as_bytes()).expect("base64url");
            let verify =
                |message: &str, signature: &[u8]| set.verify(None, algorithm, message.as_bytes(), signature);
            assert_eq!(verify(&message, &signature), Lookup::Verified, "{algorithm:?}");
            assert_eq!(verify(&format!("{message}x"), &signature), Lookup::Wrong, "{algorithm:?}");
            assert_eq!(verify(&message, &signature[1..]), Lookup::Wrong, "{algorithm:?}");
            assert_eq!(verify(&message, b""), Lookup::Wrong, "{algorithm:?}");
        }
    }

    #[test]
    fn sets_without_a_usable_key_are_refused() {
        for set in [
            "",
            "[]",
            "{}",
            r#"{"keys":{}}"#,
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#,
            r#"{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}]}"#,
            r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#,
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#,
            r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#,
            r#"{"keys":[{"kty":"RSA","n":"","e":""}]}"#,
            r#"{"keys":[1]}"#,
        ] {
            assert!(KeySet::read(set.as_bytes()).is_err(), "{set}");
        }
    }
}
