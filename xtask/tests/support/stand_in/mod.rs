//! A registry in memory with the habits of others: what GitLab, Artifactory, Quay, ECR and their like answer
//! where Docker's registry answers something else.
//!
//! One request a connection, a thread for each. Everything that no [`Habit`] changes is as the
//! distribution-spec has it, referrers API included.

/// The value of a habit, if the registry has it.
macro_rules! habit {
    ($of:ident, $habit:pat => $says:expr) => {
        $of.habits.iter().find_map(|habit| match *habit {
            $habit => Some($says),
            _ => None,
        })
    };
}

mod http;
mod packages;
mod registry;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

pub(crate) use http::Asked;
use http::{Answer, read};

/// In what a registry differs from the distribution-spec, or from Docker's registry where that leaves a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// The status of a manifest's PUT.
    PutManifest(u16),
    /// The status of a blob's PUT.
    PutBlob(u16),
    /// The status of a PATCH with a chunk, and of the POST that opens an upload.
    Patch(u16),
    /// `sha256-<hex>` in a path is read as the digest; a PUT under it is kept beside that, or refused.
    TagIsDigest { keeps: bool },
    /// The status of the referrers API, which is not there.
    NoReferrers(u16),
    /// Referrers are noted, and never listed.
    LosesReferrers,
    /// The status of a PUT of a manifest with a subject.
    RefusesSubject(u16),
    /// The status of a PUT under the tag of a list of referrers, with no referrers API beside it.
    RefusesListTag(u16),
    /// The status of a manifest that is not there.
    Missing(u16),
    /// The status of a blob that is not there.
    MissingBlob(u16),
    /// HEAD of a blob leads to storage that refuses HEAD with this status.
    HeadRedirects(u16),
    /// The status of HEAD of a manifest.
    NoHead(u16),
    /// Tags in pages of so many; links lead to this host and this path before `/v2`.
    Pages(usize, &'static str),
    /// More entries a page than this are refused with 400.
    MaxPage(usize),
    /// The status of the list of tags.
    NoTags(u16),
    /// No `Docker-Content-Digest`.
    NoDigest,
    /// Locations of uploads begin with this instead of the URL; an upload's state is in the query.
    Location(&'static str),
    /// `OCI-Chunk-Min-Length`.
    MinChunk(usize),
    /// Every so manieth request is answered by this status, with this Retry-After.
    Throttles(usize, u16, &'static str),
    /// Refusals have an HTML page, as from a proxy in front of a registry.
    HtmlErrors,
    /// The status of HEAD of a blob.
    NoHeadBlob(u16),
    /// The referrers API answers 200 with this body.
    ReferrersPage(&'static str),
    /// The status of a PUT of a manifest whose subject is not there.
    NeedsSubject(u16),
    /// The list of tags is answered by 200 with this body.
    TagsPage(&'static str),
    /// Each page of tags names a next one, without end.
    EndlessTags,
    /// Names of headers in capitals.
    Capitals,
    /// No length in answers to HEAD.
    NoLength,
    /// The type that every manifest is served with.
    ServedAs(&'static str),
    /// The first upload of a blob breaks off, and its rest is refused with this status.
    BreaksUploads(u16),
    /// Uploads cannot be cancelled.
    NoCancel,
    /// The status of a DELETE of a manifest.
    NoDelete(u16),
    /// The status of a request to mount a blob.
    NoMount(u16),
    /// Tokens are wanted; the service answers this method, with the token in this field.
    Tokens(&'static str, &'static str),
    /// A token service that also says how long a token holds.
    ExpiresIn,
    /// The challenge for a token; `{}` is the service's URL.
    Challenge(&'static str),
    /// GitHub's REST API for packages is there as well; the owner is an organisation or a user.
    Packages { organisation: bool, scopes: &'static str },
}

#[derive(Default)]
struct Repository {
    blobs: BTreeMap<String, Vec<u8>>,
    /// Type and bytes by digest, in the order in which they came.
    manifests: Vec<(String, String, Vec<u8>)>,
    tags: BTreeMap<String, String>,
    uploads: BTreeMap<String, Vec<u8>>,
    /// Digests of blobs whose first upload broke off.
    broken: Vec<String>,
}

#[derive(Default)]
struct State {
    repositories: BTreeMap<String, Repository>,
    seen: Vec<Asked>,
}

struct Shared {
    address: SocketAddr,
    habits: Vec<Habit>,
    state: Mutex<State>,
    stopped: AtomicBool,
}

/// A running registry; it ends with this value.
pub(crate) struct StandIn(Arc<Shared>);

impl StandIn {
    /// The user and the password that may push.
    pub(crate) const USER: (&str, &str) = ("user", "hunter2-password");

    /// Starts a registry with these habits on a free port.
    pub(crate) fn start(habits: &[Habit]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (habits, state, stopped) = (habits.to_vec(), Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { address, habits, state, stopped });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || stream.and_then(|stream| shared.serve(&stream)));
            }
        });
        Self(shared)
    }

    /// Its `host:port`, as in an image name.
    pub(crate) fn registry(&self) -> String {
        self.0.address.to_string()
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Asked> {
        self.0.state().seen.clone()
    }

    /// The tags of a repository.
    pub(crate) fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        self.0.state().repositories.get(repository).map(|known| known.tags.clone()).unwrap_or_default()
    }

    /// The digests of a repository's manifests.
    pub(crate) fn manifests(&self, repository: &str) -> Vec<String> {
        let state = self.0.state();
        let known = state.repositories.get(repository).into_iter().flat_map(|known| &known.manifests);
        known.map(|(digest, _, _)| digest.clone()).collect()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect(self.0.address));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no other thread panicked")
    }

    fn has(&self, habit: Habit) -> bool {
        self.habits.contains(&habit)
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let Some(asked) = read(stream)? else { return Ok(()) };
        let number = {
            let mut state = self.state();
            state.seen.push(asked.clone());
            state.seen.len()
        };
        let throttled = habit!(self, Habit::Throttles(each, status, after) => (each, status, after));
        let throttled = throttled.filter(|(each, _, _)| number.is_multiple_of(*each));
        let mut answer = if let Some((_, status, after)) = throttled {
            Answer::error(status, "TOOMANYREQUESTS").with("Retry-After", after)
        } else if asked.path == "/token" {
            self.token(&asked)
        } else if let Some(refused) = self.packages(&asked).or_else(|| self.lacks_token(&asked)) {
            refused
        } else {
            self.registry(&asked)
        };
        if self.has(Habit::HtmlErrors) {
            answer.explain_by_page();
        }
        if self.has(Habit::Capitals) {
            answer.shout();
        }
        answer.write(stream, asked.method == "HEAD", !self.has(Habit::NoLength))
    }

    /// The answer to a request without a token, where tokens are wanted.
    fn lacks_token(&self, asked: &Asked) -> Option<Answer> {
        habit!(self, Habit::Tokens(..) => ())?;
        if asked.header("authorization") == "Bearer stand-in-token" {
            return None;
        }
        let challenge = habit!(self, Habit::Challenge(text) => text);
        let challenge = challenge.unwrap_or("Bearer realm=\"{}\",service=\"stand-in\"");
        let challenge = challenge.replace("{}", &format!("http://{}/token", self.address));
        Some(Answer::error(401, "UNAUTHORIZED").with("WWW-Authenticate", &challenge))
    }

    fn token(&self, asked: &Asked) -> Answer {
        let (method, field) =
            habit!(self, Habit::Tokens(method, field) => (method, field)).unwrap_or(("GET", "token"));
        if asked.method != method {
            return Answer::error(405, "UNSUPPORTED");
        }
        let form = String::from_utf8_lossy(&asked.body).into_owned();
        let known = asked.header("authorization") == "Basic dXNlcjpodW50ZXIyLXBhc3N3b3Jk"
            || form.contains("grant_type=password")
                && form.contains("username=user&password=hunter2-password");
        if !known {
            return Answer::error(401, "UNAUTHORIZED");
        }
        let expires = if self.has(Habit::ExpiresIn) { r#","expires_in":3600"# } else { "" };
        Answer::new(200).json(&format!(r#"{{"{field}":"stand-in-token"{expires}}}"#))
    }
}
