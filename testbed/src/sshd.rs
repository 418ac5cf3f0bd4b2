//! sshd with SFTP.
