//! Where logs lie: as the operator says, and for nginx where a log of each domain would be.

use sdk::logs::{Kind, Location};
use sdk::{Error, Hosting, Logs, Result};

use crate::Linux;

/// A log that a node may have.
struct Log {
    kind: Kind,
    title: &'static str,
    /// The setting that says where.
    setting: &'static str,
    /// Where it is without that setting. None for a file that is not this hosting's alone.
    usual: Option<&'static str>,
}

const LOGS: [Log; 3] = [
    Log {
        kind: Kind::Access,
        title: "Requests to the web server",
        setting: "access-log",
        usual: Some("/var/log/nginx/{domain}.access.log"),
    },
    Log {
        kind: Kind::Error,
        title: "Errors of the web server",
        setting: "error-log",
        usual: Some("/var/log/nginx/{domain}.error.log"),
    },
    Log { kind: Kind::Php, title: "Errors of PHP", setting: "php-log", usual: None },
];

impl Logs for Linux {
    fn locate(hosting: Hosting, domain: Option<String>) -> Result<Vec<Location>> {
        if let Some(domain) = &domain {
            check(domain)?;
        }
        let mut locations = Vec::new();
        for Log { kind, title, setting, usual } in LOGS {
            // An empty setting says that there is none.
            let Some(pattern) = hosting.setting(setting).or(usual).filter(|pattern| !pattern.is_empty()) else {
                continue;
            };
            if let Some(path) = filled(pattern, &hosting, domain.as_deref()) {
                if !path.starts_with('/') {
                    return Err(Error::refused(format!("the setting {setting} has to be an absolute path")));
                }
                locations.push(Location { kind, title: title.into(), path });
            }
        }
        Ok(locations)
    }
}

/// A path with what it is about; `None` where it takes a domain and there is none.
fn filled(pattern: &str, hosting: &Hosting, domain: Option<&str>) -> Option<String> {
    let path = pattern.replace("{hosting}", &hosting.id).replace("{system_user}", &hosting.system_user);
    let path = path.replace("{home}", &hosting.home);
    if path.contains("{domain}") { Some(path.replace("{domain}", domain?)) } else { Some(path) }
}

/// A domain becomes a part of a path.
fn check(domain: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(is_plain)
    };
    if domain.len() <= 253 && domain.split('.').all(is_label) {
        return Ok(());
    }
    Err(Error::invalid("domain", "a domain in lower case, as A-labels, without a dot at the end"))
}

#[cfg(test)]
mod tests {
    use sdk::fake::hosting;

    use super::*;

    fn paths(settings: &[(&str, &str)], domain: Option<&str>) -> Result<Vec<String>> {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let located = Linux::locate(Hosting { settings, ..hosting() }, domain.map(str::to_owned))?;
        Ok(located.into_iter().map(|location| location.path).collect())
    }

    #[test]
    fn logs_are_where_the_operator_says_or_where_nginx_would_have_one_for_each_domain() {
        let usual = ["/var/log/nginx/a.example.access.log", "/var/log/nginx/a.example.error.log"];
        assert_eq!(paths(&[], Some("a.example")).unwrap(), usual);
        assert_eq!(paths(&[], None).unwrap(), Vec::<String>::new());
        let settings =
            [("access-log", "/logs/{system_user}/{domain}"), ("error-log", ""), ("php-log", "{home}/{hosting}.log")];
        assert_eq!(paths(&settings, Some("a.example")).unwrap(), ["/logs/h1/a.example", "/home/h1/h1.log"]);
        assert_eq!(paths(&settings, None).unwrap(), ["/home/h1/h1.log"]);
    }

    #[test]
    fn what_would_lead_elsewhere_is_refused() {
        let long = format!("{}.example", "a".repeat(64));
        for domain in [
            "",
            ".",
            "..",
            "../etc",
            "a..b",
            "a.example.",
            "A.example",
            "a/b",
            "a\0",
            "{home}",
            "-a.example",
            "a-.example",
            &long,
        ] {
            let refused = paths(&[], Some(domain)).unwrap_err();
            assert!(matches!(&refused, Error::Invalid(field) if field.name == "domain"), "{domain}: {refused:?}");
        }
        assert!(paths(&[], Some(&format!("{}.xn--e-1ga.example", "a".repeat(63)))).is_ok());
        assert!(matches!(paths(&[("php-log", "php.log")], None), Err(Error::Refused(_))));
    }
}
