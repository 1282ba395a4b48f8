//! docs/tutorial.md, run as it is written in one shell. `UPDATE_EXPECT=1` writes the output of each command into it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::have::{have, have_with};

/// The ports of the page. Others may be in use here, so the test takes free ones in their place.
const PORTS: [&str; 3] = ["8443", "8081", "9000"];

/// A shell that runs one command after another.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    ports: [String; PORTS.len()],
}

impl Shell {
    fn start(folder: &Path) -> Self {
        let ports = PORTS.map(|_| {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            socket.local_addr().expect("bound").port().to_string()
        });
        let mut child = Command::new("bash")
            .current_dir(folder)
            .env_remove("GATEWAY_CONFIG")
            // Its background processes end with the test.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash");
        let mut input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        writeln!(input, "exec 2>&1").expect("a shell");
        Self { child, input, output, ports }
    }

    fn with_free_ports(&self, text: &str) -> String {
        PORTS.iter().zip(&self.ports).fold(text.to_owned(), |text, (port, free)| text.replace(port, free))
    }

    /// The output of a command.
    fn run(&mut self, command: &str) -> String {
        const END: &str = "end of the output";
        writeln!(self.input, "{}\necho '{END}'", self.with_free_ports(command)).expect("a shell");
        let mut text = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(
                self.output.read_line(&mut line).expect("text"),
                0,
                "the shell ended: {command}\n{text}"
            );
            if let Some(last) = line.strip_suffix(&format!("{END}\n")) {
                text.push_str(last);
                break;
            }
            text.push_str(&line);
        }
        let free = PORTS.iter().zip(&self.ports);
        free.fold(text, |text, (port, free)| text.replace(free.as_str(), port))
    }

    fn folder(&mut self) -> PathBuf {
        PathBuf::from(self.run("pwd").trim())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// Output without what differs from run to run: names of requests, and the time that a reload took.
fn stable(text: &str) -> String {
    let word = |word: &str| {
        let is_name = word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_time = word.starts_with(|first: char| first.is_ascii_digit()) && word.ends_with("ms");
        if is_name || is_time { "…".to_owned() } else { word.to_owned() }
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_tutorial_runs_as_it_is_written() {
    if !have("curl")
        || !have_with("python", "python3", "--version")
        || !have_with("openssl", "openssl", "version")
    {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let path = root.join("docs/tutorial.md");
    let page = fs::read_to_string(&path).expect("the page");
    let mut shell = Shell::start(root);
    let (mut written, mut block, mut file) = (String::new(), None, None);
    for line in page.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => {
                block = Some((language.to_owned(), String::new()));
                written.push_str(&format!("{line}\n"));
            }
            (Some((language, text)), Some(_)) => {
                if language == "console" {
                    for command in text.lines().filter_map(|line| line.strip_prefix("$ ")) {
                        written.push_str(&format!("$ {command}\n{}", shell.run(command)));
                    }
                } else {
                    let name: String = file.take().expect("the name of a file before its content");
                    let path = shell.folder().join(name);
                    fs::write(path, shell.with_free_ports(text)).expect("a file of the tutorial");
                    written.push_str(text);
                }
                block = None;
                written.push_str("```\n");
            }
            (Some((_, text)), None) => text.push_str(&format!("{line}\n")),
            (None, None) => {
                let name = line.strip_prefix('`').and_then(|rest| rest.strip_suffix("`:"));
                file = name.map(str::to_owned).or(file);
                written.push_str(&format!("{line}\n"));
            }
        }
    }
    let folder = shell.folder();
    drop(shell);
    assert_ne!(folder, root, "the tutorial leaves the repository alone");
    fs::remove_dir_all(&folder).expect("the folder of the tutorial");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &written).expect("the page");
    }
    // Also where the page was just written: these are what it is about.
    for part in ["partner acme, traced", "\n401\n", "\n429\n", "drained"] {
        assert!(written.contains(part), "{part}: {written}");
    }
    let (page, written) = (stable(&fs::read_to_string(&path).expect("the page")), stable(&written));
    let differs = page.lines().zip(written.lines()).find(|(page, run)| page != run);
    assert!(page == written, "UPDATE_EXPECT=1 writes the page; first difference: {differs:#?}");
}
