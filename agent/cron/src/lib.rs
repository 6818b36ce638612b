//! What a line of a crontab says: when it runs, in five fields, and what it runs. Pure values: no clock, no file.
//!
//! The rules are those of the cron that Debian ships (3.0pl1), for its node is where the line will run. The crate `croner`
//! has others: it knows seconds, `L`, `W` and `#`, takes a step without a range, joins both day fields by "and", and moves
//! every skipped time to the end of the gap, also those that cron leaves out because their hour or minute is a `*`.

mod command;
mod field;
mod runs;
mod schedule;
mod words;

pub use command::{COMMAND_MAX_BYTES, Command, CommandError};
pub use schedule::{Schedule, ScheduleError};
