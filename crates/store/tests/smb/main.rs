//! The SMB store against Samba.

mod access;
mod broken;
mod contract;
mod fidelity;
mod names;
mod sharing;
mod sizes;
mod speed;
mod support;
