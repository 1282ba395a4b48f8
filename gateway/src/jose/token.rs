//! Tokens in the compact form (RFC 7515 section 3.1 and RFC 7519 section 7.2).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;

/// A parsed token, not yet verified.
#[derive(Debug)]
pub struct Token<'t> {
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// The id of its key.
    pub kid: Option<String>,
    /// Its type, such as `JWT` or `at+jwt`.
    pub kind: Option<String>,
    /// Its claims.
    pub claims: Map<String, Value>,
    /// The signed bytes.
    pub signed: &'t [u8],
    /// The signature.
    pub signature: Vec<u8>,
}

/// Reasons to refuse a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It is not three parts of base64url, or their JSON is malformed.
    Malformed,
    /// Its algorithm is not accepted.
    Algorithm,
    /// It requires an extension (`crit`); none is supported.
    Critical,
    /// Its type is not accepted.
    Kind,
    /// Its issuer is not accepted.
    Issuer,
    /// It is for another audience.
    Audience,
    /// It has expired.
    Expired,
    /// It has no expiry.
    NoExpiry,
    /// It is not valid yet.
    NotYet,
    /// The signature is invalid.
    Signature,
    /// There is no key with its key id.
    UnknownKey,
}

impl TokenError {
    /// The name in logs and metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Critical => "token_critical",
            Self::Kind => "token_type",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Expired => "token_expired",
            Self::NoExpiry => "token_without_expiry",
            Self::NotYet => "token_not_yet_valid",
            Self::Signature => "token_signature",
            Self::UnknownKey => "token_key",
        }
    }

    /// A short sentence for the client.
    pub const fn public(self) -> &'static str {
        match self {
            Self::Malformed => "The token is malformed.",
            Self::Algorithm => "The algorithm of the token is not accepted.",
            Self::Critical => "The token has a critical header that is not supported.",
            Self::Kind => "The type of the token is not accepted.",
            Self::Issuer => "The issuer of the token is not accepted.",
            Self::Audience => "The token is for another audience.",
            Self::Expired => "The token has expired.",
            Self::NoExpiry => "The token has no expiry.",
            Self::NotYet => "The token is not valid yet.",
            Self::Signature => "The signature of the token is wrong.",
            Self::UnknownKey => "The key of the token is unknown.",
        }
    }
}

/// Decodes base64url without padding, strictly, so that each value has only one encoding.
pub(super) fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

impl<'t> Token<'t> {
    /// Parses a token without verifying its signature.
    ///
    /// # Errors
    ///
    /// It is malformed, or its algorithm is not in `allowed`.
    pub fn read(text: &'t [u8], allowed: &[Algorithm]) -> Result<Self, TokenError> {
        let mut parts = text.split(|&byte| byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        let signed = &text[..header.len() + 1 + claims.len()];
        let header = object(header)?;
        let name = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(TokenError::Malformed),
        };
        let algorithm = name("alg")?.ok_or(TokenError::Malformed)?;
        let algorithm = Algorithm::named(&algorithm)
            .filter(|algorithm| allowed.contains(algorithm))
            .ok_or(TokenError::Algorithm)?;
        if header.contains_key("crit") {
            return Err(TokenError::Critical);
        }
        let kid = name("kid")?;
        let typ = name("typ")?;
        let claims = object(claims)?;
        let signature = base64url(signature).ok_or(TokenError::Malformed)?;
        Ok(Self { algorithm, kid, kind: typ, claims, signed, signature })
    }
}

fn object(part: &[u8]) -> Result<Map<String, Value>, TokenError> {
    let json = base64url(part).ok_or(TokenError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)
}
