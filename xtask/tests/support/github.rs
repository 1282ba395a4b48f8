//! A stand-in for GitHub's REST API, as docs.github.com has it: releases with their files, commits of tags, workflow runs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::published::digest;

/// The only token that it accepts.
pub const TOKEN: &str = "ghs_hunter2hunter2";

/// The repository `o/r`.
#[derive(Clone)]
pub struct Github {
    pub api: String,
    pub state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub struct State {
    /// Tags with their commits.
    pub tags: Vec<(String, String)>,
    /// Releases; `assets` of each are its files.
    pub releases: Vec<Value>,
    /// Workflow runs, the newest first.
    pub runs: Vec<Value>,
    /// The next upload breaks off and leaves a file of the state `starter`.
    pub breaks: bool,
    /// The method and the path of each request.
    pub requests: Vec<String>,
    last_id: u64,
}

impl Github {
    pub fn start() -> Self {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = format!("http://{}", server.local_addr().unwrap());
        let github = Self { api, state: Arc::default() };
        let other = github.clone();
        std::thread::spawn(move || server.incoming().for_each(|stream| other.serve(stream.unwrap())));
        github
    }

    /// Sets the variables of a job.
    pub fn job(&self, command: &mut std::process::Command) {
        command.env("GITHUB_REPOSITORY", "o/r").env("GITHUB_TOKEN", TOKEN).env("GITHUB_API_URL", &self.api);
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut line) = (Vec::new(), String::new());
        while reader.read_line(&mut line).unwrap_or(0) > 2 {
            head.push(std::mem::take(&mut line).trim().to_owned());
        }
        let Some(first) = head.first() else { return };
        let header = |name: &str| {
            head.iter().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let length = header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (status, answer) = if header("authorization") == Some(format!("Bearer {TOKEN}")) {
            let mut state = self.state.lock().unwrap();
            state.requests.push(format!("{method} {path}"));
            state.answer(&self.api, method, path, &body)
        } else {
            (401, json!({ "message": "Bad credentials" }))
        };
        let text = if status == 204 { String::new() } else { answer.to_string() };
        let length = text.len();
        let _ = write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        );
    }
}

impl State {
    fn answer(&mut self, api: &str, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.trim_start_matches("/repos/o/r/").split('/').collect();
        match (method, &parts[..]) {
            ("GET", ["commits", "tags", tag]) => match self.tags.iter().find(|(name, _)| name == tag) {
                Some((_, commit)) => (200, json!({ "sha": commit })),
                None => (422, json!({ "message": format!("No commit found for SHA: tags/{tag}") })),
            },
            ("GET", ["releases"]) => (200, page(&self.releases, query)),
            ("GET", ["actions", "runs"]) => {
                let total = self.runs.len();
                (200, json!({ "total_count": total, "workflow_runs": page(&self.runs, query) }))
            }
            ("POST", ["releases"]) => {
                let mut release: Value = serde_json::from_slice(body).unwrap();
                self.last_id += 1;
                let id = self.last_id;
                release["id"] = id.into();
                release["assets"] = json!([]);
                release["upload_url"] = format!("{api}/repos/o/r/uploads/{id}{{?name,label}}").into();
                release["html_url"] = "https://github.com/o/r/releases/tag/untagged".into();
                self.releases.insert(0, release.clone());
                (201, release)
            }
            ("POST", ["uploads", id]) => self.upload(id, query.trim_start_matches("name="), body),
            ("DELETE", ["releases", "assets", id]) => {
                for release in &mut self.releases {
                    let assets = release["assets"].as_array_mut().unwrap();
                    assets.retain(|asset| asset["id"].as_u64() != id.parse().ok());
                }
                (204, Value::Null)
            }
            ("PATCH", ["releases", id]) => {
                let change: Value = serde_json::from_slice(body).unwrap();
                let Some(release) = self.release(id) else { return (404, json!({ "message": "Not Found" })) };
                for (key, value) in change.as_object().unwrap() {
                    release[key] = value.clone();
                }
                let url =
                    format!("https://github.com/o/r/releases/tag/{}", release["tag_name"].as_str().unwrap());
                release["html_url"] = url.into();
                (200, release.clone())
            }
            _ => (404, json!({ "message": "Not Found" })),
        }
    }

    fn release(&mut self, id: &str) -> Option<&mut Value> {
        self.releases.iter_mut().find(|release| release["id"].as_u64() == id.parse().ok())
    }

    fn upload(&mut self, id: &str, name: &str, body: &[u8]) -> (u16, Value) {
        self.last_id += 1;
        let (asset, breaks) = (self.last_id, std::mem::take(&mut self.breaks));
        let Some(release) = self.release(id) else { return (404, json!({ "message": "Not Found" })) };
        let assets = release["assets"].as_array_mut().unwrap();
        if assets.iter().any(|asset| asset["name"] == name) {
            let errors = json!([{ "resource": "ReleaseAsset", "code": "already_exists", "field": "name" }]);
            return (422, json!({ "message": "Validation Failed", "errors": errors }));
        }
        if breaks {
            assets.push(json!({ "id": asset, "name": name, "state": "starter", "size": 0, "digest": null }));
            return (502, json!({ "message": "Bad Gateway" }));
        }
        let stored = json!({
            "id": asset, "name": name, "state": "uploaded", "size": body.len(), "digest": digest(body),
        });
        assets.push(stored.clone());
        (201, stored)
    }
}

/// The page of a list that a query asks for.
fn page(all: &[Value], query: &str) -> Value {
    let number = |name: &str, default: usize| {
        let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.map_or(default, |number| number.parse().unwrap())
    };
    let (size, page) = (number("per_page", 30).min(100), number("page", 1));
    all.chunks(size).nth(page - 1).unwrap_or_default().into()
}
