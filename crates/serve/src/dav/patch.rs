//! Setting properties (RFC 4918, 9.2): all that is asked for, or none of it.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use sitta_store::Precondition;
use sitta_tree::{Kind, Meta, Time};

use super::guard::changeable;
use super::live::Setting;
use super::locks::Touched;
use super::propfind::{HEAD, TAIL, multistatus, propstat};
use super::refused::Refused;
use super::xml::{self, Element, Name};
use super::{Ask, href, look, nothing, small};
use crate::api::upload::{dated, seconds};

/// What is asked for of one property: what it shall be, or none if it shall go.
struct Update {
    name: Name,
    element: Option<Element>,
}

/// What a request comes to.
#[derive(Default)]
struct Plan {
    dead: Vec<(Name, Option<String>)>,
    time: Option<Time>,
    /// What cannot be, and why.
    refused: Vec<(Name, StatusCode)>,
}

fn read(bytes: &[u8]) -> Result<Vec<Update>, Refused> {
    let update = xml::parse(bytes).map_err(Refused::odd)?;
    if !update.name.is("propertyupdate") {
        return Err(Refused::odd("say what to set and to remove in a propertyupdate"));
    }
    let mut all = Vec::new();
    for part in update.elements().filter(|part| part.name.is("set") || part.name.is("remove")) {
        for element in part.child("prop").into_iter().flat_map(Element::elements) {
            let name = element.name.clone();
            all.push(Update { name, element: part.name.is("set").then(|| element.clone()) });
        }
    }
    if all.is_empty() { Err(Refused::odd("nothing is to be set or removed")) } else { Ok(all) }
}

impl Plan {
    fn new(updates: &[Update], keeps_times: bool) -> Self {
        let mut plan = Self::default();
        for Update { name, element } in updates {
            let setting = Setting::of(name);
            let text = element.as_ref().map(Element::text);
            let time = match setting {
                Setting::Seconds => text.as_deref().and_then(seconds),
                _ => text.as_deref().and_then(dated),
            };
            match (setting, time) {
                (Setting::Dead, _) => {
                    let value = element.as_ref().map(|element| {
                        let mut value = String::new();
                        element.write(&mut value);
                        value
                    });
                    plan.dead.push((name.clone(), value));
                }
                (Setting::Protected, _) => plan.refused.push((name.clone(), StatusCode::FORBIDDEN)),
                (_, Some(time)) if keeps_times => plan.time = Some(time),
                (_, None) if element.is_some() => plan.refused.push((name.clone(), StatusCode::CONFLICT)),
                _ => plan.refused.push((name.clone(), StatusCode::FORBIDDEN)),
            }
        }
        plan
    }
}

/// Sets properties, and removes them.
pub(super) async fn patch(ask: Ask, body: Body) -> Result<Response, Refused> {
    let updates = read(&small(body).await?)?;
    let (share, path) = (&ask.target.share, &ask.target.path);
    if !path.is_root() {
        changeable(path)?;
    }
    let entry = look(&share.store, path).await?.ok_or_else(nothing)?;
    ask.may_change(&[Touched { share: share.name.clone(), path: path.clone(), comes_or_goes: false, deep: false }])
        .await?;
    let traits = share.store.capabilities().traits;
    let keeps_times =
        traits.mtime_precision > 0 && (entry.kind == Kind::File || (entry.kind == Kind::Dir && traits.dirs));
    let Plan { dead, time, refused } = Plan::new(&updates, keeps_times);
    if refused.is_empty() {
        if let Some(mtime) = time {
            let meta = Meta { mtime, ..entry.meta };
            share.store.set_meta(path, &meta, Precondition::Version(entry.fingerprint())).await?;
        }
        if !dead.is_empty() {
            ask.app.properties.set(&share.name, path, dead).await?;
        }
    }
    let mut text = format!("{HEAD}<D:response><D:href>{}</D:href>", href(&share.name, path, entry.kind));
    let mut names: Vec<&Name> = updates.iter().map(|update| &update.name).collect();
    names.sort();
    names.dedup();
    for name in names {
        let mut empty = String::new();
        name.write_empty(&mut empty);
        // What could have been done is not, for what could not.
        let failed = refused.iter().find(|(odd, _)| odd == name).map(|(_, status)| *status);
        let status = match refused.is_empty() {
            true => StatusCode::OK,
            false => failed.unwrap_or(StatusCode::FAILED_DEPENDENCY),
        };
        propstat(&mut text, &empty, status);
    }
    text.push_str("</D:response>\n");
    text.push_str(TAIL);
    Ok(multistatus(Body::from(text)))
}
