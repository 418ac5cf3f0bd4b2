//! The suite that every store must pass: what the contract says, one check for each promise, chosen by capability.
//!
//! A check panics where the store breaks a promise; [`run`] collects all of them.

mod batches;
mod changes;
mod displaced;
mod made;
mod meta;
mod names;
mod preconditions;
mod reads;
mod tools;
mod trees;
mod writes;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};

use crate::{Capabilities, Store};

/// What the suite found.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// The checks that passed.
    pub passed: Vec<&'static str>,
    /// The checks that the store's capabilities rule out.
    pub skipped: Vec<&'static str>,
    /// The checks that failed, and how.
    pub failed: Vec<(&'static str, String)>,
}

impl Verdict {
    /// Panics with all that failed.
    ///
    /// # Panics
    /// If anything failed, or nothing was checked.
    pub fn expect_all(&self) {
        assert!(self.failed.is_empty(), "{} checks failed: {:#?}", self.failed.len(), self.failed);
        assert!(!self.passed.is_empty(), "nothing was checked");
    }
}

/// How long a check may take: one that hangs fails.
const PATIENCE: Duration = Duration::from_secs(120);

type Run = fn(Arc<dyn Store>) -> BoxFuture<'static, ()>;

/// One check, and which stores it applies to.
struct Check {
    name: &'static str,
    applies: fn(&Capabilities) -> bool,
    run: Run,
}

/// Names a check by its function.
macro_rules! check {
    ($module:ident :: $name:ident) => {
        check!($module::$name, |_| true)
    };
    ($module:ident :: $name:ident, $applies:expr) => {
        Check {
            name: concat!(stringify!($module), "::", stringify!($name)),
            applies: $applies,
            run: |store| $module::$name(store).boxed(),
        }
    };
}

/// All checks.
fn checks() -> Vec<Check> {
    let mut all = vec![
        check!(reads::whole_and_ranges),
        check!(reads::empty_file),
        check!(reads::big_file),
        check!(reads::what_is_no_file),
        check!(reads::nothing_is_none),
        check!(reads::links_are_not_followed, |c| c.traits.symlinks),
        check!(trees::scan_tells_what_was_written),
        check!(trees::list_tells_one_directory),
        check!(trees::temporaries_are_left_out),
        check!(trees::our_own_directory_is_left_out),
        check!(trees::cancelled),
        check!(trees::a_filter_leaves_out_and_says_so),
        check!(trees::deep_paths),
        check!(names::odd_names),
        check!(names::longest_names),
        check!(names::case, |c| c.traits.folds_names),
        check!(meta::times_are_exact, |c| c.traits.mtime_precision > 0),
        check!(meta::modes_are_exact, |c| c.traits.modes),
        check!(meta::set_on_files),
        check!(meta::set_on_directories, |c| c.traits.dirs && c.traits.mtime_precision > 0),
        check!(meta::set_on_links, |c| c.traits.symlinks && c.traits.mtime_precision > 0),
        check!(meta::zero_is_a_value),
        check!(meta::new_things_get_what_nobody_told),
        check!(meta::attributes_come_with_a_file_and_change, |c| c.traits.xattrs),
    ];
    all.extend(changing());
    all
}

/// The checks of calls that change something.
fn changing() -> Vec<Check> {
    vec![
        check!(writes::entry_is_what_stat_tells),
        check!(writes::readers_see_old_or_new),
        check!(writes::failed_ones_leave_no_trace),
        check!(writes::parent_must_be_a_directory, |c| c.traits.dirs),
        check!(writes::cancelled),
        check!(writes::cancelled_half_way),
        check!(writes::source_that_changes),
        check!(writes::source_that_changed_before),
        check!(writes::source_that_fails),
        check!(writes::from_another_store),
        check!(made::of_any_size),
        check!(made::replaces),
        check!(made::that_fails_half_way),
        check!(made::cancelled_half_way),
        check!(writes::symlinks, |c| c.traits.symlinks),
        check!(writes::not_through_links, |c| c.traits.symlinks),
        check!(writes::hard_links, |c| c.hard_links),
        check!(preconditions::absent),
        check!(preconditions::version),
        check!(preconditions::version_without_change),
        check!(preconditions::of_remove),
        check!(preconditions::of_rename, |c| c.rename),
        check!(preconditions::of_set_meta),
        check!(preconditions::racing_creates, |c| c.atomic_preconditions),
        check!(displaced::overwritten),
        check!(displaced::removed),
        check!(displaced::directories, |c| c.traits.dirs && c.rename),
        check!(displaced::nothing_is_overwritten_in_the_trash),
        check!(displaced::full_directories_stay, |c| c.traits.dirs),
        check!(changes::remove_files_and_directories),
        check!(changes::rename_files, |c| c.rename),
        check!(changes::rename_directories, |c| c.rename && c.traits.dirs),
        check!(changes::remove_temp_takes_a_tree),
        check!(changes::apply_keeps_the_order),
        check!(changes::rename_respells, |c| c.rename),
        check!(changes::sync_works),
        check!(batches::a_tree_at_once),
        check!(batches::failures_stop_nobody_else),
        check!(batches::mixed),
        check!(batches::directory_that_is_there_already, |c| c.traits.dirs),
        check!(batches::cancelled),
    ]
}

/// Runs every check that applies, each with a fresh, empty store that `make` gives. Needs a Tokio runtime.
pub async fn run<F: Future<Output = Arc<dyn Store>>>(make: impl Fn() -> F) -> Verdict {
    let mut verdict = Verdict::default();
    for check in checks() {
        let store = make().await;
        if !(check.applies)(&store.capabilities()) {
            verdict.skipped.push(check.name);
            continue;
        }
        let running = AssertUnwindSafe((check.run)(store)).catch_unwind();
        match tokio::time::timeout(PATIENCE, running).await.unwrap_or_else(|_| Err(Box::new("it hangs"))) {
            Ok(()) => verdict.passed.push(check.name),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                verdict.failed.push((check.name, text.unwrap_or_default()));
            }
        }
    }
    verdict
}
