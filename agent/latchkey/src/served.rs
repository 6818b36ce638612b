//! What of the catalogue a hosting serves (A14): an operation that is built may need an adapter that is not there.

use latchkey_access::{AccessTable, Hosting, HostingId, Privilege, PrivilegeSet, operations};

use crate::serve::Serve;

impl Serve {
    /// Those of these privileges whose operations nothing on the hosting serves.
    pub(crate) fn unserved(&self, table: &AccessTable, hosting: &HostingId, of: PrivilegeSet) -> PrivilegeSet {
        let hosting = table.hosting(hosting);
        of.iter().filter(|one| !hosting.is_some_and(|hosting| self.serves(hosting, *one))).collect()
    }

    /// Whether the hosting serves a privilege.
    pub(crate) fn serves(&self, hosting: &Hosting, privilege: Privilege) -> bool {
        let has = |interface: &str| self.adapters.serving(hosting, interface).is_ok();
        self.is_built(privilege, &has)
    }

    /// Whether any hosting of the node can serve a privilege.
    pub(crate) fn can_serve(&self, privilege: Privilege) -> bool {
        self.is_built(privilege, &|interface| self.adapters.any_exports(interface))
    }

    fn is_built(&self, privilege: Privilege, has: &dyn Fn(&str) -> bool) -> bool {
        let is_served = match privilege.entry().served_by.as_deref() {
            None => true,
            // Not an adapter's where the node has its own.
            Some("phpmyadmin") => self.config.phpmyadmin.is_some(),
            Some(interface) => has(interface),
        };
        is_served && operations().iter().any(|spec| spec.privilege == privilege)
    }
}
