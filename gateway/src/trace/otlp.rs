//! OTLP in protocol buffers (opentelemetry-proto 1.x, `collector/trace/v1/trace_service.proto`).

use std::time::{SystemTime, UNIX_EPOCH};

use super::span::{Span, Value};
use crate::observe::protobuf::Message;

/// The specification of attribute names.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";
/// The status code of a failed span.
const ERROR: u64 = 2;
/// Span flags: it is known whether the parent is in another process, and it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// An `ExportTraceServiceRequest` with these spans of one process.
pub fn request(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let mut out = Message::default();
    out.message(1, |resource_spans| {
        resource_spans.message(1, |out| {
            for (name, value) in resource {
                attribute(out, 1, name, |out| {
                    out.bytes(1, value.as_bytes());
                });
            }
        });
        resource_spans.message(2, |scope_spans| {
            scope_spans.message(1, |scope| {
                scope.bytes(1, b"gateway").bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            for span in spans {
                scope_spans.message(2, |out| write(span, out));
            }
        });
        resource_spans.bytes(3, SCHEMA.as_bytes());
    });
    out.finish()
}

fn write(span: &Span, out: &mut Message) {
    out.bytes(1, &span.context.trace).bytes(2, &span.id);
    if let Some(parent) = &span.parent {
        out.bytes(4, parent);
    }
    out.bytes(5, span.name.as_bytes()).uint(6, span.kind as u64);
    out.fixed64(7, nanos(span.begin)).fixed64(8, nanos(span.end));
    for (name, value) in &span.attributes {
        attribute(out, 9, name, |out| {
            match value {
                Value::Text(text) => out.bytes(1, text.as_bytes()),
                Value::Number(number) => out.uint(3, *number),
            };
        });
    }
    if span.failed {
        out.message(15, |status| {
            status.uint(3, ERROR);
        });
    }
    let remote = if span.is_remote { IS_REMOTE } else { 0 };
    out.fixed32(16, u32::from(span.context.flags()) | HAS_IS_REMOTE | remote);
}

fn attribute(out: &mut Message, field: u32, name: &str, value: impl FnOnce(&mut Message)) {
    out.message(field, |out| {
        out.bytes(1, name.as_bytes()).message(2, value);
    });
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The number of rejected spans in an `ExportTraceServiceResponse`: field 1 of the message in field 1. A
/// response that cannot be parsed counts as none.
pub fn rejected(response: &[u8]) -> u64 {
    let partial = fields(response).find_map(|(field, value)| match (field, value) {
        (1, Field::Bytes(bytes)) => Some(bytes),
        _ => None,
    });
    let count = fields(partial.unwrap_or_default()).find_map(|(field, value)| match (field, value) {
        (1, Field::Number(number)) => Some(number),
        _ => None,
    });
    count.unwrap_or(0)
}

enum Field<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// The fields of a message with numbers or bytes, up to the first of another type.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        let tag = varint(&mut rest)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut rest)?),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (bytes, behind) = rest.split_at_checked(length)?;
                rest = behind;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        Some((tag >> 3, field))
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::rejected;

    #[test]
    fn rejected_spans_are_parsed() {
        let table: [(&[u8], u64); 6] = [
            (b"", 0),
            (b"\x0a\x03\x08\xac\x02", 300),
            (b"\x0a\x07\x12\x02no\x08\x05\x08", 5),
            (b"\x0a\x09\x08\x01", 0),
            (b"not protobuf", 0),
            (b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0),
        ];
        for (bytes, expected) in table {
            assert_eq!(rejected(bytes), expected, "{bytes:?}");
        }
    }
}
