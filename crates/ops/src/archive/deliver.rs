//! Making the archive, and seeing that it arrives: nothing stands under its name before it is whole, and what stood there
//! before is gone only when the new one is known to be what was sent.

use std::sync::{Arc, PoisonError};

use sitta_store::temps::is_left_over;
use sitta_store::{Change, Displaced, Error, ErrorKind, Precondition, ScanOptions, Source, What, Write, Written};
use sitta_tree::{Entry, Filter, Kind, Meta, RelPath};

use super::look::Found;
use super::packer::{Account, Packer};
use super::run::Run;
use super::steps::{StepName, Steps, Told};
use crate::event::{Event, Held};
use crate::{RunError, content};

/// So many files may turn out to be unreadable half way before it is given up.
const TORN: u64 = 20;

impl Run<'_> {
    /// What stands under the archive's name, if it may be replaced.
    pub(super) async fn may_be_made(&self, steps: &mut Steps<'_>, name: &str) -> Result<Option<Entry>, RunError> {
        let path = self.path(name)?;
        let old = match self.to.stat(&path).await {
            Ok(old) => old,
            // The folder is made when it is needed.
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => {
                steps.skipped(StepName::Compress, "UPLOAD failed");
                steps.failed(StepName::Upload, error.source.to_string());
                return Err(error.into());
            }
        };
        match old.as_ref().map(|old| old.kind) {
            None => Ok(None),
            Some(Kind::File) if self.options.replace => Ok(old),
            Some(Kind::File) => Err(self.held(steps, StepName::Upload, Held::Exists { name: name.to_owned() })),
            Some(_) => {
                let what = "something that is no file stands under the archive's name";
                steps.skipped(StepName::Compress, "UPLOAD failed");
                steps.failed(StepName::Upload, what);
                Err(Error::new(ErrorKind::Unsupported, &self.to.location().into(), path, what).into())
            }
        }
    }

    /// Makes it, and sees that it has arrived whole. Also tells its size.
    pub(super) async fn make(
        &self,
        steps: &mut Steps<'_>,
        found: &Found,
        name: &str,
        old: Option<&Entry>,
    ) -> Result<(Account, u64), RunError> {
        let packer = Packer {
            source: self.origin.store.clone(),
            members: found.members.clone(),
            format: self.options.format,
            level: self.options.level,
            flow: self.flow.clone(),
            packed: self.packed.clone(),
            left_out: Arc::default(),
            account: Arc::default(),
        };
        steps.begin(StepName::Compress);
        steps.begin(StepName::Upload);
        // The one before is gone only when it is known that the new one has arrived.
        let aside = old.filter(|_| self.reads_back() && self.to.capabilities().rename);
        let aside = aside.and_then(|_| RelPath::new(self.id.temp_name().as_bytes()).ok());
        let sent = match self.send(&packer, found.files, name, old, aside.as_ref()).await {
            Ok(sent) => sent,
            Err(error) => return Err(self.not_made(steps, &packer, error)),
        };
        let (size, mut account) = (sent.entry.size, packer.told());
        account.problems.extend(packer.left_out.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        steps.done(StepName::Compress, Told::Packed { files: account.files, bytes: account.bytes, into: size });
        let path = self.path(name)?;
        let verified = match self.verify(&sent, &path).await {
            Ok(verified) => verified,
            Err(error) => {
                if let Some(aside) = &aside {
                    // What stands there now is no good, whatever it is.
                    let _ = self.to.remove(&path, Precondition::None, Displaced::Discard).await;
                    let _ = self.to.rename(aside, &path, Precondition::None).await;
                }
                steps.failed(StepName::Upload, error.source.to_string());
                return Err(error.into());
            }
        };
        if let Some(aside) = &aside {
            // What cannot be removed now goes at the next run.
            let _ = self.to.remove_temp(aside).await;
        }
        let told = Told::Stored { name: name.to_owned(), bytes: size, verified, replaced: old.is_some() };
        steps.done(StepName::Upload, told);
        Ok((account, size))
    }

    /// Sends it; the one before goes `aside`, where that is wanted.
    async fn send(
        &self,
        packer: &Packer,
        files: u64,
        name: &str,
        old: Option<&Entry>,
        aside: Option<&RelPath>,
    ) -> Result<Written, Error> {
        self.to.create_root().await?;
        self.remove_temps().await;
        let path = RelPath::new(name).unwrap_or_default();
        let most = files.saturating_sub(1).min(TORN);
        loop {
            let write = Write {
                path: path.clone(),
                what: What::File(Source::Made(Arc::new(packer.clone()))),
                meta: Meta::default(),
                expect: old.map_or(Precondition::Absent, |old| Precondition::Version(old.fingerprint())),
                displaced: aside.cloned().map_or(Displaced::Discard, Displaced::MoveTo),
                temp: self.id.temp_name(),
            };
            let mut results = self.to.apply(vec![Change::Write(write)], self.flow).await;
            let ended = results.pop().unwrap_or_else(|| Ok(None));
            let torn = packer.told().torn;
            let mut left_out = packer.left_out.lock().unwrap_or_else(PoisonError::into_inner);
            match (ended, torn) {
                (Ok(Some(written)), _) => return Ok(written),
                // Made again without what cannot be read to its end.
                (Err(_), Some(torn)) if (left_out.len() as u64) < most && !self.flow.is_cancelled() => {
                    left_out.push(torn);
                }
                (Err(error), _) => return Err(error),
                (Ok(None), _) => {
                    return Err(Error::new(
                        ErrorKind::Other,
                        &self.to.location().into(),
                        path,
                        "nothing was written",
                    ));
                }
            }
        }
    }

    /// Which step it was that failed, and why.
    fn not_made(&self, steps: &mut Steps<'_>, packer: &Packer, error: Error) -> RunError {
        let account = packer.told();
        let from_source = account.failed.is_some() || account.torn.is_some();
        let step = match from_source {
            false => StepName::Upload,
            true if self.origin.is_inside && error.kind == ErrorKind::Corrupt => StepName::Extract,
            true if self.origin.is_remote => StepName::Download,
            true => StepName::Compress,
        };
        if step != StepName::Compress {
            steps.skipped(StepName::Compress, format!("{} failed", step.name()));
        }
        steps.failed(step, error.source.to_string());
        match error.kind {
            ErrorKind::Cancelled => RunError::Interrupted,
            _ => error.into(),
        }
    }

    /// Whether what was sent is read back.
    fn reads_back(&self) -> bool {
        self.options.verify && !self.to.capabilities().verifies
    }

    /// Whether it is known that what was sent is what stands there.
    async fn verify(&self, sent: &Written, path: &RelPath) -> Result<bool, Error> {
        if self.to.capabilities().verifies {
            return Ok(true);
        }
        let Some(hash) = sent.content.filter(|_| self.options.verify) else { return Ok(false) };
        if content::holds(self.to, path, sent, hash, self.flow).await? {
            return Ok(true);
        }
        let seen = Precondition::Version(sent.entry.fingerprint());
        let what = match self.to.remove(path, seen, Displaced::Discard).await {
            Ok(()) => "read back, it was not what was sent; it was removed",
            Err(_) => "read back, it was not what was sent; it could not be removed",
        };
        Err(Error::new(ErrorKind::Corrupt, &self.to.location().into(), path.clone(), what))
    }

    /// What killed runs have left in the folder. Only looked for where files get temporary names.
    async fn remove_temps(&self) {
        if !self.to.capabilities().traits.dirs {
            return;
        }
        let mut filter = Filter::new();
        if filter.exclude("*/").is_err() {
            return;
        }
        let temps = Arc::default();
        let options = ScanOptions { filter: Some(Arc::new(filter)), temps: Some(temps), ..ScanOptions::default() };
        let seen = self.to.scan(&options).await;
        let temps = options.temps.map(|temps| temps.lock().map(|temps| temps.clone()).unwrap_or_default());
        let Some(temps) = temps.filter(|_| seen.is_ok()) else { return };
        let mut temporaries = 0;
        for path in temps.iter().filter(|path| path.depth() == 1 && is_left_over(path.name())) {
            temporaries += u64::from(self.to.remove_temp(path).await.is_ok());
        }
        if temporaries > 0 {
            self.sink.event(Event::Recovered { temporaries });
        }
    }
}
