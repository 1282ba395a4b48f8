//! One GET over HTTP/1.1; only the status is used.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Maximum length of a response that is read, in bytes.
const MAX_RESPONSE: usize = 64 << 10;
/// How long to read the rest of a response, so that the server does not see a connection reset.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// Sends the request and returns the status of the final response.
///
/// # Errors
///
/// The connection breaks, or the response is not HTTP/1.1.
pub(super) async fn get<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    path: &str,
    host: &str,
) -> io::Result<u16> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: gateway-probe\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut response = Vec::new();
    let status = loop {
        match status(&response) {
            Status::Final(status) => break status,
            Status::Malformed => return Err(io::Error::other("the answer is not HTTP/1.1")),
            Status::NeedMore if response.len() >= MAX_RESPONSE => {
                return Err(io::Error::other("the answer has no final status within 64 KiB"));
            }
            Status::NeedMore => {}
        }
        if stream.read_buf(&mut response).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer"));
        }
    };
    let rest = async {
        while response.len() < MAX_RESPONSE
            && stream.read_buf(&mut response).await.is_ok_and(|count| count > 0)
        {}
    };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, rest).await;
    Ok(status)
}

#[derive(Debug, PartialEq, Eq)]
enum Status {
    NeedMore,
    Final(u16),
    Malformed,
}

/// The status of the first response that is not interim (RFC 9110 section 15.2).
fn status(mut bytes: &[u8]) -> Status {
    loop {
        let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return Status::NeedMore };
        let line = &bytes[..end];
        let digits = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "));
        let Some([a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ' | b'\r', ..]) = digits else {
            return Status::Malformed;
        };
        let status = [a, b, c].iter().fold(0, |sum, &&digit| sum * 10 + u16::from(digit - b'0'));
        if status >= 200 || status == 101 {
            return Status::Final(status);
        }
        let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else { return Status::NeedMore };
        bytes = &bytes[head + 4..];
    }
}

#[cfg(test)]
mod tests {
    use super::{Status, status};

    #[test]
    fn statuses_are_parsed() {
        let table = [
            ("HTTP/1.1 200 OK\r\n", Status::Final(200)),
            ("HTTP/1.1 204\r\n", Status::Final(204)),
            ("HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\n", Status::Final(503)),
            ("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n", Status::Final(200)),
            ("HTTP/1.1 100 Continue\r\n\r\n", Status::NeedMore),
            ("HTTP/1.1 100 Continue\r\nA: b\r\n", Status::NeedMore),
            ("HTTP/1.1 101 Switching Protocols\r\n", Status::Final(101)),
            ("HTTP/1.1 20", Status::NeedMore),
            ("", Status::NeedMore),
            ("HTTP/1.1 2000 OK\r\n", Status::Malformed),
            ("HTTP/1.1 99 OK\r\n", Status::Malformed),
            ("HTTP/2.0 200 OK\r\n", Status::Malformed),
            ("220 mail.example ESMTP\r\n", Status::Malformed),
            ("\n", Status::Malformed),
        ];
        for (text, expected) in table {
            assert_eq!(status(text.as_bytes()), expected, "{text:?}");
        }
    }
}
