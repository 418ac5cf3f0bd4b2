//! What is asked of the server about one path, each in one round trip.

use sitta_tree::{Entry, Time};
use smb2::ReparseTag;
use smb2::msg::create::{CreateDisposition, CreateRequest, ImpersonationLevel, ShareAccess};
use smb2::msg::query_info::{InfoType, QueryInfoRequest, QueryInfoResponse};
use smb2::msg::set_info::SetInfoRequest;
use smb2::types::flags::{FileAccessMask as Access, FileAttributes};
use smb2::types::status::NtStatus;
use smb2::types::{Command, FileId, OplockLevel};

use super::facts::{self, Facts};
use super::link::{Answer, Call, End, Link, close};

/// Create options ([MS-SMB2] 2.2.13).
pub(super) const ONLY_A_DIRECTORY: u32 = 0x0001;
pub(super) const NO_DIRECTORY: u32 = 0x0040;
/// A link itself, not what it points to.
const ITSELF: u32 = 0x0020_0000;

/// File information classes ([MS-FSCC] 2.4).
const BASIC: u8 = 4;
const INTERNAL: u8 = 6;
const RENAME: u8 = 10;
const DISPOSITION: u8 = 13;
const ATTRIBUTE_TAG: u8 = 35;
/// File system information classes ([MS-FSCC] 2.5).
const VOLUME: u8 = 1;
const FS_ATTRIBUTE: u8 = 5;

/// The file that the same message has opened.
const THIS: FileId = FileId::SENTINEL;
const LOOK: u32 = Access::FILE_READ_ATTRIBUTES | Access::SYNCHRONIZE;
const SHARE_ALL: u32 =
    ShareAccess::FILE_SHARE_READ | ShareAccess::FILE_SHARE_WRITE | ShareAccess::FILE_SHARE_DELETE;

/// To open what stands at `name`, whoever else has it open.
pub(super) fn open(name: String, access: u32, options: u32) -> CreateRequest {
    CreateRequest {
        requested_oplock_level: OplockLevel::None,
        impersonation_level: ImpersonationLevel::Impersonation,
        desired_access: Access::new(access),
        file_attributes: 0,
        share_access: ShareAccess(SHARE_ALL),
        create_disposition: CreateDisposition::FileOpen,
        create_options: options,
        name,
        create_contexts: Vec::new(),
    }
}

/// To make something where nothing stands. Nobody else may write to it meanwhile; but it may be read, as soon as it is in
/// its place and before it is closed.
pub(super) fn make(name: String, access: u32, options: u32) -> CreateRequest {
    CreateRequest {
        file_attributes: FileAttributes::NORMAL,
        share_access: ShareAccess(ShareAccess::FILE_SHARE_READ | ShareAccess::FILE_SHARE_DELETE),
        create_disposition: CreateDisposition::FileCreate,
        ..open(name, access | LOOK, options)
    }
}

fn query(file: FileId, info_type: InfoType, class: u8, room: u32) -> Call {
    let (additional_information, flags) = (0, 0);
    let body = QueryInfoRequest {
        info_type,
        file_info_class: class,
        output_buffer_length: room,
        additional_information,
        flags,
        file_id: file,
        input_buffer: Vec::new(),
    };
    Call::new(Command::QueryInfo, body)
}

fn set(file: FileId, class: u8, buffer: Vec<u8>) -> Call {
    let body = SetInfoRequest {
        info_type: InfoType::File,
        file_info_class: class,
        additional_information: 0,
        file_id: file,
        buffer,
    };
    Call::new(Command::SetInfo, body)
}

/// Sets the time of modification; what is 0 stays as it is.
pub(super) fn set_mtime(ticks: u64) -> Call {
    set_mtime_of(THIS, ticks)
}

/// The same of an open file.
pub(super) fn set_mtime_of(file: FileId, ticks: u64) -> Call {
    let mut basic = [0; 40];
    basic[16..24].copy_from_slice(&ticks.to_le_bytes());
    set(file, BASIC, basic.to_vec())
}

/// Renames an open file. The new path counts from the share, on DFS too.
fn rename(file: FileId, to: &str, replace: bool) -> Call {
    let target: Vec<u8> = to.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut buffer = vec![0; 20];
    buffer[0] = u8::from(replace);
    buffer[16..].copy_from_slice(&u32::try_from(target.len()).unwrap_or(u32::MAX).to_le_bytes());
    buffer.extend(target);
    set(file, RENAME, buffer)
}

/// Renames an open file, asks for its id, and closes it.
pub(super) fn ending(file: FileId, to: &str, replace: bool) -> [Call; 3] {
    [rename(file, to, replace), query(file, InfoType::File, INTERNAL, 8), close(file)]
}

/// The id in an answer to a query for it.
pub(super) fn id_in(answer: &QueryInfoResponse) -> u64 {
    facts::u64_at(&answer.output_buffer, 0).unwrap_or_default()
}

/// What is known of the volume behind a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Volume {
    /// Its serial number; 0 if it has none.
    pub serial: u32,
    /// Files have an id that stays when they are renamed. NTFS says so, and Samba, which gives inode numbers.
    pub stable_ids: bool,
    /// Up to this size a file goes in one message; 0 if that is not known.
    pub small: u64,
}

impl Link {
    pub async fn volume(&self) -> Answer<Volume> {
        let calls = vec![
            query(THIS, InfoType::Filesystem, VOLUME, 1024),
            query(THIS, InfoType::Filesystem, FS_ATTRIBUTE, 1024),
        ];
        let done = self.compound(open(self.at(""), LOOK, 0), calls, End::Close).await?;
        let volume: QueryInfoResponse = done.answer(0)?;
        let serial = facts::u32_at(&volume.output_buffer, 8).unwrap_or_default();
        let attributes = done.answer::<QueryInfoResponse>(1).map(|answer| answer.output_buffer).unwrap_or_default();
        let name = attributes.get(12..).unwrap_or_default();
        let stable_ids = name.starts_with(b"N\0T\0F\0S\0");
        Ok(Volume { serial, stable_ids, small: self.small() })
    }

    /// What stands at a path, links not followed; none if nothing does.
    pub async fn stat(&self, path: &str, ids: bool) -> Answer<Option<Entry>> {
        let calls = vec![query(THIS, InfoType::File, INTERNAL, 8)];
        let done = match self.compound(open(self.at(path), LOOK, ITSELF), calls, End::Close).await {
            Err(error) if is_absent(&error) => return Ok(None),
            done => done?,
        };
        let facts = Facts::of_opened(&done.opened);
        let id = match ids {
            true => id_in(&done.answer(0)?),
            false => 0,
        };
        let tag = match facts.is_reparse_point() {
            true => self.reparse_tag(path).await?,
            false => None,
        };
        Ok(Some(facts.entry(id, tag)))
    }

    async fn reparse_tag(&self, path: &str) -> Answer<Option<ReparseTag>> {
        let calls = vec![query(THIS, InfoType::File, ATTRIBUTE_TAG, 8)];
        let done = self.compound(open(self.at(path), LOOK, ITSELF), calls, End::Close).await?;
        let tag = done.answer::<QueryInfoResponse>(0)?.output_buffer;
        Ok(facts::u32_at(&tag, 4).map(ReparseTag))
    }

    pub async fn make_dir(&self, path: &str, mtime: Option<u64>) -> Answer<()> {
        let calls = mtime.map(set_mtime).into_iter().collect();
        let request = make(self.at(path), Access::FILE_WRITE_ATTRIBUTES, ONLY_A_DIRECTORY);
        let request = CreateRequest { share_access: ShareAccess(SHARE_ALL), file_attributes: 0, ..request };
        let done = self.compound(request, calls, End::Close).await?;
        done.all()
    }

    pub async fn rename(&self, from: &str, to: &str, replace: bool) -> Answer<()> {
        let request = open(self.at(from), Access::DELETE | LOOK, ITSELF);
        self.compound(request, vec![rename(THIS, to, replace)], End::Close).await?.all()
    }

    /// Removes a file, link or empty directory. Fails with a sharing violation where somebody has a file open: it would
    /// stay until they close it.
    pub async fn remove(&self, path: &str, options: u32) -> Answer<()> {
        let share = if options == ONLY_A_DIRECTORY { SHARE_ALL } else { ShareAccess::FILE_SHARE_DELETE };
        let request = open(self.at(path), Access::DELETE | LOOK, options | ITSELF);
        let request = CreateRequest { share_access: ShareAccess(share), ..request };
        self.compound(request, vec![set(THIS, DISPOSITION, vec![1])], End::Close).await?.all()
    }

    pub async fn set_times(&self, path: &str, mtime: u64) -> Answer<()> {
        let request = open(self.at(path), Access::FILE_WRITE_ATTRIBUTES | LOOK, ITSELF);
        self.compound(request, vec![set_mtime(mtime)], End::Close).await?.all()
    }
}

/// Whether a refusal says that nothing stands at the path.
pub(super) fn is_absent(error: &smb2::Error) -> bool {
    matches!(
        error.status(),
        Some(
            NtStatus::OBJECT_NAME_NOT_FOUND
                | NtStatus::OBJECT_PATH_NOT_FOUND
                | NtStatus::NO_SUCH_FILE
                | NtStatus::NOT_A_DIRECTORY
        )
    )
}

/// A time as SMB keeps it, if it can: from 1601 on, and none that means "leave it".
pub(super) fn ticks(time: Time) -> Option<u64> {
    facts::ticks(time).filter(|ticks| *ticks > 0 && i64::try_from(*ticks).is_ok())
}
