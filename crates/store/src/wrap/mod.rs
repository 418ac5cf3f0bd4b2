//! Wrappers round any store: each adds one thing and is a store itself.

mod aftermath;
mod backoff;
mod limit;
mod readonly;
mod record;
mod retry;

pub use backoff::Backoff;
pub use limit::{Bucket, Limited};
pub use readonly::ReadOnly;
pub use record::{Counts, Recorded};
pub use retry::Retried;
