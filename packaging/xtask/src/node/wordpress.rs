//! Real WordPress instances: Debian's files copied, a database, users. The first is installed; the others are clones of
//! it, which is faster.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use super::ground::Ground;
use super::mariadb::MariaDb;
use super::{Database, Hosting, Instance, SiteUser, release};
use crate::process::{Identity, Program};
use crate::random;

const SETUP: &str = include_str!("setup.php");

/// A version of WordPress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WordPress {
    /// That of this Debian.
    #[default]
    Ours,
    /// That of the next Debian.
    Newer,
}

impl WordPress {
    /// Where its files are, with links to files elsewhere.
    fn source(self) -> Result<PathBuf> {
        match self {
            Self::Ours => Ok("/usr/share/wordpress".into()),
            Self::Newer => {
                // Without a web server and a PHP named, it would bring Apache.
                let wanted = ["wordpress", "wordpress-theme-twentytwentyfive", "nginx-light", "php", "php-fpm"];
                Ok(release::unpacked("wordpress", "trixie", &wanted)?.join("usr/share/wordpress"))
            }
        }
    }

    const fn directory(self) -> &'static str {
        match self {
            Self::Ours => "wordpress",
            Self::Newer => "wordpress-newer",
        }
    }
}

/// What instances are made from.
pub(crate) struct Template {
    files: PathBuf,
    /// The database of the first instance, with its URL; none until there is one.
    dump: OnceLock<(String, String)>,
}

impl Template {
    /// Copies Debian's WordPress, with the links that leave its tree followed, and without its configuration.
    pub(crate) fn make(ground: &Ground, wordpress: WordPress) -> Result<Self> {
        let files = ground.path().join(wordpress.directory());
        Program::new("cp").arg("-rL").arg(wordpress.source()?).arg(&files).text().context("copy WordPress")?;
        for name in ["wp-config.php", ".htaccess"] {
            let file = files.join(name);
            if file.exists() {
                fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
            }
        }
        fs::create_dir_all(files.join("wp-content/uploads")).context("create wp-content/uploads")?;
        Ok(Self { files, dump: OnceLock::new() })
    }

    /// Makes the files, the database and the users of an instance. Blocks.
    pub(crate) fn apply(&self, database: &MariaDb, hosting: &Hosting, instance: &Instance) -> Result<()> {
        let owner = hosting.user.identity();
        self.copy_files(owner, &instance.docroot)?;
        write_configuration(hosting, instance, &database.socket)?;
        let mut sql = create_database(&instance.database);
        let dump = self.dump.get();
        if let Some((dump, url)) = dump {
            sql.push_str(&import(dump, url, instance));
        }
        database.run(sql).with_context(|| format!("make the database of {}", instance.id))?;
        set_up(owner, instance, dump.is_none())?;
        if dump.is_none() {
            let text = database.dump(&instance.database.name)?;
            // Two first ones at a time: either does.
            self.dump.get_or_init(|| (text, instance.url.clone()));
        }
        instance.layout.apply(database, hosting, instance).with_context(|| format!("rearrange {}", instance.id))
    }

    fn copy_files(&self, owner: Identity, docroot: &Path) -> Result<()> {
        let above = docroot.parent().context("a docroot has a directory above it")?;
        Program::new("mkdir").arg("-p").arg(above).run_as(owner).text()?;
        Program::new("cp").arg("-r").arg(&self.files).arg(docroot).run_as(owner).text().context("copy WordPress")?;
        Ok(())
    }
}

/// The three WordPress users that each instance has, with new passwords. Their ids are 1, 2 and 3.
pub(crate) fn new_users() -> Result<Vec<SiteUser>> {
    let user = |id, login: &str, display_name: &str, role: &str| -> Result<SiteUser> {
        let password = random::word(16)?;
        Ok(SiteUser {
            id,
            login: login.into(),
            password,
            display_name: display_name.into(),
            role: role.into(),
            email: format!("{login}@example.org"),
        })
    };
    Ok(vec![
        user(1, "admin", "Ada Admin", "administrator")?,
        user(2, "editor", "Edith Editor", "editor")?,
        user(3, "author", "Arthur Author", "author")?,
    ])
}

/// Runs PHP inside a site: as its system user, in its docroot.
pub(crate) fn php(owner: Identity, docroot: &Path) -> Program {
    Program::new("/usr/bin/php8.2")
        .args(["-d", "display_errors=stderr", "-d", "html_errors=0", "-d", "sendmail_path=/bin/true"])
        .directory(docroot)
        .run_as(owner)
}

/// Runs PHP inside a site, after its `wp-load.php`, as its system user; `code` has no opening tag. Returns what it
/// prints.
pub(crate) fn php_in_site(hosting: &Hosting, instance: &Instance, code: &str) -> Result<String> {
    let address = instance.url.trim_start_matches("http://");
    let script = format!(
        "<?php $_SERVER['HTTP_HOST'] = '{address}'; $_SERVER['REQUEST_URI'] = '/'; \
         $_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1'; $_SERVER['REQUEST_METHOD'] = 'GET'; \
         require getcwd() . '/wp-load.php';\n{code}\n"
    );
    php(hosting.user.identity(), &instance.docroot).input(script).text()
}

fn write_configuration(hosting: &Hosting, instance: &Instance, socket: &Path) -> Result<()> {
    let file = instance.docroot.join("wp-config.php");
    let database = &instance.database;
    let mut text = format!(
        "<?php\ndefine('DB_NAME', '{}');\ndefine('DB_USER', '{}');\ndefine('DB_PASSWORD', '{}');\n\
         define('DB_HOST', 'localhost:{}');\ndefine('DB_CHARSET', 'utf8mb4');\ndefine('DB_COLLATE', '');\n\n",
        database.name,
        database.user,
        database.password,
        socket.display()
    );
    for kind in ["AUTH", "SECURE_AUTH", "LOGGED_IN", "NONCE"] {
        for end in ["KEY", "SALT"] {
            text.push_str(&format!("define('{kind}_{end}', '{}');\n", random::word(64)?));
        }
    }
    text.push_str(
        "\n$table_prefix = 'wp_';\n\ndefine('WP_DEBUG', false);\ndefine('WP_HTTP_BLOCK_EXTERNAL', true);\n\
         define('AUTOMATIC_UPDATER_DISABLED', true);\ndefine('DISABLE_WP_CRON', true);\n\n\
         /* That's all, stop editing! Happy publishing. */\n\nif (!defined('ABSPATH')) {\n    \
         define('ABSPATH', __DIR__ . '/');\n}\nrequire_once ABSPATH . 'wp-settings.php';\n",
    );
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).context("set the mode of wp-config.php")?;
    hosting.user.own(&file)
}

fn create_database(database: &Database) -> String {
    let Database { name, user, password } = database;
    // A bare `_` in a grant is a wildcard and would give the neighbour's database away.
    let pattern = name.replace('_', "\\_");
    format!(
        "CREATE DATABASE `{name}` CHARACTER SET utf8mb4;\n\
         CREATE USER '{user}'@'localhost' IDENTIFIED BY '{password}';\n\
         GRANT ALL ON `{pattern}`.* TO '{user}'@'localhost';\n"
    )
}

fn import(dump: &str, dumped_url: &str, instance: &Instance) -> String {
    let (name, url) = (&instance.database.name, &instance.url);
    format!(
        "USE `{name}`;\n{dump}\n\
         UPDATE wp_options SET option_value = '{url}' WHERE option_name IN ('siteurl', 'home');\n\
         UPDATE wp_posts SET guid = REPLACE(guid, '{dumped_url}', '{url}'),\n\
         \x20 post_content = REPLACE(post_content, '{dumped_url}', '{url}');\n"
    )
}

#[derive(Serialize)]
struct SetupUser<'a> {
    login: &'a str,
    password: &'a str,
    display_name: &'a str,
    role: &'a str,
}

fn set_up(owner: Identity, instance: &Instance, new: bool) -> Result<()> {
    let users: Vec<SetupUser<'_>> = instance
        .users
        .iter()
        .map(|user| SetupUser {
            login: &user.login,
            password: &user.password,
            display_name: &user.display_name,
            role: &user.role,
        })
        .collect();
    let setup = json!({ "new": new, "url": instance.url, "title": instance.label, "users": users });
    php(owner, &instance.docroot)
        .env("LATCHKEY_SETUP", setup.to_string())
        .input(SETUP)
        .text()
        .map(drop)
        .with_context(|| format!("set up WordPress of {}", instance.id))
}
