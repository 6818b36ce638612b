//! A real WordPress site of a temporary system user, with its own MariaDB, in memory.
//!
//! Tests of one program share it: it lives as long as any of them holds it.

use std::{
    fs,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::system_user::{SystemUser, until};

pub(crate) const URL: &str = "http://127.0.0.1:8081";

/// Misbehaves as the path of the request says, and otherwise not at all.
const HOSTILE_PLUGIN: &str = r##"<?php
/* Plugin Name: Hostile */
$path = trim((string) ($_SERVER['REQUEST_URI'] ?? ''), '/');
if ($path === 'noisy') {
    echo str_repeat('noise ', 2000); trigger_error('warning', E_USER_WARNING);
    while (ob_get_level() > 0 && @ob_end_flush()) {} echo 'more'; fwrite(STDOUT, "raw\n");
}
if ($path === 'fatal') { undefined_function_of_a_plugin(); }
if ($path === 'exit' || $path === '.well-known/latchkey-sso') { exit('bye'); }
if ($path === 'loop') { while (true) { sleep(1); } }
if ($path === 'redirect') { add_action('init', function () { wp_redirect('https://elsewhere.example/'); exit; }); }
if ($path === 'die') { wp_die('<b>Not</b> today'); }
if ($path === 'forge') {
    fwrite(fopen('php://fd/3', 'w'), '{"ok":true,"result":{"name":"FORGED"}}' . "\n"); posix_kill(getmypid(), 9); exit;
}
if ($path === 'fork') { exec('sleep 300'); }
if ($path === 'mail') { add_action('wp_loaded', function () { wp_mail('a@b.example', 'x', 'y'); mail('a@b.example', 'x', 'y'); }); }
if ($path === 'options') { update_option('active_plugins', []); }
"##;

const INSTALL: &str = r##"
$_SERVER += ['HTTP_HOST' => '127.0.0.1:8081', 'REQUEST_URI' => '/', 'SERVER_PROTOCOL' => 'HTTP/1.1', 'REQUEST_METHOD' => 'GET'];
$db = new mysqli('localhost', 'root', '', '', 0, $argv[1]);
$db->query('CREATE DATABASE wp');
define('WP_INSTALLING', true);
define('WP_SITEURL', $argv[2]);
require 'wp-load.php';
require 'wp-admin/includes/upgrade.php';
add_filter('pre_wp_mail', '__return_true');
wp_install('Tom & "Ann"', 'owner', 'owner@example.org', true, '', 'owner-password');
$id = wp_insert_user(['user_login' => 'editor', 'user_pass' => 'editor-password', 'user_email' => 'editor@example.org', 'role' => 'editor', 'display_name' => 'Edith']);
update_option('active_plugins', ['hostile.php']);
echo 'user ', $id;
"##;

/// The site. Field order is drop order: the database stops before its user goes.
pub(crate) struct Site {
    database: Child,
    pub(crate) docroot: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) user: SystemUser,
    _dir: tempfile::TempDir,
}

static SHARED: Mutex<Weak<Site>> = Mutex::new(Weak::new());

impl Site {
    /// The site that the tests of this program share.
    pub(crate) fn shared() -> Arc<Site> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let site = Arc::new(Site::build());
            *shared = Arc::downgrade(&site);
            site
        })
    }

    fn build() -> Site {
        let user = SystemUser::new();
        let dir = tempfile::Builder::new().prefix("lk").tempdir_in("/dev/shm").unwrap();
        own(dir.path(), &user);
        let home = dir.path().join("home");
        let docroot = home.join("public");
        fs::create_dir(&home).unwrap();
        run(Command::new("cp").args(["-rL", "/usr/share/wordpress"]).arg(&docroot));
        let _ = fs::remove_file(docroot.join(".htaccess"));
        let _ = fs::remove_file(docroot.join("wp-config.php"));
        fs::create_dir_all(docroot.join("wp-content/plugins")).unwrap();
        fs::write(docroot.join("wp-content/plugins/hostile.php"), HOSTILE_PLUGIN).unwrap();
        let socket = dir.path().join("my.sock");
        fs::write(docroot.join("wp-config.php"), config(&socket)).unwrap();
        run(Command::new("chown").args(["-R", &format!("{0}:{0}", user.name)]).arg(&home));
        let database = start_database(dir.path(), &socket, &user);
        let site = Site { database, docroot, home, user, _dir: dir };
        let installed = site.run_php(INSTALL, &[socket.to_str().unwrap(), URL]);
        assert!(installed.contains("user 2"), "{installed}");
        site
    }

    /// Runs code inside this WordPress, plugins and all, and returns what it prints.
    pub(crate) fn wordpress(&self, code: &str) -> String {
        let start = "$_SERVER += ['HTTP_HOST' => '127.0.0.1:8081', 'REQUEST_URI' => '/', 'REQUEST_METHOD' => 'GET', \
                     'SERVER_PROTOCOL' => 'HTTP/1.1']; \
                     $wp_filter['enable_maintenance_mode'][10]['x'] = ['function' => function () { return false; }, \
                     'accepted_args' => 1]; require 'wp-load.php';";
        self.run_php(&format!("{start} {code}"), &[])
    }

    /// A PHP of the site's user, in the docroot.
    pub(crate) fn php(&self) -> Command {
        let mut command = Command::new("/usr/bin/php8.2");
        command.env_clear().uid(self.user.uid).gid(self.user.gid).current_dir(&self.docroot);
        command
    }

    fn run_php(&self, code: &str, arguments: &[&str]) -> String {
        let mut child = self
            .php()
            .args(["-d", "display_errors=stderr", "--"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(format!("<?php {code}").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.database.id()).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        let _ = self.database.wait();
    }
}

fn config(socket: &Path) -> String {
    let keys = ["AUTH_KEY", "SECURE_AUTH_KEY", "LOGGED_IN_KEY", "NONCE_KEY", "AUTH_SALT", "SECURE_AUTH_SALT"];
    let keys: String = keys.iter().map(|key| format!("define('{key}', 'test {key}');\n")).collect();
    format!(
        "<?php\ndefine('DB_NAME', 'wp'); define('DB_USER', 'root'); define('DB_PASSWORD', '');\n\
         define('DB_HOST', 'localhost:{}'); define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', '');\n{keys}\
         define('WP_HTTP_BLOCK_EXTERNAL', true); define('AUTOMATIC_UPDATER_DISABLED', true);\n\
         define('DISABLE_WP_CRON', true); define('FS_METHOD', 'direct'); define('WPMU_PLUGIN_DIR', __DIR__ . '/must');\n\
         $table_prefix = 'wp_';\nif (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');\n\
         require_once ABSPATH . 'wp-settings.php';\n",
        socket.display()
    )
}

fn start_database(dir: &Path, socket: &Path, user: &SystemUser) -> Child {
    let data = format!("--datadir={}", dir.join("db").display());
    let small = [
        "--innodb-log-file-size=4M",
        "--innodb-data-file-path=ibdata1:4M:autoextend",
        "--innodb-autoextend-increment=1",
    ];
    run(Command::new("mariadb-install-db")
        .args([
            "--no-defaults",
            &data,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ])
        .args(small)
        .uid(user.uid)
        .gid(user.gid));
    let child = Command::new("mariadbd")
        .args(["--no-defaults", &data, "--skip-networking", "--skip-name-resolve", "--performance-schema=OFF"])
        .args(["--innodb-flush-method=nosync", "--innodb-buffer-pool-size=16M"])
        .args(small)
        .arg(format!("--socket={}", socket.display()))
        .arg(format!("--pid-file={}", dir.join("my.pid").display()))
        .arg(format!("--log-error={}", dir.join("my.err").display()))
        .uid(user.uid)
        .gid(user.gid)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("MariaDB accepts connections", || std::os::unix::net::UnixStream::connect(socket).is_ok());
    child
}

fn own(path: &Path, user: &SystemUser) {
    std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)).unwrap();
}

fn run(command: &mut Command) {
    let output = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}
