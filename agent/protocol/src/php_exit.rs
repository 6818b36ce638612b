//! How `latchkey-php` tells the broker in its exit code how PHP ended.
//!
//! The codes are those of `timeout` and the shell: 124 the deadline, 125 never started, 128 + n signal n. PHP itself
//! can exit with such a code too; that would be the site's word about its own call, so it is folded into 254.

use crate::PhpEnd;

/// Exit code of `latchkey-php` when PHP was never started; the call's log says why.
pub const PHP_NOT_STARTED: u8 = 125;

const TIMED_OUT: u8 = 124;
const SIGNAL_BASE: i32 = 128;
const SIGNAL_MAX: i32 = 64;
const FOLDED: u8 = 254;

impl PhpEnd {
    /// The exit code by which `latchkey-php` says this.
    pub fn exit_code(self) -> u8 {
        match self {
            PhpEnd::TimedOut => TIMED_OUT,
            PhpEnd::Signalled { signal } => u8::try_from(SIGNAL_BASE + signal).unwrap_or(FOLDED),
            PhpEnd::Exited { code } => match u8::try_from(code) {
                Ok(code) if !means_more(code) => code,
                _ => FOLDED,
            },
        }
    }

    /// What an exit code of `latchkey-php` says; `None` when PHP was never started.
    pub fn from_exit_code(code: i32) -> Option<PhpEnd> {
        match code {
            _ if code == i32::from(PHP_NOT_STARTED) => None,
            _ if code == i32::from(TIMED_OUT) => Some(PhpEnd::TimedOut),
            _ if code > SIGNAL_BASE && code <= SIGNAL_BASE + SIGNAL_MAX => {
                Some(PhpEnd::Signalled { signal: code - SIGNAL_BASE })
            }
            _ => Some(PhpEnd::Exited { code }),
        }
    }
}

fn means_more(code: u8) -> bool {
    (TIMED_OUT..=192).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_comes_back_from_its_exit_code() {
        let ends = (1..=64).map(|signal| PhpEnd::Signalled { signal });
        for end in ends.chain([PhpEnd::TimedOut, PhpEnd::Exited { code: 0 }, PhpEnd::Exited { code: 255 }]) {
            assert_eq!(PhpEnd::from_exit_code(i32::from(end.exit_code())), Some(end));
        }
        assert_eq!(PhpEnd::from_exit_code(i32::from(PHP_NOT_STARTED)), None);
    }

    #[test]
    fn an_exit_code_of_php_cannot_pass_for_a_deadline_a_signal_or_a_failed_start() {
        for code in 124..=192 {
            let told = PhpEnd::from_exit_code(i32::from(PhpEnd::Exited { code }.exit_code()));
            assert_eq!(told, Some(PhpEnd::Exited { code: 254 }));
        }
    }
}
