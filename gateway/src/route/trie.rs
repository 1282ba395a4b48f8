//! The paths of one host as a tree of segments.

use std::collections::HashMap;

use crate::settings::{MAX_PARAMETERS, PathMatch, Segment};

/// Positions of the parameters of a template in a path, in the order of the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parameters {
    spans: [(u32, u32); MAX_PARAMETERS],
    len: usize,
}

impl Parameters {
    fn push(&mut self, start: usize, end: usize) {
        if let Some(span) = self.spans.get_mut(self.len) {
            let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
            *span = (offset(start), offset(end));
            self.len += 1;
        }
    }

    /// The parameter at this index of the template, in the path that was matched.
    pub fn get<'p>(&self, place: usize, path: &'p str) -> Option<&'p str> {
        let &(start, end) = self.spans[..self.len].get(place)?;
        path.get(start as usize..end as usize)
    }
}

/// A segment and its descendants. `T` is the value of a complete path.
#[derive(Debug)]
pub struct Node<T> {
    /// Boxed, since most segments are the last of their path.
    #[expect(clippy::box_collection, reason = "a pointer in place of the six words of a map")]
    literals: Option<Box<HashMap<Box<str>, Node<T>>>>,
    parameter: Option<Box<Node<T>>>,
    /// The value of the path that ends here.
    here: Option<T>,
    /// The value of `{*rest}` below this segment.
    rest: Option<T>,
    /// The value of this path and every path below it.
    prefix: Option<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literals: None, parameter: None, here: None, rest: None, prefix: None }
    }
}

impl<T: Default> Node<T> {
    /// The entry of a path, created if it does not exist.
    pub fn entry(&mut self, path: &PathMatch) -> &mut T {
        match path {
            PathMatch::Prefix(prefix) => self.literal(prefix).prefix.get_or_insert_default(),
            PathMatch::Exact(path) => self.literal(path).here.get_or_insert_default(),
            PathMatch::Template(segments) => {
                let mut node = self;
                for segment in segments {
                    node = match segment {
                        Segment::Literal(text) => node.below(text),
                        Segment::Parameter(_) => node.parameter.get_or_insert_default(),
                        Segment::Rest(_) => return node.rest.get_or_insert_default(),
                    };
                }
                node.here.get_or_insert_default()
            }
        }
    }

    fn literal(&mut self, path: &str) -> &mut Self {
        let segments = path.split('/').skip(1);
        segments.fold(self, Self::below)
    }

    fn below(&mut self, segment: &str) -> &mut Self {
        self.literals.get_or_insert_default().entry(segment.into()).or_default()
    }
}

impl<T> Node<T> {
    /// Passes the matching entries to `accept`, the most specific first, until it returns a value.
    pub fn find<'t, R>(
        &'t self,
        path: &str,
        accept: &mut impl FnMut(&'t T, &Parameters) -> Option<R>,
    ) -> Option<R> {
        // `*` of OPTIONS means the whole server: only a route for every path matches.
        let rest = if path.starts_with('/') { Some(1) } else { None };
        if rest.is_none() {
            return self.prefix.as_ref().and_then(|entry| accept(entry, &Parameters::default()));
        }
        self.walk(path, rest, Parameters::default(), accept)
    }

    /// `rest` is the start of the next segment, if there is one.
    fn walk<'t, R>(
        &'t self,
        path: &str,
        rest: Option<usize>,
        parameters: Parameters,
        accept: &mut impl FnMut(&'t T, &Parameters) -> Option<R>,
    ) -> Option<R> {
        if let Some(start) = rest {
            let tail = path.get(start..)?;
            let end = tail.find('/').map_or(path.len(), |slash| start + slash);
            let next = (end < path.len()).then_some(end + 1);
            let segment = path.get(start..end)?;
            if let Some(node) = self.literals.as_ref().and_then(|literals| literals.get(segment))
                && let Some(found) = node.walk(path, next, parameters, accept)
            {
                return Some(found);
            }
            if let Some(node) = &self.parameter
                && !segment.is_empty()
            {
                let mut parameters = parameters;
                parameters.push(start, end);
                if let Some(found) = node.walk(path, next, parameters, accept) {
                    return Some(found);
                }
            }
            if let Some(entry) = &self.rest {
                let mut parameters = parameters;
                parameters.push(start, path.len());
                if let Some(found) = accept(entry, &parameters) {
                    return Some(found);
                }
            }
        } else if let Some(entry) = &self.here
            && let Some(found) = accept(entry, &parameters)
        {
            return Some(found);
        }
        self.prefix.as_ref().and_then(|entry| accept(entry, &parameters))
    }
}
