//! Looking into places: in the background, one directory a request.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use sitta_tree::{Entry, Kind, Printable, RelPath};
use tokio::runtime::{Builder, Runtime};

use super::Heard;
use super::browse::{Item, Request};
use super::data::failed;
use crate::context::Context;
use crate::exit::Outcome;
use crate::open::{Named, Opened, open_entry};
use crate::render::{failure, units};

/// Opens places and lists directories.
pub struct Lister {
    runtime: Option<Runtime>,
    context: Context,
    /// Places that were opened, by how they are written.
    opened: Arc<Mutex<HashMap<std::ffi::OsString, (Opened, Named)>>>,
    send: Sender<Heard>,
}

impl Lister {
    pub fn new(context: Context, send: Sender<Heard>) -> Outcome<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = Some(runtime.map_err(|error| failed(&error))?);
        Ok(Self { runtime, context, opened: Arc::default(), send })
    }

    /// Lists a directory; the answer is heard of later.
    pub fn list(&self, request: Request) {
        let (context, opened, send) = (self.context.unasked(), self.opened.clone(), self.send.clone());
        let Some(runtime) = &self.runtime else { return };
        runtime.spawn(async move {
            let known = || opened.lock().unwrap_or_else(PoisonError::into_inner);
            if request.afresh {
                // Whatever was wrong with it, or with the config, may have been put right.
                known().remove(&request.spot.written);
            }
            let place = known().get(&request.spot.written).cloned();
            let listed = async {
                let place = match place {
                    Some(place) => place,
                    None => open_entry(&context, &request.spot.written).await?,
                };
                known().insert(request.spot.written.clone(), place.clone());
                list(&place, &request.path).await
            };
            let result = listed.await.map_err(|failure| failure.to_string());
            drop(send.send(Heard::Listed(request.serial, result)));
        });
    }
}

impl Drop for Lister {
    fn drop(&mut self) {
        // A network disk that hangs must not keep the program from ending.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn list((opened, named): &(Opened, Named), path: &RelPath) -> Outcome<Vec<Item>> {
    let zone = TimeZone::system();
    if let Named::Entry(name, entry) = named {
        return Ok(vec![item(name.name(), entry, &zone)]);
    }
    let entries = opened.store.list(path).await.map_err(|error| failure::looking(&opened.label, &error))?;
    let mut items: Vec<Item> = entries.iter().map(|(name, entry)| item(name, entry, &zone)).collect();
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(items)
}

fn item(name: &[u8], entry: &Entry, zone: &TimeZone) -> Item {
    let shown = Printable(name).to_string();
    let (shown, size) = match entry.kind {
        Kind::Dir => (format!("{shown}/"), String::new()),
        Kind::Symlink => (format!("{shown} → {}", Printable(&entry.target)), String::new()),
        Kind::File => (shown, units::size(entry.size)),
        Kind::Unknown => (shown, "special".to_owned()),
    };
    let time = units::local_time(entry.meta.mtime, zone);
    Item { name: name.into(), shown, size, time, is_dir: entry.kind == Kind::Dir }
}
