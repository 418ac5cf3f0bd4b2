//! Samba with a share.
