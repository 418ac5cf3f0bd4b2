//! What the answers come to, as tables of the config.

use sitta_store::Password;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value, value};

use crate::exit::{Failure, Outcome};

/// Where a new secret is kept.
#[derive(Debug, Clone)]
pub enum Kept {
    /// In a variable of the environment.
    Env(String),
    /// In a file of its own; with what is to be written there, if it is new.
    File(String, Option<Password>),
    /// A command prints it.
    Command(Vec<String>),
    /// In the desktop's keyring, as service/user.
    Keyring(String),
    /// In the config itself.
    Config(Password),
}

/// For whom a config is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For the file.
    File,
    /// For eyes: without passwords.
    Screen,
    /// For a trial before anything is written: what will stand in a file of its own stands in it.
    Trial,
}

impl Kept {
    fn value(&self, form: Form) -> Value {
        let table = |key: &str, value: Value| Value::InlineTable(InlineTable::from_iter([(key, value)]));
        match self {
            Self::File(_, Some(password)) if form == Form::Trial => password.expose().into(),
            Self::Config(_) if form == Form::Screen => "(hidden)".into(),
            Self::Config(password) => password.expose().into(),
            Self::Env(name) => table("env", name.into()),
            Self::File(file, _) => table("file", file.into()),
            Self::Command(words) => table("command", words.iter().collect::<Array>().into()),
            Self::Keyring(entry) => table("keyring", entry.into()),
        }
    }
}

/// A table of the config with a name of its own.
#[derive(Debug, Clone)]
pub struct Section {
    /// `store`, `job` or `notify`.
    pub kind: &'static str,
    pub name: String,
    pub keys: Vec<(&'static str, Value)>,
    /// Its secret, with the key.
    pub secret: Option<(&'static str, Kept)>,
}

impl Section {
    pub fn new(kind: &'static str, name: &str) -> Self {
        Self { kind, name: name.to_owned(), keys: Vec::new(), secret: None }
    }

    pub fn key(&mut self, key: &'static str, value: impl Into<Value>) {
        self.keys.push((key, value.into()));
    }

    fn table(&self, form: Form) -> Table {
        let mut table = Table::new();
        for (key, of_key) in &self.keys {
            table.insert(key, value(of_key.clone()));
        }
        if let Some((key, kept)) = &self.secret {
            table.insert(key, value(kept.value(form)));
        }
        table
    }
}

/// A config with more sections at its end; what was there stays as it was, comments included.
pub fn add(text: &str, sections: &[Section], form: Form) -> Outcome<String> {
    // The editor of the text writes the ends of lines in its own way.
    let is_dos = text.contains("\r\n");
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| Failure::usage("the config is no TOML").note(error.to_string()))?;
    let was_empty = document.is_empty() && text.trim().is_empty();
    for (nth, section) in sections.iter().enumerate() {
        let mut table = section.table(form);
        // Behind everything else: a place in between would come before somebody's comment for what follows.
        table.set_position(Some(isize::MAX - (sections.len() - nth) as isize));
        if !(was_empty && nth == 0) {
            table.decor_mut().set_prefix("\n");
        }
        let parent = document.entry(section.kind).or_insert_with(|| {
            let mut parent = Table::new();
            parent.set_implicit(true);
            Item::Table(parent)
        });
        let name = &section.name;
        let parent = parent
            .as_table_like_mut()
            .ok_or_else(|| Failure::usage(format!("'{}' in the config is no table", section.kind)))?;
        if parent.contains_key(name) {
            return Err(Failure::usage(format!("the config has a [{}.{name}] already", section.kind)));
        }
        parent.insert(name, Item::Table(table));
        if let Some(line) = document.get_mut(section.kind).and_then(Item::as_inline_table_mut) {
            // What was its end is in its middle now.
            line.fmt();
        }
    }
    let text = document.to_string();
    Ok(if is_dos { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Section {
        let mut job = Section::new("job", "docs");
        job.key("verb", "copy");
        job
    }

    const ADDED: &str = "\n[job.docs]\nverb = \"copy\"\n";

    #[test]
    fn what_was_there_stays_byte_for_byte() {
        for text in [
            "# mine\n[store.nas]   # the box\nurl='smb://h/s' # odd  spacing\n\n# [store.old]\n# url = 'x'\n",
            "[job.a]\nverb = 'copy'\n[store.z]\nurl = '/x'\n[job.b]   # last of the jobs\nverb = 'copy'\n",
            "[daemon]\r\nparallel = 1 # one\r\n",
        ] {
            let added = add(text, &[job()], Form::File).expect("it can be added to");
            let eol = if text.contains('\r') { "\r\n" } else { "\n" };
            let (before, after) = added.split_at(added.find(&format!("{eol}[job.docs]")).expect("it was added"));
            let rest = after.replacen(&ADDED.replace('\n', eol), "", 1);
            assert_eq!(format!("{before}{rest}"), text);
        }
    }

    #[test]
    fn tables_within_a_line_are_added_to_as_well() {
        let added = add("job = { a = { verb = 'copy' } }\n", &[job()], Form::File).expect("it can be added to");
        assert!(added.starts_with("job = { a = { verb = 'copy' }, docs = { verb = \"copy\" } }"), "{added}");
    }

    #[test]
    fn what_is_there_is_not_replaced() {
        assert!(add("[job.docs]\nverb = 'mirror'\n", &[job()], Form::File).is_err());
    }

    #[test]
    fn passwords_are_not_shown() {
        let mut store = Section::new("store", "nas");
        store.secret = Some(("password", Kept::Config(Password::new("s3cret"))));
        let shown = add("", std::slice::from_ref(&store), Form::Screen).expect("it is shown");
        assert_eq!(shown, "[store.nas]\npassword = \"(hidden)\"\n");
        store.secret = Some(("password", Kept::File("pw".into(), Some(Password::new("s3cret")))));
        let written = add("", std::slice::from_ref(&store), Form::File).expect("it is written");
        assert_eq!(written, "[store.nas]\npassword = { file = \"pw\" }\n");
        assert!(add("", &[store], Form::Trial).expect("for a trial").contains("s3cret"));
    }
}
