//! The diagrams in the documents, parsed by Mermaid.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ran, have, root};

/// The last version of jsdom for Node.js 20. Mermaid cleans labels with the DOM of a browser.
const PACKAGES: [&str; 2] = ["mermaid@11.17.2", "jsdom@26.1.0"];

const PARSE: &str = r"
import { readFileSync } from 'node:fs';
import { JSDOM } from 'jsdom';
const { window } = new JSDOM('');
Object.assign(globalThis, { window, document: window.document });
const { default: mermaid } = await import('mermaid');
for (const file of process.argv.slice(2)) {
  for (const [, text] of readFileSync(file, 'utf8').matchAll(/^```mermaid\n(.*?)^```/gms)) {
    try {
      const { diagramType } = await mermaid.parse(text);
      console.log(`${file}: ${diagramType}`);
    } catch (error) {
      console.log(`${file}: ${error.message}\n${text}`);
      process.exitCode = 1;
    }
  }
}
";

/// A folder with the parser; made once.
fn parser() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mermaid");
    let marker = dir.join(PACKAGES.join(" "));
    if !marker.is_file() {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("package.json"), "{}").unwrap();
        let install = ["install", "--silent", "--no-audit", "--no-fund"];
        let output = Command::new("npm").current_dir(&dir).args(install).args(PACKAGES).output();
        let why = match &output {
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => format!("npm: {error}"),
        };
        if !have("mermaid", output.is_ok_and(|output| output.status.success()), &why) {
            return None;
        }
        fs::write(&marker, "").unwrap();
    }
    fs::write(dir.join("parse.mjs"), PARSE).unwrap();
    Some(dir)
}

fn parse(dir: &Path, files: &[PathBuf]) -> Ran {
    Ran::of(Command::new("node").arg(dir.join("parse.mjs")).args(files))
}

#[test]
fn diagrams_of_the_documents_are_parsed() {
    let Some(dir) = parser() else { return };
    let mut files = vec![root().join("README.md"), root().join("README.zh-CN.md")];
    let documents = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    files.extend(documents.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
    let ran = parse(&dir, &files).code(0);
    assert!(ran.stdout.contains("README.md: flowchart"), "{}", ran.stdout);
    let wrong = dir.join("wrong.md");
    fs::write(&wrong, "```mermaid\nflowchart LR\n  a --> [b\n```\n").unwrap();
    parse(&dir, &[wrong]).code(1).says("Parse error");
}
