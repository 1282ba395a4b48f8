//! The stores of the settings, ready for use.

use std::collections::HashMap;
use std::sync::Arc;

use crate::dial::dns::Resolver;
use crate::dial::{ClientTlsConfig, Roots};
use crate::observe::metrics::Metrics;
use crate::redis::{Credentials, Store, StoreConfig};
use crate::settings::{self, Place};

/// Stores by name.
#[derive(Debug, Default, Clone)]
pub struct Stores(HashMap<String, Arc<Store>>);

impl Stores {
    /// Makes the stores. One that has not changed is taken from `previous`, with its connections.
    ///
    /// # Errors
    ///
    /// All files that cannot be used.
    pub fn load(
        settings: &[settings::Store],
        resolver: &Arc<Resolver>,
        metrics: &Metrics,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<(Place, String)>> {
        let mut all = HashMap::new();
        let mut problems = Vec::new();
        for store in settings {
            match Store::new(config(store), resolver, metrics.store(&store.name)) {
                Ok(made) => {
                    let before = previous.and_then(|previous| previous.get(&store.name));
                    let same = before.filter(|before| before.is_same(&made));
                    all.insert(store.name.clone(), same.unwrap_or_else(|| Arc::new(made)));
                }
                Err(errors) => {
                    let place = store.ca.as_ref().map_or(store.place, |file| file.place);
                    problems.extend(errors.into_iter().map(|error| (place, error.to_string())));
                }
            }
        }
        if problems.is_empty() { Ok(Self(all)) } else { Err(problems) }
    }

    /// The store of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Store>> {
        self.0.get(name).cloned()
    }
}

fn config(store: &settings::Store) -> StoreConfig {
    let roots = store.ca.as_ref().map_or(Roots::System, |file| Roots::File(file.path.clone()));
    let credentials = store
        .password
        .as_ref()
        .map(|password| Credentials { user: store.user.clone(), password: password.expose().to_owned() });
    StoreConfig {
        name: store.name.clone(),
        servers: store.servers.clone(),
        tls: store.tls.then_some(ClientTlsConfig { roots, identity: None }),
        credentials,
        database: store.database,
        timeout: store.timeout,
        prefix: store.prefix.clone(),
    }
}
