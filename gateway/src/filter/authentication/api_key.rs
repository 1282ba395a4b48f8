//! API keys. Only their hashes are known here.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use graviola::hashing::{Hash, HashOutput, Sha256};

use super::credential;
use super::failure::Refused;
use super::{Found, Method};
use crate::exchange::{Exchange, Identity, Kind};
use crate::settings::{Credential, NamedKey};

const WRONG: Refused = Refused::wrong("api_key_wrong", "The API key is not known.");

/// API keys by their hashes.
#[derive(Debug)]
pub struct ApiKeys {
    pub name: String,
    pub places: Vec<Credential>,
    pub forward: bool,
    /// By the begin of the hash: which keys share it says nothing about a key.
    keys: HashMap<[u8; 8], Vec<NamedKey>>,
}

impl ApiKeys {
    /// Keys; there is at least one.
    pub fn new(name: String, places: Vec<Credential>, forward: bool, all: Vec<NamedKey>) -> Self {
        let mut keys: HashMap<[u8; 8], Vec<NamedKey>> = HashMap::new();
        for key in all {
            keys.entry(begin(&key.sha256)).or_default().push(key);
        }
        Self { name, places, forward, keys }
    }

    fn known(&self, presented: &[u8]) -> Option<&NamedKey> {
        let hash: HashOutput = Sha256::hash(presented);
        let same = self.keys.get(&begin(hash.as_ref()))?;
        same.iter().find(|key| hash.ct_equal(&key.sha256))
    }
}

/// The begin of a hash.
fn begin(hash: &[u8]) -> [u8; 8] {
    hash.first_chunk().copied().unwrap_or_default()
}

impl Method for ApiKeys {
    fn find(self: Arc<Self>, exchange: &mut Exchange<'_>) -> Found {
        let Some(found) = self.places.iter().find_map(|place| credential::find(exchange.request, place))
        else {
            return Found::Absent;
        };
        let Some(key) = found.ok().and_then(|presented| self.known(&presented)) else {
            return Found::Wrong(WRONG);
        };
        let mut identity = Identity::new(Kind::ApiKey, &self.name, key.name.clone());
        identity.groups.clone_from(&key.groups);
        Found::Known(Rc::new(identity))
    }

    fn challenge(&self) -> Option<&str> {
        Some("ApiKey")
    }

    fn strip(&self, exchange: &mut Exchange<'_>) {
        if !self.forward {
            for place in &self.places {
                credential::strip(exchange.request, place);
            }
        }
    }
}
