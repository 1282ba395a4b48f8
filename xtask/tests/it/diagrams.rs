//! The diagrams in the documents, parsed by Mermaid.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ran, installed, root};

/// The last version of jsdom for Node.js 20. Mermaid cleans labels with the DOM of a browser.
const INSTALL: &str = "echo '{}' >package.json
npm install --silent --no-audit --no-fund mermaid@11.17.2 jsdom@26.1.0";

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

/// A folder with the parser.
fn parser() -> Option<PathBuf> {
    let dir = installed("mermaid", INSTALL)?;
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
