//! Directories, listed in as few round trips as they have room for.

use sitta_tree::Entry;
use smb2::msg::query_directory::{
    FileInformationClass, QueryDirectoryFlags, QueryDirectoryRequest, QueryDirectoryResponse,
};
use smb2::types::flags::FileAccessMask as Access;
use smb2::types::status::NtStatus;
use smb2::types::{Command, FileId};

use super::calls::{ONLY_A_DIRECTORY, open};
use super::facts::listed;
use super::link::{Answer, Call, End};
use super::pool::Lease;

/// Entries with their names.
pub(super) type Entries = Vec<(Box<[u8]>, Entry)>;

/// How many bytes of entries the first answers may have: one credit each, so that new connections can ask too.
const FIRST: u32 = 1 << 16;
/// How many the further ones may have. Servers take less for it where they must.
const FURTHER: u32 = 1 << 20;

fn query(file: FileId, room: u32) -> Call {
    let request = QueryDirectoryRequest {
        file_information_class: FileInformationClass::FileIdBothDirectoryInformation,
        flags: QueryDirectoryFlags(0),
        file_index: 0,
        file_id: file,
        output_buffer_length: room,
        file_name: "*".into(),
    };
    Call::sized(Command::QueryDirectory, request, room as usize)
}

/// The entries of an answer; none at the end.
fn entries(answer: Answer<QueryDirectoryResponse>, ids: bool) -> Answer<Option<Entries>> {
    match answer {
        Ok(answer) => match listed(&answer.output_buffer, ids) {
            Some(entries) => Ok(Some(entries)),
            None => Err(smb2::Error::invalid_data("the server's listing is not well-formed")),
        },
        Err(error) if matches!(error.status(), Some(NtStatus::NO_MORE_FILES | NtStatus::NO_SUCH_FILE)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All entries of a directory but `.` and `..`. To be run to its end.
pub(super) async fn list(link: Lease, path: String, ids: bool) -> Answer<Entries> {
    let request = open(link.at(&path), Access::FILE_READ_DATA | Access::FILE_READ_ATTRIBUTES, ONLY_A_DIRECTORY);
    // Most directories end with the first answer, which only the second one tells. They are closed in the same message.
    let calls = vec![query(FileId::SENTINEL, FIRST), query(FileId::SENTINEL, FIRST)];
    let done = link.compound(request.clone(), calls, End::Close).await?;
    let mut all = Vec::new();
    for answer in 0..2 {
        match entries(done.answer(answer), ids)? {
            Some(more) => all.extend(more),
            None => return Ok(all),
        }
    }
    let file = link.compound(request, Vec::new(), End::StaysOpen).await?.opened.file_id;
    let listed = list_open(&link, file, ids).await;
    // Waited for: a directory that is open cannot be removed.
    let closed = link.close(file).await;
    listed.and_then(|all| closed.map(|_| all))
}

/// A large directory, to its end.
async fn list_open(link: &Lease, file: FileId, ids: bool) -> Answer<Entries> {
    let most = link.connection.params().map_or(FIRST, |params| params.max_transact_size.min(FURTHER)).max(FIRST);
    let mut all = Vec::new();
    loop {
        let room = if link.connection.credits() > 64 { most } else { FIRST };
        match entries(link.call(query(file, room)).await, ids)? {
            Some(more) => all.extend(more),
            None => return Ok(all),
        }
    }
}
