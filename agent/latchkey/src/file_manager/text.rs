//! Text files, read and written whole.

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use latchkey_files::client::FilesError;
use latchkey_files::tree::OpenFile;
use latchkey_protocol::{Creation, FileAccessMode, FileFault, OpenHow, SitePath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tag::read_whole;
use super::{FileMode, Home, Tag, problem, problem_of_write};
use crate::channels::OpenWork;
use crate::problem::{Code, Problem};
use crate::request::spawn_blocking;
use crate::serve::Serve;

/// The longest file that is read in one reply: as long as the longest that can be written in one request.
pub(crate) const TEXT_MAX_BYTES: u64 = 1 << 20;

/// Reading a file that is there.
pub(crate) const READ: OpenHow =
    OpenHow { access: FileAccessMode::Read, append: false, creation: Creation::Existing, mode: 0 };

/// How the bytes of a file are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Encoding {
    /// As they are; they are UTF-8.
    #[serde(rename = "utf-8")]
    Utf8,
    /// A character of U+0000 to U+00FF for each byte.
    #[serde(rename = "iso-8859-1")]
    Latin1,
    /// Base64 with padding, for any bytes.
    #[serde(rename = "base64")]
    Base64,
}

/// The content of a file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TextView {
    /// Its length in bytes.
    size_bytes: u64,
    /// How `content` is written.
    encoding: Encoding,
    /// All of it.
    content: String,
    /// For `if_match`: another one as soon as the content is another.
    tag: Tag,
}

impl Encoding {
    fn write(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Utf8 => std::str::from_utf8(bytes).ok().map(str::to_owned),
            Self::Latin1 => Some(bytes.iter().copied().map(char::from).collect()),
            Self::Base64 => Some(STANDARD.encode(bytes)),
        }
    }

    /// The bytes that a text stands for.
    pub(crate) fn parse(self, text: String) -> Result<Vec<u8>, Problem> {
        match self {
            Self::Utf8 => Ok(text.into_bytes()),
            Self::Latin1 => {
                let bytes = text.chars().map(|character| u8::try_from(character).ok()).collect::<Option<_>>();
                bytes.ok_or_else(|| Problem::invalid("content", "expected characters of ISO 8859-1 only"))
            }
            Self::Base64 => {
                STANDARD.decode(text).map_err(|_| Problem::invalid("content", "expected base64 with padding"))
            }
        }
    }
}

/// Reads a text; in base64 if it is none and nothing else was asked for.
pub(crate) async fn read(home: &Home, path: &SitePath, encoding: Option<Encoding>) -> Result<TextView, Problem> {
    let file = home.tree.open(path, READ).await.map_err(problem)?;
    let content = spawn_blocking(move || read_whole(&file)).await.map_err(|error| Problem::internal(&error))?;
    let content = content.map_err(|error| problem_of_write(&error))?;
    let size = content.len() as u64;
    if size > TEXT_MAX_BYTES {
        let detail = format!("expected a file of at most {TEXT_MAX_BYTES} bytes; larger ones can be downloaded");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    let wanted = encoding.unwrap_or(Encoding::Utf8);
    let (encoding, text) = match (wanted.write(&content), encoding) {
        (Some(text), _) => (wanted, text),
        (None, None) => (Encoding::Base64, STANDARD.encode(&content)),
        (None, Some(_)) => return Err(Problem::conflict("the file is no text in this encoding")),
    };
    Ok(TextView { size_bytes: size, encoding, content: text, tag: Tag::of_content(&content) })
}

/// What whoever writes a file knows of the one that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// There is none.
    None,
    /// Nothing: whatever it is may be replaced.
    Any,
    /// It has one of these tags.
    Tagged(Vec<Tag>),
}

impl Known {
    /// By the field `if_match`: `*` for whatever is there.
    pub(crate) fn of_field(if_match: Option<Tag>) -> Self {
        match if_match {
            None => Self::None,
            Some(tag) if tag.0 == "*" => Self::Any,
            Some(tag) => Self::Tagged(vec![tag]),
        }
    }
}

/// Whether a file was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing was.
    Nothing,
    /// Another one was.
    File,
}

/// Writes a file whole, in place of the one that is known, or not at all.
pub(crate) async fn write(
    serve: &Arc<Serve>,
    home: &Home,
    path: &SitePath,
    content: Vec<u8>,
    (known, mode): (Known, Option<FileMode>),
    work: &OpenWork,
) -> Result<(Before, Tag), Problem> {
    let unnamed = home.tree.open_unnamed(path, mode.map_or(0o666, |mode| mode.0)).await.map_err(problem)?;
    let tag = Tag::of_content(&content);
    let (file, target) = unnamed;
    let written = spawn_blocking(move || {
        let written = file.file().write_all(&content);
        written.map(|()| file)
    });
    let file = written.await.map_err(|error| Problem::internal(&error))?.map_err(|error| problem_of_write(&error))?;
    let before = publish(serve, home, &file, (&target, known), work).await?;
    Ok((before, tag))
}

/// Gives a file without a name its name, in place of the one that is known.
pub(crate) async fn publish(
    serve: &Arc<Serve>,
    home: &Home,
    file: &OpenFile,
    (target, known): (&SitePath, Known),
    work: &OpenWork,
) -> Result<Before, Problem> {
    let _turn = serve.file_manager.turn(&home.hosting.id).await;
    let before = check(home, target, &known).await?;
    // Others may have had their turns first.
    work.goes_on()?;
    home.tree.publish(file, target).await.map_err(problem)?;
    Ok(before)
}

/// Whether what is there is what is known.
pub(crate) async fn check(home: &Home, path: &SitePath, known: &Known) -> Result<Before, Problem> {
    let changed = |detail: &str| Problem::conflict(detail).with_status(412);
    let file = match home.tree.open(path, READ).await {
        Ok(file) => file,
        Err(FilesError::Fault(FileFault::NotFound)) => {
            return match known {
                Known::None | Known::Any => Ok(Before::Nothing),
                Known::Tagged(_) => Err(changed("there is no such file any more")),
            };
        }
        Err(error) => return Err(problem(error)),
    };
    match known {
        Known::None => Err(changed("there is a file of this name already; `if_match` says which one is replaced")),
        Known::Any => Ok(Before::File),
        Known::Tagged(tags) => {
            let tag = spawn_blocking(move || Tag::of(&file)).await.map_err(|error| Problem::internal(&error))?;
            let tag = tag.map_err(|error| problem_of_write(&error))?;
            if tags.contains(&tag) {
                Ok(Before::File)
            } else {
                Err(changed("the file has changed since: it is not the one that `if_match` names"))
            }
        }
    }
}
