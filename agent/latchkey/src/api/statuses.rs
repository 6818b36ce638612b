//! Which HTTP statuses a call can answer: what follows from its kind, and what stands in its row.
//!
//! 500 is in no list: it is a fault of the agent, and nothing to build on.

use std::collections::BTreeSet;

use latchkey_access::{OperationSpec, Runs};

use super::routes::{Needs, Route};

/// A certificate that may not, too many requests, a head that is too long, and a state that cannot be written.
const OF_ALL: [u16; 4] = [403, 429, 431, 503];
/// A body that is wrong, one that does not come, and one that is too long.
const OF_BODIES: [u16; 3] = [400, 408, 413];

/// Every status that a call can answer.
pub(super) fn of(route: &Route) -> BTreeSet<u16> {
    let mut statuses: BTreeSet<u16> = OF_ALL.into_iter().chain(route.answers.iter().copied()).collect();
    if route.needs == Needs::Actor {
        statuses.insert(400);
    }
    if route.path.contains('{') {
        statuses.extend([400, 404]);
    }
    if route.method != "GET" {
        statuses.extend(OF_BODIES);
    }
    if route.method == "POST" {
        // Another request, or one without a reply that is kept, had the same key.
        statuses.insert(409);
    }
    statuses
}

/// Every status that an operation can answer.
pub(super) fn of_operation(route: &Route, spec: &OperationSpec, failures: &[u16]) -> BTreeSet<u16> {
    let mut statuses = of(route);
    statuses.extend(failures);
    if spec.privilege.entry().served_by.is_some() {
        // Nothing there serves it, or an adapter that does not answer.
        statuses.extend([501, 504]);
    }
    if let Runs::Job { .. } = spec.runs {
        statuses.remove(&200);
        statuses.insert(202);
    }
    statuses
}

/// Whether this one says that the call was carried out.
pub(super) const fn is_done(status: u16) -> bool {
    status < 300
}

/// What a status says.
pub(super) const fn text(status: u16) -> &'static str {
    match status {
        200 => "Done.",
        201 => "Made.",
        202 => "A part has come; what is there goes on from `received_bytes`.",
        206 => "A part of it.",
        400 => "The request is at fault; `field` names where.",
        403 => "The certificate or the actor may not; `privilege` and `rule` say why.",
        404 => "It does not exist, or not for this actor.",
        408 => "The body took too long.",
        409 => "It contradicts what is there, or another request has used the key.",
        412 => "It has changed: it is not what `If-Match` names any more.",
        413 => "The body is too long.",
        416 => "The file has no such part.",
        429 => "Too much at the moment; `Retry-After` says when to try again.",
        431 => "The request line and headers are too long.",
        501 => "Nothing on this hosting serves it; `detail` names what is missing.",
        503 => "Something that is needed does not work at the moment; nothing was changed unless `detail` says so.",
        504 => "The site did not answer in time.",
        507 => "The hosting has no room left.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::routes::ROUTES;
    use super::{is_done, of, text};
    use crate::problem::Code;

    #[test]
    fn every_call_can_succeed_and_every_status_has_its_text() {
        for route in ROUTES {
            assert!(of(route).into_iter().any(is_done), "{} {}", route.method, route.path);
            for status in of(route) {
                assert!(!text(status).is_empty(), "{status} of {} {}", route.method, route.path);
            }
        }
    }

    #[test]
    fn no_call_promises_a_fault_of_the_agent() {
        assert!(ROUTES.iter().all(|route| !of(route).contains(&Code::Internal.status())));
    }
}
