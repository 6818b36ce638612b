//! Configuration files as the operator wrote them down: which directory, which names, and who says whether they are right.

use std::{path::PathBuf, time::Duration};

use latchkey_protocol::{COMMAND_DEADLINE_MAX_MS, CONFIG_FILE_NAME_MAX_BYTES};
use serde::Deserialize;

use crate::{config::is_plain_absolute, operators_file::default_timeout_ms};

/// Where the hosting's id stands in a pattern.
const PLACE: &str = "{hosting}";

/// A directory with files that an adapter may write.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) struct Section {
    /// Where they are.
    pub(super) directory: PathBuf,
    /// Says by its exit code whether all is well with them.
    pub(super) check: Program,
    /// Makes them take effect.
    pub(super) apply: Option<Program>,
    /// How long either of both may take.
    pub(super) timeout: Duration,
    names: Names,
}

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<String>,
}

/// Which names are about which hosting: what is before its id, and what is behind, around one `*` or without it. Behind an
/// id comes what no id has in it, so that a name is about one hosting at most.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Names {
    before: String,
    behind: String,
    end: Option<String>,
}

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    directory: PathBuf,
    files: String,
    check: Vec<String>,
    apply: Option<Vec<String>>,
    #[serde(default = "default_timeout_ms")]
    timeout_ms: u32,
}

/// What is wrong with a section.
#[derive(Debug, thiserror::Error)]
pub(super) enum WrittenError {
    #[error("directory: expected an absolute path without '.', '..' or a trailing slash")]
    Directory,
    #[error(
        "files: expected letters, digits, '.', '_' and '-', not '.' first, with {PLACE} once, directly behind it '.' or '_', \
         and further on '*' at most once"
    )]
    Files,
    #[error("{0}: expected the absolute path of a program and its arguments, without places")]
    Program(&'static str),
    #[error("timeout_ms: expected 1 to {COMMAND_DEADLINE_MAX_MS}")]
    Timeout,
}

impl TryFrom<Written> for Section {
    type Error = WrittenError;

    fn try_from(written: Written) -> Result<Self, WrittenError> {
        let Written { directory, files, check, apply, timeout_ms } = written;
        if !is_plain_absolute(&directory) {
            return Err(WrittenError::Directory);
        }
        if !(1..=COMMAND_DEADLINE_MAX_MS).contains(&timeout_ms) {
            return Err(WrittenError::Timeout);
        }
        Ok(Self {
            directory,
            names: Names::parse(&files).ok_or(WrittenError::Files)?,
            check: Program::of(check).ok_or(WrittenError::Program("check"))?,
            apply: apply.map(|apply| Program::of(apply).ok_or(WrittenError::Program("apply"))).transpose()?,
            timeout: Duration::from_millis(timeout_ms.into()),
        })
    }
}

impl Section {
    /// Whether a name is one, and about this hosting.
    pub(crate) fn is_about(&self, hosting: &str, name: &str) -> bool {
        (1..=CONFIG_FILE_NAME_MAX_BYTES).contains(&name.len()) && is_plain(name) && self.names.fit(hosting, name)
    }

    /// What is expected of a name about this hosting.
    pub(super) fn expected(&self, hosting: &str) -> String {
        let Names { before, behind, end } = &self.names;
        let rest = end.as_ref().map_or(String::new(), |end| format!("*{end}"));
        format!(
            "expected {before}{hosting}{behind}{rest}, at most {CONFIG_FILE_NAME_MAX_BYTES} letters, digits, '.', '_' and '-'"
        )
    }
}

impl Names {
    fn parse(pattern: &str) -> Option<Self> {
        let (before, rest) = pattern.split_once(PLACE)?;
        let (behind, end) = match rest.split_once('*') {
            Some((behind, end)) => (behind, Some(end.to_owned())),
            None => (rest, None),
        };
        let parts = [before, behind, end.as_deref().unwrap_or_default()];
        let fits = parts.iter().all(|part| part.bytes().all(is_plain_byte)) && !before.starts_with('.');
        let is_one_hostings = behind.starts_with(['.', '_']);
        (fits && is_one_hostings).then(|| Self { before: before.to_owned(), behind: behind.to_owned(), end })
    }

    fn fit(&self, hosting: &str, name: &str) -> bool {
        let rest = name.strip_prefix(&self.before).and_then(|rest| rest.strip_prefix(hosting));
        let rest = rest.and_then(|rest| rest.strip_prefix(&self.behind));
        rest.is_some_and(|rest| match &self.end {
            Some(end) => rest.ends_with(end),
            None => rest.is_empty(),
        })
    }
}

impl Program {
    fn of(argv: Vec<String>) -> Option<Self> {
        let is_plain = |text: &String| !text.contains(['\0', '{', '}']);
        let mut argv = argv.into_iter();
        let path = argv.next().filter(is_plain).map(PathBuf::from).filter(|path| is_plain_absolute(path))?;
        let arguments: Vec<String> = argv.collect();
        arguments.iter().all(is_plain).then_some(Self { path, arguments })
    }
}

fn is_plain(name: &str) -> bool {
    !name.starts_with('.') && name.bytes().all(is_plain_byte)
}

fn is_plain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(files: &str, more: &str) -> Result<Section, String> {
        let text =
            format!("directory = \"/etc/x\"\nfiles = \"{files}\"\ncheck = [\"/usr/sbin/nginx\", \"-t\"]\n{more}");
        toml::from_str(&text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn a_name_is_about_one_hosting_at_most() {
        let section = section("site-{hosting}_*.conf", "").unwrap();
        for name in ["site-shop_a.conf", "site-shop_.conf", "site-shop_a.b-c_d.conf"] {
            assert!(
                section.is_about("shop", name) && !section.is_about("shop-2", name) && !section.is_about("sho", name)
            );
        }
        assert!(section.is_about("shop-2", "site-shop-2_a.conf") && !section.is_about("shop", "site-shop-2_a.conf"));
        for name in
            ["", "shop_a.conf", "site-shop_a", "site-shop_../x.conf", "site-shop_a\n.conf", "site-shop_a b.conf"]
        {
            assert!(!section.is_about("shop", name), "{name}");
        }
        assert!(!section.is_about("shop", &format!("site-shop_{}.conf", "x".repeat(86))));
        assert!(section.is_about("shop", &format!("site-shop_{}.conf", "x".repeat(85))));
        assert_eq!(
            section.expected("shop"),
            "expected site-shop_*.conf, at most 100 letters, digits, '.', '_' and '-'"
        );
    }

    #[test]
    fn a_name_that_is_one_is_that_one() {
        let section = section("{hosting}.conf", "").unwrap();
        assert!(section.is_about("shop", "shop.conf"));
        for name in ["shop.confx", "xshop.conf", ".shop.conf", "shop.conf.bak"] {
            assert!(!section.is_about("shop", name), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_a_section_is_refused_by_what_was_expected() {
        for files in [
            "",
            "*.conf",
            "{hosting}-*.conf",
            "{hosting}*.conf",
            "*_{hosting}.conf",
            "{hosting}_{hosting}.conf",
            "{hosting}_*_*.conf",
            ".{hosting}.conf",
            "a/{hosting}.conf",
            "{hosting}",
        ] {
            assert!(section(files, "").unwrap_err().contains("files: expected"), "{files}");
        }
        let said = |more: &str| section("{hosting}.conf", more).unwrap_err();
        assert!(said("apply = [\"nginx\"]").contains("apply: expected the absolute path"));
        assert!(said("apply = []").contains("apply: expected"));
        assert!(said("apply = [\"/bin/x\", \"{hosting}\"]").contains("without places"));
        assert!(said("timeout_ms = 60001").contains("timeout_ms: expected 1 to 60000"));
        assert!(said("user = \"root\"").contains("unknown field"));
        let crooked = "directory = \"/etc/../x\"\nfiles = \"{hosting}.conf\"\ncheck = [\"/bin/x\"]";
        assert!(toml::from_str::<Section>(crooked).unwrap_err().message().contains("directory: expected"));
    }
}
