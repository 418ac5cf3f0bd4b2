//! A whole tree, line by line.

use serde::{Deserialize, Serialize};
use sitta_tree::{Problem, ProblemKind};

use super::{Odd, Text, WireEntry, is_false};

/// One line of a whole tree: directories come before what they hold, and what they hold right behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeLine {
    /// An entry.
    Entry {
        /// How many directories it lies below; 0 for what stands in the root. The root itself has no name.
        depth: u16,
        /// Its name.
        name: Text,
        /// A directory of which not all could be listed.
        #[serde(default, skip_serializing_if = "is_false")]
        incomplete: bool,
        /// What it is.
        is: WireEntry,
    },
    /// What could not be seen.
    Problem(WireProblem),
    /// Where somebody's temporary stands.
    Temp(Text),
    /// The last line, with how many entries there were; without it the listing was cut off.
    End(u64),
}

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireProblem {
    /// Where.
    pub path: Text,
    /// What sort; see [`ProblemKind::name`].
    pub kind: String,
    /// For a person.
    pub message: String,
}

impl From<&Problem> for WireProblem {
    fn from(problem: &Problem) -> Self {
        Self {
            path: (&problem.path).into(),
            kind: problem.kind.name().to_owned(),
            message: problem.message.clone(),
        }
    }
}

impl WireProblem {
    /// The problem that was told.
    pub fn problem(&self) -> Result<Problem, Odd> {
        let kind = ProblemKind::ALL.into_iter().find(|kind| kind.name() == self.kind);
        Ok(Problem::new(self.path.path()?, kind.unwrap_or(ProblemKind::Other), self.message.clone()))
    }
}
