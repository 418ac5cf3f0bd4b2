//! What talks with somebody at a terminal: `init` and `tui`, driven in pseudo-terminals.

#[path = "../support/mod.rs"]
mod support;

mod init;
mod tui;
