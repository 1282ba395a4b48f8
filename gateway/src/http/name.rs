//! Field names that the gateway handles itself.

/// Defines the names and their lookup.
macro_rules! names {
    ($($variant:ident $text:literal,)*) => {
        /// A field name, classified by the gateway.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Name {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// A name reserved for the gateway, such as any other `x-forwarded-*`, or a reserved name written
            /// with `_` for `-`.
            Reserved,
            /// `content_length`, `transfer_encoding` and similar names that a CGI server reads as a framing
            /// or hop-by-hop field.
            Disguised,
            /// Any other name.
            Other,
        }

        impl Name {
            /// The name in lower case; empty for the last three variants.
            pub const fn as_bytes(self) -> &'static [u8] {
                match self {
                    $(Self::$variant => $text.as_bytes(),)*
                    Self::Reserved | Self::Disguised | Self::Other => b"",
                }
            }

            /// All names with a spelling of their own.
            const KNOWN: &[Self] = &[$(Self::$variant,)*];
        }
    };
}

names! {
    Host "host",
    Connection "connection",
    ContentLength "content-length",
    TransferEncoding "transfer-encoding",
    KeepAlive "keep-alive",
    ProxyConnection "proxy-connection",
    ProxyAuthorization "proxy-authorization",
    ProxyAuthenticate "proxy-authenticate",
    Proxy "proxy",
    Http2Settings "http2-settings",
    Te "te",
    Trailer "trailer",
    Upgrade "upgrade",
    Expect "expect",
    Cookie "cookie",
    SetCookie "set-cookie",
    Via "via",
    Forwarded "forwarded",
    ForwardedFor "x-forwarded-for",
    ForwardedProto "x-forwarded-proto",
    ForwardedHost "x-forwarded-host",
    RealIp "x-real-ip",
    RequestId "x-request-id",
    ContentType "content-type",
    Date "date",
    Location "location",
    Allow "allow",
    CacheControl "cache-control",
    RetryAfter "retry-after",
    RateLimit "ratelimit",
    RateLimitPolicy "ratelimit-policy",
    Authorization "authorization",
    WwwAuthenticate "www-authenticate",
    GrpcTimeout "grpc-timeout",
    GrpcStatus "grpc-status",
    GrpcMessage "grpc-message",
    WebSocketKey "sec-websocket-key",
    WebSocketAccept "sec-websocket-accept",
    WebSocketVersion "sec-websocket-version",
}

/// Slots of the hash table.
const PLACES: usize = 256;

/// Hash of a name: few names share a length and their first and last letters.
const fn place(name: &[u8]) -> usize {
    let len = name.len();
    if len == 0 {
        return 0;
    }
    let (first, last) = (name[0] | 0x20, name[len - 1] | 0x20);
    (len * 37 + first as usize * 7 + last as usize) % PLACES
}

/// For each slot, the number of a name from 1 on; 0 for none. Names with the same hash are in consecutive
/// slots.
static TABLE: [u8; PLACES] = {
    let mut table = [0; PLACES];
    let mut number = 0;
    while number < Name::KNOWN.len() {
        let mut at = place(Name::KNOWN[number].as_bytes());
        while table[at] != 0 {
            at = (at + 1) % PLACES;
        }
        number += 1;
        #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 256 names")]
        {
            table[at] = number as u8;
        }
    }
    table
};

/// Whether a name, which is a token, equals `lower` without regard to case. Setting bit 5 maps no other byte
/// of a token to a letter, digit or `-`.
fn is_same(lower: &[u8], name: &[u8]) -> bool {
    lower.len() == name.len() && lower.iter().zip(name).all(|(lower, byte)| byte | 0x20 == *lower)
}

impl Name {
    fn exact(name: &[u8]) -> Option<Self> {
        let mut at = place(name);
        loop {
            let number = usize::from(TABLE[at]);
            let known = *Self::KNOWN.get(number.checked_sub(1)?)?;
            if is_same(known.as_bytes(), name) {
                return Some(known);
            }
            at = (at + 1) % PLACES;
        }
    }

    /// Finds the name, in any case.
    pub fn of(name: &[u8]) -> Self {
        if let Some(known) = Self::exact(name) {
            return known;
        }
        if starts_with(name, b"x-forwarded-") {
            return Self::Reserved;
        }
        if !name.contains(&b'_') {
            return Self::Other;
        }
        // CGI servers read `_` as `-` (CVE-2025-64484).
        let plain: Vec<u8> = name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect();
        match Self::of(&plain) {
            known if known.is_reserved() => Self::Reserved,
            Self::ContentLength | Self::TransferEncoding => Self::Disguised,
            _ => Self::Other,
        }
    }

    /// Whether the field is hop-by-hop (RFC 9110 section 7.6.1).
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::ProxyAuthorization
                | Self::Http2Settings
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }

    /// Whether only the gateway or a trusted proxy may set this field.
    pub const fn is_reserved(self) -> bool {
        matches!(
            self,
            Self::Reserved
                | Self::Forwarded
                | Self::ForwardedFor
                | Self::ForwardedProto
                | Self::ForwardedHost
                | Self::RealIp
                | Self::RequestId
        )
    }
}

fn starts_with(name: &[u8], prefix: &[u8]) -> bool {
    name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix)
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn names_are_found_in_any_case_and_with_underscores() {
        let table: [(&[u8], Name); 14] = [
            (b"Host", Name::Host),
            (b"CONTENT-length", Name::ContentLength),
            (b"x-forwarded-for", Name::ForwardedFor),
            (b"X-Forwarded-Prefix", Name::Reserved),
            (b"x_forwarded_for", Name::Reserved),
            (b"X_Forwarded-Prefix", Name::Reserved),
            (b"x_real-ip", Name::Reserved),
            (b"x_request_id", Name::Reserved),
            (b"content_length", Name::Disguised),
            (b"Transfer_Encoding", Name::Disguised),
            (b"my_field", Name::Other),
            (b"accept", Name::Other),
            (b"x-forwarded", Name::Other),
            (b"", Name::Other),
        ];
        for (name, expected) in table {
            assert_eq!(Name::of(name), expected, "{}", name.escape_ascii());
        }
        for known in Name::KNOWN {
            assert_eq!(Name::of(known.as_bytes()), *known);
        }
    }
}
