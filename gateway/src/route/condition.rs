//! Conditions on header fields and query parameters.

use crate::http::fields::Fields;
use crate::http::query;
use crate::settings::{Condition, Test};

/// Whether the fields satisfy the conditions.
pub fn headers_hold(conditions: &[Condition], fields: &Fields) -> bool {
    conditions.iter().all(|condition| {
        let first = fields.named(condition.name.as_bytes()).next();
        match &condition.test {
            Test::Is(text) => first == Some(text.as_bytes()),
            Test::Present => first.is_some(),
            Test::Absent => first.is_none(),
        }
    })
}

/// Whether the query satisfies the conditions. Names and values are compared decoded, with `+` for a space.
pub fn query_holds(conditions: &[Condition], query: Option<&str>) -> bool {
    conditions.iter().all(|condition| {
        let first = query::first(query.unwrap_or(""), &condition.name);
        match &condition.test {
            Test::Is(text) => first.is_some_and(|value| query::decoded(value).eq(text.bytes())),
            Test::Present => first.is_some(),
            Test::Absent => first.is_none(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{headers_hold, query_holds};
    use crate::http::fields::Fields;
    use crate::settings::{Condition, Test};

    fn condition(name: &str, test: &Test) -> [Condition; 1] {
        [Condition { name: name.to_owned(), test: test.clone() }]
    }

    fn is(text: &str) -> Test {
        Test::Is(text.to_owned())
    }

    #[test]
    fn field_conditions_are_checked() {
        let mut fields = Fields::new();
        fields.push(b"X-Env", b"beta");
        fields.push(b"x-env", b"other");
        let table = [
            ("x-env", is("beta"), true),
            ("x-env", is("other"), false),
            ("x-env", Test::Present, true),
            ("x-env", Test::Absent, false),
            ("x-no", is(""), false),
            ("x-no", Test::Present, false),
            ("x-no", Test::Absent, true),
        ];
        for (name, test, expected) in table {
            assert_eq!(headers_hold(&condition(name, &test), &fields), expected, "{name} {test:?}");
        }
    }

    #[test]
    fn query_conditions_are_checked() {
        let table = [
            (Some("a=1&b=2"), "b", is("2"), true),
            (Some("a=1&a=2"), "a", is("1"), true),
            (Some("a=1&a=2"), "a", is("2"), false),
            (Some("a=x%20y"), "a", is("x y"), true),
            (Some("a=x+y"), "a", is("x y"), true),
            (Some("%61=x"), "a", is("x"), true),
            (Some("a=%zz%4"), "a", is("%zz%4"), true),
            (Some("a"), "a", is(""), true),
            (Some("a"), "a", Test::Present, true),
            (Some("ab=1"), "a", Test::Present, false),
            (Some(""), "a", Test::Absent, true),
            (None, "a", Test::Absent, true),
            (None, "a", Test::Present, false),
            (Some("a=1=2"), "a", is("1=2"), true),
        ];
        for (query, name, test, expected) in table {
            assert_eq!(query_holds(&condition(name, &test), query), expected, "{query:?} {name} {test:?}");
        }
    }
}
