//! Logs of sites: where they are, how a page of one is read and how one is followed, and what of a line is not shown.

pub(crate) mod follow;
pub(crate) mod line;
pub(crate) mod location;
pub(crate) mod mask;
pub(crate) mod open;
pub(crate) mod page;
mod tail;

use std::sync::Arc;

use jiff::Timestamp;
use latchkey_access::{AccessTable, HostingId, Operation, Permit, decide};

use crate::problem::Problem;
use crate::serve::Serve;
use location::{Location, Place, Site};

/// What stands behind the name of a log that was rotated, if it has anything: its number, and whether it is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rotated {
    pub(crate) number: u32,
    pub(crate) is_compressed: bool,
}

impl Rotated {
    /// As the file has it behind its name.
    pub(crate) fn suffix(self) -> String {
        format!(".{}{}", self.number, if self.is_compressed { ".gz" } else { "" })
    }

    fn parse(suffix: &str) -> Option<Self> {
        let (digits, is_compressed) = suffix.strip_suffix(".gz").map_or((suffix, false), |digits| (digits, true));
        let number = digits.parse().ok()?;
        let rotated = Self { number, is_compressed };
        // There is one way to write it.
        (rotated.suffix().get(1..) == Some(suffix)).then_some(rotated)
    }
}

/// A log that somebody named.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) hosting: HostingId,
    pub(crate) location: Location,
    pub(crate) place: Place,
    pub(crate) rotated: Option<Rotated>,
}

/// The logs of a permit's instance that its actor may see, and where they are looked for.
pub(crate) async fn list<O: Operation>(
    serve: &Arc<Serve>,
    permit: &Permit<O>,
) -> Result<(HostingId, Vec<Location>), Problem> {
    let locations = location::all(serve, permit.instance()).await?;
    let (table, now) = (serve.state.table(), serve.state.clock.now());
    let hosting = Site::of(&table, permit.instance())?.hosting_id().clone();
    Ok((hosting, locations.into_iter().filter(|one| may_see(&table, permit, one, now)).collect()))
}

/// The log of this id, if the permit's actor may see it. What the panel named needs no adapter to answer.
pub(crate) async fn find<O: Operation>(serve: &Arc<Serve>, permit: &Permit<O>, id: &str) -> Result<Named, Problem> {
    let none = || Problem::not_found("log");
    let (base, rotated) = match id.split_once('.') {
        Some((base, suffix)) => (base, Some(Rotated::parse(suffix).ok_or_else(none)?)),
        None => (id, None),
    };
    let (table, now) = (serve.state.table(), serve.state.clock.now());
    let site = Site::of(&table, permit.instance())?;
    let hosting = site.hosting_id().clone();
    let with_id = |locations: Vec<Location>| locations.into_iter().find(|one| one.id == base);
    let location = match with_id(site.own()) {
        Some(location) => Some(location),
        None => with_id(location::all(serve, permit.instance()).await?),
    };
    let location = location.filter(|one| may_see(&table, permit, one, now)).ok_or_else(none)?;
    let suffix = rotated.map(Rotated::suffix).unwrap_or_default();
    let place = location.place.with_suffix(&suffix).map_err(|_| none())?;
    Ok(Named { hosting, location, place, rotated })
}

/// Whether the actor may do the same on every instance that the log tells of.
fn may_see<O: Operation>(table: &AccessTable, permit: &Permit<O>, location: &Location, now: Timestamp) -> bool {
    location.tells_of.iter().all(|other| decide::<O>(table, permit.actor(), other, now).is_ok())
}

#[cfg(test)]
mod tests {
    use super::Rotated;

    #[test]
    fn a_rotated_log_is_named_in_one_way() {
        for (suffix, number, is_compressed) in [("1", 1, false), ("2.gz", 2, true), ("14", 14, false)] {
            assert_eq!(Rotated::parse(suffix), Some(Rotated { number, is_compressed }));
        }
        for suffix in ["", "01", "+1", "x", "1.gz.gz", "gz", ".gz", "1/../x", "-1", "1.", "4294967296"] {
            assert_eq!(Rotated::parse(suffix), None, "{suffix}");
        }
    }
}
