//! Folders for what only their owner may read.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes a folder that only its owner may enter, and those above it that are missing. One
/// that is there stays as it is.
pub fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_that_was_made_is_its_owners_and_one_that_was_there_stays_open() {
        let root = tempfile::tempdir().unwrap();
        let mode = |folder: &Path| metadata(folder).unwrap().permissions().mode() & 0o777;
        let new = root.path().join("runs/one");
        make_private(&new).unwrap();
        assert_eq!(mode(&new), 0o700);
        let old = root.path().join("old");
        create_dir(&old).unwrap();
        set_permissions(&old, Permissions::from_mode(0o755)).unwrap();
        make_private(&old).unwrap();
        assert_eq!(mode(&old), 0o755);
    }
}
