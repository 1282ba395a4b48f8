//! Values that must never be shown.

use std::fmt;

/// A password or token; prints as `***` in every form.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Guards `value`, without the line break that shells and files put behind it.
    pub fn new(value: impl Into<String>) -> Self {
        let mut value = value.into();
        value.truncate(value.trim_end_matches(['\n', '\r']).len());
        Self(value)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value itself, for the request that needs it and nothing else.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence of the value replaced, for servers that repeat what they were sent.
    pub(super) fn scrub(&self, text: &str) -> String {
        // Shorter ones would blank out ordinary words and hide nothing.
        if self.0.len() < 8 { text.to_owned() } else { text.replace(&self.0, "***") }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_shows_the_value() {
        let secret = Secret::new("hunter2-hunter2\r\n");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
        assert_eq!(secret.expose(), "hunter2-hunter2");
        assert_eq!(secret.scrub("you sent hunter2-hunter2!"), "you sent ***!");
        assert_eq!(Secret::new("a").scrub("banana"), "banana");
    }
}
