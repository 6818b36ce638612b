//! The catalogue: privileges with their titles and reach, the categories and the roles, read from `catalogue.toml`.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FileAccessKind, PrivilegeSet};

macro_rules! privileges {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)+) => {
        /// What a share can allow. The set is closed: an id that is not here means *refuse* (A13).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Privilege {
            $($(#[$doc])* $name,)+
        }

        impl Privilege {
            /// Every privilege, in catalogue order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The key that panels use for it.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }
        }
    };
}

privileges! {
    /// Change label.
    ManageLabels = "general.manage_labels",
    /// Refresh Thumbnail.
    RefreshThumbnail = "general.refresh_thumbnail",
    /// Set Domain.
    ChangeDomain = "general.change_domain",
    /// Create Staging.
    CreateStaging = "general.create_staging",
    /// Push to Live.
    PushToLive = "general.push_to_live",
    /// Push to Staging.
    PushToStaging = "general.push_to_staging",
    /// View Logs.
    ViewLogs = "general.view_logs",
    /// View Reports.
    ViewReports = "general.view_reports",
    /// Copy Instance.
    CopyInstance = "general.copy_instance",
    /// Preview Instance.
    PreviewInstance = "general.preview_instance",
    /// Delete Instance.
    DeleteInstance = "general.delete_instance",
    /// Manage Shared Access.
    ManageSharedAccess = "general.manage_shared_access",
    /// WP Admin SSO.
    WpAdminSso = "wordpress.create_sso_link",
    /// Update WordPress.
    UpdateWordpress = "wordpress.update",
    /// Manage Auto Update.
    ManageAutoUpdate = "wordpress.manage_auto_update",
    /// Manage Backups.
    ManageBackups = "wordpress.manage_backups",
    /// Manage Automatic Backup.
    ManageAutoBackup = "wordpress.manage_auto_backup",
    /// Update Site Name.
    UpdateSiteName = "wordpress.update_site_name",
    /// Clear Cache.
    ClearCache = "wordpress.clear_cache",
    /// Set Maintenance Mode.
    ManageMaintenanceMode = "wordpress.manage_maintenance_mode",
    /// Set Debug Mode.
    ManageDebugMode = "wordpress.manage_debug_mode",
    /// Manage Themes.
    ManageThemes = "wordpress.manage_themes",
    /// Manage Plugins.
    ManagePlugins = "wordpress.manage_plugins",
    /// Manage WordPress Config.
    ManageConfig = "wordpress.manage_config",
    /// Manage WordPress Users.
    ManageUsers = "wordpress.manage_users",
    /// Manage Edge Cache.
    ManageEdgeCache = "wordpress.manage_edge_cache",
    /// Manage Search Engine Indexing.
    ManageSearchEngineIndexing = "wordpress.manage_search_engine_indexing",
    /// Manage Cloudflare.
    ManageCloudflare = "wordpress.manage_cloudflare",
    /// Manage Email Accounts.
    ManageEmail = "hosting.manage_email",
    /// Manage DNS.
    ManageDns = "hosting.manage_dns",
    /// Manage Domains.
    ManageDomains = "hosting.manage_domains",
    /// Manage SSL Certificates.
    ManageSsl = "hosting.manage_ssl",
    /// Manage FTP Accounts.
    ManageFtp = "hosting.manage_ftp",
    /// Manage SFTP Accounts.
    ManageSftp = "hosting.manage_sftp",
    /// Manage MySQL Databases.
    ManageMysql = "hosting.manage_mysql",
    /// Manage File Manager.
    ManageFileManager = "hosting.manage_file_manager",
    /// Manage Cron Jobs.
    ManageCron = "hosting.manage_cron",
    /// phpMyAdmin SSO.
    PhpmyadminSso = "hosting.phpmyadmin_sso",
}

impl Privilege {
    /// The privilege with this id.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|privilege| privilege.id() == id)
    }

    /// Its entry in the catalogue.
    pub fn entry(self) -> &'static PrivilegeEntry {
        let entries = &catalogue().privileges;
        entries.get(self as usize).unwrap_or_else(|| entries.iter().next_back().unwrap_or(&NO_ENTRY))
    }

    /// Whether it counts for the whole hosting (A6).
    pub fn concerns_hosting(self) -> bool {
        Self::HOSTING.contains(self)
    }

    /// The privileges of the category *Manage Related Hosting*.
    pub const HOSTING: PrivilegeSet = in_category("hosting.");

    /// Every privilege there is.
    pub const EVERY: PrivilegeSet = in_category("");
}

const fn in_category(prefix: &str) -> PrivilegeSet {
    let mut set = PrivilegeSet::EMPTY;
    let mut rest = Privilege::ALL;
    while let [first, others @ ..] = rest {
        if starts_with(first.id().as_bytes(), prefix.as_bytes()) {
            set = set.with(*first);
        }
        rest = others;
    }
    set
}

const fn starts_with(mut text: &[u8], mut prefix: &[u8]) -> bool {
    while let [wanted, wanted_rest @ ..] = prefix {
        let [seen, seen_rest @ ..] = text else { return false };
        if *seen != *wanted {
            return false;
        }
        text = seen_rest;
        prefix = wanted_rest;
    }
    true
}

/// What holding a privilege really amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReachWord {
    /// Cosmetic or read-only, nothing secret.
    Plain,
    /// Changes the site's state, reversible.
    State,
    /// Shows secrets.
    Secrets,
    /// A WordPress session as the user named by Log In As.
    Session,
    /// Arbitrary code as the instance's system user.
    Code,
    /// Acts on the whole hosting account.
    Account,
    /// Can create further authority.
    Mint,
    /// Irreversible.
    Destroy,
}

/// A group of privileges in the share window.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Category {
    /// The first part of its privileges' ids.
    pub id: String,
    /// What the share window calls it.
    pub title: String,
    /// What holds for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One privilege as the share window shows it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PrivilegeEntry {
    /// The key that panels use.
    pub id: String,
    /// What the share window calls it.
    pub title: String,
    /// What holding it amounts to.
    pub reach: Vec<ReachWord>,
    /// The operations it gates, those not built yet included.
    #[serde(skip_serializing)]
    pub operations: Vec<String>,
    /// The interface of adapters that one of the hosting's has to export; the agent itself serves it if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_by: Option<String>,
    /// A sentence of explanation.
    #[serde(default, rename(serialize = "tooltip"), skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What somebody should think of before granting it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

static NO_ENTRY: PrivilegeEntry = PrivilegeEntry {
    id: String::new(),
    title: String::new(),
    reach: Vec::new(),
    operations: Vec::new(),
    served_by: None,
    note: None,
    warning: None,
};

impl PrivilegeEntry {
    /// The category it stands in.
    pub fn category(&self) -> &str {
        self.id.split_once('.').map_or("", |(category, _)| category)
    }
}

/// A named set of privileges. A share freezes the set when it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees the site's details.
    ViewOnly,
    /// Sees, and opens WP Admin.
    ViewAndSso,
    /// Manages the website.
    Developer,
    /// Manages the website and the hosting.
    FullAccess,
    /// Privileges chosen one by one.
    Custom,
}

impl Role {
    /// Every role, in the order of the share window.
    pub const ALL: [Self; 5] = [Self::ViewOnly, Self::ViewAndSso, Self::Developer, Self::FullAccess, Self::Custom];

    /// The key that panels use for it.
    pub const fn id(self) -> &'static str {
        match self {
            Self::ViewOnly => "view_only",
            Self::ViewAndSso => "view_and_sso",
            Self::Developer => "developer",
            Self::FullAccess => "full_access",
            Self::Custom => "custom",
        }
    }

    /// The role with this id.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.id() == id)
    }

    /// Its entry in the catalogue.
    pub fn entry(self) -> Option<&'static RoleEntry> {
        catalogue().roles.iter().find(|entry| entry.id == self.id())
    }

    /// The privileges it stands for today; nothing for *Custom*.
    pub fn privileges(self) -> PrivilegeSet {
        self.entry().map_or(PrivilegeSet::EMPTY, |entry| entry.resolved)
    }
}

/// A role as the share window shows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleEntry {
    /// The key that panels use.
    pub id: String,
    /// What the share window calls it.
    pub title: String,
    /// What it allows, in a sentence.
    pub tooltip: String,
    #[serde(default)]
    privileges: Vec<String>,
    #[serde(default)]
    all_of: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    /// The file account that comes with it.
    #[serde(default)]
    pub file_access: Option<FileAccessKind>,
    #[serde(skip)]
    resolved: PrivilegeSet,
}

impl RoleEntry {
    fn resolve(&self) -> PrivilegeSet {
        let all = Privilege::ALL.iter().copied();
        all.filter(|privilege| {
            let id = privilege.id();
            let whole_category =
                id.split_once('.').is_some_and(|(category, _)| self.all_of.iter().any(|one| one == category));
            let named = self.privileges.iter().any(|one| one == id);
            (named || whole_category) && !self.except.iter().any(|one| one == id)
        })
        .collect()
    }
}

/// Everything that can be granted, with the words for it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The groups of privileges.
    #[serde(rename = "category")]
    pub categories: Vec<Category>,
    /// The privileges, in the order of [`Privilege::ALL`].
    #[serde(rename = "privilege")]
    pub privileges: Vec<PrivilegeEntry>,
    /// The roles.
    #[serde(rename = "role")]
    pub roles: Vec<RoleEntry>,
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    // The text is part of the program and a test reads it: an empty catalogue grants nothing.
    let empty = Catalogue { categories: Vec::new(), privileges: Vec::new(), roles: Vec::new() };
    let mut catalogue = toml::from_str(include_str!("../catalogue.toml")).unwrap_or(empty);
    for role in &mut catalogue.roles {
        role.resolved = role.resolve();
    }
    catalogue
});

/// The catalogue of this build.
pub fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_has_every_privilege_in_order_and_every_role() {
        let ids: Vec<_> = catalogue().privileges.iter().map(|entry| entry.id.as_str()).collect();
        let known: Vec<_> = Privilege::ALL.iter().map(|privilege| privilege.id()).collect();
        assert_eq!(ids, known);
        assert_eq!(ids.len(), 38);
        let roles: Vec<_> = catalogue().roles.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(roles, Role::ALL.map(Role::id));
        assert_eq!(catalogue().privileges.iter().map(|entry| entry.operations.len()).sum::<usize>(), 125);
    }

    #[test]
    fn every_id_that_a_role_names_exists() {
        for role in &catalogue().roles {
            for id in role.privileges.iter().chain(&role.except) {
                assert!(Privilege::from_id(id).is_some(), "{id} in role {}", role.id);
            }
        }
    }

    #[test]
    fn a_developer_gets_the_website_without_sharing_copying_or_deleting() {
        let developer = Role::Developer.privileges();
        assert!(developer.contains(Privilege::ManagePlugins));
        assert!(!developer.contains(Privilege::ManageSharedAccess));
        assert!(!developer.contains(Privilege::DeleteInstance));
        assert!(developer.meet(Privilege::HOSTING).is_empty());
        assert_eq!(Role::FullAccess.privileges(), Privilege::EVERY);
    }
}
