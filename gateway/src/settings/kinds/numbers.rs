//! Numbers, durations, sizes and statuses.

use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::time;

use toml::de::DeValue;

use super::{Kind, Shown, Slot, Value};
use crate::endpoint;
use crate::json::Json;
use crate::settings::reader::integer;
use crate::settings::units;

/// A whole number within a range.
#[derive(Debug, Clone)]
pub struct Count<T> {
    range: RangeInclusive<u64>,
    kind: PhantomData<T>,
}

/// A whole number within a range.
pub fn count<T>(range: RangeInclusive<u64>) -> Count<T> {
    Count { range, kind: PhantomData }
}

fn bounds(range: &RangeInclusive<u64>) -> Json {
    Json::object([
        ("type", Json::text("integer")),
        ("minimum", Json::Number(*range.start())),
        ("maximum", Json::Number(*range.end())),
    ])
}

impl<T: TryFrom<u64>> Kind for Count<T> {
    type Value = T;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<T> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => integer(number),
            _ => None,
        };
        let read =
            number.filter(|number| self.range.contains(number)).and_then(|number| T::try_from(number).ok());
        if read.is_none() {
            let (start, end) = (self.range.start(), self.range.end());
            slot.wrong(value, &format!("a whole number from {start} to {end}"));
        }
        read
    }

    fn label(&self) -> String {
        format!("{} to {}", self.range.start(), self.range.end())
    }

    fn schema(&self) -> Json {
        bounds(&self.range)
    }
}

impl<T: TryFrom<u64> + TryInto<u64> + Copy> Shown for Count<T> {
    fn show(&self, value: &T) -> Json {
        (*value).try_into().map_or(Json::Null, Json::Number)
    }
}

/// A whole number; 0 means none.
#[derive(Debug, Clone)]
pub struct CountOrNone<T>(Count<T>);

/// A whole number up to a limit; 0 means none.
pub fn count_or_none<T>(max: u64) -> CountOrNone<T> {
    CountOrNone(count(0..=max))
}

impl<T: TryFrom<u64> + TryInto<u64> + Copy> Kind for CountOrNone<T> {
    type Value = Option<T>;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<Option<T>> {
        let number = self.0.read(slot, value)?;
        Some(Some(number).filter(|&number| number.try_into().is_ok_and(|number| number > 0)))
    }

    fn label(&self) -> String {
        self.0.label()
    }

    fn schema(&self) -> Json {
        self.0.schema()
    }
}

impl<T: TryFrom<u64> + TryInto<u64> + Copy> Shown for CountOrNone<T> {
    fn show(&self, value: &Option<T>) -> Json {
        value.map_or(Json::Number(0), |value| self.0.show(&value))
    }
}

/// A duration.
#[derive(Debug, Clone, Copy)]
pub enum Duration {
    /// It is above zero.
    Positive,
    /// It may be zero.
    OrZero,
}

impl Kind for Duration {
    type Value = time::Duration;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<time::Duration> {
        let (least, expected) = match self {
            Self::Positive => {
                (time::Duration::from_nanos(1), "a duration above zero such as \"500ms\", \"30s\" or \"5m\"")
            }
            Self::OrZero => (time::Duration::ZERO, "a duration such as \"500ms\", \"30s\" or \"5m\""),
        };
        let duration = value.get_ref().as_str().and_then(units::duration);
        let read = duration.filter(|&duration| duration >= least);
        if read.is_none() {
            slot.wrong(value, expected);
        }
        read
    }

    fn label(&self) -> String {
        "duration".to_owned()
    }

    fn schema(&self) -> Json {
        let pattern = match self {
            Self::Positive => "^0*[1-9][0-9]*(ms|s|m|h)$",
            Self::OrZero => "^[0-9]+(ms|s|m|h)$",
        };
        Json::object([("type", Json::text("string")), ("pattern", Json::text(pattern))])
    }
}

impl Shown for Duration {
    fn show(&self, value: &time::Duration) -> Json {
        Json::text(units::duration_text(*value))
    }
}

/// A duration; zero means none.
#[derive(Debug, Clone, Copy)]
pub struct DurationOrNone;

impl Kind for DurationOrNone {
    type Value = Option<time::Duration>;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<Option<time::Duration>> {
        let duration = Duration::OrZero.read(slot, value)?;
        Some((!duration.is_zero()).then_some(duration))
    }

    fn label(&self) -> String {
        Duration::OrZero.label()
    }

    fn schema(&self) -> Json {
        Duration::OrZero.schema()
    }
}

impl Shown for DurationOrNone {
    fn show(&self, value: &Option<time::Duration>) -> Json {
        Duration::OrZero.show(&value.unwrap_or_default())
    }
}

/// A size in bytes, a number or a text with a unit.
#[derive(Debug, Clone)]
pub struct Size<T>(Count<T>);

/// A size in bytes within a range.
pub fn size<T>(range: RangeInclusive<u64>) -> Size<T> {
    Size(count(range))
}

impl<T: TryFrom<u64>> Kind for Size<T> {
    type Value = T;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<T> {
        let range = &self.0.range;
        let size = match value.get_ref() {
            DeValue::Integer(number) => integer(number),
            DeValue::String(text) => units::size(text),
            _ => None,
        };
        let read = size.filter(|size| range.contains(size)).and_then(|size| T::try_from(size).ok());
        if read.is_none() {
            let (min, max) = (range.start(), range.end());
            slot.wrong(
                value,
                &format!("a size from {min} to {max} bytes, a number or a text such as \"64KiB\""),
            );
        }
        read
    }

    fn label(&self) -> String {
        let range = &self.0.range;
        format!("size, {} to {}", units::size_text(*range.start()), units::size_text(*range.end()))
    }

    fn schema(&self) -> Json {
        let text = Json::object([
            ("type", Json::text("string")),
            ("pattern", Json::text("^[0-9]+(B|KiB|MiB|GiB)$")),
        ]);
        Json::object([("anyOf", Json::list([bounds(&self.0.range), text]))])
    }
}

impl<T: TryFrom<u64> + TryInto<u64> + Copy> Shown for Size<T> {
    fn show(&self, value: &T) -> Json {
        (*value).try_into().map_or(Json::Null, |size| Json::text(units::size_text(size)))
    }
}

/// A list of statuses: numbers, or texts such as `"5xx"`.
#[derive(Debug, Clone, Copy)]
pub struct Statuses;

fn range(value: &DeValue<'_>) -> Option<(u16, u16)> {
    match value {
        DeValue::Integer(number) => {
            let status = integer(number).and_then(|status| u16::try_from(status).ok())?;
            (100..=599).contains(&status).then_some((status, status))
        }
        DeValue::String(text) => match text.as_bytes() {
            &[class @ b'1'..=b'5', b'x', b'x'] => {
                let first = u16::from(class - b'0') * 100;
                Some((first, first + 99))
            }
            _ => None,
        },
        _ => None,
    }
}

impl Kind for Statuses {
    type Value = endpoint::Statuses;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<endpoint::Statuses> {
        let Some(items) = value.get_ref().as_array() else {
            slot.wrong(value, "a list of statuses such as [503, \"5xx\"]");
            return None;
        };
        let name = format!("an item of {}", slot.name);
        let inner = Slot { name: &name, or: "", ..*slot };
        let ranges = items.iter().filter_map(|item| {
            let range = range(item.get_ref());
            if range.is_none() {
                inner.wrong(item, "a status such as 503 or \"5xx\"");
            }
            range
        });
        Some(endpoint::Statuses::new(ranges))
    }

    fn label(&self) -> String {
        "list: status or `\"5xx\"`".to_owned()
    }

    fn schema(&self) -> Json {
        let class = Json::object([("type", Json::text("string")), ("pattern", Json::text("^[1-5]xx$"))]);
        Json::object([
            ("type", Json::text("array")),
            ("items", Json::object([("anyOf", Json::list([bounds(&(100..=599)), class]))])),
        ])
    }
}

impl Shown for Statuses {
    fn show(&self, value: &endpoint::Statuses) -> Json {
        Json::list(value.ranges().map(|(first, last)| {
            if first == last { Json::Number(first.into()) } else { Json::text(format!("{}xx", first / 100)) }
        }))
    }
}
