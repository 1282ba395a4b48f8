//! The copy of a request body for a mirror.

use std::cell::RefCell;

/// Maximum length of a copied body, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// The copy of a request body, as far as it was received.
#[derive(Debug)]
pub struct Copied(RefCell<Option<Vec<u8>>>);

impl Default for Copied {
    fn default() -> Self {
        Self(RefCell::new(Some(Vec::new())))
    }
}

impl Copied {
    /// Whether a body of this length is copied.
    pub const fn fits(length: u64) -> bool {
        length <= MAX_BYTES
    }

    /// Appends a piece. If the body becomes too long, the copy is dropped.
    pub fn push(&self, piece: &[u8]) {
        let mut kept = self.0.borrow_mut();
        let Some(body) = &mut *kept else { return };
        if Self::fits(body.len() as u64 + piece.len() as u64) {
            body.extend_from_slice(piece);
        } else {
            *kept = None;
        }
    }

    /// The body, if its length is `bytes` and all of it was copied.
    pub fn whole(self, bytes: u64) -> Option<Vec<u8>> {
        self.0.into_inner().filter(|body| body.len() as u64 == bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Copied, MAX_BYTES};

    #[test]
    fn only_complete_short_bodies_are_kept() {
        let most = usize::try_from(MAX_BYTES).expect("small");
        // The pieces, the total length, and the length of the copy.
        let table: [(&[usize], u64, Option<usize>); 6] = [
            (&[], 0, Some(0)),
            (&[3, 4], 7, Some(7)),
            (&[most], MAX_BYTES, Some(most)),
            (&[most, 1], MAX_BYTES + 1, None),
            (&[most + 1, 0], MAX_BYTES + 1, None),
            // The rest was not copied.
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
