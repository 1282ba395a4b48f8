//! Whatever comes in, nothing panics, and what is canonical stays so.

use gateway::http::fields::Fields;
use gateway::http::path::{DoubleSlash, Path, Policy, Semicolon, Separator};
use gateway::http::target::Target;
use gateway::http1::chunked::Chunked;
use gateway::http1::decode::Decoder;
use gateway::http1::head::HeadLimits;
use gateway::http1::input::Input;
use gateway::http1::{request, response};
use gateway::settings::{self, Template};
use http::Method;

const LIMITS: HeadLimits = HeadLimits { max_bytes: 128, max_fields: 4 };

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

/// What a reader of requests made of its input.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    heads: Vec<request::Head>,
    /// The lines of all fields and trailers.
    fields: Vec<u8>,
    body: Vec<u8>,
    /// Why it stopped.
    fault: Option<&'static str>,
}

/// Reads requests out of input that arrives in pieces of this size.
fn read(bytes: &[u8], size: usize) -> Read {
    let mut read = Read::default();
    let (mut input, mut decoder) = (Input::default(), Decoder::Done);
    for piece in bytes.chunks(size) {
        input.spare(piece.len()).extend_from_slice(piece);
        loop {
            let before = input.data().len();
            let stepped = if decoder.is_done() {
                head(&mut read, &mut input).map(|found| decoder = found.unwrap_or(Decoder::Done))
            } else {
                body(&mut read, &mut input, &mut decoder)
            };
            if let Err(reason) = stepped {
                read.fault = Some(reason);
                return read;
            }
            if input.is_empty() || input.data().len() == before {
                break;
            }
        }
    }
    read
}

fn head(read: &mut Read, input: &mut Input) -> Result<Option<Decoder>, &'static str> {
    let mut fields = Fields::new();
    let found = request::parse(input.data(), &LIMITS, &mut fields).map_err(|rejection| rejection.reason)?;
    Ok(found.map(|head| {
        input.consume(head.length);
        fields.write_lines(&mut read.fields);
        let decoder = Decoder::of(head.framing, &LIMITS);
        read.heads.push(head);
        decoder
    }))
}

fn body(read: &mut Read, input: &mut Input, decoder: &mut Decoder) -> Result<(), &'static str> {
    let count = decoder.data(input);
    if count > 0 {
        read.body.extend_from_slice(&input.data()[..count]);
        decoder.consume(input, count);
        return Ok(());
    }
    let trailers = decoder.advance(input, LIMITS.max_fields).map_err(|rejection| rejection.reason)?;
    if let Some(trailers) = trailers {
        trailers.write_lines(&mut read.fields);
    }
    Ok(())
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
fn what_is_read_of_requests_does_not_depend_on_how_they_are_cut() {
    let mut random = Random(2);
    let starts: [&[u8]; 5] = [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ];
    let (mut good, mut bad) = (0, 0);
    for round in 0..20_000 {
        let mut input = starts[round % starts.len()].to_vec();
        input.extend(random.input());
        let whole = read(&input, input.len().max(1));
        for size in [1, 2, 3, 7] {
            let cut = read(&input, size);
            let shown = input.escape_ascii();
            assert_eq!(cut.fault.is_some(), whole.fault.is_some(), "{shown}\n{cut:?}\n{whole:?}");
            assert_eq!(cut.heads, whole.heads, "{shown}");
            assert_eq!(cut.fields, whole.fields, "{shown}");
            if whole.fault.is_none() {
                assert_eq!(cut.body, whole.body, "{shown}");
            }
            // Of a broken chunk more is read when its bytes arrive one by one.
            assert!(cut.body.starts_with(&whole.body), "{shown}");
        }
        good += usize::from(whole.fault.is_none() && !whole.heads.is_empty());
        bad += usize::from(whole.fault.is_some());
    }
    assert!(good > 100 && bad > 100, "{good} {bad}");
}

#[test]
fn a_response_head_is_the_same_wherever_it_is_cut() {
    let mut random = Random(3);
    let starts: [&[u8]; 3] = [b"", b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"];
    let (mut good, mut bad) = (0, 0);
    for round in 0..20_000 {
        let mut input = starts[round % starts.len()].to_vec();
        input.extend(random.input());
        let method = [Method::GET, Method::HEAD][random.below(2)].clone();
        let parse = |bytes: &[u8]| {
            let mut fields = Fields::new();
            let head = response::parse(bytes, &method, &LIMITS, &mut fields);
            let mut lines = Vec::new();
            fields.write_lines(&mut lines);
            head.map(|head| head.map(|head| (head, lines)))
        };
        let whole = parse(&input);
        for cut in 0..input.len() {
            match parse(&input[..cut]) {
                Ok(None) => {}
                Ok(found) => assert_eq!(Ok(found), whole, "{} {cut}", input.escape_ascii()),
                Err(_) => assert!(whole.is_err(), "{} {cut}", input.escape_ascii()),
            }
        }
        good += usize::from(matches!(whole, Ok(Some(_))));
        bad += usize::from(whole.is_err());
    }
    assert!(good > 100 && bad > 100, "{good} {bad}");
}
