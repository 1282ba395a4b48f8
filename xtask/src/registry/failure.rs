//! What went wrong on the wire, in words, and whether it may pass.

use std::fmt;
use std::io::{self, ErrorKind};

use ureq::http::Uri;
use ureq::{Error, Timeout};

use super::retry::{Passing, Trouble};
use super::url;
use super::wire::Timeouts;
use crate::error::Fault;

/// A source of bytes to send that failed; no other try helps against that.
#[derive(Debug)]
pub(super) struct SourceFailed(pub(super) io::Error);

impl fmt::Display for SourceFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read what is to be sent: {}", self.0)
    }
}

impl std::error::Error for SourceFailed {}

/// A failure before the answer's head was there.
pub(super) fn while_asking(error: Error, url: &Uri, timeouts: Timeouts) -> Trouble {
    let fault = |what: String| Fault::failed(what).at(url::shown(url));
    let broken = |what: String| Trouble::passing(Passing::Broken, fault(what));
    match error {
        Error::Io(error) => of_io(&error, url),
        Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            let what = format!("no connection within {} s", timeouts.connect.as_secs_f32());
            let cure = "is the host right and reachable from here? Behind a proxy, set HTTPS_PROXY";
            Trouble::passing(Passing::Unreachable, fault(what).cure(cure))
        }
        Error::Timeout(_) => broken(format!("no data for {} s", timeouts.idle.as_secs_f32())),
        Error::HostNotFound => {
            let what = format!("the host {} is not known", url.host().unwrap_or_default());
            Trouble::passing(Passing::Unreachable, fault(what).cure("is the registry's name right?"))
        }
        Error::ConnectProxyFailed(reason) => {
            let cure =
                "HTTPS_PROXY and ALL_PROXY name it; NO_PROXY lists the hosts that are reached directly";
            Trouble::passing(Passing::Unreachable, fault(format!("the proxy refused: {reason}")).cure(cure))
        }
        Error::Rustls(error) => of_tls(&error, url),
        Error::Protocol(error) => broken(format!("not an HTTP answer: {error}")),
        Error::BodyStalled => broken("the answer stalled".to_owned()),
        Error::LargeResponseHeader(size, limit) => {
            Trouble::lasting(fault(format!("the answer's head is too long: {size} bytes, at most {limit}")))
        }
        // What is left are mistakes in how a request was made.
        other => Trouble::lasting(fault(other.to_string())),
    }
}

/// A failure in the middle of an answer's body.
pub(super) fn while_reading(error: io::Error, url: &Uri, timeouts: Timeouts) -> Trouble {
    // Ureq hides its own errors in those of readers and takes them out again.
    while_asking(Error::from(error), url, timeouts)
}

fn of_io(error: &io::Error, url: &Uri) -> Trouble {
    let inner = error.get_ref();
    if let Some(source) = inner.and_then(|inner| inner.downcast_ref::<SourceFailed>()) {
        return Trouble::lasting(Fault::failed(source.to_string()).at(url::shown(url)));
    }
    if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return of_tls(tls, url);
    }
    let fault = |what: String| Fault::failed(what).at(url::shown(url));
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            let cure = "is the registry running, and is the port right?";
            Trouble::passing(Passing::Unreachable, fault("nothing listens there".to_owned()).cure(cure))
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Trouble::passing(Passing::Unreachable, fault(format!("no way there: {error}")))
        }
        ErrorKind::UnexpectedEof => {
            Trouble::passing(Passing::Broken, fault("the connection ended too early".to_owned()))
        }
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::TimedOut
        | ErrorKind::WouldBlock
        | ErrorKind::Interrupted => {
            Trouble::passing(Passing::Broken, fault(format!("the connection broke: {error}")))
        }
        _ => Trouble::lasting(fault(error.to_string())),
    }
}

fn of_tls(error: &rustls::Error, url: &Uri) -> Trouble {
    use rustls::{CertificateError, Error};
    let fault = Fault::failed(format!("TLS: {error}")).at(url::shown(url));
    let cure = match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "set SSL_CERT_FILE to a PEM file with the certificate of whoever issued the server's"
        }
        Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => "the server's certificate is out of date, or this machine's clock is wrong",
        Error::InvalidCertificate(_) => "the server's certificate is not for this host or not sound",
        Error::InvalidMessage(_) => {
            "this does not look like TLS: a registry without TLS must be named as such"
        }
        _ => return Trouble::passing(Passing::Broken, fault),
    };
    Trouble::lasting(fault.cure(cure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_told_and_classed() {
        let io = |kind: ErrorKind| Error::Io(io::Error::from(kind));
        let cases = [
            (io(ErrorKind::ConnectionRefused), "nothing listens", Some(Passing::Unreachable)),
            (io(ErrorKind::ConnectionReset), "broke", Some(Passing::Broken)),
            (io(ErrorKind::BrokenPipe), "broke", Some(Passing::Broken)),
            (io(ErrorKind::UnexpectedEof), "too early", Some(Passing::Broken)),
            (io(ErrorKind::PermissionDenied), "permission", None),
            (Error::Timeout(Timeout::Connect), "within 10 s", Some(Passing::Unreachable)),
            (Error::Timeout(Timeout::PerRead), "for 60 s", Some(Passing::Broken)),
            (Error::HostNotFound, "host r.example is not known", Some(Passing::Unreachable)),
            (Error::ConnectProxyFailed("403".into()), "proxy refused: 403", Some(Passing::Unreachable)),
            (Error::Rustls(rustls::Error::DecryptError), "TLS", Some(Passing::Broken)),
            (
                Error::Rustls(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)),
                "TLS: invalid peer certificate",
                None,
            ),
            (Error::Io(io::Error::other(SourceFailed(io::Error::other("disk")))), "to be sent: disk", None),
            (
                Error::Io(io::Error::new(ErrorKind::InvalidData, rustls::Error::DecryptError)),
                "TLS",
                Some(Passing::Broken),
            ),
            (Error::BadUri("x".into()), "bad uri", None),
        ];
        let url: Uri = "https://r.example/v2/a?sig=hunter2".parse().unwrap();
        for (error, words, passing) in cases {
            let shown = format!("{error:?}");
            let trouble = while_asking(error, &url, Timeouts::default());
            let text = format!("{:#}", trouble.error);
            assert!(text.starts_with("https://r.example/v2/a: ") && text.contains(words), "{shown}: {text}");
            assert!(!text.contains("hunter2"), "{text}");
            assert_eq!(trouble.passing, passing, "{shown}");
        }
    }
}
