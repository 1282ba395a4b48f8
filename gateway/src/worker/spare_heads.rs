//! Spare message heads, so that an idle connection has none.

use std::cell::RefCell;

use crate::http::heads::{Request, Response};

/// Maximum number of spare heads of each kind.
const MAX_SPARE: usize = 256;

/// The spare heads of one worker. They are boxed, so that passing them on does not copy them.
#[derive(Debug, Default)]
#[allow(clippy::vec_box)]
pub struct SpareHeads {
    requests: RefCell<Vec<Box<Request>>>,
    responses: RefCell<Vec<Box<Response>>>,
}

#[allow(clippy::unnecessary_box_returns)]
impl SpareHeads {
    /// An empty request head.
    pub fn take_request(&self) -> Box<Request> {
        self.requests.borrow_mut().pop().unwrap_or_default()
    }

    /// An empty response head.
    pub fn take_response(&self) -> Box<Response> {
        self.responses.borrow_mut().pop().unwrap_or_default()
    }

    /// Returns heads.
    pub fn give(&self, mut request: Box<Request>, mut response: Box<Response>) {
        let (mut requests, mut responses) = (self.requests.borrow_mut(), self.responses.borrow_mut());
        if requests.len() < MAX_SPARE {
            request.clear();
            requests.push(request);
        }
        if responses.len() < MAX_SPARE {
            response.clear();
            responses.push(response);
        }
    }
}
