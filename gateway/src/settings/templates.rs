//! Reads templates and checks them for their use.

use super::kinds::{Kind, Parsed, Slot, Value};
use super::paths::has_parameter;
use super::report::{Placed, Report};
use super::{Part, PathMatch, Template, Variable};
use crate::http::path::Path;
use crate::http::token::{is_field_value, is_unreserved};
use crate::json::Json;

/// The use of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The value of a field.
    Field,
    /// A path, with a query after `?`.
    Path,
    /// A host, with or without port.
    Host,
}

/// The context of a template.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The path of the route, which defines the parameters; `None` if it is invalid.
    pub path: Option<&'a PathMatch>,
    /// The use of the template.
    pub place: Use,
}

/// A template in this context.
pub fn template<'a>(
    label: &'static str,
    scope: Scope<'a>,
) -> Parsed<impl Fn(&Placed<String>, &Report<'_>) -> Option<Template> + 'a> {
    let read = move |text: &Placed<String>, report: &Report<'_>| read(text, scope, report);
    Parsed { label, pattern: None, read }
}

/// A field value, which may be empty.
#[derive(Debug, Clone, Copy)]
pub struct FieldValue<'a>(Scope<'a>);

/// A field value in this context.
pub fn field_value(scope: Scope<'_>) -> FieldValue<'_> {
    FieldValue(scope)
}

impl Kind for FieldValue<'_> {
    type Value = Template;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<Template> {
        let Some(text) = value.get_ref().as_str() else {
            slot.wrong(value, "a text");
            return None;
        };
        read(&Placed { value: text.to_owned(), span: value.span() }, self.0, slot.report)
    }

    fn label(&self) -> String {
        "template".to_owned()
    }

    fn schema(&self) -> Json {
        Json::object([("type", Json::text("string"))])
    }
}

/// Parses and checks a template.
pub fn read(text: &Placed<String>, scope: Scope<'_>, report: &Report<'_>) -> Option<Template> {
    let template = match Template::parse(&text.value) {
        Ok(template) => template,
        Err(error) => {
            report.add_within(text, error.offset, error.text);
            return None;
        }
    };
    let before = report.count();
    for variable in template.variables() {
        if let (Variable::Parameter(name), Some(path)) = (variable, scope.path)
            && !matches!(path, PathMatch::Template(segments) if has_parameter(segments, name))
        {
            let shown = name.escape_debug();
            report.add(&text.span, format!("the path of the route has no parameter '{shown}'"));
        }
    }
    if let Err(problem) = fits(&template, scope.place) {
        report.add(&text.span, problem);
    }
    (report.count() == before).then_some(template)
}

fn fits(template: &Template, place: Use) -> Result<(), &'static str> {
    match place {
        Use::Field if !template.texts().flat_map(str::bytes).all(is_field_value) => {
            Err("a field holds no control characters; remove them")
        }
        Use::Field => Ok(()),
        Use::Path => path_fits(template),
        Use::Host => {
            let good = |byte: u8| is_unreserved(byte) || matches!(byte, b':' | b'[' | b']');
            let host = |variable: &Variable| *variable == Variable::Host;
            if !template.texts().flat_map(str::bytes).all(good) || !template.variables().all(host) {
                return Err("a host holds letters, digits, '-', '.' and ':', and the variable host");
            }
            Ok(())
        }
    }
}

/// Before `?` only variables from the canonical path are allowed, which has no dot segments.
fn path_fits(template: &Template) -> Result<(), &'static str> {
    match template.parts.first() {
        Some(Part::Text(text)) if text.starts_with('/') => {}
        Some(Part::Variable(Variable::Path)) => {}
        _ => return Err("a path begins with '/' or '{path}'"),
    }
    let mut in_query = false;
    // The path with a plain segment for each variable, to check whether it is canonical.
    let mut plain = String::new();
    for part in &template.parts {
        match part {
            Part::Text(text) => {
                if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\') {
                    return Err(
                        "a path holds no spaces, '#', '\\' and letters beyond ASCII; percent-encode them",
                    );
                }
                let path = if in_query { "" } else { text.split('?').next().unwrap_or(text) };
                if path.split('/').any(|segment| matches!(segment, "." | "..")) || path.contains("//") {
                    return Err("a path holds no dot segments and no '//'; remove them");
                }
                plain.push_str(path);
                in_query |= text.contains('?');
            }
            Part::Variable(_) if in_query => {}
            Part::Variable(Variable::Path) if !plain.ends_with('/') => plain.push_str("/x"),
            Part::Variable(Variable::Path | Variable::Parameter(_)) => plain.push('x'),
            Part::Variable(_) => {
                return Err("before '?' a path has the variables path and param.NAME only");
            }
        }
    }
    let mut canonical = Path::default();
    if canonical.read(plain.as_bytes()).is_err() || canonical.as_str() != plain {
        return Err(
            "a path is written in its canonical form: percent-encode only what needs it, in upper case",
        );
    }
    Ok(())
}
