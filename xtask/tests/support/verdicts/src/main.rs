//! Writes the advisories and ratings that the crate `rustsec` gives for versions of crates: the fixture `verdicts.txt` in
//! `xtask/crates/image-scan/src/engines/builtin/fixture`.
//!
//! Reads lines `NAME VERSION …` and writes them with the advisories of the database in the first argument:
//! `cargo run -- DB < verdicts.txt`. The advisories about these crates go from `xtask/advisories.jsonl` into
//! `advisories.jsonl` beside the fixture, with their number and digest in its first line.

use std::path::Path;

use rustsec::Database;

fn main() {
    let database = std::env::args().nth(1).expect("the folder of a RustSec database");
    let database = Database::open(Path::new(&database)).expect("a RustSec database");
    for line in std::io::stdin().lines() {
        let line = line.expect("text");
        let mut words = line.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        let version: semver::Version = version.parse().expect("a version");
        let affected = database.iter().filter(|advisory| {
            advisory.metadata.package.as_str() == name
                && advisory.metadata.withdrawn.is_none()
                && advisory.versions.is_vulnerable(&version)
        });
        let mut ids: Vec<_> = affected
            .map(|advisory| {
                let severity = advisory.severity().map_or("-".to_owned(), |severity| severity.to_string());
                format!("{}:{severity}", advisory.metadata.id)
            })
            .collect();
        ids.sort();
        println!("{}", format!("{name} {version} {}", ids.join(",")).trim_end());
    }
}
