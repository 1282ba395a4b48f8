//! Credentials for a registry.

use super::base64;
use super::secret::Secret;

/// A credential for a registry or its token service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A user name and a password or token.
    Basic {
        /// The user name.
        user: String,
        /// The password or token.
        secret: Secret,
    },
    /// A refresh token for the registry's token service (Docker's `identitytoken`).
    Identity(Secret),
    /// A bearer token for the registry itself (Docker's `registrytoken`).
    Bearer(Secret),
}

impl Credential {
    /// All forms of it that are sent and must never be shown.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Basic { user, secret } => {
                let pair = base64::encode(format!("{user}:{}", secret.expose()).as_bytes());
                vec![secret.clone(), Secret::new(pair)]
            }
            Self::Identity(secret) | Self::Bearer(secret) => vec![secret.clone()],
        }
    }
}
