//! Which passwords are right, without a worker that waits.
//!
//! A hash takes milliseconds to seconds, so it is computed on another thread, and what came out is
//! remembered: of each user the last right and the last wrong password, as a keyed SHA-256. The key is
//! random and never leaves the process.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use graviola::hashing::{Hash, HashContext, Sha256};
use tokio::sync::{Semaphore, oneshot};

use super::password::PasswordHash;

/// Hashes that are computed at a time: half of the processors, since workers need them too.
static HASHING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new((processors / 2).max(1)))
});

/// A user with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The hash of the password.
    pub hash: PasswordHash,
    /// What the user belongs to.
    pub groups: Vec<String>,
}

/// The users of one authenticator, shared by all workers.
pub struct Passwords {
    users: Vec<User>,
    /// Places in `users`.
    names: HashMap<String, usize>,
    remember: Duration,
    max_waiting: usize,
    key: [u8; 32],
    seen: Mutex<Seen>,
}

/// The keyed hash of a name and a password.
type Digest = [u8; 32];

#[derive(Default)]
struct Seen {
    /// In the order of the users.
    users: Vec<Recent>,
    /// Requests that wait for a hash.
    waiting: HashMap<Digest, Vec<oneshot::Sender<bool>>>,
}

/// What was found out about a user.
#[derive(Default, Clone)]
struct Recent {
    right: Option<(Digest, Instant)>,
    wrong: Option<Digest>,
}

/// Too many requests wait for a hash.
#[derive(Debug)]
pub struct Busy;

impl Passwords {
    /// Users, of whom there is at least one.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn new(users: Vec<User>, remember: Duration, max_waiting: usize) -> Result<Arc<Self>, String> {
        let mut key = [0; 32];
        graviola::random::fill(&mut key).map_err(|error| format!("no random numbers: {error:?}"))?;
        let names = users.iter().enumerate().map(|(place, user)| (user.name.clone(), place)).collect();
        let seen = Seen { users: vec![Recent::default(); users.len()], waiting: HashMap::new() };
        Ok(Arc::new(Self { users, names, remember, max_waiting, key, seen: Mutex::new(seen) }))
    }

    /// Whether these are the same users under the same settings.
    pub fn is_same(&self, users: &[User], remember: Duration, max_waiting: usize) -> bool {
        self.users == users && self.remember == remember && self.max_waiting == max_waiting
    }

    /// The user of this name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(*self.names.get(name)?)
    }

    /// Whether the password is the right one, if that is known without computing a hash.
    pub fn recall(&self, name: &str, password: &[u8]) -> Option<bool> {
        let place = *self.names.get(name)?;
        let digest = self.digest(name, password);
        let mut seen = self.seen();
        let recent = seen.users.get_mut(place)?;
        // The key is not known outside, so that the time of a comparison says nothing.
        if recent.wrong == Some(digest) {
            return Some(false);
        }
        let (right, at) = recent.right?;
        if at.elapsed() > self.remember {
            recent.right = None;
            return None;
        }
        (right == digest).then_some(true)
    }

    /// Whether the password is the right one. Requests with the same name and password wait for one hash.
    /// A hash is computed also for a name that is not known, so that the time does not tell names.
    ///
    /// # Errors
    ///
    /// [`Busy`] if as many requests wait as may.
    pub async fn check(self: Arc<Self>, name: String, password: Vec<u8>) -> Result<bool, Busy> {
        let digest = self.digest(&name, &password);
        let (sender, receiver) = oneshot::channel();
        let is_first = {
            let mut seen = self.seen();
            let waiting: usize = seen.waiting.values().map(Vec::len).sum();
            if waiting >= self.max_waiting {
                return Err(Busy);
            }
            let all = seen.waiting.entry(digest).or_default();
            all.push(sender);
            all.len() == 1
        };
        if is_first {
            // Not part of the request, whose client may go away while others wait for the same hash.
            tokio::spawn(self.compute(digest, name, password));
        }
        // The runtime of another worker may end before this one.
        receiver.await.map_err(|_| Busy)
    }

    async fn compute(self: Arc<Self>, digest: Digest, name: String, password: Vec<u8>) {
        let permit = Arc::clone(&HASHING).acquire_owned().await;
        let work = move || {
            let place = self.names.get(&name).copied();
            let user = self.users.get(place.unwrap_or(0));
            let matches = user.is_some_and(|user| user.hash.matches(&password));
            let is_right = matches && place.is_some();
            let mut seen = self.seen();
            if let Some(recent) = place.and_then(|place| seen.users.get_mut(place)) {
                if !is_right {
                    recent.wrong = Some(digest);
                } else if !self.remember.is_zero() {
                    recent.right = Some((digest, Instant::now()));
                }
            }
            for waiting in seen.waiting.remove(&digest).into_iter().flatten() {
                // A client may have gone away.
                let _ = waiting.send(is_right);
            }
            drop(permit);
        };
        // A thread that does not start leaves the requests waiting until their clients go away.
        let _ = tokio::task::spawn_blocking(work).await;
    }

    fn digest(&self, name: &str, password: &[u8]) -> Digest {
        let mut hash = Sha256::new();
        hash.update(&self.key);
        hash.update(&(name.len() as u64).to_be_bytes());
        hash.update(name.as_bytes());
        hash.update(password);
        let mut digest = [0; 32];
        for (byte, own) in digest.iter_mut().zip(hash.finish().as_ref()) {
            *byte = *own;
        }
        digest
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of users; nothing that helps to guess a password.
impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Passwords({} users)", self.users.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Busy, Passwords, User};
    use crate::filter::authentication::password::PasswordHash;

    const HASH: &str = "$5$saltsalt$0rl.MZtoLLPP3X0Rdl8riRnphIcAXJY27/aOAyK2hB5";

    fn passwords(remember: Duration, max_waiting: usize) -> Arc<Passwords> {
        let user = |name: &str| User {
            name: name.to_owned(),
            hash: PasswordHash::parse(HASH).expect("a hash"),
            groups: Vec::new(),
        };
        Passwords::new(vec![user("ann"), user("bob")], remember, max_waiting).expect("random numbers")
    }

    fn check(passwords: &Arc<Passwords>, name: &str, password: &str) -> Result<bool, Busy> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (name, password) = (name.to_owned(), password.as_bytes().to_vec());
        runtime.block_on(Arc::clone(passwords).check(name, password))
    }

    #[test]
    fn what_came_out_is_remembered() {
        let users = passwords(Duration::from_mins(5), 8);
        assert_eq!(users.recall("ann", b"pw"), None);
        for (name, password, expected) in
            [("ann", "pw", true), ("ann", "px", false), ("bob", "px", false), ("eve", "pw", false)]
        {
            assert_eq!(check(&users, name, password).expect("a place"), expected, "{name} {password}");
        }
        assert_eq!(users.recall("ann", b"pw"), Some(true));
        assert_eq!(users.recall("ann", b"px"), Some(false));
        assert_eq!(users.recall("ann", b"py"), None);
        assert_eq!(users.recall("bob", b"pw"), None, "not known by the password of another");
        assert_eq!(users.recall("bob", b"px"), Some(false));
        assert_eq!(users.recall("eve", b"pw"), None, "no memory for names that are not known");
        // The name and the password do not run together.
        assert_ne!(users.digest("ann", b"pw"), users.digest("annp", b"w"));
    }

    #[test]
    fn memory_and_waiting_end() {
        let forgetful = passwords(Duration::ZERO, 8);
        assert!(check(&forgetful, "ann", "pw").expect("a place"));
        assert_eq!(forgetful.recall("ann", b"pw"), None);
        let full = passwords(Duration::from_mins(5), 0);
        assert!(check(&full, "ann", "pw").is_err());
    }
}
