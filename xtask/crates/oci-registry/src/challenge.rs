//! How a server says what it wants to be shown: `WWW-Authenticate` (RFC 9110, section 11.6.1).

/// One scheme with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// The scheme in lower case: `bearer`, `basic`.
    pub(super) scheme: String,
    params: Vec<(String, String)>,
}

impl Challenge {
    /// The value of a parameter, by its name in lower case.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// All challenges in one header value. What cannot be read is passed over, as are schemes' token68
/// forms, which no registry uses.
pub(super) fn parse(value: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            match rest.char_indices().nth(1) {
                Some((next, _)) => rest = &rest[next..],
                None => return challenges,
            }
            continue;
        }
        let after_space = after.trim_start_matches([' ', '\t']);
        match after_space.strip_prefix('=') {
            // `name=value` belongs to the challenge before it.
            Some(text) if !text.starts_with('=') => {
                let (value, after_value) = param_value(text.trim_start_matches([' ', '\t']));
                if let Some(challenge) = challenges.last_mut() {
                    challenge.params.push((word.to_ascii_lowercase(), value));
                }
                rest = after_value;
            }
            _ => {
                challenges.push(Challenge { scheme: word.to_ascii_lowercase(), params: Vec::new() });
                rest = after;
            }
        }
    }
}

/// The leading token (RFC 9110, section 5.6.2) and what follows it.
fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

/// A token or a quoted string, and what follows it. A quote that never closes ends with the text.
fn param_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        // Some servers leave the quotes out around URLs and scopes.
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Vec<String> {
        let param = |(name, value): &(String, String)| format!(" {name}<{value}>");
        let one = |c: &Challenge| format!("{}{}", c.scheme, c.params.iter().map(param).collect::<String>());
        parse(value).iter().map(one).collect()
    }

    #[test]
    fn challenges_are_told_apart_from_their_parameters() {
        let cases: [(&str, &[&str]); 13] = [
            ("", &[]),
            ("Basic", &["basic"]),
            (r#"Basic realm="a""#, &["basic realm<a>"]),
            (
                r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull""#,
                &["bearer realm<https://ghcr.io/token> service<ghcr.io> scope<repository:user/image:pull>"],
            ),
            (
                r#"Bearer realm="https://r/t?a=1,b" , scope="repository:a:pull,push", error="invalid_token""#,
                &["bearer realm<https://r/t?a=1,b> scope<repository:a:pull,push> error<invalid_token>"],
            ),
            (
                r#"Basic realm="x", Bearer realm="y",service=z"#,
                &["basic realm<x>", "bearer realm<y> service<z>"],
            ),
            (r#"Negotiate, Basic realm="x""#, &["negotiate", "basic realm<x>"]),
            ("Bearer realm=https://r/t,service=s", &["bearer realm<https://r/t> service<s>"]),
            (r#"bearer REALM = "a""#, &["bearer realm<a>"]),
            (r#"Basic realm="a \"b\", c\\""#, &[r#"basic realm<a "b", c\>"#]),
            (r#"Basic realm="open, Bearer x=y"#, &["basic realm<open, Bearer x=y>"]),
            (r#"realm="a""#, &[]),
            (r#"é Basic realm="a""#, &["basic realm<a>"]),
        ];
        for (value, expected) in cases {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn a_parameter_is_found_by_name() {
        let challenge = &parse(r#"Bearer realm="r", realm="second""#)[0];
        assert_eq!((challenge.param("realm"), challenge.param("scope")), (Some("r"), None));
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for text in ["=", "==", "\"", ",,,", "a=", "Basic a==", "Basic =", "\\", "a=\"\\", "Bearer \u{1}é=é"]
        {
            parse(text);
        }
    }
}
