//! Authenticators made of the settings, with the files and variables that they name.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use graviola::hashing::{Hash, Sha256};

use super::api_key::ApiKeys;
use super::basic::Basic;
use super::certificate::{CLIENT_CERT, Certificates};
use super::forward_auth::ForwardAuth;
use super::jwt::{Jwt, Keys};
use super::passwords::Passwords;
use super::{Authenticator, Method, users};
use crate::dial::dns::Resolver;
use crate::fetch::{Service, Url};
use crate::jose::{KeySet, Remote, RemoteSettings, Rules};
use crate::settings::{self, AuthMethod, KeySource, NamedFile, NamedKey, Place};

/// The largest file or key set in bytes.
const MAX_BYTES: usize = 4 << 20;

/// All authenticators of the settings by name.
#[derive(Debug, Default, Clone)]
pub struct Authenticators {
    known: HashMap<String, Authenticator>,
    /// The fields that they set, in lower case.
    fields: Vec<String>,
    remotes: Vec<Arc<Remote>>,
    /// Users by the name of their authenticator.
    passwords: HashMap<String, Arc<Passwords>>,
}

/// What is wrong, with the place in the settings.
type Problems = Vec<(Place, String)>;

/// The SHA-256 of an API key, as the settings have it.
pub fn hash_key(key: &[u8]) -> String {
    Sha256::hash(key).as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to memory does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Authenticators {
    /// Makes the authenticators. Keys fetched by URL are taken over from `previous` where the settings of
    /// their fetch are the same, so that an outage does not end with a reload; what is known of passwords is
    /// where the users are the same.
    ///
    /// # Errors
    ///
    /// All files and variables that cannot be used.
    pub fn load(
        settings: &[settings::Authenticator],
        resolver: &Arc<Resolver>,
        previous: Option<&Self>,
    ) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut all = Self::default();
        for authenticator in settings {
            let name = authenticator.name.clone();
            let method: Result<Arc<dyn Method>, Problems> = match &authenticator.method {
                AuthMethod::ApiKey(keys) => api_keys(authenticator, keys).map(|made| Arc::new(made) as _),
                AuthMethod::Basic(settings) => {
                    let before = previous.and_then(|previous| previous.passwords.get(&name));
                    passwords(authenticator, settings, before).map(|passwords| {
                        all.passwords.insert(name.clone(), Arc::clone(&passwords));
                        Arc::new(Basic::new(name.clone(), &settings.realm, settings.forward, passwords)) as _
                    })
                }
                AuthMethod::Jwt(jwt) => {
                    let keys = key_source(authenticator, &jwt.keys, resolver, previous);
                    keys.map(|keys| {
                        if let Keys::Remote(remote) = &keys {
                            all.remotes.push(Arc::clone(remote));
                        }
                        let place = (jwt.place.clone(), jwt.forward);
                        Arc::new(Jwt::new(name.clone(), place, rules(jwt), keys, jwt.cached_tokens)) as _
                    })
                }
                AuthMethod::Certificate(settings) => {
                    Ok(Arc::new(Certificates { name: name.clone(), settings: settings.clone() }) as _)
                }
                AuthMethod::ForwardAuth(settings) => {
                    service(authenticator.place, &settings.url, settings.ca.as_ref(), resolver).map(
                        |service| {
                            let settings = (**settings).clone();
                            Arc::new(ForwardAuth { name: name.clone(), service, settings }) as _
                        },
                    )
                }
            };
            all.fields.extend(fields(authenticator));
            match method {
                Ok(method) => {
                    let headers = authenticator.headers.clone();
                    all.known.insert(name, Authenticator { method, headers });
                }
                Err(found) => problems.extend(found),
            }
        }
        all.fields.sort_unstable();
        all.fields.dedup();
        if problems.is_empty() { Ok(all) } else { Err(problems) }
    }

    /// The authenticator of this name.
    pub fn get(&self, name: &str) -> Option<&Authenticator> {
        self.known.get(name)
    }

    /// What clients are asked for by the authenticators of these names. A 401 has it (RFC 9110 section
    /// 15.5.2), with a scheme of our own where none is registered.
    pub fn challenges(&self, names: &[String]) -> Option<String> {
        let known = names.iter().filter_map(|name| self.known.get(name)?.method.challenge());
        let mut all: Vec<_> = known.collect();
        all.dedup();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// The names of the fields that authenticators set, in lower case.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Begins to fetch keys that have not been fetched, so that the first request need not wait.
    pub fn fetch_keys(&self) {
        for remote in &self.remotes {
            if remote.keys().is_none() {
                remote.refresh();
            }
        }
    }
}

fn fields(authenticator: &settings::Authenticator) -> Vec<String> {
    let mut names: Vec<String> = authenticator.headers.iter().map(|(name, _)| name.clone()).collect();
    match &authenticator.method {
        AuthMethod::ForwardAuth(settings) => names.extend(settings.response_headers.iter().cloned()),
        AuthMethod::Certificate(settings) if settings.forward => {
            // A chain is not forwarded, so that one from a client must not be (RFC 9440 section 2.4).
            names.extend([CLIENT_CERT.to_owned(), "client-cert-chain".to_owned()]);
        }
        _ => {}
    }
    names
}

fn rules(jwt: &settings::Jwt) -> Rules {
    Rules {
        algorithms: jwt.algorithms.clone(),
        issuers: jwt.issuers.clone(),
        audiences: jwt.audiences.clone(),
        kinds: jwt.types.clone(),
        leeway: jwt.leeway,
        endless: !jwt.require_exp,
    }
}

fn service(
    place: Place,
    url: &Url,
    ca: Option<&NamedFile>,
    resolver: &Arc<Resolver>,
) -> Result<Service, Problems> {
    let place = ca.map_or(place, |file| file.place);
    Service::new(url.clone(), ca.map(|file| file.path.clone()), resolver)
        .map_err(|errors| errors.into_iter().map(|error| (place, error.to_string())).collect())
}

fn key_source(
    authenticator: &settings::Authenticator,
    source: &KeySource,
    resolver: &Arc<Resolver>,
    previous: Option<&Authenticators>,
) -> Result<Keys, Problems> {
    match source {
        KeySource::File(file) => {
            let keys = read(&file.path).and_then(|json| KeySet::read(json.as_bytes()));
            let failed = |error| {
                vec![(
                    file.place,
                    format!("'{}' is no key set: {error}; name a file with a JWK set", file.path.display()),
                )]
            };
            keys.map(Keys::Fixed).map_err(failed)
        }
        KeySource::Url(url) => {
            let settings = RemoteSettings {
                name: authenticator.name.clone(),
                refresh_interval: url.refresh_interval,
                min_refresh_interval: url.min_refresh_interval,
                max_age: url.max_age,
                timeout: url.timeout,
                max_bytes: MAX_BYTES,
                max_waiting: url.max_waiting,
            };
            let same = |known: &&Arc<Remote>| {
                // Authorities are read anew.
                *known.settings() == settings && known.service().url == url.url && url.ca.is_none()
            };
            if let Some(known) = previous.and_then(|previous| previous.remotes.iter().find(same)) {
                return Ok(Keys::Remote(Arc::clone(known)));
            }
            let service = service(authenticator.place, &url.url, url.ca.as_ref(), resolver)?;
            Ok(Keys::Remote(Remote::new(service, settings)))
        }
    }
}

fn api_keys(
    authenticator: &settings::Authenticator,
    settings: &settings::ApiKey,
) -> Result<ApiKeys, Problems> {
    let mut keys = settings.keys.clone();
    let sources = (settings.file.as_ref(), settings.variable.as_deref());
    let (found, mut problems) = from_sources(authenticator.place, sources, "NAME:SHA256", lines);
    keys.extend(found);
    for (number, key) in keys.iter().enumerate() {
        if keys[..number].iter().any(|other| other.sha256 == key.sha256) {
            problems.push((
                authenticator.place,
                format!("the API key '{}' has the hash of another one; remove one", key.name),
            ));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(ApiKeys::new(authenticator.name.clone(), settings.places.clone(), settings.forward, keys))
}

fn passwords(
    authenticator: &settings::Authenticator,
    settings: &settings::Basic,
    before: Option<&Arc<Passwords>>,
) -> Result<Arc<Passwords>, Problems> {
    let sources = (settings.file.as_ref(), settings.variable.as_deref());
    let (found, mut problems) = from_sources(authenticator.place, sources, "NAME:HASH", users::read);
    for (number, user) in found.iter().enumerate() {
        if found[..number].iter().any(|other| other.name == user.name) {
            let text = format!("the user '{}' is in the file and in the variable; remove one", user.name);
            problems.push((authenticator.place, text));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let (remember, most) = (settings.remember, settings.max_waiting);
    match before {
        Some(before) if before.is_same(&found, remember, most) => Ok(Arc::clone(before)),
        _ => Passwords::new(found, remember, most).map_err(|error| vec![(authenticator.place, error)]),
    }
}

/// What stands in a file and in an environment variable, and what is wrong with it. `form` is that of a
/// line; `parse` gets a name for messages and the text.
fn from_sources<T>(
    place: Place,
    (file, variable): (Option<&NamedFile>, Option<&str>),
    form: &str,
    parse: impl Fn(&str, &str) -> Result<Vec<T>, Vec<String>>,
) -> (Vec<T>, Problems) {
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    let mut take = |place, found: Result<Vec<T>, Vec<String>>| match found {
        Ok(found) => all.extend(found),
        Err(found) => problems.extend(found.into_iter().map(|text| (place, text))),
    };
    if let Some(file) = file {
        let shown = file.path.display();
        let text = read(&file.path).map_err(|error| vec![format!("'{shown}' cannot be read: {error}")]);
        take(file.place, text.and_then(|text| parse(&format!("'{shown}'"), &text)));
    }
    if let Some(variable) = variable {
        let shown = format!("the variable {variable}");
        let text = std::env::var(variable).map_err(|_| vec![format!("{shown} is not set; set it to {form}")]);
        take(place, text.and_then(|text| parse(&shown, &text)));
    }
    (all, problems)
}

/// Reads keys, one a line: `NAME:SHA256` or `NAME:SHA256:GROUP,GROUP`. Lines that begin with `#` and
/// empty ones say nothing. No message shows a line, which may hold a key by mistake.
fn lines(shown: &str, text: &str) -> Result<Vec<NamedKey>, Vec<String>> {
    let (mut keys, mut problems) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut parts = line.splitn(3, ':');
        let name = parts.next().unwrap_or_default().trim();
        match parts.next().map(str::trim).and_then(settings::sha256) {
            Some(sha256) if !name.is_empty() => {
                let groups = parts.next().unwrap_or_default().split(',').map(str::trim);
                let groups = groups.filter(|group| !group.is_empty()).map(str::to_owned).collect();
                keys.push(NamedKey { name: name.to_owned(), sha256, groups });
            }
            _ => problems.push(format!(
                "line {number} of {shown} is not NAME:SHA256 or NAME:SHA256:GROUP,GROUP; make a hash with 'gateway hash-key'"
            )),
        }
    }
    if keys.is_empty() && problems.is_empty() {
        problems.push(format!("{shown} holds no API key, so that no request could pass; add NAME:SHA256"));
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
}

fn read(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.len() > MAX_BYTES as u64 {
        return Err("it is larger than 4 MiB".to_owned());
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{hash_key, lines};

    #[test]
    fn lines_of_keys() {
        let hash = hash_key(b"secret");
        assert_eq!(hash, "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b");
        let good = format!("# keys\n\nci:{hash}\n ops : {hash} : a, b,\n");
        let keys = lines("f", &good).expect("good lines");
        let shown: Vec<_> = keys.iter().map(|key| (key.name.as_str(), key.groups.join("+"))).collect();
        assert_eq!(shown, [("ci", String::new()), ("ops", "a+b".to_owned())]);
        for bad in ["ci", "ci:secret", &format!(":{hash}"), &format!("ci:{hash}0"), "", "# none\n"] {
            let problems = lines("f", bad).expect_err(bad);
            assert!(!problems.iter().any(|problem| problem.contains("secret")), "{problems:?}");
        }
    }
}
