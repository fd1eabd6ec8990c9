use std::path::{Path, PathBuf};

use crate::scenario::Plan;
use crate::units::Clock;

/// Where runs without a folder of their own go.
const HOME: &str = "chaosproxy-runs";

/// Where the reports of a run go. One run alone has the root to itself; otherwise each file has a
/// folder below it, in that each repetition, in that each try, as far as there may be several.
#[derive(Debug, Clone)]
pub struct Folders {
    root: PathBuf,
    files: Vec<PathBuf>,
    repeat: u32,
    retries: u32,
}

impl Folders {
    /// Folders for these plans below `root`, or below what the only plan asks for, or below a new
    /// folder in `chaosproxy-runs`.
    pub fn new(root: Option<&Path>, plans: &[Plan], repeat: u32, retries: u32) -> Self {
        let stems: Vec<_> = plans.iter().map(|plan| stem(&plan.path)).collect();
        let alone = match plans {
            [plan] => Some(plan),
            _ => None,
        };
        let root = root.or_else(|| alone?.report_dir.as_deref());
        let files = match alone {
            Some(_) => vec![PathBuf::new()],
            None => distinct(&stems),
        };
        let name = alone.map_or("suite", |_| &stems[0]);
        Self {
            root: root.map_or_else(|| of_this_moment(name), Path::to_owned),
            files,
            repeat,
            retries,
        }
    }

    /// Whether there may be more than one run.
    pub fn several(&self) -> bool {
        self.files.len() > 1 || self.repeat > 1 || self.retries > 0
    }

    /// The folder that all others are in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one run; all three count from 0.
    pub fn of(&self, file: usize, repetition: u32, attempt: u32) -> PathBuf {
        let mut folder = self.root.join(&self.files[file]);
        if self.repeat > 1 {
            let width = self.repeat.to_string().len();
            folder.push(format!("repeat-{:0width$}", repetition + 1));
        }
        if self.retries > 0 {
            folder.push(format!("try-{}", attempt + 1));
        }
        folder
    }
}

/// `chaosproxy-runs/<name>-<UTC time>`.
fn of_this_moment(name: &str) -> PathBuf {
    let now = Clock::start().started_at().strftime("%Y%m%dT%H%M%SZ");
    Path::new(HOME).join(format!("{name}-{now}"))
}

/// What a file is called in the names of folders.
fn stem(path: &str) -> String {
    let stem = Path::new(path).file_stem();
    stem.map_or_else(
        || "scenario".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

/// Of equal names, the second becomes `name-2`.
fn distinct(stems: &[String]) -> Vec<PathBuf> {
    let mut names: Vec<String> = Vec::new();
    for stem in stems {
        let mut name = stem.clone();
        let mut number = 1;
        while names.contains(&name) {
            number += 1;
            name = format!("{stem}-{number}");
        }
        names.push(name);
    }
    names.into_iter().map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(files: &[&str], repeat: u32, retries: u32) -> Folders {
        Folders {
            root: "r".into(),
            files: files.iter().map(PathBuf::from).collect(),
            repeat,
            retries,
        }
    }

    #[test]
    fn a_folder_says_only_what_there_may_be_several_of() {
        let of = |folders: Folders| folders.of(0, 1, 2).display().to_string();
        assert_eq!(of(folders(&[""], 1, 0)), "r/");
        assert_eq!(of(folders(&["a", "b"], 1, 0)), "r/a");
        assert_eq!(of(folders(&[""], 20, 0)), "r/repeat-02");
        assert_eq!(of(folders(&["a", "b"], 3, 2)), "r/a/repeat-2/try-3");
    }

    #[test]
    fn files_of_one_name_have_folders_of_their_own() {
        let stems = ["x", "x-2", "x", "x"].map(str::to_owned);
        let expected = ["x", "x-2", "x-3", "x-4"].map(PathBuf::from);
        assert_eq!(distinct(&stems), expected);
    }
}
