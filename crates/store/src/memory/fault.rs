//! What a test can have happen to a call.

use sitta_tree::RelPath;

use crate::ErrorKind;

/// A call that is about to be carried out.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method's name.
    pub name: &'static str,
    /// The path it names; the root for those that name none.
    pub path: RelPath,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it is carried out.
    None,
    /// It fails, and nothing was done.
    Fail(ErrorKind),
    /// It is carried out, but the caller is told that it failed: a lost reply.
    LoseReply(ErrorKind),
    /// It is carried out after others had so many turns.
    Delay(usize),
}
