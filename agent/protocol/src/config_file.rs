//! Configuration files in directories that the operator wrote down for an adapter: what serve asks of them, and what came
//! of it.

use serde::{Deserialize, Serialize};

/// So many names are listed at most.
pub const CONFIG_FILES_MAX: usize = 400;

/// The longest content of one.
pub const CONFIG_FILE_MAX_BYTES: usize = 1 << 20;

/// The longest name of one.
pub const CONFIG_FILE_NAME_MAX_BYTES: usize = 100;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFileCall {
    /// The adapter's name.
    pub adapter: String,
    /// The id of the hosting that it is about.
    pub hosting: String,
    /// The directory's name in the operator's file.
    pub directory: String,
    /// Wall-clock time that each of the operator's programs may take, and that this waits for another change, 1 to
    /// [`COMMAND_DEADLINE_MAX_MS`](crate::COMMAND_DEADLINE_MAX_MS) milliseconds; the operator's is shorter or not.
    pub deadline_ms: u32,
    /// What is to be done.
    pub wish: ConfigFileWish,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ConfigFileWish {
    /// Lists the files that are about the hosting.
    List,
    /// Reads one.
    Read {
        /// Its name.
        name: String,
    },
    /// Makes or replaces one. Carries one descriptor, a sealed file in memory with the content.
    Write {
        /// Its name.
        name: String,
        /// What it was when it was read; absent: it was not there.
        version: Option<String>,
    },
    /// Removes one.
    Remove {
        /// Its name.
        name: String,
        /// What it was when it was read.
        version: String,
    },
}

impl ConfigFileWish {
    /// The name of the file that it is about, if it is about one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::List => None,
            Self::Read { name } | Self::Write { name, .. } | Self::Remove { name, .. } => Some(name),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ConfigFileCame {
    /// The names, in order, at most [`CONFIG_FILES_MAX`].
    Names(Vec<String>),
    /// A file was read. Carries one descriptor, a sealed file in memory with the content.
    Content {
        /// SHA-256 of it as 64 lower-case hexadecimal digits.
        version: String,
    },
    /// It was written or removed, and the operator's programs said yes to it.
    Done,
    /// There is no such file.
    NotThere,
    /// It is not what it was said to be; nothing was done.
    Changed,
    /// One of the operator's programs said no; the file is what it was.
    Rejected {
        /// What it said, its end.
        said: String,
    },
}
