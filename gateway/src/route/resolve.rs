//! Matches a request to its route, and applies the route's path policy.

use std::fmt;

use http::{Method, StatusCode};

use super::miss::Miss;
use super::table::{Lookup, Match, Table};
use crate::http::fields::Fields;
use crate::http::name::Name;
use crate::http::target::Target;
use crate::http::{Failure, Rejection, Source, path};

/// A request without a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// No route matches.
    Miss(Miss),
    /// The path policy of the route refuses the path.
    Path(Rejection),
}

impl<T> Table<T> {
    /// The route of a request. Its policy is applied to the path of the target, which may change; the
    /// parameters refer to the changed path.
    ///
    /// A decoded path must match the route that decoded it or one that decodes equally, so that no request
    /// reaches a path with the policy of another route.
    ///
    /// # Errors
    ///
    /// [`Refused`] if there is no route, or its policy refuses the path.
    pub fn resolve(
        &self,
        target: &mut Target,
        method: &Method,
        fields: &Fields,
    ) -> Result<Match<'_, T>, Refused> {
        let first = self.find_target(target, method, fields)?;
        if !target.path.settle(first.policy()).map_err(Refused::Path)? {
            return Ok(first);
        }
        let second = self.find_target(target, method, fields)?;
        let separators = |found: &Match<'_, T>| (found.policy().encoded_slash, found.policy().backslash);
        if separators(&first) != separators(&second) {
            return Err(Refused::Path(path::AMBIGUOUS));
        }
        target.path.settle(second.policy()).map_err(Refused::Path)?;
        Ok(second)
    }

    fn find_target(
        &self,
        target: &Target,
        method: &Method,
        fields: &Fields,
    ) -> Result<Match<'_, T>, Refused> {
        self.find(&Lookup {
            host: &target.host,
            path: target.path.as_str(),
            query: target.query(),
            method,
            fields,
        })
        .map_err(Refused::Miss)
    }
}

impl Refused {
    fn inner(&self) -> &dyn Failure {
        match self {
            Self::Miss(miss) => miss,
            Self::Path(rejection) => rejection,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.public())
    }
}

impl std::error::Error for Refused {}

impl Failure for Refused {
    fn origin(&self) -> Source {
        self.inner().origin()
    }

    fn status(&self) -> StatusCode {
        self.inner().status()
    }

    fn reason(&self) -> &'static str {
        self.inner().reason()
    }

    fn public(&self) -> &'static str {
        self.inner().public()
    }

    fn ends_connection(&self) -> bool {
        self.inner().ends_connection()
    }

    fn field(&self) -> Option<(Name, String)> {
        self.inner().field()
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use crate::http::Failure;
    use crate::http::fields::Fields;
    use crate::http::path::{DoubleSlash, Policy, Semicolon, Separator};
    use crate::http::target::Target;
    use crate::route::Table;
    use crate::settings::{PathMatch, Route};

    #[test]
    fn decoded_path_is_matched_again() {
        let decode = Policy { encoded_slash: Separator::Decode, ..Policy::default() };
        let keep = Policy { encoded_slash: Separator::Keep, semicolon: Semicolon::Keep, ..Policy::default() };
        let doubled = Policy { double_slash: DoubleSlash::Keep, ..decode };
        let route = |prefix: &str, path_policy| Route {
            path: PathMatch::Prefix(prefix.to_owned()),
            path_policy,
            ..Route::default()
        };
        let routes = [
            route("/a", decode),
            route("/a/open", decode),
            route("/a/secret", Policy::default()),
            route("/k", keep),
            route("/d", doubled),
        ];
        let table: Table<&str> = routes.iter().zip(["a", "open", "secret", "k", "d"]).collect();
        let rows = [
            // The policy is that of the route of the encoded form.
            ("/a%2Fx", Err("no_route")),
            ("/a/x%2fy", Ok(("a", "/a/x/y"))),
            ("/a/open%2Fx", Ok(("open", "/a/open/x"))),
            ("/a%2Fsecret", Err("no_route")),
            ("/a/secret%2Fx", Err("path_ambiguous")),
            ("/a/x;y", Err("path_ambiguous")),
            ("/k/x%2fy;z", Ok(("k", "/k/x%2Fy;z"))),
            ("/k%2Fx", Err("no_route")),
            ("/a%2F..%2Fk", Err("path_ambiguous")),
            ("/d//x%2F%2Fy", Ok(("d", "/d//x//y"))),
            ("/a/x//y", Ok(("a", "/a/x/y"))),
        ];
        for (path, expected) in rows {
            let mut target = Target::default();
            let found = target
                .read_http1(b"GET", path.as_bytes(), Some(b"a"), false)
                .map_err(|refused| refused.reason)
                .and_then(|()| {
                    table
                        .resolve(&mut target, &Method::GET, &Fields::new())
                        .map(|found| *found.route)
                        .map_err(|refused| refused.reason())
                })
                .map(|route| (route, target.path.forwarded()));
            assert_eq!(found, expected, "{path}");
        }
    }
}
