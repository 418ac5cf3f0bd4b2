//! The SMB store against Samba.

mod contract;
mod support;
