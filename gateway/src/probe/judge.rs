//! Thresholds: when probe results change the state of an endpoint.

/// Probe results of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// `None` until the first result, which decides alone.
    up: Option<bool>,
    /// Consecutive results that contradict `up`.
    against: u32,
}

impl Judge {
    /// Applies a result; returns the new state if it changed.
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
    fn state_changes_at_the_thresholds() {
        // Results and changes as letters: up, down, no change.
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
