//! Sends a request to an upstream, over a resting or a new connection, again where that is safe.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};

use super::balance::Balance;
use super::connect::connect;
use super::error::UpstreamError;
use super::pool::{Pool, Sender};
use crate::http::Failure;
use crate::observe::exchange::Exchange;
use crate::observe::metrics::Metrics;
use crate::policy::request_body::{RequestBody, Upload};
use crate::settings;

/// A response with the pause its body may make.
#[derive(Debug)]
pub struct Answer {
    /// The response as it came.
    pub response: Response<Incoming>,
    /// The longest pause within the body.
    pub pause: Duration,
}

/// One upstream as one thread sees it.
#[derive(Debug)]
pub struct Upstream {
    settings: settings::Upstream,
    /// `host:port` of each endpoint.
    authorities: Vec<String>,
    number: usize,
    balance: Mutex<Balance>,
    pools: Vec<Arc<Pool>>,
    metrics: Arc<Metrics>,
}

/// A request that got no response.
struct Unsent {
    error: UpstreamError,
    /// The body, if nothing of the request was sent.
    body: Option<RequestBody>,
}

impl Upstream {
    /// The upstream at place `number` of the settings, for the thread of the given number.
    pub fn new(settings: &settings::Upstream, number: usize, thread: usize, metrics: Arc<Metrics>) -> Self {
        let count = settings.endpoints.len();
        let cooldown = settings.outlier.as_ref().map_or(Duration::ZERO, |outlier| outlier.base_ejection);
        let pool = || Arc::new(Pool::new(settings.max_idle, settings.idle_timeout));
        Self {
            balance: Mutex::new(Balance::new(count, thread, cooldown)),
            pools: (0..count).map(|_| pool()).collect(),
            authorities: settings.endpoints.iter().map(ToString::to_string).collect(),
            settings: settings.clone(),
            number,
            metrics,
        }
    }

    /// Its name in the settings.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The `Host` for a request that names none.
    pub fn host(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(self.authorities.first()?).ok()
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// A request is sent again, to another endpoint if there is one, when no connection could be
    /// made; and on a new connection when a resting one turns out to be dead, if nothing was sent
    /// or the method is idempotent and there is no body (RFC 9110 section 9.2.2).
    ///
    /// # Errors
    ///
    /// [`UpstreamError`] of the last attempt.
    pub async fn send(
        &self,
        parts: &Parts,
        mut body: RequestBody,
        exchange: &Exchange,
    ) -> Result<Answer, UpstreamError> {
        let upload = body.upload();
        let mut attempts_left = self.settings.retries.attempts;
        let mut tried = Vec::new();
        let mut rested = true;
        loop {
            let Some(endpoint) = self.pick(&tried) else {
                return Err(UpstreamError::Malformed("there is no endpoint"));
            };
            let authority = &self.authorities[endpoint];
            exchange.set_endpoint(&self.settings.name, authority);
            let (sender, reused) = match self.checkout(endpoint, rested).await {
                Ok(found) => found,
                Err(error) => {
                    tried.push(endpoint);
                    if attempts_left == 0 || !error.retry_safe() {
                        return Err(error);
                    }
                    attempts_left -= 1;
                    self.metrics.upstream_retried(self.number);
                    continue;
                }
            };
            let replay = body.replay().filter(|_| parts.method.is_idempotent());
            match self.attempt(sender, endpoint, parts, body, &upload).await {
                Ok(response) => {
                    let pause = self.settings.body_timeout;
                    return Ok(Answer { response, pause });
                }
                Err(Unsent { error, body: whole }) => {
                    let lost = matches!(error, UpstreamError::Closed(_));
                    match whole.or(replay) {
                        Some(again) if reused && lost => body = again,
                        _ => return Err(error),
                    }
                    // One dead connection makes the others doubtful: all may be of one restart.
                    rested = false;
                    self.metrics.upstream_retried(self.number);
                }
            }
        }
    }

    fn pick(&self, tried: &[usize]) -> Option<usize> {
        self.balance.lock().unwrap_or_else(PoisonError::into_inner).pick(tried, Instant::now())
    }

    /// A connection to the endpoint, and whether it has been used before.
    async fn checkout(&self, endpoint: usize, rested: bool) -> Result<(Sender, bool), UpstreamError> {
        if rested && let Some(sender) = self.pools[endpoint].take() {
            self.metrics.upstream_reused(self.number);
            return Ok((sender, true));
        }
        let authority = &self.authorities[endpoint];
        let connected = connect(authority, self.settings.connect_timeout).await;
        let mut balance = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        if connected.is_ok() {
            balance.succeeded(endpoint);
            self.metrics.upstream_connected(self.number);
        } else {
            balance.failed(endpoint, Instant::now());
        }
        connected.map(|sender| (sender, false))
    }

    async fn attempt(
        &self,
        mut sender: Sender,
        endpoint: usize,
        parts: &Parts,
        body: RequestBody,
        upload: &Arc<Upload>,
    ) -> Result<Response<Incoming>, Unsent> {
        let mut request = Request::from_parts(parts.clone(), body);
        let informed = Arc::clone(upload);
        hyper::ext::on_informational(&mut request, move |interim| {
            if interim.status() == StatusCode::CONTINUE {
                informed.release();
            }
        });
        upload.restart();
        let sent = sender.try_send_request(request);
        tokio::pin!(sent);
        let response = loop {
            let deadline = upload.last_progress() + self.settings.response_timeout;
            tokio::select! {
                response = &mut sent => break response,
                () = tokio::time::sleep_until(deadline) => {
                    let silent = upload.last_progress().elapsed();
                    if silent >= self.settings.response_timeout {
                        let error = UpstreamError::ResponseTimeout;
                        return Err(Unsent { error, body: None });
                    }
                }
            }
        };
        let response = response.map_err(|mut failed| Unsent {
            body: failed.take_message().map(Request::into_body),
            error: classify(failed.into_error()),
        })?;
        check(&response).map_err(|error| Unsent { error, body: None })?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let pool = Arc::clone(&self.pools[endpoint]);
            tokio::spawn(async move {
                // Ready again once both bodies have ended.
                if sender.ready().await.is_ok() {
                    pool.put(sender);
                }
            });
        }
        Ok(response)
    }
}

fn classify(error: hyper::Error) -> UpstreamError {
    if error.is_parse() {
        UpstreamError::Malformed("it cannot be parsed")
    } else {
        UpstreamError::Closed(error)
    }
}

/// Refuses responses whose end could be read in two ways (RFC 9112 section 6.3).
fn check(response: &Response<Incoming>) -> Result<(), UpstreamError> {
    let headers = response.headers();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(UpstreamError::Malformed("its transfer coding is not chunked"));
    }
    if headers.contains_key(CONTENT_LENGTH) {
        return Err(UpstreamError::Malformed("it has two lengths"));
    }
    Ok(())
}
