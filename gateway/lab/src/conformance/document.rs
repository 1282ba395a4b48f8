//! docs/conformance.md, from what was tried.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Verdict;
use super::sections::SECTIONS;
use crate::oracles;

/// The deviations that are there on purpose: names of rows, and why.
pub type Deviations = BTreeMap<String, String>;

/// Reads `name: reason` from each line; `#` begins a comment. A name may hold colons, a reason may not hold ` | `.
pub fn deviations(text: &str) -> Deviations {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" | "))
        .map(|(name, reason)| (name.trim().to_owned(), reason.trim().to_owned()))
        .collect()
}

/// Rows whose result is not what is wanted: faults that are no known deviation, and deviations that are none.
pub fn unexpected(verdicts: &[Verdict], deviations: &Deviations) -> Vec<String> {
    verdicts
        .iter()
        .filter_map(|verdict| match (&verdict.fault, deviations.get(verdict.name)) {
            (Some(fault), None) => {
                Some(format!("{}: {} ({}): {fault}", verdict.kind, verdict.name, verdict.rules.join(", ")))
            }
            (None, Some(_)) => Some(format!("{}: conforms; remove it from deviations.txt", verdict.name)),
            _ => None,
        })
        .collect()
}

/// The document.
pub fn markdown(verdicts: &[Verdict], oracles: &[oracles::Verdict], deviations: &Deviations) -> String {
    let mut text = String::from(
        "# Conformance\n\nWritten by `cargo xtask conformance`, which tries the program that the image holds. \
         [benchmarks.md](benchmarks.md) is about its speed.\n\n## Programs that nobody here wrote\n\n\
         | oracle | program | ran | failed |\n|---|---|---|---|\n",
    );
    for oracle in oracles {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            oracle.name,
            oracle.program,
            oracle.ran,
            oracle.faults.len()
        );
    }
    let mut kinds: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for verdict in verdicts {
        let count = kinds.entry(verdict.kind).or_default();
        count[0] += 1;
        count[1] += usize::from(verdict.fault.is_some());
    }
    text.push_str(
        "\n## Rows of the table\n\nEach row is a message as bytes or frames and what must become of it: \
         `gateway/lab/src/conformance/cases`.\n\n| kind | rows | deviate |\n|---|---|---|\n",
    );
    for (kind, [rows, failed]) in kinds {
        let _ = writeln!(text, "| {kind} | {rows} | {failed} |");
    }
    if !deviations.is_empty() {
        text.push_str("\n## Deviations\n\n| row | why |\n|---|---|\n");
        for (name, reason) in deviations {
            let _ = writeln!(text, "| {} | {} |", cell(name), cell(reason));
        }
    }
    for (rfc, title) in [("9110", "HTTP semantics"), ("9112", "HTTP/1.1"), ("9113", "HTTP/2")] {
        let _ = write!(text, "\n## RFC {rfc}: {title}\n\n| section | about | tests |\n|---|---|---|\n");
        for section in SECTIONS.iter().filter(|section| section.rule.starts_with(rfc)) {
            let mut tests: Vec<String> = section.oracles.iter().map(|oracle| format!("*{oracle}*")).collect();
            tests.extend(
                verdicts
                    .iter()
                    .filter(|verdict| verdict.rules.contains(&section.rule))
                    .map(|verdict| cell(verdict.name)),
            );
            let _ = writeln!(text, "| {} | {} | {} |", &section.rule[5..], section.asks, tests.join("; "));
        }
    }
    text
}

/// A text that breaks no table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &'static str, fault: Option<&str>) -> Verdict {
        Verdict { kind: "request", name, rules: &["9112 3"], fault: fault.map(str::to_owned) }
    }

    #[test]
    fn what_is_not_expected() {
        let known = deviations("# comment\na: b | because\nfine | once\n");
        assert_eq!(known["a: b"], "because");
        let verdicts = [
            verdict("a: b", Some("x")),
            verdict("fine", None),
            verdict("new", Some("y")),
            verdict("good", None),
        ];
        let found = unexpected(&verdicts, &known);
        assert_eq!(found, ["fine: conforms; remove it from deviations.txt", "request: new (9112 3): y"]);
    }

    #[test]
    fn each_section_names_a_test() {
        let rules: Vec<&str> = super::super::rules();
        for section in SECTIONS {
            assert!(
                !section.oracles.is_empty() || rules.contains(&section.rule),
                "no test of {}",
                section.rule
            );
        }
        for rule in rules {
            assert!(
                SECTIONS.iter().any(|section| section.rule == rule),
                "{rule} is not in the list of sections"
            );
        }
    }
}
