//! Packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), with OpenSSH's extensions. Names are raw bytes, as they are
//! on the server's disk.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What is asked for (section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ask {
    Init = 1,
    Open = 3,
    Close = 4,
    Read = 5,
    Write = 6,
    Lstat = 7,
    Fstat = 8,
    Setstat = 9,
    Fsetstat = 10,
    Opendir = 11,
    Readdir = 12,
    Remove = 13,
    Mkdir = 14,
    Rmdir = 15,
    Realpath = 16,
    Stat = 17,
    Rename = 18,
    Readlink = 19,
    Symlink = 20,
    Extended = 200,
}

/// Flags of [`Ask::Open`] (section 6.3).
pub(super) mod flags {
    pub const READ: u32 = 1;
    pub const WRITE: u32 = 2;
    pub const CREATE: u32 = 8;
    pub const EXCLUSIVE: u32 = 0x20;
}

/// The longest packet that is taken: a server sends what was asked for, and lists in pieces of that order.
const LONGEST: usize = 1 << 20;

/// Facts of a file (section 5); what is none was not told, or is not to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Attrs {
    pub size: Option<u64>,
    pub owner: Option<(u32, u32)>,
    pub mode: Option<u32>,
    /// Of access and of modification, in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const MODE: u32 = 4;
const TIMES: u32 = 8;
const MORE: u32 = 1 << 31;

/// A request that is being put together.
pub(super) struct Request(BytesMut);

impl Request {
    pub fn new(ask: Ask) -> Self {
        Self::with_room(ask, 96)
    }

    fn with_room(ask: Ask, room: usize) -> Self {
        let mut bytes = BytesMut::with_capacity(room);
        bytes.put_u32(0);
        bytes.put_u8(ask as u8);
        bytes.put_u32(0);
        Self(bytes)
    }

    /// One with a path, as most are.
    pub fn at(ask: Ask, path: &[u8]) -> Self {
        Self::new(ask).string(path)
    }

    /// One of OpenSSH's own.
    pub fn extended(name: &str) -> Self {
        Self::new(Ask::Extended).string(name.as_bytes())
    }

    /// A write of `data`, in one allocation.
    pub fn write(handle: &[u8], offset: u64, data: &[u8]) -> Self {
        Self::with_room(Ask::Write, data.len() + handle.len() + 32).string(handle).u64(offset).string(data)
    }

    pub fn string(mut self, bytes: &[u8]) -> Self {
        self.0.put_u32(bytes.len() as u32);
        self.0.put_slice(bytes);
        self
    }

    pub fn u32(mut self, value: u32) -> Self {
        self.0.put_u32(value);
        self
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.0.put_u64(value);
        self
    }

    pub fn attrs(mut self, attrs: &Attrs) -> Self {
        let flag = |there: bool, flag: u32| if there { flag } else { 0 };
        self.0.put_u32(
            flag(attrs.size.is_some(), SIZE)
                | flag(attrs.owner.is_some(), OWNER)
                | flag(attrs.mode.is_some(), MODE)
                | flag(attrs.times.is_some(), TIMES),
        );
        attrs.size.into_iter().for_each(|size| self.0.put_u64(size));
        for (one, two) in attrs.owner.into_iter() {
            self = self.u32(one).u32(two);
        }
        attrs.mode.into_iter().for_each(|mode| self.0.put_u32(mode));
        for (one, two) in attrs.times.into_iter() {
            self = self.u32(one).u32(two);
        }
        self
    }

    /// The packet, to be answered under this number; for [`Ask::Init`] it is the version.
    pub fn finish(mut self, id: u32) -> Bytes {
        let len = (self.0.len() - 4) as u32;
        self.0[..4].copy_from_slice(&len.to_be_bytes());
        self.0[5..9].copy_from_slice(&id.to_be_bytes());
        self.0.freeze()
    }
}

/// What a server answers (section 7).
#[derive(Debug)]
pub(super) enum Reply {
    Status { code: u32, message: String },
    Handle(Bytes),
    Data(Bytes),
    Names(Vec<(Bytes, Attrs)>),
    Attrs(Attrs),
    Extended(Fields),
}

/// The number that a packet answers, and the answer; none if it makes no sense.
pub(super) fn reply(packet: Bytes) -> Option<(u32, Reply)> {
    let mut fields = Fields(packet);
    let kind = fields.u8()?;
    let id = fields.u32()?;
    let reply = match kind {
        101 => {
            let code = fields.u32()?;
            let message = fields.string().unwrap_or_default();
            Reply::Status { code, message: String::from_utf8_lossy(&message).into_owned() }
        }
        102 => Reply::Handle(fields.string()?),
        103 => Reply::Data(fields.string()?),
        104 => {
            let count = fields.u32()?;
            let mut names = Vec::new();
            for _ in 0..count {
                let name = fields.string()?;
                // Meant for people.
                fields.string()?;
                names.push((name, fields.attrs()?));
            }
            Reply::Names(names)
        }
        105 => Reply::Attrs(fields.attrs()?),
        201 => Reply::Extended(fields),
        _ => return None,
    };
    Some((id, reply))
}

/// The version that a server speaks, and the names of its extensions.
pub(super) fn version(packet: Bytes) -> Option<(u32, Vec<Bytes>)> {
    let mut fields = Fields(packet);
    if fields.u8()? != 2 {
        return None;
    }
    let version = fields.u32()?;
    let mut names = Vec::new();
    while let (Some(name), Some(_)) = (fields.string(), fields.string()) {
        names.push(name);
    }
    Some((version, names))
}

/// The fields of a packet, one after the other; none where it ends too early.
#[derive(Debug)]
pub(super) struct Fields(Bytes);

impl Fields {
    fn u8(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.0.try_get_u32().ok()
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.0.try_get_u64().ok()
    }

    pub fn string(&mut self) -> Option<Bytes> {
        let len = self.u32()? as usize;
        (len <= self.0.len()).then(|| self.0.split_to(len))
    }

    fn attrs(&mut self) -> Option<Attrs> {
        let flags = self.u32()?;
        let has = |flag: u32| flags & flag != 0;
        let mut attrs = Attrs::default();
        if has(SIZE) {
            attrs.size = Some(self.u64()?);
        }
        if has(OWNER) {
            attrs.owner = Some((self.u32()?, self.u32()?));
        }
        if has(MODE) {
            attrs.mode = Some(self.u32()?);
        }
        if has(TIMES) {
            attrs.times = Some((self.u32()?, self.u32()?));
        }
        if has(MORE) {
            for _ in 0..self.u32()? {
                self.string()?;
                self.string()?;
            }
        }
        Some(attrs)
    }
}

/// Cuts the bytes that arrive into packets.
#[derive(Debug, Default)]
pub(super) struct Frames(BytesMut);

impl Frames {
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole packet without its length; an error if this cannot be SFTP.
    pub fn next(&mut self) -> Result<Option<Bytes>, NoSftp> {
        let Some(len) = self.0.first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_be_bytes(*len) as usize;
        if len == 0 || len > LONGEST {
            return Err(NoSftp);
        }
        if self.0.len() < 4 + len {
            self.0.reserve(4 + len - self.0.len());
            return Ok(None);
        }
        self.0.advance(4);
        Ok(Some(self.0.split_to(len).freeze()))
    }
}

/// What came is no SFTP.
#[derive(Debug)]
pub(super) struct NoSftp;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_round_trip() {
        let some =
            Attrs { size: Some(1 << 40), owner: Some((1, 2)), mode: Some(0o4755), times: Some((3, u32::MAX)) };
        for attrs in [some, Attrs::default(), Attrs { size: None, ..some }, Attrs { mode: None, ..some }] {
            let packet = Request::new(Ask::Setstat).attrs(&attrs).finish(7);
            assert_eq!(Fields(packet.slice(9..)).attrs(), Some(attrs));
        }
    }

    #[test]
    fn packets_arrive_in_any_pieces() {
        let (one, two) = (Request::at(Ask::Lstat, b"a\xff").finish(1), Request::at(Ask::Remove, b"").finish(2));
        let all = [one.as_ref(), two.as_ref()].concat();
        for size in 1..all.len() {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for piece in all.chunks(size) {
                frames.add(piece);
                while let Some(packet) = frames.next().unwrap() {
                    found.push(packet);
                }
            }
            assert_eq!(found, [one.slice(4..), two.slice(4..)]);
        }
        let mut text = Frames::default();
        text.add(b"Welcome!");
        assert!(text.next().is_err());
    }

    proptest::proptest! {
        #[test]
        fn nonsense_is_no_answer_and_no_panic(kind in 100u8..202, rest: Vec<u8>) {
            let packet = [&[kind], rest.as_slice()].concat();
            let _ = (reply(packet.clone().into()), version(packet.into()));
        }
    }
}
