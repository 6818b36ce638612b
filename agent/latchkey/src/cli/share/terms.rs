//! What a share offers, as options of the command line and as fields of the API.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Options of `invite` and `update`. An option that is not given is not sent.
#[derive(Debug, Args)]
pub(crate) struct Terms {
    /// A privilege of the custom role, such as wordpress.create_sso_link; repeat it for more.
    #[arg(long = "privilege", value_name = "PRIVILEGE")]
    privileges: Vec<String>,
    /// Whom WP Admin opens as: `all` for any user, ID:LOGIN for exactly one, or `none`.
    #[arg(long, value_name = "all|ID:LOGIN|none", value_parser = parse_log_in_as)]
    log_in_as: Option<LogInAs>,
    /// Give the same access to the instance's staging.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    apply_to_staging: Option<bool>,
    /// The file account on this instance; what the options beside it do not say is the whole docroot, and writing.
    #[arg(long, value_enum)]
    file_access: Option<FileAccess>,
    /// The folder of the file account, beneath the docroot.
    #[arg(long, value_name = "PATH", requires = "file_access")]
    file_path: Option<String>,
    /// Let the file account only read (SFTP only).
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "true|false",
        requires = "file_access"
    )]
    file_read_only: Option<bool>,
    /// When the share ends by itself, such as 2030-01-31T12:00:00Z, or `never`.
    #[arg(long, value_name = "RFC3339|never", value_parser = parse_end)]
    expires_at: Option<End>,
    /// A remark for those who manage access; an empty one removes it.
    #[arg(long)]
    note: Option<String>,
}

#[derive(Debug, Clone)]
enum LogInAs {
    Nobody,
    All,
    WpUser { id: u64, login: String },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum FileAccess {
    None,
    Sftp,
    Ftp,
    SftpAndFtp,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Never,
    At(Timestamp),
}

impl Terms {
    /// The fields that were named.
    pub(super) fn body(&self) -> Map<String, Value> {
        let privileges = (!self.privileges.is_empty()).then(|| json!(self.privileges));
        let fields = [
            ("privileges", privileges),
            ("log_in_as", self.log_in_as.as_ref().map(LogInAs::json)),
            ("apply_to_staging", self.apply_to_staging.map(Value::Bool)),
            ("file_access", self.file_access()),
            ("expires_at", self.expires_at.map(End::json)),
            ("note", self.note.as_ref().map(|note| if note.is_empty() { Value::Null } else { json!(note) })),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    fn file_access(&self) -> Option<Value> {
        let kind = match self.file_access? {
            FileAccess::None => "none",
            FileAccess::Sftp => "sftp",
            FileAccess::Ftp => "ftp",
            FileAccess::SftpAndFtp => "sftp_and_ftp",
        };
        let mut access = Map::from_iter([("kind".to_owned(), json!(kind))]);
        if let Some(path) = &self.file_path {
            access.insert("path".into(), json!(path));
        }
        if let Some(read_only) = self.file_read_only {
            access.insert("read_only".into(), json!(read_only));
        }
        Some(Value::Object(access))
    }
}

impl LogInAs {
    fn json(&self) -> Value {
        match self {
            Self::Nobody => Value::Null,
            Self::All => json!("all"),
            Self::WpUser { id, login } => json!({ "id": id, "login": login }),
        }
    }
}

impl End {
    fn json(self) -> Value {
        match self {
            Self::Never => Value::Null,
            Self::At(at) => json!(at),
        }
    }
}

fn parse_log_in_as(text: &str) -> Result<LogInAs, String> {
    match (text, text.split_once(':')) {
        ("all", _) => Ok(LogInAs::All),
        ("none", _) => Ok(LogInAs::Nobody),
        (_, Some((id, login))) if !login.is_empty() => match id.parse() {
            Ok(id) => Ok(LogInAs::WpUser { id, login: login.to_owned() }),
            Err(_) => Err("expected a WordPress user's number before the colon".to_owned()),
        },
        _ => Err("expected `all`, `none`, or a WordPress user as ID:LOGIN, such as 2:editor".to_owned()),
    }
}

fn parse_end(text: &str) -> Result<End, String> {
    if text == "never" {
        return Ok(End::Never);
    }
    text.parse().map(End::At).map_err(|_| "expected a moment such as 2030-01-31T12:00:00Z, or `never`".to_owned())
}
