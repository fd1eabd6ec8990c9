//! Where the server programs of PostgreSQL are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::lab::LabError;

/// The oldest major version that is used.
const OLDEST: u32 = 14;

/// Where to search.
#[derive(Debug, Clone)]
pub struct Places {
    /// The value of `PATH`.
    pub path: OsString,
    /// The directory that the customary places are under; `/` except in tests.
    pub root: PathBuf,
}

impl Places {
    /// The places of this machine.
    pub fn of_this_machine() -> Self {
        Self {
            path: std::env::var_os("PATH").unwrap_or_default(),
            root: PathBuf::from("/"),
        }
    }

    /// The directory with `initdb` and `postgres`: `PATH` first, then the newest version in the
    /// customary places.
    pub async fn find(&self) -> Result<PathBuf, LabError> {
        let mut directories: Vec<PathBuf> = std::env::split_paths(&self.path).collect();
        directories.extend(self.customary());
        directories.extend(self.configured().await);
        let mut too_old = String::new();
        for directory in directories {
            if !directory.join("initdb").is_file() {
                continue;
            }
            match version(&directory.join("postgres")).await {
                Some(major) if major >= OLDEST => return Ok(directory),
                Some(major) => {
                    too_old = format!(" (PostgreSQL {major} in {})", directory.display());
                }
                None => {}
            }
        }
        Err(LabError::NoPostgres {
            searched: self.searched(),
            too_old,
            install: self.install(),
        })
    }

    /// The places of Debian, of Red Hat and of a build from source, newest version first.
    fn customary(&self) -> Vec<PathBuf> {
        let mut versions: Vec<(u32, PathBuf)> = Vec::new();
        for (parent, prefix) in [("usr/lib/postgresql", ""), ("usr", "pgsql-")] {
            let Ok(entries) = std::fs::read_dir(self.root.join(parent)) else {
                continue;
            };
            versions.extend(entries.flatten().filter_map(|entry| {
                let name = entry.file_name();
                let version = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
                Some((version, entry.path().join("bin")))
            }));
        }
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        let mut directories: Vec<_> = versions.into_iter().map(|(_, path)| path).collect();
        directories.push(self.root.join("usr/local/pgsql/bin"));
        directories
    }

    /// What `pg_config` says.
    async fn configured(&self) -> Option<PathBuf> {
        let config = std::env::split_paths(&self.path)
            .map(|directory| directory.join("pg_config"))
            .find(|file| file.is_file())?;
        let text = output(&config, "--bindir").await?;
        Some(PathBuf::from(text.trim()))
    }

    fn searched(&self) -> String {
        let root = self.root.display();
        format!(
            "PATH, {root}usr/lib/postgresql/*/bin, {root}usr/pgsql-*/bin, {root}usr/local/pgsql/bin and `pg_config --bindir`"
        )
    }

    fn install(&self) -> &'static str {
        if self.root.join("etc/redhat-release").exists() {
            "dnf install postgresql-server"
        } else {
            "apt-get install postgresql"
        }
    }
}

async fn version(postgres: &Path) -> Option<u32> {
    major(&output(postgres, "--version").await?)
}

/// `15` of `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)`; also of `15beta1`.
fn major(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    let digits = number.find(|c: char| !c.is_ascii_digit());
    number[..digits.unwrap_or(number.len())].parse().ok()
}

async fn output(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    String::from_utf8(output.stdout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_the_server_says() {
        assert_eq!(
            major("postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("EDB Postgres 9"), None);
    }

    #[tokio::test]
    async fn without_postgresql_the_message_names_the_places_and_the_command_to_install_it() {
        let empty = tempfile::tempdir().unwrap();
        let places = Places {
            path: OsString::new(),
            root: empty.path().join(""),
        };
        let message = places.find().await.unwrap_err().to_string();
        for part in [
            "usr/lib/postgresql/*/bin",
            "usr/pgsql-*/bin",
            "pg_config",
            "`apt-get install postgresql`",
        ] {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }
        std::fs::create_dir(empty.path().join("etc")).unwrap();
        std::fs::write(empty.path().join("etc/redhat-release"), "").unwrap();
        let message = places.find().await.unwrap_err().to_string();
        assert!(
            message.contains("`dnf install postgresql-server`"),
            "{message}"
        );
    }

    #[test]
    fn newer_versions_come_first() {
        let root = tempfile::tempdir().unwrap();
        for version in [
            "usr/lib/postgresql/9",
            "usr/lib/postgresql/14",
            "usr/pgsql-16",
        ] {
            std::fs::create_dir_all(root.path().join(version)).unwrap();
        }
        let places = Places {
            path: OsString::new(),
            root: root.path().to_owned(),
        };
        let found: Vec<_> = places
            .customary()
            .into_iter()
            .map(|path| path.strip_prefix(root.path()).unwrap().to_owned())
            .collect();
        assert_eq!(
            found,
            [
                Path::new("usr/pgsql-16/bin"),
                Path::new("usr/lib/postgresql/14/bin"),
                Path::new("usr/lib/postgresql/9/bin"),
                Path::new("usr/local/pgsql/bin"),
            ]
        );
    }
}
