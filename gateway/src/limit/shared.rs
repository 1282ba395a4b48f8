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

static LIMITS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("limits.lua")));

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

/// A question to a store: may a request pass that counts for these limits?
#[derive(Debug)]
pub struct Question {
    keys: Vec<String>,
    arguments: Vec<u64>,
}

/// How a limit counts in the script.
const RATE: u64 = 0;
const QUOTA: u64 = 1;

impl Shared {
    /// A limit of this name in a store.
    pub fn new(store: Arc<Store>, fail: StoreFail, name: &str) -> Self {
        let prefix = format!("{}{name}:", store.config.prefix);
        Self { store, fail, prefix }
    }

    /// Asks for this limit too, and a request with this key; false for requests in flight, which each gateway
    /// counts for itself.
    pub fn ask_for(&self, limit: &Limit, key: &[u8], question: &mut Question) -> bool {
        // Of one length and without what a client sent. All keys of one client are in one slot of a cluster.
        let mut name = format!("{}{{", self.prefix);
        for byte in &Sha256::hash(key).as_ref()[..16] {
            // Writing to memory does not fail.
            let _ = write!(name, "{byte:02x}");
        }
        name.push('}');
        let arguments = match &limit.counts {
            Counts::Rate(rate, _) => {
                let (interval, _) = rate.parts();
                [RATE, interval, rate.most()]
            }
            Counts::Quota(quota, _) => {
                let Window { begin, end } = Window::of(quota.calendar, unix_seconds());
                let _ = write!(name, ":{begin}");
                // Clocks of gateways may differ by this.
                [QUOTA, quota.requests, end + 60]
            }
            Counts::Concurrency(..) => return false,
        };
        question.keys.push(name);
        question.arguments.extend(arguments);
        true
    }

    /// Reads the number that the store replied for a limit.
    pub fn judge(limit: &Limit, number: i64) -> Option<(Decision, u64)> {
        let number = u64::try_from(number).ok()?;
        let decision = match &limit.counts {
            Counts::Rate(rate, _) => rate.judge(number),
            Counts::Quota(quota, _) => quota.judge(number, unix_seconds()),
            Counts::Concurrency(..) => return None,
        };
        Some((decision, number))
    }
}

impl Question {
    /// A question for no limit yet, or with `back` one that takes a request back.
    pub fn new(back: bool) -> Self {
        Self { keys: Vec::new(), arguments: vec![u64::from(back)] }
    }

    /// Whether it asks for no limit.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Asks, and counts how that went. The reply is a number for each limit, up to the first that refuses.
    ///
    /// # Errors
    ///
    /// There is no answer within the timeout of the store.
    pub async fn ask(self, client: Rc<Client>, worker: usize) -> Result<Vec<i64>, StoreError> {
        let keys: Vec<&[u8]> = self.keys.iter().map(String::as_bytes).collect();
        let answer = client.run(&LIMITS, &keys, &self.arguments).await;
        if let Some(store) = client.store() {
            let counters = store.counters.of(worker);
            match &answer {
                Ok(_) => counters.answered.add(1),
                Err(StoreError::Timeout) => counters.timeout.add(1),
                Err(StoreError::Unavailable) => counters.unavailable.add(1),
                Err(StoreError::Refused(_)) => counters.refused.add(1),
                // Asked again, one limit after another.
                Err(StoreError::Apart) => {}
            }
        }
        answer
    }
}
