//! How old advisories may be: those that the workspace has, and Trivy's.

use super::advisory_db::{AdvisoryDb, FILE};
use cli_support::error::Fault;
use cli_support::time::Date;

/// Days that `xtask/advisories.jsonl` may be old where the settings say nothing.
///
/// The file comes with xtask, so that it has some age on the day on which a workspace takes xtask over, and a
/// default that refuses it then would only be raised for good. It is made anew by a workflow, week by week; what
/// is told from half of this age on is that nobody runs it. In CI Trivy is required besides, and its database is
/// a month old at most.
const FACTS: u64 = 180;
/// Days that Trivy's database may be old where the settings say nothing: it is fetched with each scan.
const TRIVY: u64 = 30;

/// What is how old, and how old it may be.
#[derive(Debug)]
pub struct Age {
    what: String,
    place: Option<&'static str>,
    days: i64,
    most: u64,
    hint: &'static str,
}

impl Age {
    /// That of the workspace's advisories, whose day is that of the newest of them; `most` are the settings' days.
    pub fn of_facts(facts: &AdvisoryDb, today: Date, most: Option<u64>) -> Self {
        let (day, most) = (facts.day(), most.unwrap_or(FACTS));
        let hint =
            "cargo xtask advisories update, with --from DIR, TAR or URL where github.com cannot be reached";
        let what = format!("the advisories are of {day}");
        Self { what, place: Some(FILE), days: today.since(day), most, hint }
    }

    /// That of Trivy's database, and whether it was to be fetched.
    pub fn of_trivy(day: Date, today: Date, most: Option<u64>, offline: bool) -> Self {
        let hint = if offline {
            "scan without --offline; --engine builtin needs no database"
        } else {
            "databases in [scan] names places that have a newer one; --engine builtin needs none"
        };
        let what = format!("Trivy's database is of {day}");
        Self { what, place: None, days: today.since(day), most: most.unwrap_or(TRIVY), hint }
    }

    /// What is to be said of it, if anything: from half of its time on. An error where it is too old.
    pub fn check(&self) -> Result<Option<String>, Fault> {
        let Self { what, days, most, hint, .. } = self;
        let limit = i64::try_from(*most).unwrap_or(i64::MAX);
        // A day to come is no proof of freshness either.
        if *days > limit || *days < -1 {
            let fault = Fault::gate(format!("{what}, {days} days old; at most {most} are allowed"));
            let fault =
                fault.hint(format!("{hint}; or max-age in [scan] of {}", rust_workspace::settings::FILE));
            return Err(match self.place {
                Some(place) => fault.at(place),
                None => fault,
            });
        }
        let is_half = *days > limit / 2;
        Ok(is_half.then(|| format!("{what}, {days} days old; after {most} days nothing passes: {hint}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_told_and_what_is_older_is_refused() {
        let day: Date = "2024-06-01".parse().unwrap();
        let text = crate::advisory_db::document(
            "2024-06-01",
            &[r#"{"id":"A-1","package":"x","date":"2024-06-01"}"#.to_owned()],
        );
        let facts = AdvisoryDb::parse(&text).unwrap();
        for (today, most, of_facts, of_trivy) in [
            ("2024-06-01", None, "", ""),
            ("2024-05-31", None, "", ""),
            ("2024-05-30", None, "refused", "refused"),
            ("2024-06-16", None, "", ""),
            ("2024-06-17", None, "", "told"),
            ("2024-07-01", None, "", "told"),
            ("2024-07-02", None, "", "refused"),
            ("2024-08-30", None, "", "refused"),
            ("2024-08-31", None, "told", "refused"),
            ("2024-11-28", None, "told", "refused"),
            ("2024-11-29", None, "refused", "refused"),
            ("2024-06-04", Some(7), "", ""),
            ("2024-06-05", Some(7), "told", "told"),
            ("2024-06-08", Some(7), "told", "told"),
            ("2024-06-09", Some(7), "refused", "refused"),
            ("2024-06-09", Some(36_500), "", ""),
            ("2024-06-09", Some(u64::MAX), "", ""),
        ] {
            let today: Date = today.parse().unwrap();
            let is = |age: &Age| match age.check() {
                Ok(None) => "",
                Ok(Some(_)) => "told",
                Err(_) => "refused",
            };
            assert_eq!(is(&Age::of_facts(&facts, today, most)), of_facts, "{today} {most:?}");
            assert_eq!(is(&Age::of_trivy(day, today, most, false)), of_trivy, "{today} {most:?}");
        }
    }

    #[test]
    fn what_to_do_fits_the_case() {
        let (day, today) = ("2024-06-01".parse().unwrap(), "2025-06-01".parse().unwrap());
        let said = |offline| {
            let fault = Age::of_trivy(day, today, None, offline).check().unwrap_err();
            cli_support::error::render(&fault.into())
        };
        for offline in [true, false] {
            assert_eq!(said(offline).contains("without --offline"), offline, "{}", said(offline));
            assert!(said(offline).contains("--engine builtin") && said(offline).contains("max-age"));
        }
    }
}
