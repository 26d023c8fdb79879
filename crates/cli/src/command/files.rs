//! Reading and writing files with errors that name them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::output::Misuse;

/// Read a whole file of at most `limit` bytes; `-` is standard input. A file that cannot be read is misuse.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let bytes = read_beginning(path, limit)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
        bail!(Misuse(format!("{} has more than {limit} bytes", path.display())));
    }
    Ok(bytes)
}

/// Read at most `limit` bytes and one more, which tells the reader of the format that there is too much.
pub(crate) fn read_beginning(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let misuse = |error: std::io::Error| Misuse(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(misuse)?;
    } else {
        File::open(path)
            .map_err(misuse)?
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(misuse)?;
    }
    Ok(bytes)
}

/// Write a file whole or not at all: beside its place, flushed, then renamed. Refuses to replace a file.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.display();
    ensure!(!path.exists(), "{name} exists already; move it away, or name another file");
    let file = draft(path, bytes)?;
    // A temporary file is its owner's alone; what is written here is public.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable).with_context(|| format!("cannot write {name}"))?;
    file.persist_noclobber(path).with_context(|| format!("cannot write {name}"))?;
    Ok(())
}

/// The same for a secret: readable by its owner only.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> Result<()> {
    draft(path, bytes)?
        .persist_noclobber(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// The same, replacing what is there.
pub(crate) fn replace_private(path: &Path, bytes: &[u8]) -> Result<()> {
    draft(path, bytes)?.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

fn draft(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let name = path.display();
    let mut file =
        tempfile::NamedTempFile::new_in(directory).with_context(|| format!("cannot write beside {name}"))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .with_context(|| format!("cannot write {name}"))?;
    Ok(file)
}
