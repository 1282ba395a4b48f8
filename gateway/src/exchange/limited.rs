//! What the limits of a route say of a request.

use crate::limit::Standing;
use crate::limit::concurrency::Permit;

/// What the limits of a route say of a request.
#[derive(Debug, Default)]
pub struct Limited {
    /// For each limit that was asked, in the order of the route's limits, what it said.
    pub asked: Vec<Asked>,
    /// By what each counted the request, one behind the other, with the place where each ends.
    keys: Vec<u8>,
    ends: Vec<usize>,
    /// Held until the exchange has ended.
    pub permits: Vec<Permit>,
}

/// What a limit said of a request.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// What the client is told; nothing if the limit could not be asked.
    pub standing: Option<Standing>,
    /// Where it was counted.
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
    /// Notes the key by which limit `number` counts, after those before it; `write` appends it.
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
