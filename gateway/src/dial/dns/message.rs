//! DNS messages (RFC 1035 section 4): the query for addresses of a name, and its response.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Maximum number of aliases followed.
const MAX_ALIASES: usize = 16;

const CNAME: u16 = 5;
const SOA: u16 = 6;
const INTERNET: u16 = 1;

/// The address family of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    fn code(self) -> u16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 28,
        }
    }
}

/// The response of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Addresses and their TTL in seconds.
    Addresses(Vec<IpAddr>, u32),
    /// The name does not exist or has no such address; with the TTL of this answer in seconds, if the server
    /// sent one.
    Nothing(Option<u32>),
    /// The response was truncated; the query must be repeated over TCP.
    Truncated,
    /// The server refused the query with this response code.
    Refused(u8),
}

/// Encodes a query; `None` if the text is not a name.
pub(super) fn question(id: u16, name: &str, family: Family) -> Option<Vec<u8>> {
    // Recursion desired, one question.
    let mut bytes = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        if !label.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        bytes.push(length);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    if bytes.len() > 12 + 255 {
        return None;
    }
    for number in [family.code(), INTERNET] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    Some(bytes)
}

/// Parses the response to a query; `None` if it is malformed or belongs to another query.
pub(super) fn answer(bytes: &[u8], question: &[u8]) -> Option<Answer> {
    let mut reader = Reader { bytes, at: 0 };
    let id = reader.number()?;
    let flags = reader.number()?;
    let counts = [reader.number()?, reader.number()?, reader.number()?, reader.number()?];
    let is_response = flags & 0x8000 != 0;
    if !is_response || id.to_be_bytes() != question.get(..2)? || counts[0] != 1 {
        return None;
    }
    let mut asked = Reader { bytes: question, at: 12 };
    let mut name = asked.name()?;
    let family = asked.number()?;
    if reader.name()? != name || reader.number()? != family || reader.number()? != INTERNET {
        return None;
    }
    if flags & 0x0200 != 0 {
        return Some(Answer::Truncated);
    }
    let code = u8::try_from(flags & 0xf).ok()?;
    if code != 0 && code != 3 {
        return Some(Answer::Refused(code));
    }
    let mut records = Vec::new();
    for _ in 0..counts[1] {
        records.push(reader.record()?);
    }
    let mut ttl = u32::MAX;
    for _ in 0..MAX_ALIASES {
        let of_name = |kind| records.iter().filter(move |record| record.kind == kind);
        let mut addresses = Vec::new();
        for record in of_name(family).filter(|record| record.name == name) {
            addresses.push(record.address()?);
            ttl = ttl.min(record.ttl);
        }
        if !addresses.is_empty() {
            return Some(Answer::Addresses(addresses, ttl));
        }
        let Some(alias) = of_name(CNAME).find(|record| record.name == name) else { break };
        ttl = ttl.min(alias.ttl);
        name = Reader { bytes, at: alias.data_at }.name()?;
    }
    // The TTL of a negative answer (RFC 2308 section 5).
    let mut minimum = None;
    for _ in 0..counts[2] {
        let Some(record) = reader.record() else { break };
        if record.kind == SOA
            && let Some(last) = record.data.last_chunk::<4>()
        {
            minimum = Some(u32::from_be_bytes(*last).min(record.ttl).min(ttl));
        }
    }
    Some(Answer::Nothing(minimum))
}

#[derive(Debug)]
struct Record<'a> {
    name: Vec<u8>,
    kind: u16,
    ttl: u32,
    data_at: usize,
    data: &'a [u8],
}

impl Record<'_> {
    fn address(&self) -> Option<IpAddr> {
        if let Ok(v4) = <[u8; 4]>::try_from(self.data) {
            return Some(Ipv4Addr::from(v4).into());
        }
        <[u8; 16]>::try_from(self.data).ok().map(|v6| Ipv6Addr::from(v6).into())
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// A name in lower case, with the lengths of its labels. Compression pointers (RFC 1035 section 4.1.4)
    /// must point further to the front, so that every name ends.
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let mut at = self.at;
        let mut after = None;
        loop {
            let length = *self.bytes.get(at)?;
            if length & 0xc0 == 0xc0 {
                let target = usize::from(length & 0x3f) << 8 | usize::from(*self.bytes.get(at + 1)?);
                after.get_or_insert(at + 2);
                if target >= at {
                    return None;
                }
                at = target;
                continue;
            }
            if length & 0xc0 != 0 {
                return None;
            }
            let end = at + 1 + usize::from(length);
            name.extend(self.bytes.get(at..end)?.iter().map(u8::to_ascii_lowercase));
            if name.len() > 255 {
                return None;
            }
            at = end;
            if length == 0 {
                self.at = after.unwrap_or(at);
                return Some(name);
            }
        }
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let name = self.name()?;
        let kind = self.number()?;
        let class = self.number()?;
        let ttl = self.take(4)?.try_into().ok().map(u32::from_be_bytes)?;
        let length = usize::from(self.number()?);
        let data_at = self.at;
        let data = self.take(length)?;
        // In another class the same type numbers mean other records.
        let kind = if class == INTERNET { kind } else { 0 };
        // A TTL with the top bit set is zero (RFC 2181 section 8).
        let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
        Some(Record { name, kind, ttl, data_at, data })
    }
}

/// Fuzz target: parses any bytes as the response to one query.
pub fn fuzz(bytes: &[u8]) {
    for family in [Family::V4, Family::V6] {
        if let Some(question) = question(0, "a.example", family) {
            let _ = answer(bytes, &question);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Family, answer, question};

    fn asked(name: &str) -> Vec<u8> {
        question(0x1234, name, Family::V4).expect("a name")
    }

    /// A response to `question` with these records; the last ones are the authority section.
    fn response(question: &[u8], flags: u16, answers: &[Vec<u8>], authority: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = question.to_vec();
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[7] = u8::try_from(answers.len()).expect("few");
        bytes[9] = u8::try_from(authority.len()).expect("few");
        bytes.extend(answers.concat());
        bytes.extend(authority.concat());
        bytes
    }

    fn record(name: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).expect("short");
        [name, &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length.to_be_bytes(), data].concat()
    }

    /// The name of the query, as a compression pointer.
    const ITS: &[u8] = &[0xc0, 12];
    const OTHER: &[u8] = b"\x05other\x00";

    fn addresses(texts: &[&str], ttl: u32) -> Answer {
        Answer::Addresses(texts.iter().map(|text| text.parse().expect("an address")).collect(), ttl)
    }

    #[test]
    fn answers_are_parsed() {
        let question = asked("a.example");
        let soa = record(&[0], 6, 60, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30]);
        let a = |ttl, last| record(ITS, 1, ttl, &[10, 0, 0, last]);
        let alias = |name: &[u8], to: &[u8], ttl| record(name, 5, ttl, to);
        let table = [
            (0x8180, vec![a(60, 1), a(50, 2)], vec![], addresses(&["10.0.0.1", "10.0.0.2"], 50)),
            (0x8180, vec![a(1 << 31, 1)], vec![], addresses(&["10.0.0.1"], 0)),
            // Aliases in any order; the shortest TTL counts.
            (
                0x8180,
                vec![record(OTHER, 1, 60, &[10, 0, 0, 9]), alias(ITS, OTHER, 20)],
                vec![],
                addresses(&["10.0.0.9"], 20),
            ),
            (
                0x8180,
                vec![record(b"\x01A\x07EXAMPLE\x00", 1, 9, &[1, 2, 3, 4])],
                vec![],
                addresses(&["1.2.3.4"], 9),
            ),
            // Records of other names and types do not count.
            (0x8180, vec![record(OTHER, 1, 60, &[10, 0, 0, 9])], vec![], Answer::Nothing(None)),
            (0x8180, vec![record(ITS, 16, 60, b"\x01x")], vec![soa.clone()], Answer::Nothing(Some(30))),
            (0x8183, vec![], vec![soa.clone()], Answer::Nothing(Some(30))),
            (0x8183, vec![alias(ITS, OTHER, 10)], vec![soa], Answer::Nothing(Some(10))),
            // An alias of itself terminates.
            (0x8180, vec![alias(ITS, ITS, 60)], vec![], Answer::Nothing(None)),
            (0x8380, vec![], vec![], Answer::Truncated),
            (0x8182, vec![], vec![], Answer::Refused(2)),
            (0x8185, vec![], vec![], Answer::Refused(5)),
        ];
        for (flags, answers, authority, expected) in table {
            let bytes = response(&question, flags, &answers, &authority);
            assert_eq!(answer(&bytes, &question), Some(expected), "{bytes:?}");
        }
    }

    #[test]
    fn malformed_and_foreign_responses_are_rejected() {
        let question = asked("a.example");
        let good = response(&question, 0x8180, &[record(ITS, 1, 60, &[10, 0, 0, 1])], &[]);
        assert!(answer(&good, &question).is_some());
        for end in 0..good.len() {
            assert_eq!(answer(&good[..end], &question), None, "{end}");
        }
        assert_eq!(answer(&good, &asked("b.example")), None, "another name");
        let v6 = super::question(0x1234, "a.example", Family::V6).expect("a name");
        assert_eq!(answer(&good, &v6), None, "another family");
        let mut other_id = good.clone();
        other_id[0] = 0;
        assert_eq!(answer(&other_id, &question), None, "another number");
        assert_eq!(answer(&question, &question), None, "a question");
        for data in [&[10, 0, 0][..], &[0; 17]] {
            let bytes = response(&question, 0x8180, &[record(ITS, 1, 60, data)], &[]);
            assert_eq!(answer(&bytes, &question), None, "{data:?}");
        }
        // A compression pointer to itself, forwards, or past the end.
        for pointer in [[0xc0, 27], [0xc0, 40], [0xff, 0xff], [0x80, 0]] {
            let bytes = response(&question, 0x8180, &[record(&pointer, 1, 60, &[10, 0, 0, 1])], &[]);
            assert_eq!(answer(&bytes, &question), None, "{pointer:?}");
        }
    }

    #[test]
    fn invalid_names_are_rejected() {
        for name in ["", ".", "a..b", "a.", &"a".repeat(64), &"a.".repeat(130), "a b", "ä.example"] {
            assert_eq!(question(0, name, Family::V4), None, "{name}");
        }
        assert!(question(0, "_grpc._tcp.example", Family::V4).is_some());
    }
    #[test]
    fn any_bytes_are_safe() {
        let question = asked("a.example");
        let alias = record(ITS, 5, 60, OTHER);
        let good = response(&question, 0x8180, &[alias, record(OTHER, 1, 60, &[10, 0, 0, 1])], &[]);
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut changed = good.clone();
                changed[at] = byte;
                let _ = answer(&changed, &question);
            }
        }
    }
}
