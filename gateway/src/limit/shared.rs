//! Limits that count in a store, for all gateways that use it.
//!
//! A script decides and counts in one step, so that a limit is exact however many gateways ask. Rates go by
//! the clock of the store, quotas by that of the gateway.

use std::fmt::Write;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use graviola::hashing::{Hash, Sha256};

use super::calendar::Window;
use super::{Counts, Decision, Limit, unix_seconds};
use crate::redis::{Client, Script, Store, StoreError};
use crate::settings::StoreFail;

static RATE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("rate.lua")));
static QUOTA: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("quota.lua")));

/// Where a limit counts, and what holds while that gives no answer.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The store.
    pub store: Arc<Store>,
    /// What holds without an answer.
    pub fail: StoreFail,
    /// What the keys of the limit begin with.
    prefix: String,
}

/// A question to a store.
#[derive(Debug)]
pub struct Question {
    script: &'static Script,
    key: String,
    arguments: [u64; 3],
}

impl Shared {
    /// A limit of this name in a store.
    pub fn new(store: Arc<Store>, fail: StoreFail, name: &str) -> Self {
        let prefix = format!("{}{name}:", store.config.prefix);
        Self { store, fail, prefix }
    }

    /// What the store is asked for a request with this key, or with `back` for one that is taken back; none
    /// for requests in flight, which each gateway counts for itself.
    pub fn question(&self, limit: &Limit, key: &[u8], back: bool) -> Option<Question> {
        let back = u64::from(back);
        // Of one length and without what a client sent. All keys of one client are in one slot of a cluster.
        let mut name = format!("{}{{", self.prefix);
        for byte in &Sha256::hash(key).as_ref()[..16] {
            // Writing to memory does not fail.
            let _ = write!(name, "{byte:02x}");
        }
        name.push('}');
        match &limit.counts {
            Counts::Rate(rate, _) => {
                let (interval, _) = rate.parts();
                Some(Question { script: &RATE, key: name, arguments: [interval, rate.most(), back] })
            }
            Counts::Quota(quota, _) => {
                let Window { begin, end } = Window::of(quota.calendar, unix_seconds());
                let _ = write!(name, ":{begin}");
                // Clocks of gateways may differ by this.
                let arguments = [quota.requests, end + 60, back];
                Some(Question { script: &QUOTA, key: name, arguments })
            }
            Counts::Concurrency(..) => None,
        }
    }

    /// Counts how a question went, and reads the answer.
    pub fn judge(
        &self,
        limit: &Limit,
        worker: usize,
        answer: &Result<i64, StoreError>,
    ) -> Option<(Decision, u64)> {
        let counters = self.store.counters.of(worker);
        let (counter, number) = match answer {
            Ok(number) => (&counters.answered, u64::try_from(*number).ok()),
            Err(StoreError::Timeout) => (&counters.timeout, None),
            Err(StoreError::Unavailable) => (&counters.unavailable, None),
            Err(StoreError::Refused(_)) => (&counters.refused, None),
        };
        counter.add(1);
        let number = number?;
        let decision = match &limit.counts {
            Counts::Rate(rate, _) => rate.judge(number),
            Counts::Quota(quota, _) => quota.judge(number, unix_seconds()),
            Counts::Concurrency(..) => return None,
        };
        Some((decision, number))
    }
}

impl Question {
    /// Asks.
    ///
    /// # Errors
    ///
    /// There is no answer within the timeout of the store.
    pub async fn ask(self, client: Rc<Client>) -> Result<i64, StoreError> {
        client.run(self.script, self.key.as_bytes(), &self.arguments).await
    }
}
