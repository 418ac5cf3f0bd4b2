//! `sitta cat`: files to standard output.

use futures::StreamExt;
use sitta_store::ErrorKind;
use sitta_tree::RelPath;

use super::block_on;
use crate::args::CatArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{Named, open_entry};
use crate::render::failure;

pub fn run(context: &Context, args: &CatArgs) -> Outcome {
    if context.json {
        return Err(Failure::usage("`sitta cat` has no --json").note("its output is what the files hold"));
    }
    let (mut out, mut ended) = (context.out(), true);
    block_on(async {
        for text in &args.locations {
            let (opened, named) = open_entry(context, text).await?;
            let path = match named {
                Named::Entry(path, _) => path,
                Named::Folder => RelPath::root(),
            };
            let unreadable = |error: sitta_store::Error| match error.kind {
                ErrorKind::IsADirectory => Failure::failed(format!("{} is a folder", opened.label))
                    .hint(format!("`sitta ls {}` shows what it holds", opened.label)),
                _ => failure::looking(&opened.label, &sitta_store::Error { path: None, ..error }),
            };
            let mut bytes = opened.store.read(&path, 0..u64::MAX).await.map_err(unreadable)?;
            while let Some(piece) = bytes.next().await {
                let piece = piece.map_err(unreadable)?;
                ended = piece.last().map_or(ended, |last| *last == b'\n');
                out.bytes(&piece)?;
            }
        }
        // The next prompt has a line of its own.
        if !ended && context.inside.is_some() && context.out_is_terminal {
            out.bytes(b"\n")?;
        }
        out.flush()
    })?;
    Ok(Exit::Done)
}
