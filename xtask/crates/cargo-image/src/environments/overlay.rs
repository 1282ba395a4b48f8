//! The image in a kustomize overlay: `kustomization.yaml` names it by repository and digest.

use std::path::{Path, PathBuf};

use cli_support::digest::Digest;
use cli_support::error::Fault;

const FILE: &str = "kustomization.yaml";

/// The kustomization of an overlay and the entry in its `images` that a promotion writes.
#[derive(Debug, Clone)]
pub struct Overlay {
    file: PathBuf,
    repository: String,
}

impl Overlay {
    /// The overlay in a folder, for images of this repository.
    ///
    /// # Errors
    ///
    /// The folder has no kustomization that can be read, or none with an entry for the repository.
    pub fn open(folder: &Path, repository: &str) -> Result<Self, Fault> {
        let overlay = Self { file: folder.join(FILE), repository: repository.to_owned() };
        overlay.edited(&format!("sha256:{}", "0".repeat(64)))?;
        Ok(overlay)
    }

    /// The file that is written.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Writes repository and digest; whether the file changed.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written, or has no entry for the repository any more.
    pub fn write(&self, digest: &Digest) -> Result<bool, Fault> {
        let (before, after) = self.edited(&digest.to_string())?;
        if before == after {
            return Ok(false);
        }
        std::fs::write(&self.file, after)
            .map_err(|error| Fault::failed(format!("cannot be written: {error}")).at(self.file.display()))?;
        Ok(true)
    }

    fn edited(&self, digest: &str) -> Result<(String, String), Fault> {
        let text = std::fs::read_to_string(&self.file)
            .map_err(|error| Fault::usage(format!("cannot be read: {error}")).at(self.file.display()))?;
        let edited = edit(&text, &self.repository, digest).map_err(|why| {
            let hint =
                format!("images:\n  - name: NAME\n    newName: {}\n    digest: {digest}", self.repository);
            Fault::usage(why).at(self.file.display()).hint(hint)
        })?;
        Ok((text, edited))
    }
}

/// A line of an entry: `- key: value # comment`.
struct Line<'t> {
    key: &'t str,
    value: &'t str,
}

fn line(text: &str) -> Option<Line<'_>> {
    let text = text.trim();
    let text = text.strip_prefix("- ").unwrap_or(text).trim_start();
    let (key, rest) = text.split_once(':')?;
    let value = rest.split(" #").next().unwrap_or(rest).trim();
    let value = value.trim_matches(['"', '\'']);
    (!text.starts_with('#')).then_some(Line { key, value })
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// The text with another digest at the entry of this repository, everything else as it is.
fn edit(text: &str, repository: &str, digest: &str) -> Result<String, String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let list = lines.iter().position(|line| line.split(" #").next().map(str::trim_end) == Some("images:"));
    let list = list.ok_or("there is no list 'images'")? + 1;
    let inside = |line: &&str| !is_content(line) || line.starts_with([' ', '-']);
    let end = list + lines[list..].iter().take_while(|line| inside(line)).count();
    let begins: Vec<usize> = (list..end).filter(|&at| lines[at].trim_start().starts_with("- ")).collect();
    if begins.iter().any(|&at| lines[at].trim_start().starts_with("- {")) {
        return Err("'images' has an entry in braces; write each key in a line of its own".to_owned());
    }
    let entry = |number: usize| {
        let until = begins.get(number + 1).copied().unwrap_or(end);
        let last = (begins[number]..until).rev().find(|&at| is_content(lines[at])).unwrap_or(begins[number]);
        begins[number]..last + 1
    };
    let has = |number: usize, key: &str, value: &str| {
        entry(number).any(|at| line(lines[at]).is_some_and(|line| line.key == key && line.value == value))
    };
    let short = repository.rsplit('/').next().unwrap_or(repository);
    let wanted = [("newName", repository), ("name", repository), ("name", short)];
    let found = wanted.iter().find_map(|(key, value)| (0..begins.len()).find(|&at| has(at, key, value)));
    let entry = entry(found.ok_or_else(|| format!("no entry of 'images' is for {repository}"))?);
    let keys = indent(lines[entry.start]) + 2;
    let mut out: String = lines[..entry.start].concat();
    let mut missing = vec![("newName", repository), ("digest", digest)];
    for &text in &lines[entry.clone()] {
        let Some(Line { key, value }) = line(text) else {
            out.push_str(text);
            continue;
        };
        if let Some(place) = missing.iter().position(|(known, _)| *known == key) {
            let (_, new) = missing.remove(place);
            let before = &text[..text.find(':').map_or(text.len(), |colon| colon + 1)];
            let comment = text.find(" #").map_or("\n", |at| &text[at..]);
            let comment = if value == new { &text[before.len()..] } else { comment };
            out.push_str(before);
            out.push_str(&if value == new { comment.to_owned() } else { format!(" {new}{comment}") });
        } else if key == "newTag" {
            if text.trim_start().starts_with("- ") {
                return Err("an entry begins with 'newTag'; let it begin with 'name'".to_owned());
            }
        } else {
            out.push_str(text);
        }
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    for (key, value) in missing {
        out.push_str(&format!("{:keys$}{key}: {value}\n", ""));
    }
    out.push_str(&lines[entry.end..].concat());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::edit;

    const WHOLE: &str = "\
# Top.
resources: [../../base]
images: # where from
  # The other one.
  - name: other
    newTag: v1
  - name: app # in the base
    newName: r.example/team/app
    # Pinned.
    digest: sha256:old # by promote

patches:
  - path: digest.yaml
";

    #[test]
    fn only_the_digest_of_the_entry_changes() {
        let edited = edit(WHOLE, "r.example/team/app", "sha256:new").expect("an entry");
        assert_eq!(edited, WHOLE.replace("sha256:old", "sha256:new"));
        let again = edit(&edited, "r.example/team/app", "sha256:new").expect("an entry");
        assert_eq!(again, edited);
    }

    #[test]
    fn an_entry_is_found_and_completed() {
        let table = [
            (
                "images:\n- name: app\n  newTag: '1'\n",
                "images:\n- name: app\n  newName: r/app\n  digest: D\n",
            ),
            ("images:\n  - name: r/app", "images:\n  - name: r/app\n    newName: r/app\n    digest: D\n"),
            (
                "images:\n  - digest: \"x\"\n    name: 'app'\nx: 1\n",
                "images:\n  - digest: D\n    name: 'app'\n    newName: r/app\nx: 1\n",
            ),
            (
                "images:\n  - name: app\n    newName: old/app\n\n# End.\n",
                "images:\n  - name: app\n    newName: r/app\n    digest: D\n\n# End.\n",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(edit(text, "r/app", "D").as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_entry_is_refused() {
        let table = [
            ("resources: []\n", "no list 'images'"),
            ("images:\n  - name: other\n", "no entry of 'images' is for r/app"),
            ("images:\n  - { name: app }\n", "in braces"),
            ("images:\n  - newTag: x\n    name: app\n", "begins with 'newTag'"),
            ("x:\n  - name: app\nimages:\ny: 1\n", "no entry"),
        ];
        for (text, expected) in table {
            let refused = edit(text, "r/app", "D").expect_err(text);
            assert!(refused.contains(expected), "{text} {refused}");
        }
    }
}
