//! Where the parts of a WordPress lie: as it comes, or as owners rearrange it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::mariadb::MariaDb;
use super::{Hosting, Instance, wordpress};
use crate::process::Program;

/// Where the parts of an instance lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// As WordPress comes.
    #[default]
    Usual,
    /// WordPress in the folder `wp`, its configuration and the front page above it.
    Subfolder,
    /// `wp-content` with another name.
    MovedContent,
    /// A network in folders, with the second site `team`: Ada and Edith are its members, Arthur is not.
    Network,
}

/// Makes a network of one site, which its `wp-config.php` does not know of yet.
const FOUND_NETWORK: &str = r"
global $wpdb;
foreach ($wpdb->tables('ms_global') as $table => $prefixed) { $wpdb->$table = $prefixed; }
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
install_network();
$made = populate_network(1, $_SERVER['HTTP_HOST'], 'admin@example.org', 'Network', '/', false);
if (is_wp_error($made)) { throw new RuntimeException($made->get_error_message()); }
";

const ADD_TEAM: &str = r#"
$made = wp_insert_site(['domain' => $_SERVER['HTTP_HOST'], 'path' => '/team/', 'network_id' => 1, 'user_id' => 1, 'title' => 'Team']);
if (is_wp_error($made)) { throw new RuntimeException($made->get_error_message()); }
add_user_to_blog($made, 2, 'editor');
// WordPress means ports to be left out, and drops what parts them from the host.
$wpdb->update($wpdb->blogs, ['domain' => $_SERVER['HTTP_HOST']], ['blog_id' => $made]);
$url = 'http://' . $_SERVER['HTTP_HOST'] . '/team';
$wpdb->query($wpdb->prepare("UPDATE {$wpdb->get_blog_prefix($made)}options SET option_value = %s WHERE option_name IN ('siteurl', 'home')", $url));
"#;

impl Layout {
    /// Where `wp-load.php` is.
    pub(crate) fn docroot(self, web_root: &Path) -> PathBuf {
        match self.folder().strip_prefix('/') {
            Some(folder) => web_root.join(folder),
            None => web_root.to_owned(),
        }
    }

    /// What `siteurl` has beyond `home`.
    pub(crate) const fn folder(self) -> &'static str {
        match self {
            Self::Subfolder => "/wp",
            Self::Usual | Self::MovedContent | Self::Network => "",
        }
    }

    /// What the web server needs to know beside the usual.
    pub(crate) const fn web_rules(self) -> &'static str {
        match self {
            Self::Network => {
                "  if (!-e $request_filename) {\n    rewrite ^(/[^/]+)?(/wp-.*) $2 last;\n    rewrite ^(/[^/]+)?(/.*\\.php)$ $2 last;\n  }\n"
            }
            Self::Usual | Self::Subfolder | Self::MovedContent => "",
        }
    }

    /// The addresses of an instance's redeemers: the id of the instance and the path that its URL has.
    pub(crate) fn redeemers(self, id: &str) -> Vec<(String, &'static str)> {
        let own = (id.to_owned(), "");
        match self {
            Self::Network => vec![own, (format!("{id}-team"), "/team")],
            Self::Usual | Self::Subfolder | Self::MovedContent => vec![own],
        }
    }

    /// Rearranges a usual instance. Blocks.
    pub(crate) fn apply(self, database: &MariaDb, hosting: &Hosting, instance: &Instance) -> Result<()> {
        let run = |program: &str| Program::new(program).run_as(hosting.user.identity()).directory(&instance.docroot);
        match self {
            Self::Usual => Ok(()),
            Self::Subfolder => {
                run("mv").arg("wp-config.php").arg(&instance.web_root).text()?;
                let front = "<?php\ndefine('WP_USE_THEMES', true);\nrequire __DIR__ . '/wp/wp-blog-header.php';\n";
                let file = instance.web_root.join("index.php");
                fs::write(&file, front).with_context(|| format!("write {}", file.display()))?;
                hosting.user.own(&file)?;
                let sql = format!(
                    "UPDATE `{}`.wp_options SET option_value = '{}' WHERE option_name = 'siteurl';",
                    instance.database.name,
                    instance.wordpress_url()
                );
                database.run(sql).map(drop)
            }
            Self::MovedContent => {
                run("mv").args(["wp-content", "content"]).text()?;
                configure(
                    instance,
                    &format!(
                        "define('WP_CONTENT_DIR', __DIR__ . '/content');\ndefine('WP_CONTENT_URL', '{}/content');\n",
                        instance.url
                    ),
                )
            }
            Self::Network => {
                wordpress::php_in_site(hosting, instance, FOUND_NETWORK)?;
                let constants = format!(
                    "define('MULTISITE', true);\ndefine('SUBDOMAIN_INSTALL', false);\n\
                     define('DOMAIN_CURRENT_SITE', '127.0.0.1:{}');\ndefine('PATH_CURRENT_SITE', '/');\n\
                     define('SITE_ID_CURRENT_SITE', 1);\ndefine('BLOG_ID_CURRENT_SITE', 1);\n",
                    instance.port
                );
                configure(instance, &constants)?;
                wordpress::php_in_site(hosting, instance, ADD_TEAM).map(drop)
            }
        }
    }
}

/// Adds lines to the beginning of an instance's `wp-config.php`.
fn configure(instance: &Instance, lines: &str) -> Result<()> {
    let file = instance.docroot.join("wp-config.php");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let text = text.replacen("<?php\n", &format!("<?php\n{lines}"), 1);
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))
}
