//! Uploads that can be taken up again.

use std::io::{self, Write};
use std::net::TcpStream;

use super::Shared;
use super::http::{Answer, Seen, read_answer, text};

impl Shared {
    /// Uploads as the distribution-spec has them, "Pushing a blob in chunks"; the whole blob goes to the
    /// registry in the end. No answer where the connection broke.
    pub(super) fn upload(&self, seen: &Seen, body: &[u8], broke: bool) -> io::Result<Option<String>> {
        let mut state = self.state.lock().expect("no other thread panicked");
        let path = seen.target.split('?').next().unwrap_or_default().to_owned();
        if seen.method == "POST" {
            let location = format!("{path}{}", state.uploads.len());
            state.uploads.insert(location.clone(), Vec::new());
            // Relative, and with a query that must be kept.
            return Ok(Some(text(202, &[("Location", format!("{location}?_state=a%3D"))], "")));
        }
        let Some(stored) = state.uploads.get_mut(&path).filter(|_| seen.target.contains("_state=a%3D"))
        else {
            let unknown = r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"no such upload"}]}"#;
            return Ok(Some(text(404, &[], unknown)));
        };
        let at = seen.headers.get("content-range").and_then(|range| range.split('-').next()?.parse().ok());
        if seen.method == "PATCH" && at != Some(stored.len()) {
            return Ok(Some(text(416, &[("Range", format!("0-{}", stored.len().saturating_sub(1)))], "")));
        }
        stored.extend_from_slice(body);
        let range = format!("0-{}", stored.len().saturating_sub(1));
        let location = format!("{path}?_state=a%3D&n={}", stored.len());
        if broke {
            return Ok(None);
        }
        let headers = [("Location", location), ("Range", range)];
        match seen.method.as_str() {
            "GET" => return Ok(Some(text(204, &headers, ""))),
            "PATCH" => return Ok(Some(text(202, &headers, ""))),
            _ => {}
        }
        let blob = stored.clone();
        let digest = seen.target.split("digest=").nth(1).unwrap_or_default();
        let folder = &path[..path.rfind('/').unwrap_or_default()];
        let ask = |method: &str, target: &str, body: &[u8]| -> io::Result<Answer> {
            let mut upstream = TcpStream::connect(self.upstream)?;
            let length = body.len();
            write!(
                upstream,
                "{method} {target} HTTP/1.1\r\nHost: r\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            )?;
            upstream.write_all(body)?;
            read_answer(&mut upstream)
        };
        let opened = ask("POST", &format!("{folder}/"), b"")?;
        let location = opened.header("location").unwrap_or_default();
        let target = location.strip_prefix("http://r").unwrap_or(&location).to_owned();
        let separator = if target.contains('?') { '&' } else { '?' };
        let closed = ask("PUT", &format!("{target}{separator}digest={digest}"), &blob)?;
        Ok(Some(closed.head + &String::from_utf8_lossy(&closed.body)))
    }
}
