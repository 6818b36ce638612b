//! Who is at the other end of a connection, and for what their certificate may be used.

use latchkey_access::{AccessTable, Actor, Email};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{PanelPeer, Scope};
use crate::problem::{Code, Problem};

/// The header that names the actor.
pub(crate) const ACTOR_HEADER: &str = "latchkey-actor";

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The certificate's URI, or `cli`.
    pub(crate) name: String,
    /// Where it connects from.
    pub(crate) address: Option<String>,
    /// How many requests it may make; 0 is no limit.
    pub(crate) requests_per_minute: u32,
    scopes: Vec<Scope>,
    /// Whether it is root of the node at the Unix socket.
    is_operator: bool,
}

impl Peer {
    /// The root of the node at the Unix socket.
    pub(crate) fn cli() -> Self {
        let scopes = vec![Scope::Panel, Scope::People, Scope::Metrics];
        Self { name: "cli".into(), address: None, requests_per_minute: 0, scopes, is_operator: true }
    }

    /// The peer with this certificate: its one URI must be one that the operator lists, to the letter.
    pub(crate) fn of_certificate(certificate: &[u8], known: &[PanelPeer], address: String) -> Self {
        let uri = only_uri(certificate).unwrap_or_default();
        let listed = known.iter().find(|peer| peer.uri == uri && !uri.is_empty());
        Self {
            name: uri,
            address: Some(address),
            requests_per_minute: listed.map_or(0, |peer| peer.requests_per_minute),
            is_operator: false,
            scopes: listed.map(|peer| peer.scopes.clone()).unwrap_or_default(),
        }
    }

    /// Refuses a certificate that the operator did not list.
    pub(crate) fn must_be_known(&self) -> Result<(), Problem> {
        if self.scopes.is_empty() { Err(forbidden("this certificate is not listed for this agent")) } else { Ok(()) }
    }

    /// Refuses whoever comes from outside of the node, whatever their certificate.
    pub(crate) fn must_be_operator(&self) -> Result<(), Problem> {
        self.must_be_known()?;
        if self.is_operator { Ok(()) } else { Err(forbidden("this is for the operator on the node itself")) }
    }

    /// Refuses a peer without this scope.
    pub(crate) fn must_have(&self, scope: Scope) -> Result<(), Problem> {
        self.must_be_known()?;
        let detail = match scope {
            Scope::Panel => "this certificate may not act as the panel (scope `panel` is missing)",
            Scope::People => "this certificate may not act for persons (scope `people` is missing)",
            Scope::Metrics => "this certificate may not read metrics (scope `metrics` is missing)",
        };
        if self.scopes.contains(&scope) { Ok(()) } else { Err(forbidden(detail)) }
    }

    /// The actor that a request names, if this peer may act for them.
    pub(crate) fn actor(&self, table: &AccessTable, header: Option<&[u8]>) -> Result<Actor, Problem> {
        self.must_be_known()?;
        if !self.scopes.contains(&Scope::Panel) && !self.scopes.contains(&Scope::People) {
            return Err(forbidden("this certificate may read metrics only (scopes `panel` and `people` are missing)"));
        }
        let expected = "expected the header Latchkey-Actor: `panel` or the email address of a person";
        let text = header.and_then(|value| std::str::from_utf8(value).ok()).map(str::trim);
        match text {
            None | Some("") => Err(Problem::invalid("Latchkey-Actor", expected)),
            Some("panel") => self.must_have(Scope::Panel).map(|()| Actor::Panel),
            Some(text) => {
                let email: Email = text.parse().map_err(|_| Problem::invalid("Latchkey-Actor", expected))?;
                self.must_have(Scope::People)?;
                Ok(Actor::by_email(table, email))
            }
        }
    }
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(Code::Forbidden, detail)
}

fn only_uri(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let first = uris.next()?;
    uris.next().is_none().then(|| first.to_owned())
}
