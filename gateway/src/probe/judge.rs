//! When results of probes change what is thought of an endpoint.

/// What probes have shown of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// Nothing until the first result, which decides alone.
    up: Option<bool>,
    /// Results in a row that contradict `up`.
    against: u32,
}

impl Judge {
    /// Takes a result; gives what is thought from now on if that is news.
    pub fn take(&mut self, success: bool, healthy_threshold: u32, unhealthy_threshold: u32) -> Option<bool> {
        if self.up == Some(success) {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let threshold = if success { healthy_threshold } else { unhealthy_threshold };
        if self.up.is_some() && self.against < threshold {
            return None;
        }
        self.against = 0;
        self.up = Some(success);
        self.up
    }
}

#[cfg(test)]
mod tests {
    use super::Judge;

    #[test]
    fn thresholds() {
        // Results and news as letters: up, down, no news.
        let table = [
            ("uuu", "u--"),
            ("ddd", "d--"),
            ("udddd", "u--d-"),
            ("uddudd", "u-----"),
            ("uddduu", "u--d-u"),
            ("duduu", "d---u"),
        ];
        for (results, expected) in table {
            let mut judge = Judge::default();
            let news: String = results
                .chars()
                .map(|result| match judge.take(result == 'u', 2, 3) {
                    None => '-',
                    Some(true) => 'u',
                    Some(false) => 'd',
                })
                .collect();
            assert_eq!(news, expected, "{results}");
        }
    }
}
