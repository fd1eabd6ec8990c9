//! What the tests of several areas share.

pub(crate) mod browser;
pub(crate) mod junit;
pub(crate) mod processes;
pub(crate) mod program;
pub(crate) mod programs;
pub(crate) mod rig;

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// The program under test.
pub(crate) fn exe() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_chaosproxy"))
}

/// A command whose process is killed when the thread that started it ends, however it ends: with
/// its test, or with the whole test binary. What it started itself is its own affair; a run has its
/// guard for that.
pub(crate) fn bound(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(exe());
    command
        .args(["__guard", "exec", "--death-signal=SIGKILL"])
        .arg(format!("--guard={}", std::process::id()))
        .arg("--")
        .arg(program);
    command
}

/// The program under test, bound likewise.
pub(crate) fn chaosproxy() -> Command {
    bound(exe())
}

/// Where a copy of this binary that is killed, and cannot remove them, has its temporary files.
/// PostgreSQL, which may be somebody else, can pass through.
pub(crate) fn temp_of_a_copy() -> tempfile::TempDir {
    let permissions = Permissions::from_mode(0o711);
    let mut folder = tempfile::Builder::new();
    folder.permissions(permissions).tempdir().unwrap()
}

/// Says something past the capture of test output, to be seen in any case.
pub(crate) fn tell(line: &str) {
    let line = format!("{line}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Whether PostgreSQL is installed. If it is not, says that the test is skipped, and fails where
/// `CHAOSPROXY_REQUIRE_PG=1` wants every test to run.
pub(crate) async fn postgres_is_there() -> bool {
    let places = chaosproxy::lab::postgres::Places::of_this_machine();
    match places.find().await {
        Ok(_) => true,
        Err(error) => {
            let required = std::env::var("CHAOSPROXY_REQUIRE_PG").is_ok_and(|value| value == "1");
            assert!(!required, "{error}");
            tell(&format!("skipped: {error}"));
            false
        }
    }
}

/// As [`postgres_is_there`], for tests without a runtime.
pub(crate) fn postgres_is_missing() -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    !runtime.unwrap().block_on(postgres_is_there())
}
