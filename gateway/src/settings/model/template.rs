//! Texts with variables, such as `{client.ip}`.

/// A text with variables, parsed when the settings are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// Its parts in order; there are no two adjacent texts.
    pub parts: Vec<Part>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A literal text.
    Text(String),
    /// The value of a variable.
    Variable(Variable),
}

/// A variable of a template. A missing value is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// `{client.ip}`: the client's address, as in the access log.
    ClientIp,
    /// `{request.id}`: the request id.
    RequestId,
    /// `{host}`: the host of the request in lower case, without port.
    Host,
    /// `{path}`: the path as forwarded without a rewrite.
    Path,
    /// `{query}`: the query without the leading `?`.
    Query,
    /// `{scheme}`: the client's scheme, `http` or `https`.
    Scheme,
    /// `{method}`: the method.
    Method,
    /// `{route}`: the name of the route.
    Route,
    /// `{param.NAME}`: a parameter of the route's path template, as in the canonical path.
    Parameter(String),
    /// `{header.NAME}`: the first header field of this name, in lower case.
    Header(String),
}

/// A mistake in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Its offset in characters.
    pub offset: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl std::fmt::Display for TemplateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TemplateError {}

const VARIABLES: [(&str, Variable); 8] = [
    ("client.ip", Variable::ClientIp),
    ("request.id", Variable::RequestId),
    ("host", Variable::Host),
    ("path", Variable::Path),
    ("query", Variable::Query),
    ("scheme", Variable::Scheme),
    ("method", Variable::Method),
    ("route", Variable::Route),
];

impl Template {
    /// Parses a template. `{{` and `}}` are escaped braces.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] for an unmatched brace and for an unknown variable.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut characters = text.char_indices().enumerate().peekable();
        while let Some((offset, (at, character))) = characters.next() {
            let doubled =
                |next: Option<&(usize, (usize, char))>| next.is_some_and(|&(_, (_, next))| next == character);
            match character {
                '{' | '}' if doubled(characters.peek()) => {
                    characters.next();
                    literal.push(character);
                }
                '{' => {
                    let Some(name) = text.get(at + 1..).and_then(|rest| rest.split_once('}')) else {
                        let text =
                            "'{' is not closed; write '}' behind the name, or '{{' for a brace".to_owned();
                        return Err(TemplateError { offset, text });
                    };
                    let name = name.0;
                    let variable = variable(name).map_err(|text| TemplateError { offset, text })?;
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Variable(variable));
                    characters.nth(name.chars().count());
                }
                '}' => {
                    let text = "'}' closes nothing; write '}}' for a brace".to_owned();
                    return Err(TemplateError { offset, text });
                }
                _ => literal.push(character),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// Appends the text with the values of its variables, which are written by `value`.
    pub fn write(&self, out: &mut Vec<u8>, mut value: impl FnMut(&Variable, &mut Vec<u8>)) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(variable) => value(variable, out),
            }
        }
    }

    /// Its variables.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable),
            Part::Text(_) => None,
        })
    }

    /// Its texts.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Variable(_) => None,
        })
    }
}

/// Whether this is a valid name of a path parameter.
pub fn is_parameter(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn variable(name: &str) -> Result<Variable, String> {
    if let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == name) {
        return Ok(variable.clone());
    }
    match name.split_once('.') {
        Some(("param", name)) if is_parameter(name) => return Ok(Variable::Parameter(name.to_owned())),
        Some(("header", name)) if crate::http::token::is_token(name.as_bytes()) => {
            return Ok(Variable::Header(name.to_ascii_lowercase()));
        }
        _ => {}
    }
    let shown = name.escape_debug();
    let known = VARIABLES.iter().map(|(known, _)| *known);
    Err(match crate::settings::units::nearest(name, known.clone()) {
        Some(near) => format!("there is no variable '{shown}'; did you mean '{near}'?"),
        None => format!(
            "there is no variable '{shown}'; known are: {}, param.NAME, header.NAME",
            known.collect::<Vec<_>>().join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::{Template, Variable};

    #[test]
    fn templates_are_written_with_values() {
        let table = [
            ("", ""),
            ("plain", "plain"),
            ("{client.ip}", "<ClientIp>"),
            ("a{host}b{path}", "a<Host>b<Path>"),
            ("{param.id}{header.X-A}", "<Parameter(\"id\")><Header(\"x-a\")>"),
            ("{{{route}}}", "{<Route>}"),
            ("{{}}é{query}", "{}é<Query>"),
            ("{scheme}://{method}", "<Scheme>://<Method>"),
        ];
        for (text, expected) in table {
            let template = Template::parse(text).expect(text);
            let mut out = Vec::new();
            template.write(&mut out, |variable: &Variable, out: &mut Vec<u8>| {
                out.extend_from_slice(format!("<{variable:?}>").as_bytes());
            });
            assert_eq!(String::from_utf8_lossy(&out), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_found_where_they_are() {
        let table = [
            ("{", 0, "is not closed"),
            ("é{host", 1, "is not closed"),
            ("a}", 1, "closes nothing"),
            ("{host}}", 6, "closes nothing"),
            ("éé{hots}", 2, "did you mean 'host'?"),
            ("{}", 0, "there is no variable ''"),
            ("{param.}", 0, "there is no variable 'param.'"),
            ("{param.a\0}", 0, "there is no variable 'param.a\\0'"),
            ("{header.a b}", 0, "there is no variable 'header.a b'"),
            ("{a{b}", 0, "there is no variable 'a{b'"),
        ];
        for (text, offset, expected) in table {
            let error = Template::parse(text).expect_err(text);
            assert!(error.offset == offset && error.text.contains(expected), "{text} {error:?}");
        }
    }
}
