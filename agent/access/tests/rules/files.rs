//! File accounts: what they open now, and each reason why they do not.

use super::*;
use latchkey_access::{FileProtocol, Rule, decide_files, decide_hosting_files};

const SFTP: FileProtocol = FileProtocol::Sftp;
const FTP: FileProtocol = FileProtocol::Ftp;

/// What a share's account opens now: `root`, with ` read-only`; or the refusal.
#[track_caller]
fn check_files(node: &Node, share: ShareId, protocol: FileProtocol, expected: &str) {
    let seen = match decide_files(&node.table, share, protocol, node.now) {
        Ok(permit) if permit.is_read_only() => format!("{} read-only", permit.root()),
        Ok(permit) => permit.root().to_owned(),
        Err(denial) => refusal(&denial),
    };
    assert_eq!(seen, expected);
}

fn with_files(access: FileAccess) -> Terms {
    Terms { file_access: access, ..sharing([NAME]) }
}

/// A lead and, below them, a guest; both with all file access.
fn two() -> (Node, ShareId, ShareId) {
    let mut node = Node::new();
    let lead = node.share("lead", "live", with_files(FileAccess::ALL), GrantedBy::Panel);
    let guest = node.share("guest", "live", with_files(FileAccess::ALL), GrantedBy::Share(lead));
    (node, lead, guest)
}

#[test]
fn a_file_account_opens_the_docroot_or_a_folder_beneath_by_its_protocols() {
    let (mut node, _, guest) = two();
    check_files(&node, guest, SFTP, "live");
    check_files(&node, guest, FTP, "live");
    node.alter(guest, |share| share.terms.file_access = files(FileAccessKind::Sftp, "wp-content/themes", true));
    check_files(&node, guest, SFTP, "live/wp-content/themes read-only");
    check_files(&node, guest, FTP, "403 A1");
    node.alter(guest, |share| share.terms.file_access = FileAccess::NONE);
    check_files(&node, guest, SFTP, "403 A1");
}

#[test]
fn a_share_that_is_not_active_opens_no_files() {
    for (state, expected) in [
        (ShareState::Pending, "403 A4"),
        (ShareState::Suspended, "403 A4"),
        (ShareState::Revoked, "403 A4"),
        (ShareState::Expired, "403 A5"),
        (ShareState::Active, "live"),
    ] {
        let (mut node, _, guest) = two();
        node.alter(guest, |share| share.state = state);
        check_files(&node, guest, SFTP, expected);
    }
}

#[test]
fn a_share_whose_time_is_over_opens_no_files() {
    let (mut node, _, guest) = two();
    node.alter(guest, |share| share.terms.expires_at = Some(later(60)));
    check_files(&node, guest, SFTP, "live");
    node.now = later(60);
    check_files(&node, guest, SFTP, "403 A5");
}

#[test]
fn a_suspended_hosting_opens_no_files() {
    let (mut node, _, guest) = two();
    node.set_hosting("acme", HostingState::Suspended);
    check_files(&node, guest, SFTP, "403 A4");
    node.set_hosting("acme", HostingState::Active);
    check_files(&node, guest, SFTP, "live");
}

#[test]
fn files_are_cut_down_by_everybody_above() {
    let (mut node, lead, guest) = two();
    node.alter(lead, |share| share.terms.file_access = files(FileAccessKind::Sftp, "wp-content", true));
    check_files(&node, guest, SFTP, "live/wp-content read-only");
    check_files(&node, guest, FTP, "403 A10");
    node.alter(guest, |share| share.terms.file_access.path = "wp-admin".to_owned());
    check_files(&node, guest, SFTP, "403 A10");
    node.alter(lead, |share| share.terms.file_access = FileAccess::ALL);
    check_files(&node, guest, SFTP, "live/wp-admin");
    node.alter(lead, |share| share.state = ShareState::Suspended);
    check_files(&node, guest, SFTP, "403 A10");
}

#[test]
fn what_lets_in_names_its_rule() {
    let (node, _, guest) = two();
    let hosting = "acme".parse().unwrap();
    let rules = [
        decide_files(&node.table, guest, SFTP, node.now).unwrap().rule(),
        decide_hosting_files(&node.table, &hosting, &files(FileAccessKind::Sftp, "logs", true), SFTP).unwrap().rule(),
    ];
    // A share has its own terms as far as everybody above it holds them; a hosting need only be open.
    assert_eq!(rules, [Rule::A10, Rule::A4]);
}

#[test]
fn an_open_session_goes_on_unless_something_of_it_was_taken_away() {
    let (mut node, _, guest) = two();
    let permit = |node: &Node| decide_files(&node.table, guest, SFTP, node.now).unwrap();
    node.alter(guest, |share| share.terms.file_access = files(FileAccessKind::Sftp, "wp-content", false));
    let entered = permit(&node);
    assert!(permit(&node).still_covers(&entered));
    for (access, goes_on) in [
        (FileAccess::ALL, true),
        // The other protocol is not this session's business.
        (files(FileAccessKind::SftpAndFtp, "wp-content", false), true),
        (files(FileAccessKind::Sftp, "wp-content/themes", false), false),
        (files(FileAccessKind::Sftp, "wp-content-10", false), false),
        (files(FileAccessKind::Sftp, "wp-content", true), false),
    ] {
        node.alter(guest, |share| share.terms.file_access = access.clone());
        assert_eq!(permit(&node).still_covers(&entered), goes_on, "{access:?}");
    }
}

#[test]
fn an_account_of_the_hosting_opens_its_folder_while_the_hosting_is_open() {
    let mut node = Node::new();
    let access = files(FileAccessKind::Sftp, "logs", true);
    let ask = |node: &Node, hosting: &str, protocol| {
        let decided = decide_hosting_files(&node.table, &hosting.parse().unwrap(), &access, protocol);
        decided.map(|permit| (permit.root().to_owned(), permit.is_read_only())).map_err(|denial| refusal(&denial))
    };
    assert_eq!(ask(&node, "acme", SFTP), Ok(("logs".to_owned(), true)));
    assert_eq!(ask(&node, "acme", FTP), Err("403 A1".to_owned()));
    assert_eq!(ask(&node, "other", SFTP), Err("404 A2".to_owned()));
    node.set_hosting("acme", HostingState::Suspended);
    assert_eq!(ask(&node, "acme", SFTP), Err("403 A4".to_owned()));
}
