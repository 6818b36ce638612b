//! SFTP version 3 over SSH, on files workers.
