//! Results of a route's limits for a request.

use crate::limit::Standing;
use crate::limit::concurrency::Permit;

/// Results of a route's limits for a request.
#[derive(Debug, Default)]
pub struct Limited {
    /// The result of each applied limit, in the order of the route's limits.
    pub asked: Vec<Asked>,
    /// The keys under which the request was counted, concatenated, with the offset of each end.
    keys: Vec<u8>,
    ends: Vec<usize>,
    /// Released at the end of the exchange.
    pub permits: Vec<Permit>,
}

/// The result of a limit for a request.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The state of the limit, for the client; `None` if the limit could not be checked.
    pub standing: Option<Standing>,
    /// Where the request was counted.
    pub counted: Counted,
}

/// Where a request was counted for a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Nowhere.
    Nowhere,
    /// In this process.
    Here,
    /// In a store.
    Store,
}

impl Limited {
    /// Sets the key of limit `number`, after those of the limits before it; `write` appends it.
    pub fn set_key(&mut self, number: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.ends.truncate(number);
        self.keys.truncate(self.ends.last().copied().unwrap_or(0));
        write(&mut self.keys);
        self.ends.push(self.keys.len());
    }

    /// The key of the limit with this number.
    pub fn key(&self, number: usize) -> &[u8] {
        let begin = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(number).copied().unwrap_or(begin);
        self.keys.get(begin..end).unwrap_or_default()
    }
}
