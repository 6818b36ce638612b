//! Whom phpMyAdmin's socket is open to: one user, by an access control list on the socket itself.

use std::io;
use std::path::Path;

use rustix::fs::XattrFlags;

/// Version and tags of a list, as `linux/posix_acl_xattr.h` has them.
const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
/// Of entries that name nobody.
const NOBODY: u32 = u32::MAX;
/// Connecting takes the right to write.
const READ_AND_WRITE: u16 = 6;

/// The uid of a user by the text of `/etc/passwd`.
pub(crate) fn uid_of(accounts: &str, user: &str) -> Option<u32> {
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    fields.into_iter().find(|fields| fields.first() == Some(&user))?.get(2)?.parse().ok()
}

/// Opens a file of ours to one more user, and to nobody else. Fails where the file system has no such lists.
pub(crate) fn admit(path: &Path, uid: u32) -> io::Result<()> {
    let entries = [
        (USER_OBJ, READ_AND_WRITE, NOBODY),
        (USER, READ_AND_WRITE, uid),
        (GROUP_OBJ, 0, NOBODY),
        (MASK, READ_AND_WRITE, NOBODY),
        (OTHER, 0, NOBODY),
    ];
    let mut list = VERSION.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        list.extend(tag.to_le_bytes().into_iter().chain(rights.to_le_bytes()).chain(id.to_le_bytes()));
    }
    Ok(rustix::fs::setxattr(path, "system.posix_acl_access", &list, XattrFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::uid_of;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let accounts =
            "root:x:0:0::/root:/bin/sh\nphpmyadmin2:x:991:991::/:/bin/false\nphpmyadmin:x:990:990::/:/bin/false\n";
        assert_eq!(uid_of(accounts, "phpmyadmin"), Some(990));
        assert_eq!((uid_of(accounts, "phpmyadm"), uid_of(accounts, "")), (None, None));
    }
}
