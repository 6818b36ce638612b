//! The table of calls. The router and the OpenAPI document are loops over it.

use std::future::Future;
use std::pin::Pin;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::call::Call;
use super::page::Page;
use super::reply::Reply;
use super::{
    adapters, audit, catalogue, explain, files, gateway_links, hostings, instances, jobs, metrics, openapi, operations,
    people, sessions, shares, state, status,
};
use crate::adapters::AdapterView;
use crate::events::EVENTS;
use crate::jobs::JobView;
use crate::operations::{ChangedShare, ShareItems};
use crate::problem::Problem;
use crate::registry::hostings::{HostingInput, HostingView, RegisteredHosting};
use crate::registry::instances::{InstanceInput, InstanceView, RegisteredInstance};
use crate::registry::people::PersonPatch;
use crate::shares::{InviteInput, PersonView, SharePatch, ShareView};
use crate::state::restore::Restored;
use crate::verification::Verified;

/// The media type of most replies.
pub(super) const JSON: &str = "application/json";

/// Registered, or registered anew; something stands against it.
const PUT: &[u16] = &[200, 201, 409];
/// Something stands against it.
const UNLESS_IN_CONFLICT: &[u16] = &[200, 409];
/// A share is changed unless the caller knows an older one.
const UNLESS_CHANGED: &[u16] = &[200, 409, 412];
/// What comes of calling an adapter.
const BY_AN_ADAPTER: &[u16] = &[200, 501, 504, 507];

/// A file, a part of it, or a folder; it cannot be read, or there is too much in it.
const DOWNLOAD: &[u16] = &[200, 206, 409, 413, 416];
/// Replaced, made, or come in part; it is not the file that the caller knows, or there is no room.
const UPLOAD: &[u16] = &[200, 201, 202, 409, 412, 507];

/// What carries a call out.
pub(crate) type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send>>;

/// What a call asks of its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// A listed certificate.
    Peer,
    /// The header `Latchkey-Actor`, and the scope that goes with it.
    Actor,
    /// The scope `metrics`.
    Metrics,
    /// The command line on the node itself.
    Operator,
}

/// One call of the API.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) needs: Needs,
    pub(crate) handler: Handler,
    pub(crate) query: &'static [(&'static str, &'static str)],
    /// Headers that it looks at, beside those of every call.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// Headers of its replies, beside those of every call.
    pub(crate) gives_headers: &'static [(&'static str, &'static str)],
    /// Statuses beside those that follow from its kind, success first: `statuses`.
    pub(crate) answers: &'static [u16],
    /// The media types it comes in.
    pub(crate) kinds: &'static [&'static str],
    pub(crate) input: Option<fn(&mut SchemaGenerator) -> Schema>,
    pub(crate) output: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// Whether it takes bytes of any number as they come, instead of a body that is read first.
    pub(crate) takes_stream: bool,
}

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const PAGE: &[(&str, &str)] =
    &[("limit", "How many at most; 1 to 500, 100 if not given."), ("cursor", "`next` of the page before.")];

const DOWNLOAD_HEADERS: &[(&str, &str)] = &[
    (
        "Range",
        "One range of bytes, like `bytes=0-1023`, `bytes=1024-` or `bytes=-1024`. Several at once: all of the file.",
    ),
    ("If-Range", "An `ETag`: `Range` counts only if the file is still that one."),
];
const DOWNLOAD_GIVES: &[(&str, &str)] = &[
    ("ETag", "Another one as soon as the file is another."),
    ("Accept-Ranges", "`bytes`."),
    ("Content-Range", "Of a part: which one, and how long the whole file is."),
    ("Content-Disposition", "`attachment`, with the file's name."),
];
const UPLOAD_HEADERS: &[(&str, &str)] = &[
    ("If-None-Match", "`*`: only if there is no such file."),
    ("Content-Range", "Of a part: `bytes FIRST-LAST/TOTAL`; `bytes */TOTAL` asks how much is there."),
];
const UPLOAD_GIVES: &[(&str, &str)] = &[("ETag", "Of the file that is there now, when it is whole.")];

macro_rules! routes {
    ($($method:ident $path:literal $needs:ident $handler:path, $summary:literal
        $(, query $query:expr)? $(, takes $input:ty)? $(, gives $output:ty)? $(, answers $answers:expr)?
        $(, as $kinds:expr)?
        $(, headers $headers:expr)? $(, gives_headers $given:expr)? $(, takes_bytes $bytes:literal)?;)+) => {
        /// Every call of the API.
        pub(crate) static ROUTES: &[Route] = &[$(Route {
            method: stringify!($method),
            path: $path,
            summary: $summary,
            needs: Needs::$needs,
            handler: |call| Box::pin($handler(call)),
            query: routes!(@or_empty $($query)?),
            headers: routes!(@or_empty $($headers)?),
            gives_headers: routes!(@or_empty $($given)?),
            answers: routes!(@or_done $($answers)?),
            kinds: routes!(@or_json $($kinds)?),
            input: routes!(@shape $($input)?),
            output: routes!(@shape $($output)?),
            takes_stream: routes!(@or_not $($bytes)?),
        }),+];
    };
    (@or_empty) => { &[] };
    (@or_empty $query:expr) => { $query };
    (@or_done) => { &[200] };
    (@or_done $answers:expr) => { $answers };
    (@or_json) => { &[JSON] };
    (@or_json $kinds:expr) => { $kinds };
    (@or_not) => { false };
    (@or_not $bytes:literal) => { $bytes };
    (@shape) => { None };
    (@shape $type:ty) => { Some(shape::<$type>) };
}

routes! {
    GET "/v1/health" Peer status::show, "Say how the agent is", gives status::Health;
    GET "/v1/openapi.json" Peer openapi::show, "This document";
    GET "/v1/privileges" Peer catalogue::privileges, "The privileges, with titles, tooltips, warnings and reach",
        gives catalogue::Privileges;
    GET "/v1/roles" Peer catalogue::roles, "The roles, with titles, tooltips and privileges", gives catalogue::Roles;
    GET "/v1/operations" Peer catalogue::operations, "The operations, with the shapes they take and give",
        gives catalogue::Operations;

    GET "/v1/hostings" Actor hostings::list, "List hostings", query PAGE, gives Page<HostingView>;
    GET "/v1/hostings/{hosting}" Actor hostings::show, "Show a hosting", gives HostingView;
    PUT "/v1/hostings/{hosting}" Actor hostings::put, "Register a hosting, or change it", takes HostingInput, gives RegisteredHosting, answers PUT;
    DELETE "/v1/hostings/{hosting}" Actor hostings::delete, "Forget a hosting", query &[
        ("unconfirmed", "`abandon` forgets it although the end of sessions on it is not confirmed; nobody can end them then.")],
        gives hostings::Deleted, answers UNLESS_IN_CONFLICT;
    GET "/v1/instances" Actor instances::list, "List the actor's instances", query PAGE, gives Page<InstanceView>;
    GET "/v1/instances/{instance}" Actor instances::show, "Show an instance", gives InstanceView;
    PUT "/v1/instances/{instance}" Actor instances::put, "Register an instance, or change it",
        takes InstanceInput, gives RegisteredInstance, answers PUT;
    DELETE "/v1/instances/{instance}" Actor instances::delete, "Forget an instance; its shares end", gives hostings::Deleted, answers UNLESS_IN_CONFLICT;

    GET "/v1/people" Actor people::list, "Suggest people", query &[
        ("query", "A part of the address or name."), ("limit", "How many at most."), ("cursor", "`next` of the page before.")],
        gives Page<PersonView>;
    PATCH "/v1/people/{person}" Actor people::update, "Change a person's address or name", takes PersonPatch, gives PersonView, answers UNLESS_IN_CONFLICT;
    DELETE "/v1/people/{person}/shares" Actor people::end_shares, "End all shares and sign-ins of a person",
        gives people::EndedPerson;

    GET "/v1/instances/{instance}/shares" Actor shares::list, "List the people with access", query &[
        ("all", "`true` lists those that have ended, too."), ("limit", "How many at most."), ("cursor", "`next` of the page before.")],
        gives ShareItems;
    POST "/v1/instances/{instance}/shares" Actor shares::invite, "Invite a person", takes InviteInput, gives ShareView, answers &[201];
    GET "/v1/instances/{instance}/shares/{share}" Actor shares::show, "Show a share", gives ShareView;
    PATCH "/v1/instances/{instance}/shares/{share}" Actor shares::update, "Change a share", takes SharePatch, gives ChangedShare, answers UNLESS_CHANGED;
    DELETE "/v1/instances/{instance}/shares/{share}" Actor shares::revoke, "End a share, or leave it", query &[
        ("everywhere", "`true` ends the person's other shares, too, those that the actor may end."),
        ("adopt", "Ids of shares below it that shall rest on the actor instead of ending, with commas between.")],
        gives ChangedShare, answers UNLESS_CHANGED;
    POST "/v1/instances/{instance}/shares/{share}/resend" Actor shares::resend, "Send an invitation again", gives ShareView, answers UNLESS_CHANGED;
    POST "/v1/instances/{instance}/shares/{share}/suspend" Actor shares::suspend, "Suspend a share", gives ChangedShare, answers UNLESS_CHANGED;
    POST "/v1/instances/{instance}/shares/{share}/reinstate" Actor shares::reinstate, "Reinstate a suspended share",
        gives ShareView, answers UNLESS_CHANGED;
    POST "/v1/instances/{instance}/shares/{share}/accept" Actor shares::accept, "Accept a share, as the one invited",
        gives ShareView, answers UNLESS_CHANGED;
    PUT "/v1/instances/{instance}/shares/{share}/keys" Actor shares::set_keys, "Set the SSH keys of one's own file account",
        takes shares::KeysInput, gives ChangedShare, answers UNLESS_CHANGED;
    POST "/v1/instances/{instance}/shares/{share}/password" Actor shares::new_password, "Make a new password for one's own file account; it is shown once",
        gives shares::PasswordOutput, answers UNLESS_CHANGED;
    POST "/v1/shares" Actor shares::invite_to_several, "Invite a person to several instances",
        takes shares::SeveralInput, gives shares::Several, answers &[201, 404];

    POST "/v1/instances/{instance}/explain" Actor explain::explain, "Explain what a person may do, and by which rule",
        takes explain::ExplainInput, gives explain::ExplainOutput;
    POST "/v1/instances/{instance}/operations/{operation}" Actor operations::run, "Run an operation";

    GET "/v1/instances/{instance}/files/{*path}" Actor files::download, "Download a file of the hosting, or a part of it (`Range`), or a folder as a zip",
        query &[("format", "`zip` for a folder with all that is in it; without links, devices and what cannot be read.")],
        answers DOWNLOAD, as &[files::BYTES, files::ZIP], headers DOWNLOAD_HEADERS, gives_headers DOWNLOAD_GIVES;
    PUT "/v1/instances/{instance}/files/{*path}" Actor files::upload, "Upload a file to the hosting, whole or in parts (`Content-Range`)",
        gives files::Uploaded, answers UPLOAD, headers UPLOAD_HEADERS, gives_headers UPLOAD_GIVES, takes_bytes true;

    GET "/v1/jobs/{job}" Actor jobs::show, "Show a job: one of the actor's own, or any for the panel", gives JobView;
    GET "/v1/jobs/{job}/events" Actor jobs::events, "Follow a job: an event with the whole of it whenever something changed, until it has ended",
        gives JobView, as &[EVENTS];
    DELETE "/v1/jobs/{job}" Actor jobs::cancel, "Cancel a job", gives JobView;

    GET "/v1/sessions" Actor sessions::list, "List live channels: the actor's own, or all for the panel", query PAGE,
        gives Page<sessions::SessionView>;
    DELETE "/v1/sessions/{session}" Actor sessions::end, "Close a channel", gives sessions::EndedSession;
    POST "/v1/gateway/links" Actor gateway_links::create, "Make a one-time link that signs a person in to the gateway",
        takes gateway_links::LinkInput, gives gateway_links::LinkOutput, answers &[201, 404];

    GET "/v1/audit" Actor audit::list, "Read the audit: a page of JSON, lines of JSON with hashes, or an event stream", query &[
        ("after", "Rows with a greater number only."), ("instance", "Rows about this instance only."),
        ("limit", "How many at most; 1 to 1000, 100 if not given.")], gives audit::AuditPage,
        as &[JSON, EVENTS, audit::LINES[0]];
    GET "/v1/audit/verify" Actor audit::verify, "Walk the audit's whole chain, and compare it with the heads that the broker recorded", gives Verified;
    GET "/v1/adapters" Actor adapters::list, "List the adapters that are loaded", query PAGE, gives Page<AdapterView>;
    PUT "/v1/adapters/{adapter}" Operator adapters::load, "Load what is installed under a name, in place of what was loaded; on the node only",
        takes adapters::AdapterLoadInput, gives AdapterView, answers UNLESS_IN_CONFLICT;
    DELETE "/v1/adapters/{adapter}" Operator adapters::unload, "Stop an adapter and forget what it keeps; on the node only",
        gives adapters::UnloadedAdapter;
    POST "/v1/adapters/{adapter}/calls" Operator adapters::run, "Call one function of an adapter by hand; on the node only",
        takes adapters::AdapterCallInput, gives adapters::AdapterCallOutput, answers BY_AN_ADAPTER;
    POST "/v1/state/backup" Operator state::back_up, "Copy the state into the state directory; on the node only",
        gives state::BackedUp;
    POST "/v1/state/restore" Operator state::restore, "Go back to the backup that lies in the state directory; on the node only",
        takes state::RestoreInput, gives Restored;
    GET "/metrics" Metrics metrics::show, "Metrics in Prometheus' text format", as &["text/plain"];
}
