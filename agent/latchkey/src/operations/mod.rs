//! Operations: each file runs the operations of one noun. The table in `latchkey-access` says which there are; a row
//! without its `Run` does not compile.

mod activity;
mod cron;
mod database;
mod database_user;
mod file;
mod file_account;
mod indexing;
mod log;
mod maintenance;
mod phpmyadmin;
mod share;
mod site_name;
mod sso;

use std::sync::Arc;

use axum::body::Body;
use latchkey_access::{
    Actor, Effect, Hosting, InstanceId, Operation, OperationSpec, Permit, Runs, decide, operation_rows, rows,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use share::{ChangedShare, ListInput, ShareItems, show_ended};

use crate::adapters::secret::Secrets;
use crate::body::parse_body;
use crate::caller::{Caller, Note};
use crate::channels::decide_through;
use crate::jobs::{self, Underway};
use crate::problem::{Code, Problem};
use crate::request;
use crate::residue::first_use;
use crate::serve::Serve;
use crate::store::audit::Outcome;

/// What may come of asking a site.
pub(crate) const OF_A_SITE: &[u16] = &[504, 507];

/// How an operation runs. Its permit is the only key to it.
pub(crate) trait Run: Operation + Sized {
    /// What it takes.
    type Input: DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// What it answers.
    type Output: Serialize + JsonSchema + Send + 'static;
    /// Whether its answer holds a secret, so that it must not be kept for a repeat.
    const ANSWER_IS_SECRET: bool = false;
    /// Of an operation that runs as a job: what becomes of what it had begun when the agent is stopped, in words.
    const CUT_OFF: &'static str = "what it had begun was left as it was";
    /// Whether it notes itself in the audit, with more than is known here.
    const RECORDS_ITSELF: bool = false;
    /// Statuses of its failures beside those of every operation, and those that follow from its row: `api/statuses.rs`.
    const FAILURES: &'static [u16] = &[];

    /// Of an operation that runs as a job: what the audit says that it was about.
    fn about(_input: &Self::Input) -> Option<String> {
        None
    }

    /// Of an operation that runs as a job: what can be said against it before it is begun.
    fn check(
        _context: &Context,
        _permit: &Permit<Self>,
        _input: &Self::Input,
    ) -> impl Future<Output = Result<(), Problem>> + Send {
        std::future::ready(Ok(()))
    }

    /// Runs it.
    fn run(
        context: &Context,
        permit: Permit<Self>,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, Problem>> + Send;
}

/// How an operation runs whose answer is a stream of events, for as long as access lasts.
pub(crate) trait Follow: Operation + Sized {
    /// What it takes.
    type Input: DeserializeOwned + JsonSchema + Send;
    /// The data of an event.
    type Event: JsonSchema;

    /// Begins the stream.
    fn follow(
        context: &Context,
        permit: Permit<Self>,
        input: Self::Input,
    ) -> impl Future<Output = Result<Body, Problem>> + Send;
}

/// What an operation works with.
#[derive(Clone)]
pub(crate) struct Context {
    /// The agent.
    pub(crate) serve: Arc<Serve>,
    /// Who asks, and from where.
    pub(crate) caller: Caller,
    /// The job that the operation is run as, if it is.
    pub(crate) job: Option<Arc<Underway>>,
}

/// What came of asking for an operation.
pub(crate) enum Answered {
    /// It was run.
    Now(Answer),
    /// It is run as the job of this name.
    Job(String),
    /// Its server-sent events.
    Stream(Body),
}

/// What an operation answered, as JSON.
pub(crate) struct Answer {
    /// The output.
    pub(crate) output: serde_json::Value,
    /// Whether it holds a secret.
    pub(crate) is_secret: bool,
}

/// The shapes of an operation, for the OpenAPI document.
pub(crate) struct Shapes {
    pub(crate) spec: &'static OperationSpec,
    pub(crate) input: Schema,
    pub(crate) output: Schema,
    pub(crate) failures: &'static [u16],
}

macro_rules! dispatch {
    ($($name:ident $text:literal $privilege:ident $effect:ident $runs:ident $summary:literal;)+) => {
        /// Decides on an operation and runs it. Refusals come before the input is parsed.
        pub(crate) async fn run(
            context: &Context,
            instance: &InstanceId,
            name: &str,
            input: &[u8],
        ) -> Result<Answered, Problem> {
            match name {
                $($text => dispatch!(@run $runs $name)(context, instance, input).await,)+
                _ => Err(unknown(context, instance, name)),
            }
        }

        /// What becomes of what a job had begun that a stop of the agent cut off.
        pub(crate) fn cut_off(name: &str) -> &'static str {
            match name {
                $($text => dispatch!(@cut_off $runs $name),)+
                _ => "what it had begun is not known",
            }
        }

        /// The shapes of every operation: what is taken, and what is given.
        pub(crate) fn shapes(taken: &mut SchemaGenerator, given: &mut SchemaGenerator) -> Vec<Shapes> {
            vec![$(Shapes {
                spec: rows::$name::SPEC,
                input: taken.subschema_for::<dispatch!(@input $runs $name)>(),
                output: given.subschema_for::<dispatch!(@output $runs $name)>(),
                failures: dispatch!(@failures $runs $name),
            }),+]
        }
    };
    (@run Stream $name:ident) => { follow_one::<rows::$name> };
    (@run $runs:ident $name:ident) => { run_one::<rows::$name> };
    (@cut_off Stream $name:ident) => { "" };
    (@cut_off $runs:ident $name:ident) => { <rows::$name as Run>::CUT_OFF };
    (@failures Stream $name:ident) => { &[] };
    (@failures $runs:ident $name:ident) => { <rows::$name as Run>::FAILURES };
    (@input Stream $name:ident) => { <rows::$name as Follow>::Input };
    (@input $runs:ident $name:ident) => { <rows::$name as Run>::Input };
    (@output Stream $name:ident) => { <rows::$name as Follow>::Event };
    (@output $runs:ident $name:ident) => { <rows::$name as Run>::Output };
}

operation_rows!(dispatch);

/// Decides on an operation that is run now. Before a share's person changes something for the first time in a way that
/// amounts to an administrator, what the hosting has is kept: what is new when their access ends may be of theirs.
pub(crate) async fn decide_to_run<O: Operation>(
    serve: &Arc<Serve>,
    actor: &Actor,
    instance: &InstanceId,
) -> Result<Permit<O>, Problem> {
    let decided = || decide::<O>(&serve.state.table(), actor, instance, serve.state.clock.now());
    let permit = decided()?;
    if O::SPEC.effect == Effect::Read || !O::SPEC.privilege.amounts_to_administrator() {
        return Ok(permit);
    }
    first_use::keep_before_change(serve, permit.share()).await?;
    Ok(decided()?)
}

async fn run_one<O: Run>(context: &Context, instance: &InstanceId, input: &[u8]) -> Result<Answered, Problem> {
    let serve = &context.serve;
    let permit = decide_to_run::<O>(serve, &context.caller.actor, instance).await?;
    let note = Note { share: permit.share().map(|id| id.to_string()), ..Note::of(O::SPEC.name) };
    let note = note.on(instance).rule(permit.rule());
    if let Runs::Job { .. } = O::SPEC.runs {
        let input = parse_body(input)?;
        O::check(context, &permit, &input).await?;
        return jobs::start(context, permit, input).await.map(Answered::Job);
    }
    let input = parse_body(input)?;
    let output = if O::SPEC.effect == Effect::Read {
        // On the heap: the deepest of all operations would otherwise be on the stack of every one.
        Box::pin(O::run(context, permit, input)).await
    } else {
        // Carried through and noted, whether the caller stays to hear of it or not.
        let context = context.clone();
        let carried_through = request::spawn(async move {
            let output = O::run(&context, permit, input).await;
            if !O::RECORDS_ITSELF {
                let outcome = if output.is_ok() { Outcome::Allowed } else { Outcome::Failed };
                let detail = output.as_ref().err().map(|problem| problem.detail.clone());
                context.serve.record(context.caller.clone(), Note { detail, ..note }, outcome).await;
            }
            output
        });
        carried_through.await.map_err(|error| Problem::internal(&error))?
    };
    let output = serde_json::to_value(output?).map_err(|error| Problem::internal(&error))?;
    Ok(Answered::Now(Answer { output, is_secret: O::ANSWER_IS_SECRET }))
}

async fn follow_one<O: Follow>(context: &Context, instance: &InstanceId, input: &[u8]) -> Result<Answered, Problem> {
    let state = &context.serve.state;
    let permit = decide::<O>(&state.table(), &context.caller.actor, instance, state.clock.now())?;
    O::follow(context, permit, parse_body(input)?).await.map(Answered::Stream)
}

/// Somebody for whom the instance does not exist is not told which operations do.
fn unknown(context: &Context, instance: &InstanceId, name: &str) -> Problem {
    let serve = &context.serve;
    let (table, now) = (serve.state.table(), serve.state.clock.now());
    match table.instance(instance).filter(|found| latchkey_access::sees(&table, &context.caller.actor, found, now)) {
        Some(_) if is_catalogued(name) => {
            Problem::new(Code::Unsupported, format!("nothing on this node serves {name}"))
        }
        Some(_) => Problem::not_found("operation"),
        None => Problem::not_found("instance"),
    }
}

fn is_catalogued(name: &str) -> bool {
    latchkey_access::catalogue().privileges.iter().any(|entry| entry.operations.iter().any(|one| one == name))
}

/// An input without fields.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

impl Context {
    /// The job that the operation is run as.
    pub(crate) fn job(&self) -> Result<&Underway, Problem> {
        self.job.as_deref().ok_or_else(|| Problem::new(Code::Unsupported, "the operation is run as a job only"))
    }

    /// Runs the bridge action of the same name as the operation on the permit's instance.
    async fn ask_site<O: Run>(&self, permit: &Permit<O>, args: &(impl Serialize + Sync)) -> Result<O::Output, Problem>
    where
        O::Output: DeserializeOwned,
    {
        let site = self.serve.site(permit.instance())?;
        Ok(self.serve.bridge.call(&site, O::SPEC.name, args).await?)
    }

    /// Calls a function of the first adapter of the permit's hosting that exports the interface. What an adapter answers
    /// is of the interface's types, which its runner has checked.
    async fn ask_adapter<O: Run, T: DeserializeOwned>(
        &self,
        permit: &Permit<O>,
        function: (&str, &str),
        arguments: serde_json::Value,
        secrets: Secrets,
    ) -> Result<T, Problem> {
        let hosting = self.hosting(permit)?;
        let arguments = match arguments {
            serde_json::Value::Object(arguments) => arguments,
            _ => serde_json::Map::new(),
        };
        // It may have waited for others: whoever lost their access meanwhile has it not done.
        let again = || {
            let (table, now) = (self.serve.state.table(), self.serve.state.clock.now());
            let through = (permit.instance(), permit.share());
            Ok(decide_through::<O>(&table, permit.actor(), through, now).map(drop)?)
        };
        let asked = self.serve.adapters.ask_if(&self.serve, &hosting, function, (arguments, secrets), &again);
        let answer = asked.await?;
        serde_json::from_value(answer).map_err(|error| Problem::internal(&error))
    }

    /// The hosting of the permit's instance.
    fn hosting<O: Run>(&self, permit: &Permit<O>) -> Result<Arc<Hosting>, Problem> {
        let table = self.serve.state.table();
        let instance = table.instance(permit.instance()).ok_or_else(|| Problem::not_found("instance"))?;
        table.hosting(&instance.hosting).cloned().ok_or_else(|| Problem::not_found("hosting"))
    }
}
