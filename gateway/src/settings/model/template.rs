//! Texts with variables, such as `{client.ip}`.

/// A text with variables, parsed when the settings are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// Its pieces in order; no two texts stand side by side.
    pub parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// This very text.
    Text(String),
    /// The value of a variable.
    Variable(Variable),
}

/// A variable of a template. What is not there gives nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// `{client.ip}`: the address of the client, as the access log has it.
    ClientIp,
    /// `{request.id}`: the name of the request.
    RequestId,
    /// `{host}`: the host of the request in lower case, without port.
    Host,
    /// `{path}`: the canonical path.
    Path,
    /// `{query}`: the query without its `?`.
    Query,
    /// `{scheme}`: `http` or `https`, as the client used it.
    Scheme,
    /// `{method}`: the method.
    Method,
    /// `{route}`: the name of the route.
    Route,
    /// `{param.NAME}`: a parameter of the route's path template, as it stands in the canonical
    /// path.
    Parameter(String),
    /// `{header.NAME}`: the first field of the request of this name, which is in lower case.
    Header(String),
}
