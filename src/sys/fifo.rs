//! Named pipes for the output of children.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sys::stat::Mode;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::net::unix::pipe::{OpenOptions as PipeOptions, Receiver};

/// Makes a named pipe and opens its reading end.
pub fn create(path: &Path) -> io::Result<Receiver> {
    nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    PipeOptions::new().open_receiver(path)
}

/// Opens a file or a named pipe to write at its end.
///
/// A pipe without a reader is an error; it does not wait for one.
pub fn append(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    let flags = fcntl_getfl(&file)?;
    // Programs expect an output that waits.
    fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}
