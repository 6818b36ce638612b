//! What a client may ask, parsed.

use bytes::Bytes;

use super::FramingError;
use super::attributes::AskedAttributes;
use super::fields::Fields;

/// The number of a request, chosen by the client; the reply repeats it.
pub(crate) type RequestId = u32;

/// The number of a handle. Never given out twice in a session; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct HandleId(pub(crate) u32);

impl HandleId {
    /// From what the client sent; what we would not have made is no handle of ours.
    pub(crate) fn parse(sent: &[u8]) -> Self {
        Self(sent.try_into().map_or(0, u32::from_be_bytes))
    }
}

/// What an OPEN asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenFlags(u32);

impl OpenFlags {
    const READ: u32 = 0x01;
    const WRITE: u32 = 0x02;
    const APPEND: u32 = 0x04;
    const CREATE: u32 = 0x08;
    const TRUNCATE: u32 = 0x10;
    const EXCLUSIVE: u32 = 0x20;

    pub(crate) const fn reads(self) -> bool {
        self.0 & Self::READ != 0
    }

    pub(crate) const fn writes(self) -> bool {
        self.0 & (Self::WRITE | Self::APPEND) != 0
    }

    pub(crate) const fn appends(self) -> bool {
        self.0 & Self::APPEND != 0
    }

    pub(crate) const fn creates(self) -> bool {
        self.0 & Self::CREATE != 0
    }

    pub(crate) const fn truncates(self) -> bool {
        self.0 & Self::TRUNCATE != 0
    }

    pub(crate) const fn is_exclusive(self) -> bool {
        self.0 & Self::EXCLUSIVE != 0
    }

    /// Whether a file is changed, made or emptied by it.
    pub(crate) const fn changes(self) -> bool {
        self.0 & !Self::READ != 0
    }
}

/// A request, except for INIT and WRITE, which [`super::input`] tells apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Open { path: Bytes, flags: OpenFlags, attributes: AskedAttributes },
    Close { handle: HandleId },
    Read { handle: HandleId, offset: u64, length: u32 },
    LinkStat { path: Bytes },
    HandleStat { handle: HandleId },
    SetStat { path: Bytes, attributes: AskedAttributes },
    HandleSetStat { handle: HandleId, attributes: AskedAttributes },
    OpenDirectory { path: Bytes },
    ReadDirectory { handle: HandleId },
    RemoveFile { path: Bytes },
    MakeDirectory { path: Bytes, attributes: AskedAttributes },
    RemoveDirectory { path: Bytes },
    RealPath { path: Bytes },
    Stat { path: Bytes },
    Rename { from: Bytes, to: Bytes },
    ReadLink { path: Bytes },
    SymbolicLink { target: Bytes, path: Bytes },
    Extended(Extended),
    Unknown,
}

/// A request that version 3 does not have and OpenSSH does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extended {
    PosixRename { from: Bytes, to: Bytes },
    StatFileSystem { path: Bytes },
    HandleStatFileSystem { handle: HandleId },
    HardLink { from: Bytes, to: Bytes },
    Synchronise { handle: HandleId },
    LinkSetStat { path: Bytes, attributes: AskedAttributes },
    Limits,
    ExpandPath { path: Bytes },
    CopyData { from: HandleId, offset: u64, length: u64, to: HandleId, to_offset: u64 },
    Unknown,
}

/// The extensions as VERSION advertises them: name and version.
pub(crate) const EXTENSIONS: [(&str, &str); 9] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
];

impl Request {
    /// Whether it changes anything: such are refused to an account that may only read. A reviewed list, without a rest.
    pub(crate) const fn changes(&self) -> bool {
        match self {
            Self::Open { flags, .. } => flags.changes(),
            Self::SetStat { .. }
            | Self::HandleSetStat { .. }
            | Self::RemoveFile { .. }
            | Self::MakeDirectory { .. }
            | Self::RemoveDirectory { .. }
            | Self::Rename { .. }
            | Self::SymbolicLink { .. }
            | Self::Extended(
                Extended::PosixRename { .. }
                | Extended::HardLink { .. }
                | Extended::LinkSetStat { .. }
                | Extended::CopyData { .. },
            ) => true,
            Self::Close { .. }
            | Self::Read { .. }
            | Self::LinkStat { .. }
            | Self::HandleStat { .. }
            | Self::OpenDirectory { .. }
            | Self::ReadDirectory { .. }
            | Self::RealPath { .. }
            | Self::Stat { .. }
            | Self::ReadLink { .. }
            | Self::Extended(
                Extended::StatFileSystem { .. }
                | Extended::HandleStatFileSystem { .. }
                | Extended::Synchronise { .. }
                | Extended::Limits
                | Extended::ExpandPath { .. }
                | Extended::Unknown,
            )
            | Self::Unknown => false,
        }
    }

    /// The request of type `kind` with its number; `fields` begins after the type. Bytes after the last field are
    /// passed over, as OpenSSH's server does.
    pub(crate) fn parse(kind: u8, fields: &mut Fields) -> Result<(RequestId, Self), FramingError> {
        let id = fields.u32()?;
        let request = match kind {
            3 => Self::Open {
                path: fields.string()?,
                flags: OpenFlags(fields.u32()?),
                attributes: AskedAttributes::parse(fields)?,
            },
            4 => Self::Close { handle: handle(fields)? },
            5 => Self::Read { handle: handle(fields)?, offset: fields.u64()?, length: fields.u32()? },
            7 => Self::LinkStat { path: fields.string()? },
            8 => Self::HandleStat { handle: handle(fields)? },
            9 => Self::SetStat { path: fields.string()?, attributes: AskedAttributes::parse(fields)? },
            10 => Self::HandleSetStat { handle: handle(fields)?, attributes: AskedAttributes::parse(fields)? },
            11 => Self::OpenDirectory { path: fields.string()? },
            12 => Self::ReadDirectory { handle: handle(fields)? },
            13 => Self::RemoveFile { path: fields.string()? },
            14 => Self::MakeDirectory { path: fields.string()?, attributes: AskedAttributes::parse(fields)? },
            15 => Self::RemoveDirectory { path: fields.string()? },
            16 => Self::RealPath { path: fields.string()? },
            17 => Self::Stat { path: fields.string()? },
            18 => Self::Rename { from: fields.string()?, to: fields.string()? },
            19 => Self::ReadLink { path: fields.string()? },
            // The draft says link first. OpenSSH sends the target first, and so does whoever wants to work with it.
            20 => Self::SymbolicLink { target: fields.string()?, path: fields.string()? },
            200 => Self::Extended(Extended::parse(fields)?),
            _ => Self::Unknown,
        };
        Ok((id, request))
    }
}

impl Extended {
    fn parse(fields: &mut Fields) -> Result<Self, FramingError> {
        Ok(match &*fields.string()? {
            b"posix-rename@openssh.com" => Self::PosixRename { from: fields.string()?, to: fields.string()? },
            b"statvfs@openssh.com" => Self::StatFileSystem { path: fields.string()? },
            b"fstatvfs@openssh.com" => Self::HandleStatFileSystem { handle: handle(fields)? },
            b"hardlink@openssh.com" => Self::HardLink { from: fields.string()?, to: fields.string()? },
            b"fsync@openssh.com" => Self::Synchronise { handle: handle(fields)? },
            b"lsetstat@openssh.com" => {
                Self::LinkSetStat { path: fields.string()?, attributes: AskedAttributes::parse(fields)? }
            }
            b"limits@openssh.com" => Self::Limits,
            b"expand-path@openssh.com" => Self::ExpandPath { path: fields.string()? },
            b"copy-data" => Self::CopyData {
                from: handle(fields)?,
                offset: fields.u64()?,
                length: fields.u64()?,
                to: handle(fields)?,
                to_offset: fields.u64()?,
            },
            _ => Self::Unknown,
        })
    }
}

fn handle(fields: &mut Fields) -> Result<HandleId, FramingError> {
    Ok(HandleId::parse(&fields.string()?))
}
