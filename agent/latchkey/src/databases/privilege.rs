//! What a database user may do with a database, in the words of statements.

use latchkey_adapters::host::mysql::Privilege;

macro_rules! privileges {
    ($($name:ident = $words:literal in $column:literal;)+) => {
        /// All of them, in order.
        pub(super) const ALL: &[Privilege] = &[$(Privilege::$name,)+];

        /// As statements have it.
        const fn words(privilege: Privilege) -> &'static str {
            match privilege { $(Privilege::$name => $words,)+ }
        }

        /// The column of `mysql.db` that tells it.
        pub(super) const fn column(privilege: Privilege) -> &'static str {
            match privilege { $(Privilege::$name => $column,)+ }
        }
    };
}

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
    privileges.iter().copied().map(words).collect::<Vec<_>>().join(", ")
}
