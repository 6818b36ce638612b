//! Rights on a database: in the agent's words, and in cPanel's, which are SQL's.

use sdk::Privilege;

/// In the order of the interface.
const TABLE: [(Privilege, &str); 18] = [
    (Privilege::Select, "SELECT"),
    (Privilege::Insert, "INSERT"),
    (Privilege::Update, "UPDATE"),
    (Privilege::Delete, "DELETE"),
    (Privilege::Create, "CREATE"),
    (Privilege::Drop, "DROP"),
    (Privilege::Alter, "ALTER"),
    (Privilege::Index, "INDEX"),
    (Privilege::References, "REFERENCES"),
    (Privilege::CreateTemporaryTables, "CREATE TEMPORARY TABLES"),
    (Privilege::LockTables, "LOCK TABLES"),
    (Privilege::CreateView, "CREATE VIEW"),
    (Privilege::ShowView, "SHOW VIEW"),
    (Privilege::Trigger, "TRIGGER"),
    (Privilege::Event, "EVENT"),
    (Privilege::CreateRoutine, "CREATE ROUTINE"),
    (Privilege::AlterRoutine, "ALTER ROUTINE"),
    (Privilege::Execute, "EXECUTE"),
];
const ALL: &str = "ALL PRIVILEGES";

/// Each once, in the order of the interface.
pub(crate) fn in_order(privileges: &[Privilege]) -> Vec<Privilege> {
    TABLE.into_iter().map(|(privilege, _)| privilege).filter(|privilege| privileges.contains(privilege)).collect()
}

/// What cPanel is told.
pub(crate) fn words(privileges: &[Privilege]) -> String {
    if privileges.len() == TABLE.len() {
        return ALL.to_owned();
    }
    let words = TABLE.into_iter().filter(|(privilege, _)| privileges.contains(privilege)).map(|(_, word)| word);
    words.collect::<Vec<_>>().join(",")
}

/// What cPanel lists, without what the interface has no word for.
pub(crate) fn listed<'a>(words: impl Iterator<Item = &'a str>) -> Vec<Privilege> {
    let words: Vec<&str> = words.collect();
    let is_listed = |word| words.iter().any(|listed| listed.eq_ignore_ascii_case(word));
    let has_all = is_listed(ALL);
    TABLE.into_iter().filter(|(_, word)| has_all || is_listed(word)).map(|(privilege, _)| privilege).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_listed() {
        let two = [Privilege::CreateView, Privilege::Select, Privilege::Select];
        assert_eq!(in_order(&two), [Privilege::Select, Privilege::CreateView]);
        assert_eq!(words(&in_order(&two)), "SELECT,CREATE VIEW");
        assert_eq!(listed(["create view", "SELECT", "SHOW CREATE ROUTINE"].into_iter()), in_order(&two));
        let all = listed([ALL].into_iter());
        assert_eq!((all.len(), words(&all)), (18, ALL.to_owned()));
        assert!(listed([].into_iter()).is_empty());
    }
}
