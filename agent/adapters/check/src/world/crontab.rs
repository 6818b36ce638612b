//! The host interface `crontab`: a text that begins empty, with the agent's limit and the coarser of cron's rules.

use latchkey_adapters::host::crontab::{CrontabError, Table};
use serde_json::Value;

use super::{Misunderstood, Model, decoded, encoded, unknown};

const TEXT_MAX_BYTES: usize = 255 << 10;
const LINES_MAX: usize = 10_000;

/// The crontab of the hosting's system user.
#[derive(Debug, Default)]
pub(super) struct Crontab {
    text: Vec<u8>,
    replaced: u32,
}

impl Model for Crontab {
    fn answer(&mut self, function: &str, arguments: &[u8]) -> Result<Vec<u8>, Misunderstood> {
        match function {
            "read" => encoded(&Ok::<_, CrontabError>(Table { text: self.text.clone(), version: self.version() })),
            "replace" => {
                let (version, text): (String, Vec<u8>) = decoded(arguments)?;
                encoded(&self.replace(&version, text))
            }
            _ => Err(unknown(function)),
        }
    }

    fn kept(&self) -> Value {
        String::from_utf8_lossy(&self.text).into()
    }
}

impl Crontab {
    fn version(&self) -> String {
        format!("replaced {} times", self.replaced)
    }

    fn replace(&mut self, version: &str, text: Vec<u8>) -> Result<(), CrontabError> {
        if text.len() > TEXT_MAX_BYTES {
            return Err(CrontabError::Invalid(format!("expected at most {TEXT_MAX_BYTES} bytes")));
        }
        if version != self.version() {
            return Err(CrontabError::Changed);
        }
        judge(&text).map_err(CrontabError::Invalid)?;
        self.text = text;
        self.replaced += 1;
        Ok(())
    }
}

/// What cron says of the grossest mistakes.
fn judge(text: &[u8]) -> Result<(), String> {
    if text.last().is_some_and(|last| *last != b'\n') {
        return Err("new crontab file is missing newline before EOF, can't install.".into());
    }
    let lines = text.split(|byte| *byte == b'\n');
    if lines.clone().count() > LINES_MAX {
        return Err(format!("crontab is too long; maximum number of lines is {LINES_MAX}."));
    }
    for (number, line) in lines.map(<[u8]>::trim_ascii).enumerate() {
        let is_nothing = line.is_empty() || line.starts_with(b"#");
        let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
        let is_entry = words > if line.starts_with(b"@") { 1 } else { 5 };
        if !is_nothing && !is_entry && !line.contains(&b'=') {
            return Err(format!("\"-\":{number}: bad minute; errors in crontab file, can't install."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_replaced_if_it_still_is_what_was_read_and_cron_takes_it() {
        let mut crontab = Crontab::default();
        let first = crontab.version();
        crontab.replace(&first, b"# a\n\nA = b\n@daily x\n1 2 * * * y\n".to_vec()).unwrap();
        assert_eq!(crontab.replace(&first, b"".to_vec()), Err(CrontabError::Changed));
        let now = crontab.version();
        for text in
            [&b"@daily x"[..], b"@daily\n", b"1 2 * * *\n", b"x\n", &b"#\n".repeat(200_000), &b"\n".repeat(10_001)]
        {
            assert!(matches!(crontab.replace(&now, text.to_vec()), Err(CrontabError::Invalid(_))));
        }
        crontab.replace(&now, b"".to_vec()).unwrap();
    }
}
