//! What pure-ftpd asks: lines `key:value` up to a line `end`, of which four matter.

use std::net::IpAddr;

use latchkey_protocol::{FtpPassword, FtpSignIn};

/// A longer question is none.
pub const QUESTION_MAX_BYTES: usize = 4096;

/// Why a question is not answered with more than a no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// It has no `end` line, or something that is no line of a question.
    #[error("the question of the FTP server is malformed")]
    Malformed,
    /// Something is missing or there twice.
    #[error("the question of the FTP server has to have `{0}` once")]
    Once(&'static str),
    /// The password would have come over the network for everybody to read.
    #[error("the client does not use TLS")]
    Cleartext,
    /// No password of ours has such bytes.
    #[error("login or password is no text")]
    NoText,
    /// The peer is no address.
    #[error("the peer's address is none")]
    Peer,
}

/// Whether all of a question is there.
#[must_use]
pub fn is_whole(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\nend\n")
}

/// Parses a whole question.
pub fn parse(bytes: &[u8]) -> Result<FtpSignIn, QuestionError> {
    let lines = bytes.strip_suffix(b"\nend\n").ok_or(QuestionError::Malformed)?;
    let (mut account, mut password, mut peer, mut encrypted) = (None, None, None, None);
    for line in lines.split(|byte| *byte == b'\n') {
        let at = line.iter().position(|byte| *byte == b':').ok_or(QuestionError::Malformed)?;
        let (key, value) = line.split_at(at);
        let (slot, key) = match key {
            b"account" => (&mut account, "account"),
            b"password" => (&mut password, "password"),
            b"peer" => (&mut peer, "peer"),
            b"encrypted" => (&mut encrypted, "encrypted"),
            _ => continue,
        };
        if slot.replace(value.get(1..).unwrap_or_default()).is_some() {
            return Err(QuestionError::Once(key));
        }
    }
    if encrypted.ok_or(QuestionError::Once("encrypted"))? != b"1" {
        return Err(QuestionError::Cleartext);
    }
    let text = |value: Option<&[u8]>, key| {
        let value = value.ok_or(QuestionError::Once(key))?;
        String::from_utf8(value.to_vec()).map_err(|_| QuestionError::NoText)
    };
    let peer = text(peer, "peer")?;
    peer.parse::<IpAddr>().map_err(|_| QuestionError::Peer)?;
    Ok(FtpSignIn { login: text(account, "account")?, password: FtpPassword(text(password, "password")?), peer })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "account:ann.live\npassword:a:b c\nlocalhost:192.0.2.1\nlocalport:21\npeer:192.0.2.7\nsni_name:\nencrypted:1\nend\n";

    #[test]
    fn a_question_is_read_whatever_else_it_holds() {
        assert!(is_whole(WHOLE.as_bytes()));
        let sign_in = parse(WHOLE.as_bytes()).unwrap();
        assert_eq!((sign_in.login.as_str(), sign_in.peer.as_str()), ("ann.live", "192.0.2.7"));
        assert_eq!(sign_in.password.0, "a:b c");
    }

    #[test]
    fn what_is_missing_doubled_unencrypted_or_no_text_is_refused() {
        let refused = |text: String| parse(text.as_bytes()).unwrap_err();
        assert_eq!(refused(WHOLE.replace("account:ann.live\n", "")), QuestionError::Once("account"));
        assert_eq!(refused(WHOLE.replace("end\n", "account:bob\nend\n")), QuestionError::Once("account"));
        assert_eq!(refused(WHOLE.replace("encrypted:1", "encrypted:0")), QuestionError::Cleartext);
        assert_eq!(refused(WHOLE.replace("encrypted:1\n", "")), QuestionError::Once("encrypted"));
        assert_eq!(refused(WHOLE.replace("192.0.2.7", "example.com")), QuestionError::Peer);
        assert_eq!(refused(WHOLE.replace("sni_name:", "sni_name")), QuestionError::Malformed);
        assert_eq!(refused(WHOLE.replace("\nend\n", "\n")), QuestionError::Malformed);
        let latin_1: Vec<u8> = WHOLE.bytes().map(|byte| if byte == b'c' { 0xe9 } else { byte }).collect();
        assert!(parse(&latin_1).is_err());
    }
}
