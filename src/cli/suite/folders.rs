use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::report::{HTML_FILE, JOURNAL_FILE, JSON_FILE, JUNIT_FILE};
use crate::scenario::Plan;
use crate::units::Clock;

/// Where runs without a folder of their own go.
const HOME: &str = "chaosproxy-runs";
/// Levels below the root: files, repetitions, tries.
const LEVELS: u32 = 3;

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
            root: root.map_or_else(|| new_folder(name), Path::to_owned),
            files,
            repeat,
            retries,
        }
    }

    /// Whether there may be more than one run.
    pub fn several(&self) -> bool {
        self.files.len() > 1 || self.repeat > 1 || self.retries > 0
    }

    /// The folder of a run that is there already. Nothing may be added to it: whoever reads the
    /// root would take runs of two invocations for one.
    pub fn taken(&self) -> Option<PathBuf> {
        run_in(&self.root, LEVELS)
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

/// Makes `chaosproxy-runs/<name>-<UTC time>`; of runs that begin in one second the next has `-2`
/// behind it. What cannot be made is told when a run is to be written there.
fn new_folder(name: &str) -> PathBuf {
    let now = Clock::start().started_at().strftime("%Y%m%dT%H%M%SZ");
    drop(fs::create_dir_all(HOME));
    let mut number = 1;
    loop {
        let folder = Path::new(HOME).join(numbered(&format!("{name}-{now}"), number));
        // Making it is the only way to know that nobody else just has.
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            _ => return folder,
        }
    }
}

/// `name`, `name-2`, `name-3`.
fn numbered(name: &str, number: u32) -> String {
    if number == 1 {
        name.to_owned()
    } else {
        format!("{name}-{number}")
    }
}

/// A folder with a journal: `folder` itself, or one at most so many levels below it. What cannot be
/// looked into holds none.
fn run_in(folder: &Path, levels: u32) -> Option<PathBuf> {
    if folder.join(JOURNAL_FILE).exists() {
        return Some(folder.to_owned());
    }
    let levels = levels.checked_sub(1)?;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut folders: Vec<_> = folders.map(|entry| entry.path()).collect();
    folders.sort();
    folders.iter().find_map(|folder| run_in(folder, levels))
}

/// What a file is called in the names of folders.
fn stem(path: &str) -> String {
    let stem = Path::new(path).file_stem();
    stem.map_or_else(
        || "scenario".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

/// Names that no folder can have: `.` and `..` are folders already, the others are the names of files
/// beside it.
const TAKEN: [&str; 6] = [".", "..", JOURNAL_FILE, JSON_FILE, JUNIT_FILE, HTML_FILE];

/// Of equal names, the second becomes `name-2`; so does one that is taken.
fn distinct(stems: &[String]) -> Vec<PathBuf> {
    let mut names: Vec<String> = Vec::new();
    for stem in stems {
        let mut all = (1..).map(|number| numbered(stem, number));
        let free = all.find(|name| !TAKEN.contains(&&**name) && !names.contains(name));
        names.push(free.expect("some number is free"));
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

    #[test]
    fn no_folder_is_called_like_a_report_or_a_folder_above() {
        let stems = ["junit.xml", "journal.jsonl", "..", "junit.xml", "ok"].map(str::to_owned);
        let expected = [
            "junit.xml-2",
            "journal.jsonl-2",
            "..-2",
            "junit.xml-3",
            "ok",
        ];
        assert_eq!(distinct(&stems), expected.map(PathBuf::from));
    }
}
