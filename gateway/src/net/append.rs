//! Appends short pieces to a buffer.

/// Appends `piece`. Up to 64 bytes are copied as one or two chunks of a fixed size, without a call of
/// `memcpy`: musl's has a fixed cost of about 25 ns on x86-64, and a head with its log line has about 60
/// pieces.
pub fn append(out: &mut Vec<u8>, piece: &[u8]) {
    match piece.len() {
        0 => {}
        1..4 => piece.iter().for_each(|byte| out.push(*byte)),
        4..=8 => append_ends::<4>(out, piece),
        9..=16 => append_ends::<8>(out, piece),
        17..=32 => append_ends::<16>(out, piece),
        33..=64 => append_ends::<32>(out, piece),
        _ => out.extend_from_slice(piece),
    }
}

/// Appends a piece of `N` to `2 * N` bytes: its first `N`, then its last `N`, which may overlap.
fn append_ends<const N: usize>(out: &mut Vec<u8>, piece: &[u8]) {
    if let (Some(first), Some(last)) = (piece.first_chunk::<N>(), piece.last_chunk::<N>()) {
        let last_start = out.len() + piece.len() - N;
        out.extend_from_slice(first);
        out.truncate(last_start);
        out.extend_from_slice(last);
    }
}

#[cfg(test)]
mod tests {
    use super::append;

    #[test]
    fn pieces_of_every_length_are_appended() {
        let bytes: Vec<u8> = (0..=130).collect();
        for length in 0..bytes.len() {
            let mut out = b"before".to_vec();
            append(&mut out, &bytes[..length]);
            assert_eq!(out, [b"before", &bytes[..length]].concat(), "{length}");
        }
    }
}
