//! Whatever comes in, nothing panics, and what is canonical stays so.

use gateway::http::chunked::Chunked;
use gateway::http::guard::{Guard, Passed};
use gateway::http::head::HeadLimits;
use gateway::http::path::{DoubleSlash, Path, Policy, Semicolon, Separator};
use gateway::http::target::Target;
use gateway::settings::{self, Template};

/// Pieces of which inputs are made: whole words, so that inputs come near to what is valid.
const PIECES: [&[u8]; 46] = [
    b"GET ",
    b"POST ",
    b"/",
    b"//",
    b"a",
    b"..",
    b".",
    b"%2e",
    b"%2F",
    b"%",
    b"%e",
    b"?",
    b"#",
    b";",
    b"\\",
    b" ",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"\r\n",
    b"\r\n\r\n",
    b"\r",
    b"\n",
    b"\0",
    b"Host: a",
    b":",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"chunked",
    b",",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"f",
    b"[",
    b"]",
    b"[[listeners]]\n",
    b"[[routes]]\n",
    b"[upstreams.a]\n",
    b"address",
    b"upstream",
    b"=",
    b"'",
    b"\"",
    b"{",
    b"}",
    b"\xc3\xa9",
    b"\xff",
];

/// Always the same sequence (splitmix64), so that a failure can be seen again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) >> 33).expect("31 bits") % limit
    }

    fn input(&mut self) -> Vec<u8> {
        (0..=self.below(16)).flat_map(|_| PIECES[self.below(PIECES.len())]).copied().collect()
    }
}

/// All that passes a guard, or where it stops.
fn pass(input: &[u8], size: usize) -> (Vec<u8>, Option<&'static str>) {
    let mut guard = Guard::new(HeadLimits { max_bytes: 128, max_fields: 4 });
    let mut passed = Vec::new();
    for piece in input.chunks(size) {
        guard.input().extend_from_slice(piece);
        loop {
            match guard.pass() {
                Ok(Passed::Nothing) => break,
                Ok(Passed::Head(bytes) | Passed::Body(bytes)) => passed.extend_from_slice(&bytes),
                Err(rejection) => return (passed, Some(rejection.reason)),
            }
        }
    }
    (passed, None)
}

#[test]
fn any_input_is_read_without_panic() {
    let mut random = Random(1);
    let mut canonical = 0;
    let separators = [Separator::Reject, Separator::Keep, Separator::Decode];
    let doubles = [DoubleSlash::Merge, DoubleSlash::Keep, DoubleSlash::Reject];
    for _ in 0..20_000 {
        let input = random.input();
        let text = String::from_utf8_lossy(&input);
        let _ = Target::default().read_http1(b"GET", &input, Some(&input), false);
        let _ = Template::parse(&text);
        let _ = settings::parse("f", &text);
        let _ = Chunked::new(16).advance(&input);
        let policy = Policy {
            encoded_slash: separators[random.below(3)],
            backslash: separators[random.below(3)],
            semicolon: [Semicolon::Reject, Semicolon::Keep][random.below(2)],
            double_slash: doubles[random.below(3)],
        };
        let mut path = Path::default();
        if path.read(&input).and_then(|()| path.settle(policy)).is_err() {
            continue;
        }
        canonical += 1;
        for form in [path.as_str(), path.forwarded()] {
            let segments: Vec<&str> = form.split('/').collect();
            assert!(!segments.contains(&"..") && !segments.contains(&"."), "{text} {policy:?} {form}");
            let mut again = Path::default();
            assert_eq!(again.read(form.as_bytes()), Ok(()), "{text} {policy:?} {form}");
            assert_eq!(again.as_str(), path.as_str(), "{text} {policy:?} {form}");
        }
        assert!(!path.as_str().contains("//"), "{text}");
        assert!(policy.encoded_slash == Separator::Keep || !path.forwarded().contains("%2F"), "{text}");
        assert!(policy.semicolon == Semicolon::Keep || !path.forwarded().contains(';'), "{text}");
    }
    assert!(canonical > 100, "{canonical}");
}

#[test]
fn what_passes_the_guard_does_not_depend_on_how_it_is_cut() {
    let mut random = Random(2);
    for _ in 0..5_000 {
        let mut input = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        input.extend(random.input());
        let whole = pass(&input, input.len());
        for size in [1, 2, 3, 7] {
            let (bytes, fault) = pass(&input, size);
            assert_eq!(fault, whole.1, "{}", input.escape_ascii());
            // Of a broken chunk more passes when its bytes arrive one by one.
            assert!(bytes.starts_with(&whole.0), "{}", input.escape_ascii());
        }
    }
}
