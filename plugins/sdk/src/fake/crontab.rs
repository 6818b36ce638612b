//! `crontab`, played: a text that begins empty. Whatever ends with a line end is a crontab here.

use super::play;
use crate::crontab::{CrontabError, Table};

const TEXT_MAX_BYTES: usize = 255 << 10;

/// The crontab.
#[derive(Default)]
pub(super) struct Crontab {
    pub(super) text: Vec<u8>,
    pub(super) version: u32,
    /// What every function answers in place of its work.
    pub(super) answers: Option<CrontabError>,
    /// What somebody else puts in its place just before it is replaced, in turn.
    pub(super) meanwhile: Vec<Vec<u8>>,
}

impl Crontab {
    pub(super) fn put(&mut self, text: Vec<u8>) {
        self.text = text;
        self.version += 1;
    }

    fn version(&self) -> String {
        format!("version {}", self.version)
    }
}

fn serve<T>(work: impl FnOnce(&mut Crontab) -> Result<T, CrontabError>) -> Result<T, CrontabError> {
    play(|played| match played.crontab.answers.clone() {
        Some(error) => Err(error),
        None => work(&mut played.crontab),
    })
}

pub(crate) fn read() -> Result<Table, CrontabError> {
    serve(|crontab| Ok(Table { text: crontab.text.clone(), version: crontab.version() }))
}

pub(crate) fn replace(version: &str, text: &[u8]) -> Result<(), CrontabError> {
    serve(|crontab| {
        if !crontab.meanwhile.is_empty() {
            let text = crontab.meanwhile.remove(0);
            crontab.put(text);
        }
        if text.len() > TEXT_MAX_BYTES {
            return Err(CrontabError::Invalid(format!("expected at most {TEXT_MAX_BYTES} bytes")));
        }
        if text.last().is_some_and(|last| *last != b'\n') {
            return Err(CrontabError::Invalid("new crontab file is missing newline before EOF, can't install.".into()));
        }
        if version != crontab.version() {
            return Err(CrontabError::Changed);
        }
        crontab.put(text.to_owned());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use crate::crontab::{self, CrontabError};
    use crate::fake::Host;

    #[test]
    fn it_is_replaced_if_it_still_is_what_was_read() {
        let host = Host::new();
        let none = crontab::read().unwrap();
        assert_eq!(none.text, b"");
        crontab::replace(&none.version, b"@daily x\n").unwrap();
        assert_eq!(crontab::replace(&none.version, b"@daily y\n"), Err(CrontabError::Changed));
        let now = crontab::read().unwrap();
        host.somebody_else_puts_crontabs([b"@daily theirs\n".to_vec()]);
        assert_eq!(crontab::replace(&now.version, b"@daily y\n"), Err(CrontabError::Changed));
        assert_eq!(host.crontab(), b"@daily theirs\n");
        host.has_crontab("@daily z\n");
        let now = crontab::read().unwrap();
        assert_eq!(now.text, b"@daily z\n");
        for text in [&b"@daily z"[..], &vec![b'\n'; (255 << 10) + 1]] {
            assert!(matches!(crontab::replace(&now.version, text), Err(CrontabError::Invalid(_))));
        }
        host.crontab_answers(CrontabError::Refused("no cron".into()));
        assert_eq!(crontab::read(), Err(CrontabError::Refused("no cron".into())));
    }
}
