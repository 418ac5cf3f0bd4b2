//! The parameters behind the `?`: only those that are known, each understood or refused by name.

use sitta_store::http::decoded;

use super::problem::Trouble;

/// What was given, in order.
#[derive(Debug)]
pub(super) struct Query {
    given: Vec<(String, Vec<u8>)>,
}

impl Query {
    /// Takes a query apart; a parameter that is none of the `known` ones is refused, so that a slip of the pen does not
    /// ask for something else.
    pub fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Trouble> {
        let mut given = Vec::new();
        for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let [name, value] = [name, value].map(|text| decoded(&text.replace('+', " ")));
            let name = String::from_utf8_lossy(&name).into_owned();
            if !known.contains(&&*name) {
                let expected = match known {
                    [] => "there are no parameters here".to_owned(),
                    known => format!("there are {}", known.join(", ")),
                };
                return Err(Trouble::parameter(&name, &value, &expected));
            }
            given.push((name, value));
        }
        Ok(Self { given })
    }

    /// All values of a parameter that may be given more than once.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.given.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The value of a parameter that may be given once.
    pub fn one<'q>(&'q self, name: &str) -> Result<Option<&'q [u8]>, Trouble> {
        let given = self.given.iter().filter(|(known, _)| known == name);
        let values: Vec<&'q [u8]> = given.map(|(_, value)| &**value).collect();
        match values[..] {
            [_, second, ..] => Err(Trouble::parameter(name, second, "give it once")),
            [value] => Ok(Some(value)),
            [] => Ok(None),
        }
    }

    /// The value, understood.
    pub fn read<T, E: ToString>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Trouble> {
        let Some(value) = self.one(name)? else { return Ok(None) };
        let text = std::str::from_utf8(value).map_err(|_| Trouble::parameter(name, value, "write UTF-8"))?;
        read(text).map(Some).map_err(|why| Trouble::parameter(name, value, &why.to_string()))
    }

    /// `true` or `false`; not given: false.
    pub fn flag(&self, name: &str) -> Result<bool, Trouble> {
        Ok(self.read(name, |text| text.parse::<bool>().map_err(|_| "write true or false"))?.unwrap_or(false))
    }
}
