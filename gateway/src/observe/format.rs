//! Negotiates the format of metrics by `Accept` (RFC 9110 section 12.5.1).

/// A format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Delimited protocol buffers, the only format with native histograms.
    Protobuf,
}

impl Format {
    /// The media type with its parameters.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// The preferred format of the values of `Accept`: the first one with the highest quality; the text
    /// format if none is supported.
    pub fn negotiate<'v>(accept: impl Iterator<Item = &'v [u8]>) -> Self {
        let mut best = (Self::Text, 0);
        for value in accept {
            let Ok(value) = std::str::from_utf8(value) else { continue };
            for (format, quality) in value.split(',').filter_map(read) {
                if quality > best.1 {
                    best = (format, quality);
                }
            }
        }
        best.0
    }
}

/// A format with its quality in thousandths.
fn read(range: &str) -> Option<(Format, u32)> {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let mut quality = 1000;
    let (mut version, mut proto, mut encoding) = (None, None, None);
    for part in parts {
        let Some((name, value)) = part.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => quality = thousandths(value)?,
            "version" => version = Some(value),
            "proto" => proto = Some(value),
            "encoding" => encoding = Some(value),
            _ => {}
        }
    }
    let format = match media_type.as_str() {
        "application/vnd.google.protobuf" => {
            let known = proto == Some("io.prometheus.client.MetricFamily") && encoding == Some("delimited");
            known.then_some(Format::Protobuf)?
        }
        "application/openmetrics-text" => {
            (version.is_none() || version == Some("1.0.0")).then_some(Format::OpenMetrics)?
        }
        "text/plain" => (version.is_none() || version == Some("0.0.4")).then_some(Format::Text)?,
        "*/*" | "text/*" => Format::Text,
        _ => return None,
    };
    Some((format, quality))
}

/// `1`, `0.5` or `0.001` in thousandths.
fn thousandths(text: &str) -> Option<u32> {
    let quality: f64 = text.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within 0 and 1000")]
    Some((quality * 1000.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::Format::{self, OpenMetrics, Protobuf, Text};

    #[test]
    fn formats_by_accept() {
        let table = [
            ("", Text),
            ("*/*", Text),
            ("application/json", Text),
            ("text/plain", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Text),
            ("application/openmetrics-text; version=1.0.0; q=0.5, text/plain;version=0.0.4", Text),
            (
                "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                 application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5",
                Protobuf,
            ),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", Text),
            ("application/vnd.google.protobuf", Text),
            ("application/openmetrics-text; q=0", Text),
            ("application/openmetrics-text; q=x", Text),
            ("APPLICATION/OpenMetrics-Text; Version=\"1.0.0\"", OpenMetrics),
        ];
        for (accept, expected) in table {
            assert_eq!(Format::negotiate([accept.as_bytes()].into_iter()), expected, "{accept}");
        }
    }
}
