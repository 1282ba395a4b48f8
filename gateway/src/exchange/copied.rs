//! The body of a request that a mirror gets too.

use std::cell::RefCell;

/// The longest body that is copied, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// A copy of a request body, as far as it has passed.
#[derive(Debug)]
pub struct Copied(RefCell<Option<Vec<u8>>>);

impl Default for Copied {
    fn default() -> Self {
        Self(RefCell::new(Some(Vec::new())))
    }
}

impl Copied {
    /// Whether a body of so many bytes is copied.
    pub const fn fits(length: u64) -> bool {
        length <= MAX_BYTES
    }

    /// Adds a piece. Once the body is too long nothing of it is kept.
    pub fn push(&self, piece: &[u8]) {
        let mut kept = self.0.borrow_mut();
        let Some(body) = &mut *kept else { return };
        if Self::fits(body.len() as u64 + piece.len() as u64) {
            body.extend_from_slice(piece);
        } else {
            *kept = None;
        }
    }

    /// The body, if it has so many bytes and all of them were kept.
    pub fn whole(self, bytes: u64) -> Option<Vec<u8>> {
        self.0.into_inner().filter(|body| body.len() as u64 == bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Copied, MAX_BYTES};

    #[test]
    fn short_bodies_are_kept_whole() {
        let most = usize::try_from(MAX_BYTES).expect("small");
        // The pieces, how much passed in all, and what is kept.
        let table: [(&[usize], u64, Option<usize>); 6] = [
            (&[], 0, Some(0)),
            (&[3, 4], 7, Some(7)),
            (&[most], MAX_BYTES, Some(most)),
            (&[most, 1], MAX_BYTES + 1, None),
            (&[most + 1, 0], MAX_BYTES + 1, None),
            // The rest passed unseen.
            (&[3], 7, None),
        ];
        for (pieces, bytes, expected) in table {
            let copied = Copied::default();
            for piece in pieces {
                copied.push(&vec![b'x'; *piece]);
            }
            assert_eq!(copied.whole(bytes).map(|body| body.len()), expected, "{pieces:?}");
        }
    }
}
