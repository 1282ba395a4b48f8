//! Any bytes as a body in chunks: the same whether it arrives at once or in pieces.

#![no_main]

use gateway::http1::chunked::Chunked;
use libfuzzer_sys::fuzz_target;

/// The data, whether the body ended, and how many bytes it took; nothing where it is refused.
fn decode(bytes: &[u8], piece: usize) -> Option<(Vec<u8>, bool, usize)> {
    let mut decoder = Chunked::new(1024);
    let (mut data, mut used) = (Vec::new(), 0);
    for piece in bytes.chunks(piece) {
        let mut at = 0;
        while at < piece.len() && !decoder.is_done() {
            let left = usize::try_from(decoder.data_left()).unwrap_or(usize::MAX).min(piece.len() - at);
            if left > 0 {
                data.extend(&piece[at..at + left]);
                decoder.consume(left as u64);
                at += left;
            } else {
                at += decoder.advance(&piece[at..]).ok()?;
            }
        }
        used += at;
    }
    Some((data, decoder.is_done(), used))
}

fuzz_target!(|bytes: &[u8]| {
    let whole = decode(bytes, usize::MAX);
    assert_eq!(whole, decode(bytes, 1));
    assert_eq!(whole, decode(bytes, 3));
    if let Some((data, true, used)) = whole {
        assert!(data.len() < used && bytes[..used].ends_with(b"\r\n\r\n"));
        assert!(decode(&bytes[..used - 1], usize::MAX).is_some_and(|(_, done, _)| !done));
    }
});
