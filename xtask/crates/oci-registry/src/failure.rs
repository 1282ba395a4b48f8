//! Errors of connections: their messages, and whether a retry may help.

use std::fmt;
use std::io::{self, ErrorKind};

use ureq::http::Uri;
use ureq::{Error, Timeout};

use super::retry::{RequestError, Transient};
use super::timeouts::Timeouts;
use super::url;
use cli_support::error::Fault;

/// A failed read of the content to send. A retry does not help.
#[derive(Debug)]
pub(super) struct SourceFailed(pub(super) io::Error);

impl fmt::Display for SourceFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read what is to be sent: {}", self.0)
    }
}

impl std::error::Error for SourceFailed {}

/// Where a failure happened.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) url: Uri,
    /// The proxy that the connection goes through.
    pub(super) proxy: Option<String>,
    pub(super) timeouts: Timeouts,
}

impl Place {
    fn fault(&self, what: impl Into<String>) -> Fault {
        Fault::failed(what).at(url::shown(&self.url))
    }

    fn broken(&self, what: impl Into<String>) -> RequestError {
        RequestError::transient(Transient::Broken, self.fault(what))
    }

    fn permanent(&self, what: impl Into<String>) -> RequestError {
        RequestError::permanent(self.fault(what))
    }

    /// The connection failed. With a proxy, the message names the proxy first.
    fn unreachable(&self, what: &str, hint: &str) -> RequestError {
        let fault = match &self.proxy {
            Some(proxy) => self.fault(format!("through the proxy {proxy}: {what}")).hint(
                "HTTPS_PROXY, HTTP_PROXY and ALL_PROXY name the proxy; NO_PROXY lists hosts that need none",
            ),
            None => self.fault(what).hint(hint),
        };
        RequestError::transient(Transient::Unreachable, fault)
    }
}

/// A failure before the head of the answer arrived.
pub(super) fn while_asking(error: Error, place: &Place) -> RequestError {
    match error {
        Error::Io(error) => of_io(&error, place),
        Error::Timeout(Timeout::Connect | Timeout::Resolve) => place.unreachable(
            &format!("no connection within {} s", place.timeouts.connect.as_secs_f32()),
            "is the host right and reachable from here? Behind a proxy, set HTTPS_PROXY",
        ),
        Error::Timeout(_) => place.broken(format!("no data for {} s", place.timeouts.idle.as_secs_f32())),
        Error::HostNotFound => unknown_host(place),
        Error::ConnectProxyFailed(reason) => place.unreachable(&reason, ""),
        Error::Rustls(error) => of_tls(&error, place),
        Error::Protocol(error) => place.broken(format!("not an HTTP answer: {error}")),
        Error::BodyStalled => place.broken("the answer stalled"),
        Error::LargeResponseHeader(size, limit) => {
            place.permanent(format!("the answer's head is too long: {size} bytes, at most {limit}"))
        }
        // The other errors are mistakes in the request.
        other => place.permanent(other.to_string()),
    }
}

/// A failure in the middle of an answer's body.
pub(super) fn while_reading(error: io::Error, place: &Place) -> RequestError {
    // Ureq hides its own errors in those of readers and takes them out again.
    while_asking(Error::from(error), place)
}

fn unknown_host(place: &Place) -> RequestError {
    let what = format!("the host {} is not known", place.url.host().unwrap_or_default());
    place.unreachable(&what, "is the registry's name right, and does this machine have a network?")
}

fn of_io(error: &io::Error, place: &Place) -> RequestError {
    let inner = error.get_ref();
    if let Some(source) = inner.and_then(|inner| inner.downcast_ref::<SourceFailed>()) {
        return place.permanent(source.to_string());
    }
    if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return of_tls(tls, place);
    }
    // Names that cannot be resolved have no kind of their own; 11001 and 11004 are Windows's.
    let text = error.to_string();
    if text.starts_with("failed to lookup address") || matches!(error.raw_os_error(), Some(11001 | 11004)) {
        return unknown_host(place);
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            place.unreachable("nothing listens there", "is the registry running, and is the port right?")
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            place.unreachable(&format!("no way there: {text}"), "does this machine have a network?")
        }
        ErrorKind::UnexpectedEof => place.broken("the connection ended too early"),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::TimedOut
        | ErrorKind::WouldBlock
        | ErrorKind::Interrupted => place.broken(format!("the connection broke: {text}")),
        _ => place.permanent(text),
    }
}

fn of_tls(error: &rustls::Error, place: &Place) -> RequestError {
    use rustls::{CertificateError, Error};
    let fault = place.fault(format!("TLS: {error}"));
    let hint = match error {
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
        _ => return RequestError::transient(Transient::Broken, fault),
    };
    RequestError::permanent(fault.hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(proxy: Option<&str>) -> Place {
        let url = "https://r.example/v2/a?sig=hunter2".parse().unwrap();
        Place { url, proxy: proxy.map(str::to_owned), timeouts: Timeouts::default() }
    }

    #[test]
    fn a_connection_that_fails_through_a_proxy_names_the_proxy() {
        let refused = || Error::Io(io::Error::from(ErrorKind::ConnectionRefused));
        for (error, words) in [
            (refused(), "through the proxy p:1: nothing listens there"),
            (Error::ConnectProxyFailed("403".into()), "through the proxy p:1: 403"),
        ] {
            let failure = while_asking(error, &place(Some("p:1")));
            let text = cli_support::error::render(&failure.error);
            assert!(text.contains(words) && text.contains("NO_PROXY"), "{text}");
        }
        let text = cli_support::error::render(&while_asking(refused(), &place(None)).error);
        assert!(text.contains("is the registry running"), "{text}");
    }

    #[test]
    fn each_failure_has_its_message_and_class() {
        let io = |kind: ErrorKind| Error::Io(io::Error::from(kind));
        let cases = [
            (io(ErrorKind::ConnectionRefused), "nothing listens", Some(Transient::Unreachable)),
            (io(ErrorKind::ConnectionReset), "broke", Some(Transient::Broken)),
            (io(ErrorKind::BrokenPipe), "broke", Some(Transient::Broken)),
            (io(ErrorKind::UnexpectedEof), "too early", Some(Transient::Broken)),
            (io(ErrorKind::PermissionDenied), "permission", None),
            (Error::Timeout(Timeout::Connect), "within 10 s", Some(Transient::Unreachable)),
            (Error::Timeout(Timeout::PerRead), "for 60 s", Some(Transient::Broken)),
            (Error::HostNotFound, "host r.example is not known", Some(Transient::Unreachable)),
            (
                io::Error::other("failed to lookup address information: x").into(),
                "host r.example is not known",
                Some(Transient::Unreachable),
            ),
            (Error::Rustls(rustls::Error::DecryptError), "TLS", Some(Transient::Broken)),
            (
                Error::Rustls(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)),
                "TLS: invalid peer certificate",
                None,
            ),
            (Error::Io(io::Error::other(SourceFailed(io::Error::other("disk")))), "to be sent: disk", None),
            (
                Error::Io(io::Error::new(ErrorKind::InvalidData, rustls::Error::DecryptError)),
                "TLS",
                Some(Transient::Broken),
            ),
            (Error::BadUri("x".into()), "bad uri", None),
        ];
        let place = place(None);
        for (error, words, transient) in cases {
            let shown = format!("{error:?}");
            let failure = while_asking(error, &place);
            let text = format!("{:#}", failure.error);
            assert!(text.starts_with("https://r.example/v2/a: ") && text.contains(words), "{shown}: {text}");
            assert!(!text.contains("hunter2"), "{text}");
            assert_eq!(failure.transient, transient, "{shown}");
        }
    }
}
