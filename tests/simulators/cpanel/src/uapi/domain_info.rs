//! Which domains the account has.

use serde_json::json;

use super::Row;
use crate::journal::Kind;

pub(crate) const FUNCTIONS: &[Row] = &[("DomainInfo", "list_domains", Kind::Read, |account, _| {
    let subdomain = format!("shop.{}", account.main_domain);
    Ok(json!({
        "main_domain": account.main_domain,
        "addon_domains": account.addon_domains,
        "parked_domains": [],
        "sub_domains": [subdomain],
    }))
})];
