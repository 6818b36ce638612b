//! The platform, played: names in the adapter's own state, each with the key of the call that made it.

use sdk::{Result, state};

/// The names of all databases, in order.
pub fn names() -> Result<Vec<String>> {
    let keys = state::keys("databases/")?;
    Ok(keys.iter().filter_map(|key| key.strip_prefix("databases/")).map(str::to_owned).collect())
}

/// The key of the call that made a database, if there is one of this name.
pub fn made_by(name: &str) -> Result<Option<String>> {
    Ok(state::text(&format!("databases/{name}"))?)
}

/// Makes a database.
pub fn create(name: &str, key: &str) -> Result<()> {
    Ok(state::set(&format!("databases/{name}"), key)?)
}

/// Removes a database. Who did it is written first: whoever is cut off in between finds that it was them.
pub fn remove(name: &str, key: &str) -> Result<()> {
    state::set("last-removed-by", key)?;
    Ok(state::remove(&format!("databases/{name}"))?)
}

/// The key of the call that removed a database last.
pub fn last_removed_by() -> Result<Option<String>> {
    Ok(state::text("last-removed-by")?)
}
