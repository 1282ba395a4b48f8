//! The greatest age of an advisory database.

use super::Database;
use cli_support::error::Fault;
use cli_support::time::Date;

impl Database {
    /// Checks the age, in days: an error above `max_age`, a warning from half of it on. A date in the future is an error
    /// too; one day is left for time zones.
    pub fn check_age(&self, today: Date, max_age: Option<u64>) -> Result<Option<String>, Fault> {
        let Self { what, hint, .. } = self;
        let (date, max_age) = (self.report.database, max_age.unwrap_or(self.max_age));
        let days = today.since(date);
        let limit = i64::try_from(max_age).unwrap_or(i64::MAX);
        if days > limit || days < -1 {
            let what = format!("{what} is of {date}, {days} days old; the limit is {max_age} days");
            let hint = format!("{hint}; or raise max-age in [scan] of {}", rust_workspace::settings::file());
            let fault = Fault::gate(what).hint(hint);
            return Err(self.file.into_iter().fold(fault, Fault::at));
        }
        let is_half = days > limit / 2;
        Ok(is_half.then(|| {
            format!("{what} is of {date}, {days} days old; scans fail after {max_age} days: {hint}")
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::EngineReport;

    #[test]
    fn old_databases_are_warned_of_and_then_refused() {
        for (today, max_age, expected) in [
            ("2024-06-01", None, "passes"),
            ("2024-05-31", None, "passes"),
            ("2024-05-30", None, "fails"),
            ("2024-06-16", None, "passes"),
            ("2024-06-17", None, "warns"),
            ("2024-07-01", None, "warns"),
            ("2024-07-02", None, "fails"),
            ("2024-06-04", Some(7), "passes"),
            ("2024-06-05", Some(7), "warns"),
            ("2024-06-08", Some(7), "warns"),
            ("2024-06-09", Some(7), "fails"),
            ("2024-06-09", Some(36_500), "passes"),
            ("2024-06-09", Some(u64::MAX), "passes"),
        ] {
            let report = EngineReport {
                name: "x",
                version: "1".to_owned(),
                database: "2024-06-01".parse().unwrap(),
                commit: None,
                advisories: None,
            };
            let what = "the database";
            let database = Database { report, what, file: None, max_age: 30, hint: "update".to_owned() };
            let found = match database.check_age(today.parse().unwrap(), max_age) {
                Ok(None) => "passes",
                Ok(Some(_)) => "warns",
                Err(_) => "fails",
            };
            assert_eq!(found, expected, "{today} {max_age:?}");
        }
    }
}
