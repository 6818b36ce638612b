//! UAPI: the functions there are, and the two envelopes in which their answers come.

mod dns;
mod domain_info;
mod email;
mod ftp;
mod mysql;

use serde_json::{Value, json};

use crate::account::Account;
use crate::arguments::{Arguments, Refusal};
use crate::journal::Kind;

/// A function: what it answers, or why not.
pub(crate) type Function = fn(&mut Account, &Arguments) -> Result<Value, Refusal>;

/// A row of the table of functions.
pub(crate) type Row = (&'static str, &'static str, Kind, Function);

const TABLE: [&[Row]; 5] = [mysql::FUNCTIONS, ftp::FUNCTIONS, email::FUNCTIONS, dns::FUNCTIONS, domain_info::FUNCTIONS];

/// The function of a module with this name.
pub(crate) fn function(module: &str, name: &str) -> Option<(Kind, Function)> {
    let mut rows = TABLE.into_iter().flatten();
    rows.find(|row| (row.0, row.1) == (module, name)).map(|row| (row.2, row.3))
}

/// How answers are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// As the documentation shows it, in `result`.
    Documented,
    /// Bare, as hosts are said to send it.
    Bare,
}

impl Envelope {
    pub(crate) fn wrap(self, module: &str, function: &str, answer: Result<Value, Refusal>) -> Value {
        let (status, data, errors) = match answer {
            Ok(data) => (1, data, Value::Null),
            Err(Refusal(words)) => (0, Value::Null, json!([words])),
        };
        let result = json!({
            "data": data, "errors": errors, "messages": null, "metadata": {}, "status": status, "warnings": null,
        });
        match self {
            Self::Documented => json!({ "apiversion": 3, "func": function, "module": module, "result": result }),
            Self::Bare => result,
        }
    }
}
