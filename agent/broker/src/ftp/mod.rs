//! `latchkey-ftpauth`: answers the FTP server's question who may come in, and ends the sessions that must end.
//!
//! pure-ftpd asks over a Unix socket (external authentication). serve decides and names hosting and folder, nothing
//! else: user, group and home come from the broker's registry, and the folder is opened beneath the home with that
//! user's rights and bound onto a directory of root's, because pure-ftpd obeys any number and follows links. The
//! connection to serve is the session: when serve closes it, the session's process is killed. What a session does to
//! files pure-ftpd says in its log, which comes here.

pub mod config;
pub mod folder;
pub mod listen;
pub mod log_line;
pub mod log_socket;
pub mod question;
pub mod session;
pub mod sessions_before;
