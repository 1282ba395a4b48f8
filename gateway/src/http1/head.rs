//! Common parts of request and response heads (RFC 9112 sections 2 and 5).

use std::mem::MaybeUninit;

use crate::http::fields::Fields;
pub use crate::http::framing::Framing;
pub use crate::http::head::HeadLimits;
use crate::http::name::Name;
use crate::http::token::trim_ows;

/// Fields parsed without an allocation.
const INLINE_FIELDS: usize = 128;

/// Calls a parser with room for `max` fields.
pub(super) fn with_room<'b, T>(
    max: usize,
    parse: impl FnOnce(&mut [MaybeUninit<httparse::Header<'b>>]) -> T,
) -> T {
    if max <= INLINE_FIELDS {
        let mut room = [const { MaybeUninit::uninit() }; INLINE_FIELDS];
        return parse(room.get_mut(..max).unwrap_or_default());
    }
    let mut room = vec![MaybeUninit::uninit(); max];
    parse(&mut room)
}

/// Whether there is a LF without a CR before it. httparse accepts it; servers differ (RFC 9112 section 2.2).
pub(super) fn has_bare_lf(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r')
}

/// Copies a head into `fields` and notes the fields that httparse found in it.
pub(super) fn take_fields(fields: &mut Fields, head: &[u8], found: &[httparse::Header<'_>]) {
    fields.adopt(head);
    let base = head.as_ptr() as usize;
    for header in found {
        let name = header.name.as_bytes();
        let name_start = (name.as_ptr() as usize).wrapping_sub(base);
        let value = trim_ows(header.value);
        let value_start = (value.as_ptr() as usize).wrapping_sub(base);
        fields.note(
            Name::of(name),
            (name_start, name_start + name.len()),
            (value_start, value_start + value.len()),
        );
    }
}

/// A length in digits (RFC 9110 section 8.6).
pub fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 {
        // Leading zeros are allowed; more than 18 digits are not.
        return None;
    }
    value
        .iter()
        .try_fold(0, |length: u64, byte| byte.is_ascii_digit().then(|| length * 10 + u64::from(byte - b'0')))
}

/// The trailer section of a chunked body, with its empty line.
///
/// `None` if a line is malformed or there are more than `max_fields`.
pub(super) fn trailers(section: &[u8], max_fields: usize) -> Option<Fields> {
    let mut fields = Fields::new();
    if section == b"\r\n" {
        return Some(fields);
    }
    let mut room = vec![httparse::EMPTY_HEADER; max_fields];
    match httparse::parse_headers(section, &mut room) {
        Ok(httparse::Status::Complete((used, found))) if used == section.len() && !has_bare_lf(section) => {
            take_fields(&mut fields, section, found);
            Some(fields)
        }
        _ => None,
    }
}
