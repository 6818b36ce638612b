//! `config-file`: files in directories that the operator wrote down, read and changed by the broker, which reads for itself
//! where they are and who checks them.

use latchkey_adapters::host::config_file::{File, FileError};
use latchkey_protocol::{
    CONFIG_FILE_MAX_BYTES, CONFIG_FILE_NAME_MAX_BYTES, ConfigFileCall, ConfigFileCame, ConfigFileWish, RefusalCode,
};

use super::Host;
use super::by_broker::{self, NotAsked};
use crate::adapters::grant_name::GrantName;
use crate::adapters::rights::Use;
use crate::broker::{self, BrokerError};
use crate::problem::chain;

impl Host {
    pub(super) async fn list_config_files(&self, directory: String) -> Result<Vec<String>, FileError> {
        match self.config_file(&directory, ConfigFileWish::List, None).await? {
            (ConfigFileCame::Names(names), _) => Ok(names),
            (came, _) => Err(not_done(came)),
        }
    }

    pub(super) async fn read_config_file(&self, directory: String, name: String) -> Result<File, FileError> {
        match self.config_file(&directory, ConfigFileWish::Read { name }, None).await? {
            (ConfigFileCame::Content { version }, content) => Ok(File { content, version }),
            (came, _) => Err(not_done(came)),
        }
    }

    pub(super) async fn write_config_file(
        &self,
        directory: String,
        name: String,
        version: Option<String>,
        content: Vec<u8>,
    ) -> Result<(), FileError> {
        if content.len() > CONFIG_FILE_MAX_BYTES {
            return Err(FileError::Invalid(format!("content: expected at most {CONFIG_FILE_MAX_BYTES} bytes")));
        }
        self.change_config_file(&directory, ConfigFileWish::Write { name, version }, Some(content)).await
    }

    pub(super) async fn remove_config_file(
        &self,
        directory: String,
        name: String,
        version: String,
    ) -> Result<(), FileError> {
        self.change_config_file(&directory, ConfigFileWish::Remove { name, version }, None).await
    }

    async fn change_config_file(
        &self,
        directory: &str,
        wish: ConfigFileWish,
        content: Option<Vec<u8>>,
    ) -> Result<(), FileError> {
        let file = wish.name().unwrap_or_default().to_owned();
        let came = self.config_file(directory, wish, content).await;
        let came = came.and_then(|(came, _)| match came {
            ConfigFileCame::Done => Ok(()),
            came => Err(not_done(came)),
        });
        let (adapter, hosting) = (self.name(), self.hosting.id.as_str());
        match &came {
            Ok(()) => tracing::info!(adapter, hosting, directory, file, "an adapter changed a configuration file"),
            Err(error) => {
                tracing::warn!(adapter, hosting, directory, file, ?error, "an adapter's change did not work");
            }
        }
        came
    }

    async fn config_file(
        &self,
        directory: &str,
        wish: ConfigFileWish,
        content: Option<Vec<u8>>,
    ) -> Result<(ConfigFileCame, Vec<u8>), FileError> {
        let parsed = directory.parse::<GrantName>();
        let name = parsed.map_err(|error| FileError::Invalid(format!("directory: {error}")))?;
        self.check(Use::ConfigFiles(&name)).map_err(FileError::Denied)?;
        let version = match &wish {
            ConfigFileWish::Write { version, .. } => version.as_deref(),
            ConfigFileWish::Remove { version, .. } => Some(version.as_str()),
            ConfigFileWish::List | ConfigFileWish::Read { .. } => None,
        };
        // A version is shorter than the longest name.
        for (parameter, value) in [("name", wish.name()), ("version", version)] {
            if value.is_some_and(|value| value.len() > CONFIG_FILE_NAME_MAX_BYTES) {
                return Err(FileError::Invalid(format!(
                    "{parameter}: expected at most {CONFIG_FILE_NAME_MAX_BYTES} bytes"
                )));
            }
        }
        let late = || FileError::Unavailable("the time of the call is over".to_owned());
        let patience = self.time_left().ok_or_else(late)?;
        let unknown = match wish {
            ConfigFileWish::List | ConfigFileWish::Read { .. } => FileError::Unavailable,
            ConfigFileWish::Write { .. } | ConfigFileWish::Remove { .. } => FileError::Uncertain,
        };
        let call = ConfigFileCall {
            adapter: self.name().to_owned(),
            hosting: self.hosting.id.to_string(),
            directory: name.to_string(),
            // It may have to wait for another change, one program checks, another has it take effect.
            deadline_ms: by_broker::millis(patience / 3),
            wish,
        };
        let work = move |connection: &_| broker::config_file(connection, call, content.as_deref(), patience);
        let came = self.have_broker(work).await;
        let absent = |NotAsked| FileError::Unavailable("the agent's broker does not answer".to_owned());
        came.map_err(absent)?.map_err(|error| failed(error, unknown))
    }
}

/// What came of it, where that is not what was wished for.
fn not_done(came: ConfigFileCame) -> FileError {
    match came {
        ConfigFileCame::NotThere => FileError::NotFound,
        ConfigFileCame::Changed => FileError::Changed,
        ConfigFileCame::Rejected { said } => FileError::Rejected(said),
        ConfigFileCame::Names(_) | ConfigFileCame::Content { .. } | ConfigFileCame::Done => {
            FileError::Uncertain("the agent's broker answered something unexpected".to_owned())
        }
    }
}

/// What the broker did not do; `unknown` is what that is called where it did not say.
fn failed(error: BrokerError, unknown: fn(String) -> FileError) -> FileError {
    match error {
        BrokerError::Refused { code: RefusalCode::Busy, message, .. } => FileError::Unavailable(message),
        BrokerError::Refused { code: RefusalCode::Invalid, field: Some(field), message }
            if ["name", "content"].contains(&field.as_str()) =>
        {
            FileError::Invalid(format!("{field}: {message}"))
        }
        BrokerError::Refused { code: RefusalCode::Invalid | RefusalCode::NotFound, message, .. } => {
            FileError::Refused(message)
        }
        BrokerError::Text(_) => FileError::Unavailable(error.to_string()),
        BrokerError::Refused { code: RefusalCode::Internal | RefusalCode::Changed, .. }
        | BrokerError::Unreachable(_)
        | BrokerError::HandedOver(_)
        | BrokerError::Unexpected => {
            tracing::warn!(error = %chain(&error), "what came of a configuration file is not known");
            unknown("the agent's broker did not say what came of it".to_owned())
        }
    }
}
