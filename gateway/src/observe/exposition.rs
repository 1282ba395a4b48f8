//! Metrics for Prometheus: families with samples, in one of three formats.

use std::fmt::Write;

use super::durations::{BUCKETS, FIRST_INDEX, Histogram, SCHEMA, ZERO_THRESHOLD};
use super::format::Format;
use super::protobuf::{Message, append_varint};

/// Metric families.
#[derive(Debug, Default)]
pub struct Exposition(Vec<Family>);

/// All samples of one name.
#[derive(Debug)]
pub struct Family {
    /// Its name, that of a counter with `_total`.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its help text.
    pub help: &'static str,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// A value with its labels.
#[derive(Debug)]
pub struct Sample {
    /// Names and values of the labels.
    pub labels: Vec<(&'static str, String)>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    /// A formatted number.
    Number(String),
    Histogram(Box<Histogram>),
}

impl Exposition {
    /// Begins a family; the following samples belong to it.
    pub fn family(&mut self, name: &'static str, kind: &'static str, help: &'static str) {
        self.0.push(Family { name, kind, help, samples: Vec::new() });
    }

    /// Adds a sample to the current family.
    pub fn sample(&mut self, labels: &[(&'static str, &str)], value: impl std::fmt::Display) {
        self.add(labels, Value::Number(value.to_string()));
    }

    /// Adds a histogram to the current family.
    pub fn histogram(&mut self, labels: &[(&'static str, &str)], histogram: Histogram) {
        self.add(labels, Value::Histogram(Box::new(histogram)));
    }

    fn add(&mut self, labels: &[(&'static str, &str)], value: Value) {
        let labels = labels.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        if let Some(family) = self.0.last_mut() {
            family.samples.push(Sample { labels, value });
        }
    }

    /// The families so far.
    pub fn families(&self) -> &[Family] {
        &self.0
    }

    /// All families in a format.
    pub fn finish(self, format: Format) -> Vec<u8> {
        match format {
            Format::Text => self.text(false).into_bytes(),
            Format::OpenMetrics => self.text(true).into_bytes(),
            Format::Protobuf => self.protobuf(),
        }
    }

    fn text(&self, open_metrics: bool) -> String {
        let mut out = String::new();
        for Family { name, kind, help, samples } in &self.0 {
            // In OpenMetrics `_total` belongs to the sample, not to the family.
            let family = if open_metrics { name.strip_suffix("_total").unwrap_or(name) } else { name };
            let _ = writeln!(out, "# HELP {family} {help}\n# TYPE {family} {kind}");
            for sample in samples {
                match &sample.value {
                    Value::Number(number) => line(&mut out, (name, ""), &sample.labels, None, number),
                    Value::Histogram(histogram) => buckets(&mut out, name, &sample.labels, histogram),
                }
            }
        }
        if open_metrics {
            out.push_str("# EOF\n");
        }
        out
    }

    /// Delimited messages `io.prometheus.client.MetricFamily`.
    fn protobuf(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for family in &self.0 {
            let mut message = Message::default();
            // The values of `MetricType`.
            let kind = match family.kind {
                "counter" => 0,
                "gauge" => 1,
                _ => 4,
            };
            message.bytes(1, family.name.as_bytes()).bytes(2, family.help.as_bytes()).uint(3, kind);
            for sample in &family.samples {
                message.message(4, |metric| {
                    for (name, value) in &sample.labels {
                        metric.message(1, |label| {
                            label.bytes(1, name.as_bytes()).bytes(2, value.as_bytes());
                        });
                    }
                    match &sample.value {
                        Value::Number(number) => {
                            let field = if family.kind == "counter" { 3 } else { 2 };
                            metric.message(field, |value| {
                                value.double(1, number.parse().unwrap_or_default());
                            });
                        }
                        Value::Histogram(histogram) => {
                            metric.message(7, |message| native(message, histogram));
                        }
                    }
                });
            }
            let message = message.finish();
            append_varint(&mut out, message.len() as u64);
            out.extend_from_slice(&message);
        }
        out
    }
}

/// Writes a line of text.
fn line(
    out: &mut String,
    (name, suffix): (&str, &str),
    labels: &[(&'static str, String)],
    bound: Option<&str>,
    value: &str,
) {
    out.push_str(name);
    out.push_str(suffix);
    let labels = labels.iter().map(|(name, text)| (*name, text.as_str()));
    let mut separator = '{';
    for (label, text) in labels.chain(bound.map(|bound| ("le", bound))) {
        out.push(std::mem::replace(&mut separator, ','));
        out.push_str(label);
        out.push_str("=\"");
        for c in text.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    if separator == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

fn buckets(out: &mut String, name: &str, labels: &[(&'static str, String)], histogram: &Histogram) {
    for (bound, count) in BUCKETS.iter().zip(histogram.classic) {
        // The format of OpenMetrics, such as `1.0`, is used in both formats, so that series keep their
        // labels.
        line(out, (name, "_bucket"), labels, Some(&format!("{bound:?}")), &count.to_string());
    }
    let count = histogram.count.to_string();
    line(out, (name, "_bucket"), labels, Some("+Inf"), &count);
    line(out, (name, "_sum"), labels, None, &histogram.sum.to_string());
    line(out, (name, "_count"), labels, None, &count);
}

/// Writes `io.prometheus.client.Histogram` with classic and native buckets.
fn native(message: &mut Message, histogram: &Histogram) {
    message.uint(1, histogram.count).double(2, histogram.sum);
    for (bound, count) in BUCKETS.iter().zip(histogram.classic) {
        message.message(3, |bucket| {
            bucket.uint(1, count).double(2, *bound);
        });
    }
    message.sint(5, i64::from(SCHEMA)).double(6, ZERO_THRESHOLD);
    let Some((zero, counts)) = histogram.native.split_first() else { return };
    message.uint(7, *zero);
    // One span, from the first non-empty bucket to the last.
    let first = counts.iter().position(|count| *count > 0);
    let last = counts.iter().rposition(|count| *count > 0);
    let (Some(first), Some(last)) = (first, last) else {
        // An empty span marks a native histogram without observations.
        message.message(12, |span| {
            span.sint(1, 0).uint(2, 0);
        });
        return;
    };
    message.message(12, |span| {
        let offset = i64::from(FIRST_INDEX) + i64::try_from(first).unwrap_or_default();
        span.sint(1, offset).uint(2, (last - first + 1) as u64);
    });
    let mut before = 0;
    for count in &counts[first..=last] {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        message.sint(13, count - before);
        before = count;
    }
}
