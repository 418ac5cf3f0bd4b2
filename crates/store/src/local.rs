//! Folders of this machine.

/// A folder of this machine.
#[derive(Debug)]
pub struct LocalStore {}
