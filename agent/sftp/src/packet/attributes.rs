//! The attributes of a file as SFTP version 3 writes them.

use bytes::{BufMut as _, BytesMut};
use latchkey_protocol::{AttributeChanges, FileAttributes};

use super::FramingError;
use super::fields::Fields;

const SIZE: u32 = 0x1;
const OWNERS: u32 = 0x2;
const PERMISSIONS: u32 = 0x4;
const TIMES: u32 = 0x8;
const EXTENDED: u32 = 0x8000_0000;

/// Attributes that a client sends: what a new file is to have, or what is to change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AskedAttributes {
    pub(crate) size: Option<u64>,
    /// User and group.
    pub(crate) owners: Option<(u32, u32)>,
    pub(crate) permissions: Option<u32>,
    /// Last access and last change, in seconds since 1970.
    pub(crate) times: Option<(u32, u32)>,
}

impl AskedAttributes {
    pub(crate) fn parse(fields: &mut Fields) -> Result<Self, FramingError> {
        let flags = fields.u32()?;
        let has = |flag| flags & flag != 0;
        let asked = Self {
            size: has(SIZE).then(|| fields.u64()).transpose()?,
            owners: has(OWNERS).then(|| Ok((fields.u32()?, fields.u32()?))).transpose()?,
            permissions: has(PERMISSIONS).then(|| fields.u32()).transpose()?,
            times: has(TIMES).then(|| Ok((fields.u32()?, fields.u32()?))).transpose()?,
        };
        if has(EXTENDED) {
            // Nobody has defined any. A count beyond what the packet holds runs into its end.
            for _ in 0..fields.u32()? {
                fields.string()?;
                fields.string()?;
            }
        }
        Ok(asked)
    }

    /// The mode of a new file or directory: what the client asks for, or `otherwise`, in permission bits.
    pub(crate) fn new_mode(&self, otherwise: u32) -> u32 {
        self.permissions.unwrap_or(otherwise) & 0o777
    }

    /// What is to change, without the owners, which never do.
    pub(crate) fn changes(&self) -> AttributeChanges {
        AttributeChanges {
            size: self.size,
            mode: self.permissions.map(|mode| mode & 0o7777),
            times: self.times.map(|(accessed, modified)| (i64::from(accessed), i64::from(modified))),
        }
    }
}

/// Appends what is known of a file.
pub(crate) fn put_attributes(out: &mut BytesMut, of: &FileAttributes) {
    out.put_u32(SIZE | OWNERS | PERMISSIONS | TIMES);
    out.put_u64(of.size);
    out.put_u32(of.uid);
    out.put_u32(of.gid);
    out.put_u32(of.mode);
    out.put_u32(seconds(of.accessed));
    out.put_u32(seconds(of.modified));
}

/// Version 3 has 32 bits for a time: what is before 1970 or after 2106 is shown as the nearest that fits.
fn seconds(since_1970: i64) -> u32 {
    u32::try_from(since_1970.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_of_a_file_is_what_a_client_would_send_for_it() {
        let file =
            FileAttributes { mode: 0o100_640, size: 7, uid: 1001, gid: 1002, accessed: -5, modified: 99, links: 1 };
        let mut out = BytesMut::new();
        put_attributes(&mut out, &file);
        let read = AskedAttributes::parse(&mut Fields::new(out.freeze())).unwrap();
        let expected = AskedAttributes {
            size: Some(7),
            owners: Some((1001, 1002)),
            permissions: Some(0o100_640),
            times: Some((0, 99)),
        };
        assert_eq!(read, expected);
        assert_eq!(read.changes().mode, Some(0o640));
    }

    #[test]
    fn extended_attributes_are_passed_over_and_cannot_run_past_the_packet() {
        let mut out = BytesMut::new();
        out.put_u32(EXTENDED);
        out.put_u32(1);
        crate::packet::fields::put_string(&mut out, b"a@b");
        crate::packet::fields::put_string(&mut out, b"c");
        let packet = out.clone().freeze();
        assert_eq!(AskedAttributes::parse(&mut Fields::new(packet)), Ok(AskedAttributes::default()));
        let mut endless = BytesMut::new();
        endless.put_u32(EXTENDED);
        endless.put_u32(u32::MAX);
        assert_eq!(AskedAttributes::parse(&mut Fields::new(endless.freeze())), Err(FramingError::Truncated));
    }

    #[test]
    fn a_new_file_gets_no_more_than_permission_bits() {
        let asked = AskedAttributes { permissions: Some(0o104_755), ..AskedAttributes::default() };
        assert_eq!(asked.new_mode(0o666), 0o755);
        assert_eq!(AskedAttributes::default().new_mode(0o666), 0o666);
    }
}
