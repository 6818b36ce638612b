//! Which domains an account has. Each but a subdomain has a zone of its own.

use sdk::{Error, Result};

use crate::account::Account;
use crate::answer::field;
use crate::call::Call;
use crate::change;

/// The domains of an account.
pub(crate) struct Domains {
    /// The one that it was made for.
    pub(crate) main: String,
    /// Those that have a zone, in order.
    pub(crate) zones: Vec<String>,
}

impl Domains {
    /// Reads them.
    pub(crate) fn of(account: &Account) -> Result<Self> {
        let listed = change::read(account, &Call::uapi("DomainInfo", "list_domains"))?;
        let main = field(&listed, "main_domain").map(|name| name.to_lowercase());
        let main = main.ok_or_else(|| Error::failed("cPanel does not say which domain the account was made for"))?;
        let mut zones = vec![main.clone()];
        for list in ["addon_domains", "parked_domains"] {
            let names = listed.get(list).and_then(|list| list.as_array()).into_iter().flatten();
            zones.extend(names.filter_map(|name| name.as_str()).map(str::to_lowercase));
        }
        zones.sort();
        zones.dedup();
        Ok(Self { main, zones })
    }
}
