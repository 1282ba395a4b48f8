//! Recently closed streams, to distinguish late frames from faults.

const KEPT: usize = 32;

/// How a stream was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Past {
    /// Both sides ended it, or the peer reset it: further frames are a fault.
    Closed,
    /// This side reset it: late frames are allowed (RFC 9113 section 5.1).
    Reset,
    /// It was closed too long ago to tell.
    Forgotten,
    /// It was never opened.
    Never,
}

/// A ring of ids; 0 marks an empty slot.
#[derive(Debug)]
pub(super) struct Recent {
    ids: [u32; KEPT],
    next: usize,
}

/// Flag of the id of a stream that this side reset.
const RESET: u32 = 0x8000_0000;

impl Recent {
    pub const fn new() -> Self {
        Self { ids: [0; KEPT], next: 0 }
    }

    /// Records a closed stream.
    pub fn push(&mut self, id: u32, reset: bool) {
        let id = if reset { id | RESET } else { id };
        if let Some(place) = self.ids.get_mut(self.next % KEPT) {
            *place = id;
        }
        self.next = self.next.wrapping_add(1);
    }

    /// The state of a stream that is not open, with an id up to the last one.
    pub fn past(&self, id: u32) -> Past {
        if self.ids.contains(&id) {
            Past::Closed
        } else if self.ids.contains(&(id | RESET)) {
            Past::Reset
        } else if self.next > KEPT {
            Past::Forgotten
        } else {
            Past::Never
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Past, Recent};

    #[test]
    fn recently_closed_streams_are_remembered() {
        let mut recent = Recent::new();
        recent.push(1, false);
        recent.push(3, true);
        assert_eq!([1, 3, 5].map(|id| recent.past(id)), [Past::Closed, Past::Reset, Past::Never]);
        for id in 0..40 {
            recent.push(7 + 2 * id, false);
        }
        assert_eq!([1, 3, 5].map(|id| recent.past(id)), [Past::Forgotten; 3]);
    }
}
