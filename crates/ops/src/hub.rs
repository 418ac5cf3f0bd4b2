//! More than two folders: a hub, and each of the others kept in step with it. Changes travel through the hub, so there
//! is one way between any two folders; a second way would bring back what was deleted on the first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sitta_store::Store;

use crate::state::PairKey;
use crate::{RunError, State, guards};

/// Refuses spokes that lie inside each other, and those that another way leads to already.
pub fn check_hub(hub: &Arc<dyn Store>, spokes: &[Arc<dyn Store>], state: &State) -> Result<(), RunError> {
    for (index, spoke) in spokes.iter().enumerate() {
        for other in spokes[..index].iter().chain([hub]) {
            guards::not_nested(&**spoke, &**other)?;
            if spoke.location() == other.location() {
                let inner = spoke.location().to_owned();
                return Err(RunError::Nested { outer: inner.clone(), inner });
            }
        }
    }
    let mut ways = Ways::default();
    let pairs = spokes.iter().map(|spoke| (hub.location(), spoke.location()));
    let is_asked_for = |key: &PairKey| {
        pairs.clone().any(|(a, b)| (key.left == a && key.right == b) || (key.left == b && key.right == a))
    };
    for key in state.two_way_pairs()?.iter().filter(|key| !is_asked_for(key)) {
        ways.add(&key.left, &key.right);
    }
    for (hub, spoke) in pairs.clone() {
        if let Some(way) = ways.between(hub, spoke) {
            return Err(RunError::Cycle { way });
        }
        ways.add(hub, spoke);
    }
    Ok(())
}

/// Which places are kept in step with which.
#[derive(Default)]
struct Ways(HashMap<String, Vec<String>>);

impl Ways {
    fn add(&mut self, a: &str, b: &str) {
        self.0.entry(a.to_owned()).or_default().push(b.to_owned());
        self.0.entry(b.to_owned()).or_default().push(a.to_owned());
    }

    /// The places on the way from one to the other, both included.
    fn between(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut came: HashMap<&str, &str> = HashMap::from([(from, from)]);
        let mut next = VecDeque::from([from]);
        while let Some(at) = next.pop_front() {
            if at == to {
                let mut way = vec![to.to_owned()];
                let mut at = to;
                while at != from {
                    at = came[at];
                    way.push(at.to_owned());
                }
                way.reverse();
                return Some(way);
            }
            for place in self.0.get(at).into_iter().flatten() {
                if !came.contains_key(place.as_str()) {
                    came.insert(place, at);
                    next.push_back(place);
                }
            }
        }
        None
    }
}

/// Forgets what a pair agreed on; says whether anything was known.
pub fn forget(left: &str, right: &str, state: &State) -> Result<bool, RunError> {
    let (left, right) = (left.min(right).to_owned(), left.max(right).to_owned());
    let _lock = state.lock(&left, &right)?;
    state.forget_pair(&PairKey { left, right, two_way: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_found_through_others() {
        let mut ways = Ways::default();
        ways.add("a", "b");
        ways.add("c", "b");
        ways.add("x", "y");
        assert_eq!(ways.between("a", "c"), Some(vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(ways.between("a", "x"), None);
        assert_eq!(ways.between("q", "a"), None);
    }
}
