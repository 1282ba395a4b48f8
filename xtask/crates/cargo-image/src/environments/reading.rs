//! What a manifest of others says to whoever reads it.
//!
//! Readers of JSON differ: of keys that are there twice one takes the first and another the last, and Go's
//! takes `Config` for `config`. A manifest that means one thing here and another to a registry could bring
//! along a record of a promotion that never was.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What the types and annotations of records have in them, and nothing else has.
const OF_RECORDS: &str = "xtask.promotion";

/// How much of a manifest can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// It says the same to everybody, and nothing of promotions.
    Plain,
    /// It names promotions somewhere.
    OfPromotions,
    /// It is no JSON, or two readers may understand two things.
    Ambiguous,
}

impl Reading {
    /// Of a manifest's bytes.
    pub fn of(manifest: &[u8]) -> Self {
        serde_json::from_slice::<Found>(manifest).map_or(Self::Ambiguous, |found| found.0)
    }
}

struct Found(Reading);

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Walk { free_names: false }.deserialize(deserializer).map(Self)
    }
}

/// Looks at every string. `free_names` where the keys of an object are names that people give, which readers
/// take as they are: annotations.
#[derive(Clone, Copy)]
struct Walk {
    free_names: bool,
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = Reading;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Reading, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = Reading;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Reading, E> {
        Ok(Reading::Plain)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Reading, E> {
        Ok(Reading::Plain)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Reading, E> {
        Ok(Reading::Plain)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Reading, E> {
        Ok(Reading::Plain)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Reading, E> {
        Ok(Reading::Plain)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Reading, E> {
        let is_of_records = text.to_lowercase().contains(OF_RECORDS);
        Ok(if is_of_records { Reading::OfPromotions } else { Reading::Plain })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Reading, A::Error> {
        let mut all = Reading::Plain;
        while let Some(one) = list.next_element_seed(Self { free_names: false })? {
            all = all.max(one);
        }
        Ok(all)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reading, A::Error> {
        let mut all = Reading::Plain;
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            all = all.max(self.visit_str(&key)?);
            let inner = Self { free_names: key == "annotations" };
            let is_new = keys.insert(if self.free_names { key } else { folded(&key) });
            if !is_new {
                all = Reading::Ambiguous;
            }
            all = all.max(map.next_value_seed(inner)?);
        }
        Ok(all)
    }
}

/// A key as readers see it that do not mind its case: `ſ` is an `s` then, and the sign for Kelvin a `k`.
fn folded(key: &str) -> String {
    key.to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_known_in_any_dress_and_what_is_said_twice_is_ambiguous() {
        for (manifest, expected) in [
            (r#"{"artifactType":"x","config":{"mediaType":"y"},"layers":[{"size":1}]}"#, Reading::Plain),
            (r#"{"annotations":{"Name":"a","name":"b"},"config":null,"x":[true,-1,1.5]}"#, Reading::Plain),
            (r#"{"artifactType":"application/vnd.xtask.promotion.v1+json"}"#, Reading::OfPromotions),
            (r#"{"Config":{"mediaType":"application/vnd.XTASK.promotion.v1+json"}}"#, Reading::OfPromotions),
            (r#"{"artifactType":"application/vnd.\u0078task.promotion\u002ev1"}"#, Reading::OfPromotions),
            (r#"{"annotations":{"xtask.promotion.to":"staging"}}"#, Reading::OfPromotions),
            (r#"{"layers":[[{"a":"xtask.promotion-begun"}]]}"#, Reading::OfPromotions),
            (r#"{"config":{},"Config":{}}"#, Reading::Ambiguous),
            (r#"{"config":{},"config":{}}"#, Reading::Ambiguous),
            (r#"{"config":{"mediaType":"a","mediatype":"b"}}"#, Reading::Ambiguous),
            ("{\"subject\":{},\"\u{17f}ubject\":{}}", Reading::Ambiguous),
            ("{\"x-k\":{},\"x-\u{212a}\":{}}", Reading::Ambiguous),
            (r#"{"annotations":{"name":"a","name":"b"}}"#, Reading::Ambiguous),
            (r#"{"annotations":{},"Annotations":{}}"#, Reading::Ambiguous),
            (r#"{"a":"\ud800"}"#, Reading::Ambiguous),
            ("{} {}", Reading::Ambiguous),
            ("[", Reading::Ambiguous),
        ] {
            assert_eq!(Reading::of(manifest.as_bytes()), expected, "{manifest}");
        }
    }

    #[test]
    fn what_lies_too_deep_is_not_followed() {
        let deep = "[".repeat(100_000);
        assert_eq!(Reading::of(deep.as_bytes()), Reading::Ambiguous);
    }
}
