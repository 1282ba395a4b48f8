//! The static table of RFC 7541 appendix A, with the class of each name.

use super::label::{Label, Pseudo};
use crate::http::name::Name;

/// An entry of the static table.
#[derive(Debug, Clone, Copy)]
pub struct Static {
    /// The class of its name.
    pub label: Label,
    /// Its name.
    pub name: &'static [u8],
    /// Its value; often empty.
    pub value: &'static [u8],
}

const fn pseudo(pseudo: Pseudo, value: &'static str) -> Static {
    Static { label: Label::Pseudo(pseudo), name: pseudo.as_bytes(), value: value.as_bytes() }
}

const fn other(name: &'static str, value: &'static str) -> Static {
    Static { label: Label::Field(Name::Other), name: name.as_bytes(), value: value.as_bytes() }
}

const fn known(name: Name) -> Static {
    Static { label: Label::Field(name), name: name.as_bytes(), value: b"" }
}

/// The number of entries.
pub const LEN: usize = 61;

/// Index 0 here is entry 1 of the static table.
pub static TABLE: [Static; LEN] = [
    pseudo(Pseudo::Authority, ""),
    pseudo(Pseudo::Method, "GET"),
    pseudo(Pseudo::Method, "POST"),
    pseudo(Pseudo::Path, "/"),
    pseudo(Pseudo::Path, "/index.html"),
    pseudo(Pseudo::Scheme, "http"),
    pseudo(Pseudo::Scheme, "https"),
    pseudo(Pseudo::Status, "200"),
    pseudo(Pseudo::Status, "204"),
    pseudo(Pseudo::Status, "206"),
    pseudo(Pseudo::Status, "304"),
    pseudo(Pseudo::Status, "400"),
    pseudo(Pseudo::Status, "404"),
    pseudo(Pseudo::Status, "500"),
    other("accept-charset", ""),
    other("accept-encoding", "gzip, deflate"),
    other("accept-language", ""),
    other("accept-ranges", ""),
    other("accept", ""),
    other("access-control-allow-origin", ""),
    other("age", ""),
    known(Name::Allow),
    known(Name::Authorization),
    known(Name::CacheControl),
    other("content-disposition", ""),
    other("content-encoding", ""),
    other("content-language", ""),
    known(Name::ContentLength),
    other("content-location", ""),
    other("content-range", ""),
    known(Name::ContentType),
    known(Name::Cookie),
    known(Name::Date),
    other("etag", ""),
    known(Name::Expect),
    other("expires", ""),
    other("from", ""),
    known(Name::Host),
    other("if-match", ""),
    other("if-modified-since", ""),
    other("if-none-match", ""),
    other("if-range", ""),
    other("if-unmodified-since", ""),
    other("last-modified", ""),
    other("link", ""),
    known(Name::Location),
    other("max-forwards", ""),
    known(Name::ProxyAuthenticate),
    known(Name::ProxyAuthorization),
    other("range", ""),
    other("referer", ""),
    other("refresh", ""),
    known(Name::RetryAfter),
    other("server", ""),
    known(Name::SetCookie),
    other("strict-transport-security", ""),
    known(Name::TransferEncoding),
    other("user-agent", ""),
    other("vary", ""),
    known(Name::Via),
    known(Name::WwwAuthenticate),
];

/// The index of the entry with this name, in lower case; 0 if there is none. Names with a [`Name`] are found
/// without a string comparison.
pub fn index_of(known: Name, name: &[u8]) -> usize {
    match known {
        Name::Allow => 22,
        Name::Authorization => 23,
        Name::CacheControl => 24,
        Name::ContentLength => 28,
        Name::ContentType => 31,
        Name::Cookie => 32,
        Name::Date => 33,
        Name::Expect => 35,
        Name::Host => 38,
        Name::Location => 46,
        Name::ProxyAuthenticate => 48,
        Name::ProxyAuthorization => 49,
        Name::RetryAfter => 53,
        Name::SetCookie => 55,
        Name::WwwAuthenticate => 61,
        Name::TransferEncoding => 57,
        Name::Via => 60,
        Name::Other => index_of_other(name),
        _ => 0,
    }
}

fn index_of_other(name: &[u8]) -> usize {
    match name {
        b"age" => 21,
        b"etag" => 34,
        b"from" => 37,
        b"link" => 45,
        b"vary" => 59,
        b"range" => 50,
        b"accept" => 19,
        b"server" => 54,
        b"expires" => 36,
        b"referer" => 51,
        b"refresh" => 52,
        b"if-match" => 39,
        b"if-range" => 42,
        b"user-agent" => 58,
        b"max-forwards" => 47,
        b"accept-ranges" => 18,
        b"content-range" => 30,
        b"if-none-match" => 41,
        b"last-modified" => 44,
        b"accept-charset" => 15,
        b"accept-encoding" => 16,
        b"accept-language" => 17,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-location" => 29,
        b"if-modified-since" => 40,
        b"content-disposition" => 25,
        b"if-unmodified-since" => 43,
        b"strict-transport-security" => 56,
        b"access-control-allow-origin" => 20,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{Label, Name, TABLE, index_of};

    #[test]
    fn every_name_has_its_index() {
        for (number, entry) in TABLE.iter().enumerate() {
            match entry.label {
                Label::Field(name) => {
                    assert_eq!(Name::of(entry.name), name);
                    assert_eq!(index_of(name, entry.name), number + 1);
                }
                label => assert_eq!(Label::of(entry.name), label),
            }
        }
        assert_eq!(index_of(Name::Other, b"x-unknown"), 0);
        assert_eq!(index_of(Name::Te, b"te"), 0);
    }
}
