//! Public keys in JSON (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use graviola::hashing::{Sha256, Sha384};
use graviola::signing::ecdsa::{self, P256, P384};
use graviola::signing::eddsa::Ed25519VerifyingKey;
use graviola::signing::rsa;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::token::base64url;

/// A public key that verifies signatures.
pub struct Key {
    /// Its `kid`.
    pub id: Option<String>,
    /// Its `alg`, if set.
    algorithm: Option<Algorithm>,
    public: Public,
}

enum Public {
    Rsa(Box<rsa::VerifyingKey>),
    P256(Box<ecdsa::VerifyingKey<P256>>),
    P384(Box<ecdsa::VerifyingKey<P384>>),
    Ed25519(Ed25519VerifyingKey),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    /// Parses a member of a key set. `None` if the key is not for signatures, or has an unsupported type,
    /// curve or algorithm; a set may contain such keys (RFC 7517 section 5).
    ///
    /// # Errors
    ///
    /// The key is of a supported type, but malformed or too short.
    pub fn read(value: &Value) -> Result<Option<Self>, String> {
        let jwk = value.as_object().ok_or("a key is not an object")?;
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let id = text("kid").map(str::to_owned);
        let verifies = |operations: &Value| {
            operations.as_array().is_some_and(|all| all.iter().any(|one| one.as_str() == Some("verify")))
        };
        if text("use").is_some_and(|purpose| purpose != "sig") || !jwk.get("key_ops").is_none_or(verifies) {
            return Ok(None);
        }
        let algorithm = match text("alg") {
            None => None,
            Some(name) => match Algorithm::named(name) {
                None => return Ok(None),
                known => known,
            },
        };
        let shown = || {
            id.as_ref().map_or_else(
                || "a key without kid".to_owned(),
                |id| format!("the key '{}'", id.escape_debug()),
            )
        };
        let public = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => rsa_key(jwk).map(Box::new).map(Public::Rsa),
            (Some("EC"), Some("P-256")) => point(jwk, 32).and_then(|point| {
                made(ecdsa::VerifyingKey::from_x962_uncompressed(&point)).map(Box::new).map(Public::P256)
            }),
            (Some("EC"), Some("P-384")) => point(jwk, 48).and_then(|point| {
                made(ecdsa::VerifyingKey::from_x962_uncompressed(&point)).map(Box::new).map(Public::P384)
            }),
            (Some("OKP"), Some("Ed25519")) => {
                member(jwk, "x").and_then(|x| Ok(Public::Ed25519(made(Ed25519VerifyingKey::from_bytes(&x))?)))
            }
            (None, _) => Err("it lacks 'kty'".to_owned()),
            _ => return Ok(None),
        };
        let public = public.map_err(|error| format!("{} cannot be used: {error}", shown()))?;
        Ok(Some(Self { id, algorithm, public }))
    }

    /// Whether it can verify signatures of this algorithm.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{Ed25519, EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        self.algorithm.is_none_or(|only| only == algorithm)
            && matches!(
                (&self.public, algorithm),
                (Public::Rsa(_), Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512)
                    | (Public::P256(_), Es256)
                    | (Public::P384(_), Es384)
                    | (Public::Ed25519(_), EdDsa | Ed25519)
            )
    }

    /// Whether the signature over the message is valid.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let verified = match &self.public {
            Public::Rsa(key) => match algorithm {
                Algorithm::Rs256 => key.verify_pkcs1_sha256(signature, message),
                Algorithm::Rs384 => key.verify_pkcs1_sha384(signature, message),
                Algorithm::Rs512 => key.verify_pkcs1_sha512(signature, message),
                Algorithm::Ps256 => key.verify_pss_sha256(signature, message),
                Algorithm::Ps384 => key.verify_pss_sha384(signature, message),
                Algorithm::Ps512 => key.verify_pss_sha512(signature, message),
                _ => return false,
            },
            Public::P256(key) => key.verify::<Sha256>(&[message], signature),
            Public::P384(key) => key.verify::<Sha384>(&[message], signature),
            Public::Ed25519(key) => key.verify(signature, message),
        };
        verified.is_ok()
    }
}

fn made<T>(result: Result<T, graviola::Error>) -> Result<T, String> {
    result.map_err(|error| format!("{error:?}"))
}

/// A member of a key, decoded.
fn member(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let text = jwk.get(name).and_then(Value::as_str).ok_or_else(|| format!("it lacks '{name}'"))?;
    base64url(text.as_bytes()).ok_or_else(|| format!("'{name}' is not base64url"))
}

/// An uncompressed point of a curve (SEC 1 section 2.3.3). Both coordinates must have their full length (RFC
/// 7518 section 6.2.1.2).
fn point(jwk: &Map<String, Value>, length: usize) -> Result<Vec<u8>, String> {
    let (x, y) = (member(jwk, "x")?, member(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err(format!("'x' and 'y' have {length} bytes each"));
    }
    Ok([&[4], &x[..], &y[..]].concat())
}

fn rsa_key(jwk: &Map<String, Value>) -> Result<rsa::VerifyingKey, String> {
    let (n, e) = (member(jwk, "n")?, member(jwk, "e")?);
    let inside = [integer(&n), integer(&e)].concat();
    let key = made(rsa::VerifyingKey::from_pkcs1_der(&element(0x30, &inside)));
    key.map_err(|error| {
        format!("{error} (keys have 2048 to 8192 bits and an odd exponent from 3 to 32 bits)")
    })
}

/// A positive INTEGER in DER.
fn integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|&byte| byte != 0).unwrap_or(number.len());
    let digits = &number[start..];
    // A leading one bit would be read as a sign.
    let sign: &[u8] = if digits.first().is_none_or(|&first| first >= 0x80) { &[0] } else { &[] };
    element(0x02, &[sign, digits].concat())
}

/// An element of DER (X.690 section 8.1).
fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let digits = &length[length.iter().position(|&byte| byte != 0).unwrap_or(length.len() - 1)..];
    let mut der = vec![tag];
    if let [short @ 0..=0x7f] = digits {
        der.push(*short);
    } else {
        // The length has at most eight bytes.
        der.push(0x80 | u8::try_from(digits.len()).unwrap_or_default());
        der.extend_from_slice(digits);
    }
    der.extend_from_slice(value);
    der
}
