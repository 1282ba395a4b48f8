//! W3C Trace Context, level 2.

use crate::http::fields::Fields;
use crate::http::path::hex;

/// The field with the trace id, the parent span and the flags.
pub const TRACEPARENT: &[u8] = b"traceparent";
/// The field with vendor-specific values.
pub const TRACESTATE: &[u8] = b"tracestate";

/// The trace is recorded (sampled).
const SAMPLED: u8 = 1;
/// The last seven bytes of the trace id are random.
const RANDOM: u8 = 2;
/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;
/// Maximum number of members in `tracestate`.
const MAX_MEMBERS: usize = 32;

/// The trace of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace id.
    pub trace: [u8; 16],
    flags: u8,
}

/// The parent span of a request, with its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub context: Context,
    /// The span id of the caller.
    pub span: [u8; 8],
}

impl Context {
    /// A new trace with a random id.
    pub fn new(trace: [u8; 16], sampled: bool) -> Self {
        Self { trace, flags: if sampled { RANDOM | SAMPLED } else { RANDOM } }
    }

    /// Whether it is sampled.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The flags of `traceparent`.
    pub fn flags(self) -> u8 {
        self.flags
    }

    /// The value of `traceparent` for a request with this span as its parent.
    pub fn traceparent(self, span: [u8; 8]) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut text[3..35], &self.trace);
        write_hex(&mut text[36..52], &span);
        write_hex(&mut text[53..55], &[self.flags]);
        text
    }

    /// The trace id in hexadecimal digits.
    pub fn trace_text(self) -> [u8; 32] {
        let mut text = [0; 32];
        write_hex(&mut text, &self.trace);
        text
    }
}

fn write_hex(out: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0x0f)];
    }
}

impl Parent {
    /// Parses the parent from the fields of a request; `None` if there is no valid one (section 3.2 of the
    /// specification).
    pub fn of(fields: &Fields) -> Option<Self> {
        let mut values = fields.named(TRACEPARENT);
        let value = values.next()?;
        if values.next().is_some() { None } else { Self::read(value) }
    }

    /// Parses a `traceparent`. A later version is parsed like version 00.
    fn read(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let [version] = bytes(&known[..2])?;
        let fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let dashes = [2, 35, 52].iter().all(|&at| known[at] == b'-');
        let trace: [u8; 16] = bytes(&known[3..35])?;
        let span: [u8; 8] = bytes(&known[36..52])?;
        let [flags] = bytes(&known[53..55])?;
        let is_valid = fits && dashes && trace != [0; 16] && span != [0; 8];
        is_valid.then_some(Self { context: Context { trace, flags: flags & (SAMPLED | RANDOM) }, span })
    }
}

/// Parses lower-case hexadecimal digits.
fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        if pair.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        *byte = hex(pair[0])? << 4 | hex(pair[1])?;
    }
    Some(out)
}

/// Whether these values of `tracestate` are valid and can be forwarded (section 3.3). Empty members are
/// ignored.
pub fn is_state<'v>(values: impl Iterator<Item = &'v [u8]>) -> bool {
    let members = values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    let mut members = members.filter(|member| !member.is_empty());
    members.by_ref().take(MAX_MEMBERS).all(is_member) && members.next().is_none()
}

fn is_member(member: &[u8]) -> bool {
    let Some(equals) = memchr::memchr(b'=', member) else { return false };
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let simple = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let in_key = |byte: &u8| simple(byte) || b"_-*/@".contains(byte);
    let in_value = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'=';
    let fits = |part: &[u8]| (1..=256).contains(&part.len());
    fits(key)
        && fits(value)
        && key.first().is_some_and(simple)
        && key.iter().all(in_key)
        && value.iter().all(in_value)
}

#[cfg(test)]
mod tests {
    use super::{Context, Parent, is_state};

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn parents_are_parsed() {
        let long = format!("cc-{TRACE}-{SPAN}-01-what-is-new");
        let table = [
            (format!("00-{TRACE}-{SPAN}-01"), Some(1)),
            (format!("00-{TRACE}-{SPAN}-00"), Some(0)),
            (format!("00-{TRACE}-{SPAN}-03"), Some(3)),
            // Flags that this version does not define.
            (format!("00-{TRACE}-{SPAN}-ff"), Some(3)),
            (format!("00-{TRACE}-{SPAN}-08"), Some(0)),
            (long, Some(1)),
            (format!("cc-{TRACE}-{SPAN}-01"), Some(1)),
            (format!("cc-{TRACE}-{SPAN}-01."), None),
            (format!("00-{TRACE}-{SPAN}-01-"), None),
            (format!("ff-{TRACE}-{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{TRACE}-{SPAN}-0"), None),
            (format!("00_{TRACE}-{SPAN}-01"), None),
            (format!("0-{TRACE}-{SPAN}-011"), None),
            (format!("00-{TRACE}-{SPAN}-0g"), None),
            (String::new(), None),
        ];
        for (value, flags) in table {
            let parent = Parent::read(value.as_bytes());
            assert_eq!(parent.map(|parent| parent.context.flags), flags, "{value}");
            if let Some(parent) = parent {
                let written = parent.context.traceparent(parent.span);
                let text = String::from_utf8_lossy(&written);
                assert!(text.starts_with(&format!("00-{TRACE}-{SPAN}-0")), "{text}");
                assert_eq!(Parent::read(&written), Some(parent));
            }
        }
    }

    #[test]
    fn new_traces_have_the_random_flag() {
        let text = Context::new([0xab; 16], true).traceparent([1; 8]);
        assert_eq!(&text, b"00-abababababababababababababababab-0101010101010101-03");
    }

    #[test]
    fn states_are_validated() {
        let many =
            |count: usize| (0..count).map(|number| format!("k{number}=v")).collect::<Vec<_>>().join(",");
        let (key, value) = ("k".repeat(256), "v".repeat(256));
        let table = [
            ("foo=1", true),
            ("foo=1, bar=2 ,,\tbaz=3", true),
            ("fw529a3039@dt=a b!~,0tenant@v=x", true),
            ("", true),
            (&many(32), true),
            (&many(33), false),
            (&format!("{key}={value}"), true),
            (&format!("{key}k=v"), false),
            (&format!("k={value}v"), false),
            ("foo", false),
            ("foo=", false),
            ("=1", false),
            ("Foo=1", false),
            ("foo =1", false),
            ("foo=1=2", false),
            ("foo=\u{e4}", false),
        ];
        for (value, expected) in table {
            assert_eq!(is_state([value.as_bytes()].into_iter()), expected, "{value}");
            // As two fields.
            assert_eq!(
                is_state([b"a=1".as_slice(), value.as_bytes()].into_iter()),
                expected && value != many(32),
                "{value}"
            );
        }
    }
}
