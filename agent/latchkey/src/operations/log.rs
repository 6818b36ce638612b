//! `log.*`: the logs of an instance, without what may be secrets in them.

use std::os::unix::fs::MetadataExt as _;

use axum::body::Body;
use jiff::Timestamp;
use latchkey_access::rows::{LogFollow, LogList, LogRead};
use latchkey_access::{HostingId, Permit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Follow, Nothing, Run};
use crate::limit::Limit;
use crate::logs::line::Line;
use crate::logs::location::{Kind, Location};
use crate::logs::open::open;
use crate::logs::page::{self, Page, PageError, Position};
use crate::logs::{self, Rotated};
use crate::problem::Problem;

/// So many that were rotated are looked for, of each log.
const ROTATED_MAX: u32 = 14;

/// A log.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LogView {
    /// Its name in other calls.
    id: String,
    /// What is logged.
    kind: Kind,
    /// For people.
    title: String,
    /// Bytes.
    size_bytes: u64,
    /// When something was written into it last.
    #[schemars(with = "String")]
    modified_at: Timestamp,
    /// Whether it is compressed: such a one is listed, and not read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_compressed: bool,
}

/// Logs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LogItems {
    /// Those that are there, each with its rotated ones behind it.
    items: Vec<LogView>,
}

/// Which lines.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LogReadInput")]
pub(crate) struct ReadInput {
    /// The log's id.
    log: String,
    /// `next` of the page after them; the last lines if not given.
    before: Option<String>,
    /// How many at most.
    #[serde(default)]
    limit: Limit<100, 1000>,
}

/// Lines of a log.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Lines {
    /// In the order of the log. There may be fewer than asked for, also none, with more before them.
    items: Vec<Line>,
    /// The `before` of the lines before these, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// The `after` of `log.follow`, to go on behind these.
    end: String,
}

/// What to follow.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowInput {
    /// The log's id.
    log: String,
    /// `end` of a page, or the id of the last event that came; from the end of the log on if not given.
    after: Option<String>,
}

impl Run for LogList {
    type Input = Nothing;
    type Output = LogItems;

    async fn run(context: &Context, permit: Permit<Self>, input: Nothing) -> Result<LogItems, Problem> {
        let Nothing {} = input;
        let (hosting, locations) = logs::list(&context.serve, &permit).await?;
        let mut items = Vec::new();
        for location in locations {
            items.extend(view(context, &hosting, &location, None).await?);
            for number in 1..=ROTATED_MAX {
                let mut found = None;
                for is_compressed in [false, true] {
                    if found.is_none() {
                        found = view(context, &hosting, &location, Some(Rotated { number, is_compressed })).await?;
                    }
                }
                let Some(found) = found else { break };
                items.push(found);
            }
        }
        Ok(LogItems { items })
    }
}

/// A log, or one that it was rotated to; `None` when there is none.
async fn view(
    context: &Context,
    hosting: &HostingId,
    location: &Location,
    rotated: Option<Rotated>,
) -> Result<Option<LogView>, Problem> {
    let suffix = rotated.map(Rotated::suffix).unwrap_or_default();
    let Ok(place) = location.place.with_suffix(&suffix) else { return Ok(None) };
    let Some(file) = open(&context.serve, hosting, &place).await? else { return Ok(None) };
    let facts = file.metadata().map_err(|error| Problem::internal(&error))?;
    let modified_at = Timestamp::new(facts.mtime(), 0).unwrap_or_default();
    let number = rotated.map(|rotated| format!(", rotated ({})", rotated.number)).unwrap_or_default();
    Ok(Some(LogView {
        id: format!("{}{suffix}", location.id),
        kind: location.kind,
        title: format!("{}{number}", location.title),
        size_bytes: facts.size(),
        modified_at,
        is_compressed: rotated.is_some_and(|rotated| rotated.is_compressed),
    }))
}

impl Run for LogRead {
    type Input = ReadInput;
    type Output = Lines;

    async fn run(context: &Context, permit: Permit<Self>, input: ReadInput) -> Result<Lines, Problem> {
        let limit = input.limit.len();
        let before = parse_position("before", input.before.as_deref())?;
        let named = logs::find(&context.serve, &permit, &input.log).await?;
        if named.rotated.is_some_and(|rotated| rotated.is_compressed) {
            return Err(Problem::invalid("log", "expected one that is not compressed"));
        }
        let file = open(&context.serve, &named.hosting, &named.place).await?;
        let file = file.ok_or_else(|| Problem::not_found("log"))?;
        let Page { lines, before, end } =
            context.serve.blocking(move || page::read(&file, before.as_ref(), limit)).await?.map_err(unread)?;
        Ok(Lines { items: lines, next: before.map(|position| position.to_string()), end: end.to_string() })
    }
}

fn unread(error: PageError) -> Problem {
    match error {
        PageError::Rotated => Problem {
            field: Some("before".into()),
            ..Problem::conflict("the log was rotated or emptied since; read it from its end again")
        },
        PageError::Read(_) => Problem::internal(&error),
    }
}

impl Follow for LogFollow {
    type Input = FollowInput;
    type Event = Line;

    async fn follow(context: &Context, permit: Permit<Self>, input: FollowInput) -> Result<Body, Problem> {
        let after = parse_position("after", input.after.as_deref())?;
        let named = logs::find(&context.serve, &permit, &input.log).await?;
        if named.rotated.is_some() {
            return Err(Problem::invalid("log", "expected one that was not rotated: nothing is written into others"));
        }
        logs::follow::follow(&context.serve, &permit, &context.caller, named, after).await
    }
}

fn parse_position(field: &str, text: Option<&str>) -> Result<Option<Position>, Problem> {
    let wrong = |_| Problem::invalid(field, "expected what a page or an event of this log said");
    text.map(str::parse).transpose().map_err(wrong)
}
