//! The agent and its platform as models in memory: what host functions answer in a check.
//!
//! An interface is a file here and a row of [`World::models`]. Arguments and answers are postcard of the WIT's types, as
//! between the runner and serve.

mod command;
mod config_file;
mod crontab;
mod http;
mod mysql;
mod state;

use latchkey_adapters::HostFunction;
use latchkey_adapters::host::Denial;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use http::{Answer, Http, Sent};

/// A host interface.
trait Model {
    /// Carries a function out. Its name and its arguments come from the runner, which takes them from the same WIT.
    fn answer(&mut self, function: &str, arguments: &[u8]) -> Result<Vec<u8>, Misunderstood>;

    /// What it keeps, to be compared.
    fn kept(&self) -> Value;
}

/// The runner asks for something that the kit does not know.
#[derive(Debug)]
struct Misunderstood(String);

/// What a host function answered.
#[derive(Debug)]
pub(crate) enum Answered {
    With(Vec<u8>),
    Misunderstood(String),
    /// Nothing: the lane is to be closed.
    Cut,
}

/// The first case of the error of every host interface.
#[derive(Debug, Serialize)]
enum Refused {
    Denied(Denial),
}

/// Everything outside of the component.
#[derive(Debug, Default)]
pub struct World {
    command: command::Commands,
    config_files: config_file::ConfigFiles,
    crontab: crontab::Crontab,
    http: Http,
    mysql: mysql::Mysql,
    state: state::State,
    denied: Option<String>,
    cut: Option<Cut>,
    asked: Vec<HostFunction>,
}

/// When the lane is closed.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// At which host call of a call, counted from 0.
    pub at: usize,
    /// At which moment of it.
    pub moment: Moment,
}

/// A moment of a host call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It is not carried out.
    Before,
    /// It is carried out, and its answer is lost.
    After,
}

impl World {
    /// In which nothing of an interface is granted.
    #[must_use]
    pub fn denying(interface: &str) -> Self {
        Self { denied: Some(interface.to_owned()), ..Self::default() }
    }

    /// The platform.
    pub fn http(&mut self) -> &mut Http {
        &mut self.http
    }

    /// What commands print, by their names.
    pub(crate) fn commands_print(&mut self, table: &[(String, String)]) {
        self.command.print(table);
    }

    /// What a denial says.
    #[must_use]
    pub fn denial(interface: &str) -> String {
        format!("{interface} is not granted: it takes a line under [grants] in the operator's file")
    }

    /// Counts host calls anew, and closes the lane at one of them.
    pub fn begin(&mut self, cut: Option<Cut>) {
        self.cut = cut;
        self.asked.clear();
    }

    /// The host functions that were asked for, in order.
    #[must_use]
    pub fn asked(&self) -> &[HostFunction] {
        &self.asked
    }

    /// What it keeps, by interface, to be compared.
    pub fn kept(&mut self) -> Value {
        let kept = self.models().into_iter().map(|(interface, model)| (interface.to_owned(), model.kept()));
        Value::Object(kept.collect::<Map<_, _>>())
    }

    pub(crate) fn answer(&mut self, function: HostFunction, arguments: &[u8]) -> Answered {
        let cut = self.cut.filter(|cut| cut.at == self.asked.len());
        self.asked.push(function);
        if cut.is_some_and(|cut| cut.moment == Moment::Before) {
            return Answered::Cut;
        }
        match self.carry_out(function, arguments) {
            Err(Misunderstood(why)) => Answered::Misunderstood(why),
            Ok(_) if cut.is_some() => Answered::Cut,
            Ok(answer) => Answered::With(answer),
        }
    }

    fn carry_out(&mut self, function: HostFunction, arguments: &[u8]) -> Result<Vec<u8>, Misunderstood> {
        let interface = function.interface();
        if self.denied.as_deref() == Some(interface) {
            let denial = Denial { message: Self::denial(interface), grant: None };
            return encoded(&Err::<(), Refused>(Refused::Denied(denial)));
        }
        let found = self.models().into_iter().find(|(name, _)| *name == interface);
        let (_, model) = found.ok_or_else(|| unknown(interface))?;
        model.answer(function.name(), arguments)
    }

    /// The table of host interfaces.
    fn models(&mut self) -> [(&'static str, &mut dyn Model); 6] {
        [
            ("command", &mut self.command),
            ("config-file", &mut self.config_files),
            ("crontab", &mut self.crontab),
            ("http", &mut self.http),
            ("mysql", &mut self.mysql),
            ("state", &mut self.state),
        ]
    }
}

fn unknown(what: &str) -> Misunderstood {
    Misunderstood(format!("the check does not know {what}"))
}

fn decoded<T: DeserializeOwned>(arguments: &[u8]) -> Result<T, Misunderstood> {
    postcard::from_bytes(arguments).map_err(|error| Misunderstood(error.to_string()))
}

fn encoded(answer: &impl Serialize) -> Result<Vec<u8>, Misunderstood> {
    postcard::to_stdvec(answer).map_err(|error| Misunderstood(error.to_string()))
}
