//! What a caller is told when something does not work: RFC 9457 problem documents with one closed list of codes.

use latchkey_access::{Denial, DenialKind, Privilege, Rule};
pub(crate) use latchkey_protocol::chain;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::adapters::AdapterError;
use crate::store::Trouble;
use crate::token::NoRandomness;

/// Every way in which a request can fail. HTTP status and exit code come from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// It does not exist, or not for this actor.
    NotFound,
    /// The actor may not.
    Forbidden,
    /// The input is at fault.
    Invalid,
    /// It contradicts what is there.
    Conflict,
    /// Too much at the moment; see `retry_after_s`.
    Busy,
    /// Something that was needed did not answer in time.
    TimedOut,
    /// More bytes than are taken.
    TooLarge,
    /// The hosting has no room left.
    Quota,
    /// Nothing on this hosting serves it.
    Unsupported,
    /// Something that is needed does not work at the moment.
    Unavailable,
    /// A fault of the agent; the log has the request id.
    Internal,
}

impl Code {
    /// The HTTP status.
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Busy => 429,
            Self::Internal => 500,
            Self::Unsupported => 501,
            Self::Unavailable => 503,
            Self::TimedOut => 504,
            Self::Quota => 507,
        }
    }
}

/// Why a request failed, for the one who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The kind of failure.
    pub(crate) code: Code,
    /// A sentence that says what was wrong and what was expected.
    pub(crate) detail: String,
    /// The field of the input that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// The privilege that is missing.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "privilege_id")]
    #[schemars(with = "Option<String>")]
    pub(crate) privilege: Option<Privilege>,
    /// The access rule that refused.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "rule_name")]
    #[schemars(with = "Option<String>")]
    pub(crate) rule: Option<Rule>,
    /// What an adapter answered, which tells apart what has the same code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) adapter_error: Option<AdapterError>,
    /// Seconds until a repeat makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_s: Option<u64>,
    /// What is wrong with the state, if it is that; for the agent itself.
    #[serde(skip)]
    pub(crate) trouble: Option<Trouble>,
}

#[expect(clippy::ref_option, reason = "the shape that serde asks for")]
fn privilege_id<S: Serializer>(privilege: &Option<Privilege>, serializer: S) -> Result<S::Ok, S::Error> {
    privilege.map(Privilege::id).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "the shape that serde asks for")]
fn rule_name<S: Serializer>(rule: &Option<Rule>, serializer: S) -> Result<S::Ok, S::Error> {
    rule.map(|rule| rule.to_string()).serialize(serializer)
}

impl Problem {
    /// A problem of this kind.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let status = code.status();
        Self {
            status,
            code,
            detail: detail.into(),
            field: None,
            privilege: None,
            rule: None,
            adapter_error: None,
            retry_after_s: None,
            trouble: None,
        }
    }

    /// The input is at fault in this field.
    pub(crate) fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(Code::Invalid, detail) }
    }

    /// It does not exist, or not for this actor.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    /// It contradicts what is there.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Code::Conflict, detail)
    }

    /// A fault of the agent: the log gets the whole chain of causes here, the caller none of it.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "internal error");
        Self::new(Code::Internal, "the agent failed; its log has the details under this request id")
    }

    /// Whether it refuses somebody, rather than saying that something is wrong or not there.
    pub(crate) fn is_denial(&self) -> bool {
        self.code == Code::Forbidden || (self.code == Code::NotFound && self.rule.is_some())
    }

    /// Whether the same may work a little later.
    pub(crate) const fn is_temporary(&self) -> bool {
        self.retry_after_s.is_some() || matches!(self.code, Code::TimedOut)
    }

    /// Whether an adapter says that somebody else was faster: what was read is not what is there.
    pub(crate) fn is_of_somebody_elses_change(&self) -> bool {
        matches!(self.adapter_error, Some(AdapterError::Changed | AdapterError::NotFound))
    }

    /// The same with another HTTP status.
    pub(crate) const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with a time to wait.
    pub(crate) const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        let (code, field) = match denial.kind {
            DenialKind::NotFound => (Code::NotFound, None),
            DenialKind::Forbidden => (Code::Forbidden, None),
            DenialKind::Invalid { field } => (Code::Invalid, Some(field.to_owned())),
        };
        Self { field, privilege: denial.privilege, rule: Some(denial.rule), ..Self::new(code, denial.detail) }
    }
}

impl From<NoRandomness> for Problem {
    fn from(error: NoRandomness) -> Self {
        Self::internal(&error)
    }
}
