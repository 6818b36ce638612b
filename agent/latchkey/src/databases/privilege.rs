//! What a database user may do with a database.

macro_rules! privileges {
    ($($name:ident = $words:literal in $column:literal;)+) => {
        /// A right on a database.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub(crate) enum Privilege {
            $(#[doc = $words] $name,)+
        }

        impl Privilege {
            /// All of them, in order.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// As statements have it.
            pub(super) const fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)+ }
            }

            /// The column of `mysql.db` that tells it.
            pub(super) const fn column(self) -> &'static str {
                match self { $(Self::$name => $column,)+ }
            }
        }
    };
}

// In the order of the WIT's `types.privilege`.
privileges! {
    Select = "SELECT" in "Select_priv";
    Insert = "INSERT" in "Insert_priv";
    Update = "UPDATE" in "Update_priv";
    Delete = "DELETE" in "Delete_priv";
    Create = "CREATE" in "Create_priv";
    Drop = "DROP" in "Drop_priv";
    Alter = "ALTER" in "Alter_priv";
    Index = "INDEX" in "Index_priv";
    References = "REFERENCES" in "References_priv";
    CreateTemporaryTables = "CREATE TEMPORARY TABLES" in "Create_tmp_table_priv";
    LockTables = "LOCK TABLES" in "Lock_tables_priv";
    CreateView = "CREATE VIEW" in "Create_view_priv";
    ShowView = "SHOW VIEW" in "Show_view_priv";
    Trigger = "TRIGGER" in "Trigger_priv";
    Event = "EVENT" in "Event_priv";
    CreateRoutine = "CREATE ROUTINE" in "Create_routine_priv";
    AlterRoutine = "ALTER ROUTINE" in "Alter_routine_priv";
    Execute = "EXECUTE" in "Execute_priv";
}

/// Several, as a statement lists them.
pub(super) fn listed(privileges: &[Privilege]) -> String {
    privileges.iter().map(|privilege| privilege.words()).collect::<Vec<_>>().join(", ")
}
