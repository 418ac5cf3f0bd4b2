//! Extended attributes.

use serde::{Deserialize, Serialize};

use super::{Odd, Text};
use crate::Xattrs;
use crate::xattrs::is_ours;

/// Names and values, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WireXattrs(Vec<(Text, Text)>);

impl From<&Xattrs> for WireXattrs {
    fn from(pairs: &Xattrs) -> Self {
        Self(pairs.iter().map(|(name, value)| (Text::new(name), Text::new(value))).collect())
    }
}

impl WireXattrs {
    /// The attributes that were told; one that is none of those that we keep is odd, as it may be the system's business.
    pub fn pairs(&self) -> Result<Xattrs, Odd> {
        let pair = |(name, value): &(Text, Text)| {
            let name = name.bytes()?;
            match is_ours(&name) && !name.contains(&0) {
                true => Ok((name, value.bytes()?)),
                false => Err(Odd(format!("the attribute '{}' is not copied", name.escape_ascii()))),
            }
        };
        let mut pairs = self.0.iter().map(pair).collect::<Result<Xattrs, Odd>>()?;
        pairs.sort();
        Ok(pairs)
    }

    /// About how many bytes it takes to tell them.
    pub(crate) fn size(&self) -> usize {
        let size = |text: &Text| match text {
            Text::Plain(text) => text.len(),
            Text::Raw { hex } => hex.len(),
        };
        self.0.iter().map(|(name, value)| size(name) + size(value) + 32).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_value_comes_back_and_no_name_of_the_system() {
        let pairs: Xattrs = vec![(b"user.a".to_vec(), b"\0\xff".to_vec()), (b"user.b\xfe".to_vec(), Vec::new())];
        let said = serde_json::to_string(&WireXattrs::from(&pairs)).unwrap();
        assert_eq!(serde_json::from_str::<WireXattrs>(&said).unwrap().pairs(), Ok(pairs), "{said}");
        for name in ["security.capability", "system.nfs4_acl", "", "user.a\u{0}b"] {
            let said = WireXattrs(vec![(Text::Plain(name.into()), Text::Plain("x".into()))]);
            assert!(said.pairs().is_err(), "{name}");
        }
    }
}
