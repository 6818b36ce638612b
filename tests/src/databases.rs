//! MariaDB as its users see it.

use xtask::node::Node;
use xtask::process::Program;

use crate::waiting::eventually;

/// What MariaDB says to its root.
#[track_caller]
pub fn sql(node: &Node, statement: &str) -> String {
    node.mariadb(statement).unwrap().trim().to_owned()
}

/// What it says to a user, or why not.
///
/// # Errors
/// When the user is not let in, or may not do that.
pub fn sql_as(node: &Node, (user, password): (&str, &str), statement: &str) -> Result<String, String> {
    let client = Program::new("mariadb").args(["--no-defaults", "--batch", "--skip-column-names", "--user", user]);
    let client = client.arg(format!("--socket={}", node.database_socket().display()));
    let told = client.env("MYSQL_PWD", password).input(statement).text();
    told.map(|text| text.trim().to_owned()).map_err(|error| format!("{error:#}"))
}

/// Kills the server while a statement that begins like this waits in it, which `asking` sends; what that is answered.
#[track_caller]
pub fn crash_during<T: Send>(node: &Node, statement: &str, asking: impl FnOnce() -> T + Send) -> T {
    let is_under_way = |statement: &str| {
        let beside = "AND ID != CONNECTION_ID()";
        let count =
            format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '{statement}%' {beside}");
        sql(node, &count) == "1"
    };
    std::thread::scope(|scope| {
        scope.spawn(|| node.mariadb("FLUSH TABLES WITH READ LOCK; SELECT SLEEP(50)").is_err());
        eventually("the lock", || is_under_way("SELECT SLEEP(50"));
        let waiting = scope.spawn(asking);
        eventually("the statement", || is_under_way(statement));
        node.database().crash().unwrap();
        waiting.join().unwrap()
    })
}

/// How many connections a user has open.
#[must_use]
#[track_caller]
pub fn connections(node: &Node, user: &str) -> String {
    sql(node, &format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '{user}'"))
}
