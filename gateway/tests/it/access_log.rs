//! The access log: its fields, its sampling, and its file.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{ask, get};
use crate::gateway::{Gateway, PATIENCE, command, file};
use crate::upstream::Upstream;

fn settings(upstream: &Upstream, log: &str) -> String {
    format!(
        "[access_log]\n{log}\n[[listeners]]\nname = 'web'\naddress = '127.0.0.1:0'\n\
         [upstreams.app]\nendpoints = ['{}']\n[[routes]]\nname = 'all'\nupstream = 'app'\n\
         [[routes]]\nname = 'quiet'\npath = '/quiet'\nupstream = 'app'\n\
         [[routes]]\nname = 'broken'\npath = '/broken'\nupstream = 'none'\n\
         [upstreams.none]\nendpoints = ['127.0.0.1:1']\n",
        upstream.address
    )
}

/// Waits until a file holds so many lines, and gives them.
fn lines(path: &Path, count: usize) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.len() >= count {
            return lines;
        }
        assert!(Instant::now() < deadline, "{lines:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn chosen_fields_in_logfmt() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&settings(
        &upstream,
        "format = 'logfmt'\nfields = ['status', 'route', 'failure', 'path']\n\
         request_headers = ['User-Agent', 'x-absent']\nresponse_headers = ['via']",
    ));
    let request = "GET /a%20b HTTP/1.1\r\nHost: t\r\nUser-Agent: one \"two\"\r\n\r\n";
    assert_eq!(ask(gateway.address, request).status, 200);
    let expected = "status=200 route=all path=/a%20b request.user-agent=\"one \\\"two\\\"\" \
                    request.x-absent= response.via=\"1.1 gateway\"";
    assert_eq!(gateway.logged(), expected);
}

#[test]
fn what_is_sampled_and_what_is_always_logged() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&settings(
        &upstream,
        "fields = ['path', 'status']\n\
         [[access_log.sample]]\nroutes = ['quiet', 'broken']\none_in = 0\n\
         [[access_log.sample]]\nstatuses = ['4xx']\none_in = 0",
    ));
    // Of a route that logs nothing, of a class that is not logged, and a failure in the same route.
    assert_eq!(get(gateway.address, "/quiet").status, 200);
    let refused = ask(gateway.address, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    assert_eq!(refused.status, 400);
    assert_eq!(get(gateway.address, "/broken").status, 503);
    assert_eq!(get(gateway.address, "/last").status, 200);
    let mut logged = [gateway.logged(), gateway.logged()];
    // Each worker has its own buffer.
    logged.sort();
    assert_eq!(logged, ["{\"path\":\"/broken\",\"status\":503}", "{\"path\":\"/last\",\"status\":200}"]);
}

#[test]
fn file_is_reopened_after_a_rotation() {
    let upstream = Upstream::saying("x");
    let folder = tempfile::tempdir().expect("a folder");
    let (log, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let gateway =
        Gateway::start(&settings(&upstream, &format!("file = '{}'\nfields = ['path']", log.display())));
    get(gateway.address, "/first");
    assert_eq!(lines(&log, 1), ["{\"path\":\"/first\"}"]);
    fs::rename(&log, &old).expect("a file");
    get(gateway.address, "/second");
    assert_eq!(lines(&old, 2).len(), 2);
    gateway.signal("USR1");
    gateway.says("SIGUSR1: the access log is reopened");
    lines(&log, 0);
    get(gateway.address, "/third");
    assert_eq!(lines(&log, 1), ["{\"path\":\"/third\"}"]);
    assert_eq!(lines(&old, 2).len(), 2);
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::start(&settings(&upstream, "file = '/dev/full'"));
    get(gateway.address, "/");
    gateway.says("the access log /dev/full cannot be written, lines are lost: No space left on device");
    let deadline = Instant::now() + PATIENCE;
    while !get(gateway.admin, "/metrics").body.contains("gateway_log_lines_dropped_total 1\n") {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_ends_the_start() {
    let upstream = Upstream::saying("x");
    let file = file(&settings(&upstream, "file = '/no/such/folder/access.log'"));
    let output = command(&["run", "--config"]).arg(&file).output().expect("the built program");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot write the access log: /no/such/folder/access.log"), "{said}");
}
