//! Rules of the documents.

use std::fs;

use super::{files, root};

/// Words that hide what a sentence means. CONTRIBUTING.md has the terms to use.
#[test]
fn documents_use_plain_words() {
    const WORDS: [&str; 20] = [
        "thereof",
        "nobody knows",
        "nobody hears",
        "gate said no",
        "gate says no",
        "mended",
        "stands on",
        "stand on itself",
        "held against",
        "that which",
        "what came of",
        "goes by the name",
        "came about",
        "nobody can",
        "taken note",
        "said a secret",
        "goes nowhere else",
        "whatever keeps",
        "came to nothing",
        "knows of nothing",
    ];
    const FOLDERS: [&str; 6] = ["xtask/src", "xtask/crates", "xtask/tests/it", "gateway", "docs", ".github"];
    const FILES: [&str; 4] = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "xtask/image.toml"];
    let mut texts: Vec<_> = FILES.iter().map(|file| root().join(file)).collect();
    for folder in FOLDERS {
        files(&root().join(folder), &[".rs", ".md", ".yml", ".toml"], &mut texts);
    }
    let mut found = Vec::new();
    for path in texts {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            let words = WORDS.iter().filter(|word| lower.contains(*word));
            found.extend(words.map(|word| format!("{}:{}: '{word}'", path.display(), number + 1)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// A comment names its subject. It does not begin with a question word, as in 'What is known of a blob'.
#[test]
fn comments_begin_with_their_subject() {
    const FIRST: [&str; 7] = ["What", "Who", "Whose", "Whoever", "Whatever", "Nobody", "How far"];
    let mut sources = Vec::new();
    files(&root().join("xtask"), &[".rs"], &mut sources);
    let mut found = Vec::new();
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().map(str::trim_start).collect();
        for (at, line) in lines.iter().enumerate() {
            let continues = at > 0 && lines[at - 1].starts_with("//");
            let Some(comment) = line.strip_prefix("//").map(|rest| rest.trim_start_matches(['/', '!']))
            else {
                continue;
            };
            let comment = comment.trim_start();
            let is_first =
                |word: &&str| comment.strip_prefix(*word).is_some_and(|rest| rest.starts_with(' '));
            if !continues && FIRST.iter().any(is_first) {
                found.push(format!("{}:{}: {comment}", path.display(), at + 1));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_index_lists_every_document() {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let mut documents = Vec::new();
    files(&root().join("docs"), &[".md"], &mut documents);
    for document in documents {
        let name = document.file_name().unwrap().to_string_lossy().into_owned();
        let listed = name == "README.md" || index.contains(&format!("({name})"));
        assert!(listed, "docs/README.md does not list {name}");
    }
}

/// The content that both READMEs must share: code between backquotes, lines of code blocks other than diagrams, and numbers.
fn shared_content(readme: &str) -> Vec<String> {
    let mut content = Vec::new();
    let mut block = None;
    for line in readme.lines() {
        if let Some(language) = line.strip_prefix("```") {
            block = if block.is_none() { Some(language) } else { None };
            continue;
        }
        match block {
            Some("mermaid") => {}
            Some(_) => content.push(line.to_owned()),
            None => {
                content.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
                let numbers = line.split(|letter: char| !letter.is_ascii_digit());
                content.extend(numbers.filter(|number| !number.is_empty()).map(str::to_owned));
            }
        }
    }
    content.sort();
    content
}

#[test]
fn both_readmes_have_the_same_commands_and_numbers() {
    let read = |name: &str| shared_content(&fs::read_to_string(root().join(name)).unwrap());
    assert_eq!(read("README.md"), read("README.zh-CN.md"));
}

/// Whether a line is the heading with this anchor, as GitHub makes anchors of headings.
fn is_anchor(line: &str, anchor: &str) -> bool {
    let is_kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
    let slug =
        |text: &str| text.trim().to_lowercase().chars().filter(is_kept).collect::<String>().replace(' ', "-");
    line.starts_with('#') && slug(line.trim_start_matches('#')) == anchor
}

#[test]
fn links_in_documents_have_a_target() {
    let mut documents = Vec::new();
    files(root(), &[".md"], &mut documents);
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            if path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            let target = document.parent().unwrap().join(path);
            let target = if path.is_empty() { document.clone() } else { target };
            assert!(target.exists(), "{}: {link}", document.display());
            let has =
                |name: &str| fs::read_to_string(&target).unwrap().lines().any(|line| is_anchor(line, name));
            assert!(anchor.is_empty() || has(anchor), "{}: no heading {link}", document.display());
        }
    }
}
