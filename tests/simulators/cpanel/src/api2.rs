//! API 2, which alone has cron: lines are named by their place, which shifts whenever another line comes or goes.

use serde_json::{Value, json};

use crate::account::{Account, CronLine};
use crate::arguments::{Arguments, Refusal, refusal};
use crate::journal::Kind::{self, Change, Read};
use crate::uapi::{Function, Row};

const FUNCTIONS: &[Row] = &[
    ("Cron", "listcron", Read, listcron),
    ("Cron", "fetchcron", Read, listcron),
    ("Cron", "add_line", Change, add_line),
    ("Cron", "edit_line", Change, edit_line),
    ("Cron", "remove_line", Change, remove_line),
];

const FIELDS: [&str; 5] = ["minute", "hour", "day", "month", "weekday"];

/// The function of a module with this name.
pub(crate) fn function(module: &str, name: &str) -> Option<(Kind, Function)> {
    FUNCTIONS.iter().find(|row| (row.0, row.1) == (module, name)).map(|row| (row.2, row.3))
}

/// An answer in its envelope. `event` says that the function ran, `status` in its data whether it did what it should.
pub(crate) fn wrap(module: &str, function: &str, answer: Result<Value, Refusal>) -> Value {
    let data = answer.unwrap_or_else(|Refusal(words)| json!([{ "status": 0, "statusmsg": words }]));
    json!({
        "cpanelresult": {
            "apiversion": 2, "module": module, "func": function, "data": data, "event": { "result": 1 },
        }
    })
}

fn listcron(account: &mut Account, _: &Arguments) -> Result<Value, Refusal> {
    let mut rows = Vec::new();
    let mut commands = 0;
    for (at, line) in account.crontab.iter().enumerate() {
        let place = at + 1;
        rows.push(match line {
            CronLine::Variable(key, value) => {
                json!({ "count": place, "linekey": place, "type": "variable", "key": key, "value": value })
            }
            CronLine::Command([minute, hour, day, month, weekday], command) => {
                commands += 1;
                json!({
                    "count": place, "linekey": place.to_string(), "type": "command", "commandnumber": commands,
                    "minute": minute, "hour": hour, "day": day, "month": month, "weekday": weekday,
                    "command": command, "command_htmlsafe": command.replace('&', "&amp;").replace('<', "&lt;"),
                })
            }
        });
    }
    // The list ends in a row that only counts.
    rows.push(json!({ "count": account.crontab.len() + 1 }));
    Ok(rows.into())
}

fn add_line(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    account.crontab.push(line(arguments)?);
    Ok(done(account.crontab.len()))
}

fn edit_line(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let at = position(account, arguments)?;
    let line = line(arguments)?;
    let place = account.crontab.get_mut(at).ok_or_else(no_line)?;
    *place = line;
    Ok(done(at + 1))
}

fn remove_line(account: &mut Account, arguments: &Arguments) -> Result<Value, Refusal> {
    let at = position(account, arguments)?;
    account.crontab.remove(at);
    Ok(done(at + 1))
}

fn line(arguments: &Arguments) -> Result<CronLine, Refusal> {
    let mut fields = FIELDS.map(str::to_owned);
    for (field, name) in fields.iter_mut().zip(FIELDS) {
        *field = arguments.required(name)?.to_owned();
    }
    Ok(CronLine::Command(fields, arguments.required("command")?.to_owned()))
}

fn position(account: &Account, arguments: &Arguments) -> Result<usize, Refusal> {
    let place: Option<usize> = match arguments.number("linekey")? {
        None => arguments.number("line")?,
        linekey => linekey,
    };
    place.and_then(|place| place.checked_sub(1)).filter(|at| *at < account.crontab.len()).ok_or_else(no_line)
}

fn done(place: usize) -> Value {
    json!([{ "status": 1, "statusmsg": "crontab installed", "linekey": place.to_string() }])
}

fn no_line() -> Refusal {
    refusal("There is no such line in the crontab.")
}
