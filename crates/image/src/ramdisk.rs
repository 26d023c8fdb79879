//! Ramdisks: cpio archives in the "newc" form (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::collections::BTreeMap;

/// Bytes of an entry's header: magic and thirteen fields of eight hex digits.
const HEADER: usize = 110;
const MAGIC: &[u8] = b"070701";
const TRAILER: &[u8] = b"TRAILER!!!";
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const KIND: u32 = 0o170_000;
/// Longest path, `PATH_MAX` of Linux with its NUL.
const PATH_LIMIT: usize = 4095;
/// Longest part of a path, `NAME_MAX` of Linux.
const NAME_LIMIT: usize = 255;

/// Permission bits `rwxrwxrwx`. Set-user-id, set-group-id and sticky bits cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(u32);

/// A mode with bits above 0777.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mode {found:o} has bits other than permissions")]
pub struct ModeError {
    /// The bits given.
    found: u32,
}

impl Mode {
    /// Read and execute for all: programs and directories that nothing changes.
    pub const READ_EXECUTE: Self = Self(0o555);
    /// Read for all.
    pub const READ: Self = Self(0o444);
    /// All permissions for the owner, read and execute for others.
    pub const OWNER: Self = Self(0o755);

    /// A mode from its bits.
    ///
    /// # Errors
    ///
    /// [`ModeError`] if bits above 0777 are set.
    pub const fn new(bits: u32) -> Result<Self, ModeError> {
        if bits & !0o777 == 0 { Ok(Self(bits)) } else { Err(ModeError { found: bits }) }
    }

    /// The permission bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// What an entry of a ramdisk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind<'a> {
    /// A directory.
    Directory,
    /// A regular file and its contents.
    File(&'a [u8]),
    /// A symbolic link and its target, which is relative and stays inside the ramdisk.
    Link(&'a str),
}

/// One entry of a ramdisk, borrowed from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    path: &'a str,
    mode: Mode,
    kind: EntryKind<'a>,
}

impl<'a> Entry<'a> {
    /// Path relative to the root: names joined by `/`; none of them is empty, `.` or `..`.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// Permission bits.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What it is.
    pub fn kind(&self) -> EntryKind<'a> {
        self.kind
    }
}

/// Why a ramdisk cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RamdiskBuildError {
    /// The path is absolute, empty, too long, or has an empty, `.` or `..` part.
    #[error("path {path:?} is not a plain relative path")]
    Path {
        /// The path given.
        path: String,
    },
    /// Two entries have this path.
    #[error("{path:?} is there twice")]
    Repeated {
        /// The path given.
        path: String,
    },
    /// The directory that the entry lies in was not added.
    #[error("{path:?} lies in a directory that is not in the ramdisk")]
    Parent {
        /// The entry's path.
        path: String,
    },
    /// The link's target is absolute or leads out of the ramdisk.
    #[error("link {path:?} leads out of the ramdisk")]
    LinkTarget {
        /// The link's path.
        path: String,
    },
    /// A file of 4 GiB or more: the form has 32 bits for a size.
    #[error("{path:?} is too large for a ramdisk")]
    TooLarge {
        /// The file's path.
        path: String,
    },
}

/// Builds a ramdisk. Entries are sorted by path, owned by user and group 0, with time 0, numbered from 1 and of the
/// modes given; so the same entries, added in any order, give the same bytes. Uncompressed.
#[derive(Clone, Debug, Default)]
pub struct RamdiskBuilder<'a> {
    entries: BTreeMap<&'a str, (Mode, EntryKind<'a>)>,
}

impl<'a> RamdiskBuilder<'a> {
    /// An empty ramdisk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory.
    ///
    /// # Errors
    ///
    /// [`RamdiskBuildError::Path`] or [`RamdiskBuildError::Repeated`].
    pub fn directory(self, path: &'a str, mode: Mode) -> Result<Self, RamdiskBuildError> {
        self.add(path, mode, EntryKind::Directory)
    }

    /// Adds a file.
    ///
    /// # Errors
    ///
    /// [`RamdiskBuildError::Path`] or [`RamdiskBuildError::Repeated`].
    pub fn file(self, path: &'a str, mode: Mode, contents: &'a [u8]) -> Result<Self, RamdiskBuildError> {
        self.add(path, mode, EntryKind::File(contents))
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    ///
    /// [`RamdiskBuildError::Path`], [`RamdiskBuildError::Repeated`] or [`RamdiskBuildError::LinkTarget`].
    pub fn link(self, path: &'a str, target: &'a str) -> Result<Self, RamdiskBuildError> {
        if !stays_inside(path, target) {
            return Err(RamdiskBuildError::LinkTarget { path: path.to_owned() });
        }
        self.add(path, Mode(0o777), EntryKind::Link(target))
    }

    /// The archive's bytes; their number is a multiple of four, so that archives can be joined.
    ///
    /// # Errors
    ///
    /// [`RamdiskBuildError::Parent`] or [`RamdiskBuildError::TooLarge`].
    pub fn build(&self) -> Result<Vec<u8>, RamdiskBuildError> {
        let mut out = Vec::new();
        for (inode, (&path, &(mode, kind))) in (1_u32..).zip(&self.entries) {
            // A name sorts behind the directory that it is in, so the kernel finds that made already.
            if let Some((parent, _)) = path.rsplit_once('/')
                && !matches!(self.entries.get(parent), Some((_, EntryKind::Directory)))
            {
                return Err(RamdiskBuildError::Parent { path: path.to_owned() });
            }
            let (bits, links, contents): (u32, u32, &[u8]) = match kind {
                EntryKind::Directory => (DIRECTORY, 2, &[]),
                EntryKind::File(contents) => (REGULAR, 1, contents),
                EntryKind::Link(target) => (LINK, 1, target.as_bytes()),
            };
            let size = u32::try_from(contents.len())
                .map_err(|_| RamdiskBuildError::TooLarge { path: path.to_owned() })?;
            write(&mut out, path.as_bytes(), [inode, bits | mode.0, links, size], contents);
        }
        write(&mut out, TRAILER, [0, 0, 1, 0], &[]);
        Ok(out)
    }

    fn add(mut self, path: &'a str, mode: Mode, kind: EntryKind<'a>) -> Result<Self, RamdiskBuildError> {
        if !is_plain(path) {
            return Err(RamdiskBuildError::Path { path: path.to_owned() });
        }
        if self.entries.insert(path, (mode, kind)).is_some() {
            return Err(RamdiskBuildError::Repeated { path: path.to_owned() });
        }
        Ok(self)
    }
}

/// Writes one entry; `numbers` are inode, mode, links and size.
fn write(out: &mut Vec<u8>, name: &[u8], numbers: [u32; 4], contents: &[u8]) {
    let [inode, mode, links, size] = numbers;
    // Checked paths have at most 4095 bytes.
    let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
    out.extend_from_slice(MAGIC);
    for field in [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0] {
        for shift in (0..8).rev() {
            let digit = usize::from(u8::try_from(field >> (4 * shift) & 0xf).unwrap_or(0));
            out.push(b"0123456789ABCDEF"[digit]);
        }
    }
    out.extend_from_slice(name);
    out.push(0);
    pad(out);
    out.extend_from_slice(contents);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// What a ramdisk may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RamdiskLimits {
    entries: usize,
    bytes: u64,
}

impl RamdiskLimits {
    /// At most so many entries, and so many bytes in all files together.
    pub const fn new(entries: usize, bytes: u64) -> Self {
        Self { entries, bytes }
    }
}

/// Why bytes are not a ramdisk that this reader accepts. `offset` is where the entry's header begins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RamdiskError {
    /// The archive is compressed (gzip, xz, zstd, lz4).
    #[error("the ramdisk is compressed")]
    Compressed,
    /// The archive ends inside an entry or before its trailer.
    #[error("the ramdisk ends inside the entry at byte {offset}")]
    Truncated {
        /// Where the entry begins.
        offset: usize,
    },
    /// Not the magic `070701`.
    #[error("no entry begins at byte {offset}")]
    Magic {
        /// Where one was expected.
        offset: usize,
    },
    /// A field is not eight hex digits.
    #[error("field {field} of the entry at byte {offset} is not a number")]
    Number {
        /// Where the entry begins.
        offset: usize,
        /// Which field, from 0 (inode) to 12 (checksum).
        field: usize,
    },
    /// Padding is not zero.
    #[error("padding of the entry at byte {offset} is not zero")]
    Padding {
        /// Where the entry begins.
        offset: usize,
    },
    /// The path is absolute, empty, too long, not UTF-8, or has an empty, `.` or `..` part.
    #[error("the path of the entry at byte {offset} is not a plain relative path")]
    Path {
        /// Where the entry begins.
        offset: usize,
    },
    /// Two entries have one path.
    #[error("the entry at byte {offset} has the path of an earlier one")]
    Repeated {
        /// Where the entry begins.
        offset: usize,
    },
    /// The entry lies in something that is not a directory of this ramdisk that came before it.
    #[error("the entry at byte {offset} does not lie in a directory of this ramdisk")]
    Parent {
        /// Where the entry begins.
        offset: usize,
    },
    /// A device, pipe, socket or unknown kind.
    #[error("the entry at byte {offset} is neither file, directory nor link (mode {mode:o})")]
    Kind {
        /// Where the entry begins.
        offset: usize,
        /// The mode found.
        mode: u32,
    },
    /// Set-user-id, set-group-id or sticky.
    #[error("the entry at byte {offset} has mode {mode:o}")]
    Mode {
        /// Where the entry begins.
        offset: usize,
        /// The mode found.
        mode: u32,
    },
    /// Not owned by user and group 0.
    #[error("the entry at byte {offset} is not owned by user and group 0")]
    Owner {
        /// Where the entry begins.
        offset: usize,
    },
    /// A file with several names.
    #[error("the file at byte {offset} has {links} names")]
    HardLink {
        /// Where the entry begins.
        offset: usize,
        /// Its link count.
        links: u32,
    },
    /// A directory with contents, or a checksum where this form has none.
    #[error("the entry at byte {offset} contradicts itself")]
    Contradiction {
        /// Where the entry begins.
        offset: usize,
    },
    /// A link that is absolute or leads out of the ramdisk.
    #[error("the link at byte {offset} leads out of the ramdisk")]
    LinkTarget {
        /// Where the entry begins.
        offset: usize,
    },
    /// More entries than allowed.
    #[error("more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
    /// More bytes in files than allowed.
    #[error("more than {limit} bytes in files")]
    TooManyBytes {
        /// The limit.
        limit: u64,
    },
    /// Something other than zero bytes follows the trailer.
    #[error("bytes follow the end of the ramdisk")]
    TrailingBytes,
}

/// A ramdisk whose every entry has been checked: it can be unpacked into an empty directory in order, and nothing
/// of it lies or leads outside.
///
/// # Security
///
/// Each entry's directory is an earlier *directory* entry, never a link, so no write goes through a link; link
/// targets are relative and stay inside; no devices, hard links or set-id bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ramdisk<'a> {
    entries: Vec<Entry<'a>>,
}

impl<'a> Ramdisk<'a> {
    /// Reads an uncompressed ramdisk. Memory used is bounded by the limit on entries.
    ///
    /// # Errors
    ///
    /// The first fault in file order.
    pub fn parse(archive: &'a [u8], limits: RamdiskLimits) -> Result<Self, RamdiskError> {
        if [&[0x1f, 0x8b][..], &[0x28, 0xb5, 0x2f, 0xfd], b"\xfd7zXZ", &[0x02, 0x21, 0x4c, 0x18]]
            .iter()
            .any(|magic| archive.starts_with(magic))
        {
            return Err(RamdiskError::Compressed);
        }
        let mut directories = BTreeMap::new();
        let mut entries = Vec::new();
        let mut bytes = 0_u64;
        let mut reader = Reader { archive, at: 0 };
        while let Some(raw) = reader.entry()? {
            if entries.len() >= limits.entries {
                return Err(RamdiskError::TooManyEntries { limit: limits.entries });
            }
            let offset = raw.offset;
            let entry = raw.checked()?;
            if let Some((parent, _)) = entry.path.rsplit_once('/')
                && directories.get(parent) != Some(&true)
            {
                return Err(RamdiskError::Parent { offset });
            }
            if directories.insert(entry.path, entry.kind == EntryKind::Directory).is_some() {
                return Err(RamdiskError::Repeated { offset });
            }
            if let EntryKind::File(contents) = entry.kind {
                bytes = bytes.saturating_add(crate::eif::wide(contents.len()));
                if bytes > limits.bytes {
                    return Err(RamdiskError::TooManyBytes { limit: limits.bytes });
                }
            }
            entries.push(entry);
        }
        if archive[reader.at..].iter().any(|&b| b != 0) {
            return Err(RamdiskError::TrailingBytes);
        }
        Ok(Self { entries })
    }

    /// The entries in file order: a directory before what is in it.
    pub fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }
}

struct Reader<'a> {
    archive: &'a [u8],
    at: usize,
}

struct RawEntry<'a> {
    offset: usize,
    numbers: [u32; 13],
    name: &'a [u8],
    contents: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next entry, or `None` at the trailer.
    fn entry(&mut self) -> Result<Option<RawEntry<'a>>, RamdiskError> {
        let offset = self.at;
        let header = self.take(offset, HEADER)?;
        let (magic, fields) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(RamdiskError::Magic { offset });
        }
        let mut numbers = [0_u32; 13];
        for (field, (number, digits)) in numbers.iter_mut().zip(fields.chunks_exact(8)).enumerate() {
            for &digit in digits {
                let value = char::from(digit).to_digit(16).ok_or(RamdiskError::Number { offset, field })?;
                *number = *number << 4 | value;
            }
        }
        let [.., size, _, _, _, _, name_size, _] = numbers;
        let truncated = RamdiskError::Truncated { offset };
        let name_size = usize::try_from(name_size).map_err(|_| truncated.clone())?;
        if name_size == 0 || name_size > PATH_LIMIT + 1 {
            return Err(RamdiskError::Path { offset });
        }
        let name = self.take(offset, name_size)?;
        self.padding(offset)?;
        let Some((0, name)) = name.split_last() else { return Err(RamdiskError::Path { offset }) };
        let contents = self.take(offset, usize::try_from(size).map_err(|_| truncated)?)?;
        self.padding(offset)?;
        if name == TRAILER {
            let end = contents.is_empty();
            return if end { Ok(None) } else { Err(RamdiskError::Contradiction { offset }) };
        }
        Ok(Some(RawEntry { offset, numbers, name, contents }))
    }

    fn take(&mut self, offset: usize, count: usize) -> Result<&'a [u8], RamdiskError> {
        let taken = self.archive[self.at..].get(..count).ok_or(RamdiskError::Truncated { offset })?;
        self.at += count;
        Ok(taken)
    }

    fn padding(&mut self, offset: usize) -> Result<(), RamdiskError> {
        let padding = self.take(offset, self.at.next_multiple_of(4) - self.at)?;
        if padding.iter().any(|&b| b != 0) {
            return Err(RamdiskError::Padding { offset });
        }
        Ok(())
    }
}

impl<'a> RawEntry<'a> {
    fn checked(self) -> Result<Entry<'a>, RamdiskError> {
        let Self { offset, numbers, name, contents } = self;
        let [_, mode, user, group, links, _, _, _, _, _, _, _, checksum] = numbers;
        let path = core::str::from_utf8(name)
            .ok()
            .filter(|path| is_plain(path))
            .ok_or(RamdiskError::Path { offset })?;
        if (user, group) != (0, 0) {
            return Err(RamdiskError::Owner { offset });
        }
        if checksum != 0 {
            return Err(RamdiskError::Contradiction { offset });
        }
        let kind = match mode & KIND {
            DIRECTORY if contents.is_empty() => EntryKind::Directory,
            DIRECTORY => return Err(RamdiskError::Contradiction { offset }),
            REGULAR if links > 1 => return Err(RamdiskError::HardLink { offset, links }),
            REGULAR => EntryKind::File(contents),
            LINK => EntryKind::Link(
                core::str::from_utf8(contents)
                    .ok()
                    .filter(|target| stays_inside(path, target))
                    .ok_or(RamdiskError::LinkTarget { offset })?,
            ),
            _ => return Err(RamdiskError::Kind { offset, mode }),
        };
        let permissions = Mode::new(mode & !KIND).map_err(|_| RamdiskError::Mode { offset, mode })?;
        Ok(Entry { path, mode: permissions, kind })
    }
}

/// Whether a path is relative, of bounded length, and none of its parts is empty, `.` or `..`.
fn is_plain(path: &str) -> bool {
    path.len() <= PATH_LIMIT
        && !path.contains('\0')
        && path != "TRAILER!!!"
        && path
            .split('/')
            .all(|part| !part.is_empty() && part.len() <= NAME_LIMIT && part != "." && part != "..")
}

/// Whether a link at `path` with this target stays inside, counted by name. Its own directory is a real one, so `..`
/// takes back exactly one part of its path; behind the first name no `..` is allowed, for that name may be a link.
fn stays_inside(path: &str, target: &str) -> bool {
    let depth = path.matches('/').count();
    let mut up = 0;
    let mut rest = target;
    while let Some(after) = rest.strip_prefix("../") {
        up += 1;
        rest = after;
    }
    up <= depth && is_plain(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RamdiskLimits = RamdiskLimits::new(100, 1 << 20);

    fn sample() -> RamdiskBuilder<'static> {
        RamdiskBuilder::new()
            .file("etc/name", Mode::READ, b"entente")
            .and_then(|r| r.directory("etc", Mode::OWNER))
            .and_then(|r| r.link("etc/app", "../app"))
            .and_then(|r| r.file("app", Mode::READ_EXECUTE, b"program"))
            .unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = sample().build().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let read = Ramdisk::parse(&bytes, LIMITS).unwrap();
        let seen: Vec<_> = read.entries().iter().map(|e| (e.path(), e.mode().bits(), e.kind())).collect();
        assert_eq!(
            seen,
            [
                ("app", 0o555, EntryKind::File(b"program")),
                ("etc", 0o755, EntryKind::Directory),
                ("etc/app", 0o777, EntryKind::Link("../app")),
                ("etc/name", 0o444, EntryKind::File(b"entente")),
            ]
        );
    }

    #[test]
    fn first_entry_in_full() {
        let bytes = RamdiskBuilder::new().file("app", Mode::READ_EXECUTE, b"x").unwrap().build().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            &text[..120],
            concat!(
                "070701",
                "00000001",
                "0000816D",
                "00000000",
                "00000000",
                "00000001",
                "00000000",
                "00000001",
                "00000000",
                "00000000",
                "00000000",
                "00000000",
                "00000004",
                "00000000",
                "app\0\0\0",
                "x\0\0\0"
            )
        );
        assert!(text[120..].contains("TRAILER!!!\0"));
    }

    #[test]
    fn builder_refuses() {
        let new = RamdiskBuilder::new;
        for path in ["", "/app", "a//b", "a/", "../a", "a/../b", ".", "./a", "a/.", "a\0b", &"x".repeat(256)]
        {
            assert_eq!(
                new().directory(path, Mode::OWNER).unwrap_err(),
                RamdiskBuildError::Path { path: path.to_owned() }
            );
        }
        assert!(matches!(
            new().directory("a", Mode::OWNER).and_then(|r| r.file("a", Mode::READ, b"")),
            Err(RamdiskBuildError::Repeated { .. })
        ));
        assert!(matches!(
            new().file("a/b", Mode::READ, b"").and_then(|r| r.build()),
            Err(RamdiskBuildError::Parent { .. })
        ));
        for target in ["/etc", "..", "../a", "a/../../b", "a/..", ""] {
            assert!(matches!(new().link("l", target), Err(RamdiskBuildError::LinkTarget { .. })), "{target}");
        }
        assert_eq!(Mode::new(0o4755), Err(ModeError { found: 0o4755 }));
    }

    /// A one-entry archive with chosen fields, for faults that the builder cannot make.
    fn forged(name: &[u8], mode: u32, owner: [u32; 2], links: u32, contents: &[u8]) -> Vec<u8> {
        let size = u32::try_from(contents.len()).unwrap();
        let name_size = u32::try_from(name.len() + 1).unwrap();
        let mut out = MAGIC.to_vec();
        for field in [1, mode, owner[0], owner[1], links, 0, size, 0, 0, 0, 0, name_size, 0] {
            out.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        out.extend_from_slice(name);
        out.push(0);
        pad(&mut out);
        out.extend_from_slice(contents);
        pad(&mut out);
        write(&mut out, TRAILER, [0, 0, 1, 0], &[]);
        out
    }

    #[test]
    fn reader_refuses() {
        let offset = 0;
        let file = REGULAR | 0o644;
        let cases: &[(Vec<u8>, RamdiskError)] = &[
            (forged(b"/etc/passwd", file, [0, 0], 1, b""), RamdiskError::Path { offset }),
            (forged(b"../x", file, [0, 0], 1, b""), RamdiskError::Path { offset }),
            (forged(b"a/../x", file, [0, 0], 1, b""), RamdiskError::Path { offset }),
            (forged(b".", DIRECTORY | 0o755, [0, 0], 1, b""), RamdiskError::Path { offset }),
            (forged(b"\xff", file, [0, 0], 1, b""), RamdiskError::Path { offset }),
            (forged(b"a\0b", file, [0, 0], 1, b""), RamdiskError::Path { offset }),
            (forged(b"a/b", file, [0, 0], 1, b""), RamdiskError::Parent { offset }),
            (forged(b"a", file, [1, 0], 1, b""), RamdiskError::Owner { offset }),
            (forged(b"a", file, [0, 1], 1, b""), RamdiskError::Owner { offset }),
            (forged(b"a", file, [0, 0], 2, b""), RamdiskError::HardLink { offset, links: 2 }),
            (
                forged(b"a", REGULAR | 0o4755, [0, 0], 1, b""),
                RamdiskError::Mode { offset, mode: REGULAR | 0o4755 },
            ),
            (forged(b"a", 0o020_600, [0, 0], 1, b""), RamdiskError::Kind { offset, mode: 0o020_600 }),
            (forged(b"a", DIRECTORY | 0o755, [0, 0], 1, b"x"), RamdiskError::Contradiction { offset }),
            (forged(b"a", LINK | 0o777, [0, 0], 1, b"/etc"), RamdiskError::LinkTarget { offset }),
            (forged(b"a", LINK | 0o777, [0, 0], 1, b"../b"), RamdiskError::LinkTarget { offset }),
            (vec![0x1f, 0x8b, 8], RamdiskError::Compressed),
            (Vec::new(), RamdiskError::Truncated { offset }),
            (vec![b'0'; 110], RamdiskError::Magic { offset }),
        ];
        for (archive, expected) in cases {
            assert_eq!(Ramdisk::parse(archive, LIMITS).as_ref(), Err(expected));
        }
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let mut archive = forged(b"d", LINK | 0o777, [0, 0], 1, b"elsewhere");
        let first = archive.len() - 124;
        archive.truncate(first);
        archive.extend(forged(b"d/x", REGULAR | 0o644, [0, 0], 1, b"y"));
        assert_eq!(Ramdisk::parse(&archive, LIMITS), Err(RamdiskError::Parent { offset: first }));
    }

    #[test]
    fn limits_hold() {
        let bytes = sample().build().unwrap();
        assert_eq!(
            Ramdisk::parse(&bytes, RamdiskLimits::new(3, 100)),
            Err(RamdiskError::TooManyEntries { limit: 3 })
        );
        assert_eq!(
            Ramdisk::parse(&bytes, RamdiskLimits::new(4, 13)),
            Err(RamdiskError::TooManyBytes { limit: 13 })
        );
        assert!(Ramdisk::parse(&bytes, RamdiskLimits::new(4, 14)).is_ok());
    }

    #[test]
    fn every_truncation_and_tail_is_seen() {
        let mut bytes = sample().build().unwrap();
        for length in 0..bytes.len() {
            assert!(Ramdisk::parse(&bytes[..length], LIMITS).is_err(), "{length}");
        }
        bytes.extend_from_slice(&[0; 512]);
        assert!(Ramdisk::parse(&bytes, LIMITS).is_ok());
        bytes.push(1);
        assert_eq!(Ramdisk::parse(&bytes, LIMITS), Err(RamdiskError::TrailingBytes));
    }
}
