//! The functions that a component imports: `log` and `clock` are answered here, all others are asked of the host.

use latchkey_adapters::{Fault, HostFunction, call::LogLevel};
use serde::{Serialize, de::DeserializeOwned};
use wasmtime::component::Linker;

use crate::{
    bindings::{
        Everything,
        latchkey::adapter::{clock as clock_interface, command, config_file, crontab, http, log, mysql, state, types},
    },
    clock,
    instance::State,
};

/// A line of the log is kept up to so many bytes.
const LINE_MAX_BYTES: usize = 4 * 1024;

/// All functions that an adapter may import.
pub(crate) fn add_to(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    Everything::add_to_linker::<_, wasmtime::component::HasSelf<State>>(linker, |state| state)
}

impl State {
    fn ask<T: DeserializeOwned>(&mut self, function: HostFunction, arguments: &impl Serialize) -> wasmtime::Result<T> {
        self.count_host_call()?;
        let arguments = postcard::to_stdvec(arguments).map_err(misunderstood)?;
        let answer = self.host.ask(function, arguments)?;
        Ok(postcard::from_bytes(&answer).map_err(misunderstood)?)
    }
}

fn misunderstood(error: postcard::Error) -> Fault {
    Fault::Protocol(error.to_string())
}

impl types::Host for State {}

impl log::Host for State {
    fn write(&mut self, level: log::Level, line: String) -> wasmtime::Result<()> {
        self.count_host_call()?;
        let mut line = line;
        line.truncate(line.floor_char_boundary(LINE_MAX_BYTES));
        self.count_log(line.len())?;
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => {
                self.keep_last_words(&line);
                LogLevel::Error
            }
        };
        Ok(self.host.log(level, line)?)
    }
}

impl clock_interface::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.count_host_call()?;
        Ok(u64::try_from(clock::since_1970().as_millis()).unwrap_or(u64::MAX))
    }

    fn elapsed(&mut self) -> wasmtime::Result<u64> {
        self.count_host_call()?;
        Ok(u64::try_from(State::since_begin(self).as_millis()).unwrap_or(u64::MAX))
    }
}

macro_rules! asked {
    ($interface:ident { $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty = $function:ident;)+ }) => {
        impl $interface::Host for State {
            $(fn $name(&mut self, $($argument: $type),*) -> wasmtime::Result<$answer> {
                self.ask(HostFunction::$function, &($($argument,)*))
            })+
        }
    };
}

asked!(state {
    get(key: String) -> Result<Option<Vec<u8>>, state::StateError> = StateGet;
    set(key: String, value: Vec<u8>) -> Result<(), state::StateError> = StateSet;
    remove(key: String) -> Result<(), state::StateError> = StateRemove;
    keys(prefix: String) -> Result<Vec<String>, state::StateError> = StateKeys;
});

asked!(http {
    send(request: http::Request) -> Result<http::Response, http::HttpError> = HttpSend;
});

asked!(mysql {
    list_databases() -> Result<Vec<mysql::Database>, mysql::MysqlError> = MysqlListDatabases;
    create_database(name: String) -> Result<(), mysql::MysqlError> = MysqlCreateDatabase;
    rename_database(name: String, new_name: String) -> Result<(), mysql::MysqlError> = MysqlRenameDatabase;
    drop_database(name: String) -> Result<(), mysql::MysqlError> = MysqlDropDatabase;
    list_users() -> Result<Vec<mysql::User>, mysql::MysqlError> = MysqlListUsers;
    create_user(name: String, password: mysql::Secret) -> Result<(), mysql::MysqlError> = MysqlCreateUser;
    set_password(name: String, password: mysql::Secret) -> Result<(), mysql::MysqlError> = MysqlSetPassword;
    drop_user(name: String) -> Result<(), mysql::MysqlError> = MysqlDropUser;
    set_grant(
        user: String,
        database: String,
        privileges: Vec<mysql::Privilege>
    ) -> Result<(), mysql::MysqlError> = MysqlSetGrant;
    end_connections(user: String) -> Result<u32, mysql::MysqlError> = MysqlEndConnections;
});

asked!(command {
    run(
        name: String,
        arguments: Vec<(String, command::Argument)>
    ) -> Result<command::Output, command::CommandError> = CommandRun;
});

asked!(crontab {
    read() -> Result<crontab::Table, crontab::CrontabError> = CrontabRead;
    replace(version: String, text: Vec<u8>) -> Result<(), crontab::CrontabError> = CrontabReplace;
});

asked!(config_file {
    list_files(directory: String) -> Result<Vec<String>, config_file::FileError> = ConfigFileList;
    read(directory: String, name: String) -> Result<config_file::File, config_file::FileError> = ConfigFileRead;
    write(
        directory: String,
        name: String,
        version: Option<String>,
        content: Vec<u8>
    ) -> Result<(), config_file::FileError> = ConfigFileWrite;
    remove(directory: String, name: String, version: String) -> Result<(), config_file::FileError> = ConfigFileRemove;
});
