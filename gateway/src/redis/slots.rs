//! Which server of a cluster has which keys: 16384 slots, by a checksum of the key.

use super::resp::Reply;

/// The number of slots.
pub const SLOTS: usize = 16_384;

/// The slot of a key: that of its hash tag, the text in the first braces, if there is one. Keys with the same hash
/// tag are on the same server.
pub fn slot(key: &[u8]) -> usize {
    let tag = memchr::memchr(b'{', key).and_then(|open| {
        let rest = &key[open + 1..];
        memchr::memchr(b'}', rest).filter(|end| *end > 0).map(|end| &rest[..end])
    });
    usize::from(crc16(tag.unwrap_or(key))) % SLOTS
}

/// CRC-16/XMODEM: polynomial 0x1021, begun with 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 },
        )
    })
}

/// A redirection: `MOVED SLOT HOST:PORT` or `ASK SLOT HOST:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirection<'t> {
    /// Whether only this command is sent there, after `ASKING`; otherwise the whole slot has moved.
    pub once: bool,
    /// The host; empty for the server that sent this.
    pub host: &'t str,
    /// The port.
    pub port: u16,
}

impl<'t> Redirection<'t> {
    /// Reads the error of a server; none if it is another one.
    pub fn read(error: &'t str) -> Option<Self> {
        let mut words = error.split(' ');
        let once = match words.next()? {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let (host, port) = words.nth(1)?.rsplit_once(':')?;
        Some(Self { once, host, port: port.parse().ok()? })
    }
}

/// Slots from the first to the last with the server that has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The first slot.
    pub first: usize,
    /// The last slot.
    pub last: usize,
    /// The host; empty for the server that sent this.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Reads the reply to `CLUSTER SLOTS`. Malformed entries are left out.
pub fn ranges(reply: &Reply) -> Vec<Range> {
    let Reply::List(list) = reply else { return Vec::new() };
    list.iter().filter_map(range).collect()
}

fn range(reply: &Reply) -> Option<Range> {
    let Reply::List(parts) = reply else { return None };
    let [Reply::Integer(first), Reply::Integer(last), Reply::List(master), ..] = &parts[..] else {
        return None;
    };
    let host = match master.first()? {
        Reply::Text(host) => String::from_utf8(host.clone()).ok()?,
        _ => String::new(),
    };
    let Reply::Integer(port) = master.get(1)? else { return None };
    let slot = |number: &i64| usize::try_from(*number).ok().filter(|slot| *slot < SLOTS);
    Some(Range { first: slot(first)?, last: slot(last)?, host, port: u16::try_from(*port).ok()? })
}

#[cfg(test)]
mod tests {
    use super::super::resp;
    use super::{Range, Redirection, crc16, ranges, slot};

    #[test]
    fn slots_of_keys() {
        // The check value of CRC-16/XMODEM, and slots that redis-cli names (CLUSTER KEYSLOT).
        assert_eq!(crc16(b"123456789"), 0x31c3);
        let table = [
            ("123456789", 12739),
            ("foo", 12182),
            ("{foo}.bar", 12182),
            ("x{foo}{bar}", 12182),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
        ];
        for (key, expected) in table {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn redirections() {
        let there = |once, host, port| Some(Redirection { once, host, port });
        let table = [
            ("MOVED 3999 127.0.0.1:6381", there(false, "127.0.0.1", 6381)),
            ("ASK 3999 ::1:6381", there(true, "::1", 6381)),
            ("MOVED 3999 :6381", there(false, "", 6381)),
            ("MOVED 3999", None),
            ("MOVED 3999 a:b", None),
            ("NOSCRIPT No matching script.", None),
        ];
        for (error, expected) in table {
            assert_eq!(Redirection::read(error), expected, "{error}");
        }
    }

    #[test]
    fn ranges_of_a_cluster() {
        let reply = "*3\r\n*3\r\n:0\r\n:5460\r\n*3\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nid\r\n\
                     *3\r\n:5461\r\n:16383\r\n*2\r\n$-1\r\n:7001\r\n\
                     *3\r\n:0\r\n:99999\r\n*2\r\n$-1\r\n:7001\r\n";
        let (reply, _) = resp::read(reply.as_bytes()).expect("a reply").expect("a whole one");
        let range = |first, last, host: &str, port| Range { first, last, host: host.to_owned(), port };
        assert_eq!(ranges(&reply), [range(0, 5460, "127.0.0.1", 7000), range(5461, 16383, "", 7001)]);
    }
}
