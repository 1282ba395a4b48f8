//! Where a request ends: lengths, chunks, and what says two things.

use crate::conformance::message::Framing;
use crate::conformance::request::{Request, passes, refused};

fn with(method: &str, fields: &str, body: &str) -> String {
    format!("{method} /f HTTP/1.1\r\nHost: t\r\n{fields}\r\n{body}")
}

fn post(fields: &str, body: &str) -> String {
    with("POST", fields, body)
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

/// The rows.
pub fn rows() -> Vec<Request> {
    let mut rows = bodies();
    rows.extend(ambiguous());
    rows.extend(chunks());
    rows.extend(bad_chunks());
    rows.extend(trailers());
    rows.extend(persistence());
    rows
}

fn bodies() -> Vec<Request> {
    let coding = "Transfer-Encoding: chunked\r\n";
    let mut rows = vec![
        passes("a body with a length", &["9112 6.2", "9110 8.6"], post("Content-Length: 5\r\n", "hello"))
            .body("hello")
            .framing(Framing::Length(5)),
        passes("a body of nothing", &["9112 6.2"], post("Content-Length: 0\r\n", "")).body(""),
        passes("POST without a body", &["9112 6.3"], post("", "")).body(""),
        passes("a body in chunks", &["9112 6.1", "9112 7.1"], chunked("5\r\nhello\r\n0\r\n\r\n"))
            .body("hello")
            .framing(Framing::Chunked),
        passes(
            "a body that looks like a request",
            &["9112 6.3", "9112 11.2"],
            post("Content-Length: 25\r\n", "GET /evil HTTP/1.1\r\nA: \r\n"),
        )
        .body("GET /evil HTTP/1.1\r\nA: \r\n"),
        passes("a coding in capitals", &["9112 7"], post("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n"))
            .body(""),
    ];
    for (name, method) in [
        ("chunks on GET", "GET"),
        ("chunks on HEAD", "HEAD"),
        ("chunks on DELETE", "DELETE"),
        ("chunks on OPTIONS", "OPTIONS"),
        ("chunks on a method that is not known", "FROB"),
    ] {
        rows.push(
            passes(name, &["9112 6.1", "9110 6.4"], with(method, coding, "5\r\nhello\r\n0\r\n\r\n"))
                .body("hello")
                .framing(Framing::Chunked)
                .or(&[400, 411, 413, 501]),
        );
    }
    for (name, method) in
        [("a length on GET", "GET"), ("a length on HEAD", "HEAD"), ("a length on DELETE", "DELETE")]
    {
        rows.push(
            passes(name, &["9110 9.3.1", "9112 6.2"], with(method, "Content-Length: 5\r\n", "hello"))
                .body("hello")
                .framing(Framing::Length(5)),
        );
    }
    rows
}

fn ambiguous() -> Vec<Request> {
    let rules: &'static [&'static str] = &["9112 6.3", "9112 11.2"];
    let bad = |name: &'static str, fields: &str| {
        refused(name, rules, post(fields, "5\r\nhello\r\n0\r\n\r\n"), &[400])
    };
    let length = |name: &'static str, value: &str| {
        refused(
            name,
            &["9110 8.6", "9112 6.3"],
            post(&format!("Content-Length: {value}\r\n"), "hello"),
            &[400],
        )
    };
    let coding = |name: &'static str, value: &str| {
        let fields = format!("Transfer-Encoding: {value}\r\n");
        refused(name, &["9112 6.1", "9112 6.3"], post(&fields, "5\r\nhello\r\n0\r\n\r\n"), &[400, 501])
    };
    let mut rows = vec![
        bad("a length, then chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        bad("chunks, then a length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        bad("chunks and a length in other letters", "tRANSFER-eNCODING: chunked\r\ncONTENT-lENGTH: 5\r\n"),
        bad("chunks told twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        bad("a space before the colon of a coding", "Transfer-Encoding : chunked\r\n"),
        bad("a folded coding", "Transfer-Encoding:\r\n chunked\r\n"),
        bad("a tab within a coding's name", "Transfer\t-Encoding: chunked\r\n"),
        length("two lengths", "5\r\nContent-Length: 6"),
        length("two lengths in one field", "5, 6"),
        length("a negative length", "-1"),
        length("a length with a plus sign", "+5"),
        length("a length in hexadecimal", "0x5"),
        length("a length with letters behind it", "5x"),
        length("a length with a space in it", "5 5"),
        length("a length that is a fraction", "5.0"),
        length("an empty length", ""),
        length("a length in other digits", "\u{665}"),
        length("a length of one and a comma", "5,"),
        coding("identity", "identity"),
        coding("chunks that are not last", "chunked, gzip"),
        coding("chunks and identity", "chunked, identity"),
        coding("another coding first", "gzip, chunked"),
        coding("another coding alone", "gzip"),
        coding("a coding that only resembles it", "xchunked"),
        coding("a vertical tab before a coding", "\x0bchunked"),
        coding("a quoted coding", "\"chunked\""),
        coding("a coding with a parameter", "chunked;a=b"),
        coding("an empty coding", ""),
        coding("chunks twice in one field", "chunked, chunked"),
        refused(
            "chunks with HTTP/1.0",
            &["9112 6.1"],
            "POST / HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        refused(
            "a length that no number holds",
            &["9110 8.6"],
            post("Content-Length: 99999999999999999999\r\n", ""),
            &[400, 413],
        ),
        passes(
            "a length told twice alike",
            &["9112 6.3"],
            post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        )
        .framing(Framing::Length(5))
        .body("hello")
        .or(&[400]),
        passes("a length told twice in one field", &["9112 6.3"], post("Content-Length: 5, 5\r\n", "hello"))
            .framing(Framing::Length(5))
            .body("hello")
            .or(&[400]),
        passes("a length with zeros before it", &["9110 8.6"], post("Content-Length: 005\r\n", "hello"))
            .framing(Framing::Length(5))
            .body("hello")
            .or(&[400]),
    ];
    // A refusal closes; a strict reader may close after these as well.
    for row in rows.iter_mut().rev().take(3) {
        *row = row.clone().may_close();
    }
    rows
}

fn chunks() -> Vec<Request> {
    let fine = |name: &'static str, line: &str| {
        passes(name, &["9112 7.1", "9112 7.1.1"], chunked(&format!("{line}\r\nhello\r\n0\r\n\r\n")))
            .body("hello")
    };
    vec![
        fine("a chunk size with zeros before it", "0005"),
        fine("a chunk extension", "5;a=b"),
        fine("a chunk extension without a value", "5;a"),
        fine("a space before a chunk extension", "5 ;a=b"),
        fine("spaces within a chunk extension", "5 ; a = b"),
        fine("a quoted chunk extension", "5;a=\"x;y\""),
        passes("a chunk size in capitals", &["9112 7.1"], chunked("A\r\n0123456789\r\n0\r\n\r\n"))
            .body("0123456789"),
        passes("many chunks", &["9112 7.1"], chunked(&format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(2000))))
            .body("x".repeat(2000)),
        passes("a last chunk with an extension", &["9112 7.1.1"], chunked("1\r\nx\r\n0;a=b\r\n\r\n"))
            .body("x"),
        passes("a last chunk of many zeros", &["9112 7.1"], chunked("1\r\nx\r\n000\r\n\r\n")).body("x"),
    ]
}

fn bad_chunks() -> Vec<Request> {
    let mut rows = Vec::new();
    for (name, body) in [
        ("a chunk size that is no number", "5g\r\nhello\r\n0\r\n\r\n"),
        ("no chunk size", "\r\nhello\r\n0\r\n\r\n"),
        ("a chunk size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("a chunk size with a plus sign", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a negative chunk size", "-5\r\nhello\r\n0\r\n\r\n"),
        ("a space before a chunk size", " 5\r\nhello\r\n0\r\n\r\n"),
        ("two numbers as a chunk size", "5 5\r\nhello\r\n0\r\n\r\n"),
        ("a chunk size that no number holds", "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
        ("a chunk size that overflows to a small one", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("a chunk line that ends with LF", "5\nhello\r\n0\r\n\r\n"),
        ("a chunk extension with LF in it", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("a chunk extension with CR in it", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        ("a chunk longer than its size", "5\r\nhello0\r\n0\r\n\r\n"),
        ("a chunk shorter than its size", "6\r\nhello\r\n0\r\n\r\n"),
        ("a chunk that ends with LF", "5\r\nhello\n0\r\n\r\n"),
        ("a chunk line with NUL", "5;\0\r\nhello\r\n0\r\n\r\n"),
        ("a trailer without a colon", "5\r\nhello\r\n0\r\nbad\r\n\r\n"),
        ("a trailer with a space before the colon", "5\r\nhello\r\n0\r\nX : y\r\n\r\n"),
        ("a folded trailer", "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"),
    ] {
        rows.push(refused(name, &["9112 7.1", "9112 11.2"], chunked(body), &[400]).may_begin());
    }
    rows.push(
        refused(
            "a bad chunk on GET",
            &["9112 7.1"],
            with("GET", "Transfer-Encoding: chunked\r\n", "5g\r\nhello\r\n0\r\n\r\n"),
            &[400, 411, 501],
        )
        .may_begin(),
    );
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(100_000));
    rows.push(
        refused("an endless chunk extension", &["9112 7.1.1"], chunked(&long), &[400, 413, 431]).may_begin(),
    );
    let many = format!("5\r\nhello\r\n0\r\n{}\r\n", "X: y\r\n".repeat(20_000));
    rows.push(
        refused("endless trailers", &["9112 7.1.2", "9110 6.5"], chunked(&many), &[400, 413, 431])
            .may_begin(),
    );
    rows
}

fn trailers() -> Vec<Request> {
    let with = |trailer: &str| {
        let fields = "Transfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: X-Sum\r\n";
        post(fields, &format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n"))
    };
    vec![
        passes("a trailer does not become a field", &["9112 7.1.2", "9110 6.5.1"], with("X-Sum: 1"))
            .body("hello")
            .lacks("x-sum"),
        passes("a trailer with a length", &["9110 6.5.1"], with("Content-Length: 1"))
            .body("hello")
            .lacks("content-length")
            .trailer("content-length", None)
            .or(&[400]),
        passes("a trailer with a host", &["9110 6.5.1"], with("Host: evil"))
            .has("host", "t")
            .trailer("host", None)
            .or(&[400]),
        passes("a trailer with a coding", &["9110 6.5.1"], with("Transfer-Encoding: gzip"))
            .trailer("transfer-encoding", None)
            .or(&[400]),
    ]
}

fn persistence() -> Vec<Request> {
    vec![
        passes(
            "nothing is read behind Connection: close",
            &["9112 9.6"],
            "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
        )
        .closes(),
        passes(
            "close in a list and in capitals",
            &["9112 9.6", "9110 7.6.1"],
            "GET / HTTP/1.1\r\nHost: t\r\nConnection: x-a, CLOSE\r\n\r\n",
        )
        .closes(),
        passes("HTTP/1.0 ends after its answer", &["9112 9.3"], "GET / HTTP/1.0\r\nHost: t\r\n\r\n")
            .line("GET / HTTP/1.1")
            .closes(),
        passes("HTTP/1.1 goes on", &["9112 9.3"], "GET / HTTP/1.1\r\nHost: t\r\n\r\n"),
    ]
}
