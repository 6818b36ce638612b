//! How long the file manager keeps what was deleted: `[files]`.

use serde::Deserialize;

const DAY_S: i64 = 24 * 3600;

/// What is kept in homes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Files {
    /// So many days in the trash.
    pub(crate) trash_days: u32,
}

impl Default for Files {
    fn default() -> Self {
        Self { trash_days: 30 }
    }
}

impl Files {
    /// How long something is in the trash, in seconds.
    pub(crate) const fn trash_s(self) -> i64 {
        self.trash_days as i64 * DAY_S
    }

    /// Whether it is a time to keep something for.
    pub(super) fn is_a_time(self) -> bool {
        (1..=365).contains(&self.trash_days)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::ConfigFault;
    use crate::sample;

    #[test]
    fn the_trash_keeps_something_for_a_day_to_a_year_and_thirty_days_unless_said_otherwise() {
        assert_eq!(sample::config().files.trash_days, 30);
        for days in [1, 7, 365] {
            assert_eq!(sample::config_with(&format!("[files]\ntrash_days = {days}")).unwrap().files.trash_days, days);
        }
        for days in ["0", "366"] {
            let fault = sample::config_with(&format!("[files]\ntrash_days = {days}")).unwrap_err();
            assert!(matches!(fault, ConfigFault::Value { field: "files.trash_days", .. }), "{fault:?}");
        }
        for wrong in ["trash_days = -1", "trash_days = \"30\"", "trash_hours = 1"] {
            let fault = sample::config_with(&format!("[files]\n{wrong}")).unwrap_err();
            assert!(matches!(fault, ConfigFault::Parse { .. }), "{fault:?}");
        }
    }
}
