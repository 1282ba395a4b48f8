//! Templates of the settings, compiled for a route and rendered for a request.

use super::forwarded;
use crate::exchange::{Exchange, Request};
use crate::http::token::is_field_value;
use crate::route::Parameters;
use crate::settings::{self, PathMatch, Segment, Variable};

/// What the variables of a template stand for in one exchange.
///
/// No value holds CR, LF or NUL, so that each may stand in a field: addresses, ids and schemes are
/// the gateway's own; methods, hosts, paths and queries were checked when the target was read, which
/// refuses control characters also where they are percent-encoded in a host or path, and nothing is
/// decoded after that; the codecs refuse fields with such bytes.
#[derive(Debug, Clone, Copy)]
pub struct Values<'e> {
    /// The request.
    pub request: &'e Request,
    /// Where the parameters of the route stand in the canonical path.
    pub parameters: &'e Parameters,
    /// The address of the client in text.
    pub client: &'e str,
    /// The name of the request.
    pub id: &'e [u8],
    /// `http` or `https`, as the client used it.
    pub scheme: &'static str,
}

impl<'e> Values<'e> {
    /// The values of an exchange.
    pub fn of(exchange: &'e Exchange<'_>) -> Self {
        Self {
            request: exchange.request,
            parameters: &exchange.parameters,
            client: &exchange.client,
            id: &exchange.id,
            scheme: forwarded::scheme(&exchange.request.fields, exchange.peer),
        }
    }
}

/// A template for the requests of one route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// Its pieces in order.
    pub parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// This very text.
    Text(String),
    /// The address of the client.
    ClientIp,
    /// The name of the request.
    RequestId,
    /// The host in lower case, without port.
    Host,
    /// The path as it is forwarded without a rewrite.
    Path,
    /// The query without its `?`.
    Query,
    /// `http` or `https`, as the client used it.
    Scheme,
    /// The method.
    Method,
    /// The parameter at this place of the route's path template, as it stands in the canonical path.
    Parameter(usize),
    /// The first field of the request of this name.
    Header(String),
}

impl Template {
    /// Compiles a template for a route.
    pub fn compile(template: &settings::Template, route: &settings::Route) -> Self {
        let part = |part: &settings::Part| match part {
            settings::Part::Text(text) => Part::Text(text.clone()),
            settings::Part::Variable(variable) => Part::compile(variable, route),
        };
        Self { parts: template.parts.iter().map(part).collect() }
    }

    /// Appends the text with the values of its variables.
    pub fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        for part in &self.parts {
            part.render(values, out);
        }
    }
}

impl Part {
    fn compile(variable: &Variable, route: &settings::Route) -> Self {
        match variable {
            Variable::ClientIp => Self::ClientIp,
            Variable::RequestId => Self::RequestId,
            Variable::Host => Self::Host,
            Variable::Path => Self::Path,
            Variable::Query => Self::Query,
            Variable::Scheme => Self::Scheme,
            Variable::Method => Self::Method,
            // A name may be made of conditions, in which anything may stand.
            Variable::Route => {
                let fits = |character: &char| u8::try_from(*character).map_or(true, is_field_value);
                Self::Text(route.name.chars().filter(fits).collect())
            }
            // The settings know the name, or they are refused.
            Variable::Parameter(name) => Self::Parameter(place(&route.path, name).unwrap_or(usize::MAX)),
            Variable::Header(name) => Self::Header(name.clone()),
        }
    }

    /// Appends the piece, or the value for which it stands.
    pub fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        let target = &values.request.target;
        let value = match self {
            Self::Text(text) => text.as_bytes(),
            Self::ClientIp => values.client.as_bytes(),
            Self::RequestId => values.id,
            Self::Host => target.host.as_bytes(),
            Self::Path => target.path.forwarded().as_bytes(),
            Self::Query => target.query().unwrap_or_default().as_bytes(),
            Self::Scheme => values.scheme.as_bytes(),
            Self::Method => values.request.method.as_str().as_bytes(),
            Self::Parameter(place) => {
                values.parameters.get(*place, target.path.as_str()).unwrap_or_default().as_bytes()
            }
            Self::Header(name) => values.request.fields.named(name.as_bytes()).next().unwrap_or_default(),
        };
        out.extend_from_slice(value);
    }
}

/// The place of a parameter among those of a path template.
fn place(path: &PathMatch, wanted: &str) -> Option<usize> {
    let PathMatch::Template(segments) = path else { return None };
    let names = segments.iter().filter_map(|segment| match segment {
        Segment::Parameter(name) | Segment::Rest(name) => Some(name),
        Segment::Literal(_) => None,
    });
    names.into_iter().position(|name| name == wanted)
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Template, Values};
    use crate::exchange::Request;
    use crate::http::fields::Fields;
    use crate::route::{Lookup, Parameters, Table};
    use crate::settings::{self, PathMatch, Route, Segment};

    /// A route with the path template `/u/{id}/{*rest}`.
    pub fn route() -> Route {
        let path = PathMatch::Template(vec![
            Segment::Literal("u".to_owned()),
            Segment::Parameter("id".to_owned()),
            Segment::Rest("rest".to_owned()),
        ]);
        Route { name: "r\r\né".to_owned(), path, ..Route::default() }
    }

    /// A template for that route.
    pub fn template(text: &str) -> Template {
        Template::compile(&settings::Template::parse(text).expect(text), &route())
    }

    /// A request for that route, with its parameters.
    pub fn request(target: &str) -> (Request, Parameters) {
        let mut request = Request::default();
        request.target.read_http1(b"GET", target.as_bytes(), Some(b"A.com:81"), false).expect(target);
        request.fields.push(b"X-A", b"one");
        request.fields.push(b"x-a", b"two");
        let table: Table<()> = [(&route(), ())].into_iter().collect();
        let (fields, path) = (Fields::new(), request.target.path.as_str());
        let lookup = Lookup { host: "a.com", path, query: None, method: &request.method, fields: &fields };
        let parameters = table.find(&lookup).map(|found| found.parameters()).unwrap_or_default();
        (request, parameters)
    }

    /// The values of such a request.
    pub fn values<'e>(request: &'e Request, parameters: &'e Parameters) -> Values<'e> {
        Values { request, parameters, client: "192.0.2.1", id: b"0a1b", scheme: "https" }
    }

    #[test]
    fn variables_have_their_values() {
        let table = [
            ("{client.ip} {request.id}", "192.0.2.1 0a1b"),
            ("{scheme}://{host}{path}?{query}", "https://a.com/u/7%20x/a/b?q=%0d%0a"),
            ("{method}", "GET"),
            // Control characters of a name do not reach a field.
            ("{route}", "ré"),
            ("{param.id}", "7%20x"),
            ("{param.rest}-{param.id}", "a/b-7%20x"),
            ("[{header.X-A}{header.x-none}]", "[one]"),
            ("{{}}", "{}"),
        ];
        let (request, parameters) = request("/u/./7%20x//a/b?q=%0d%0a");
        for (text, expected) in table {
            let mut out = Vec::new();
            template(text).render(&values(&request, &parameters), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{text}");
        }
    }
}
