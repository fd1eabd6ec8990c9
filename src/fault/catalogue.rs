//! Faults with a name and a story: a kind and its parameters, one TOML file each in `faults/`.
//!
//! The files are embedded in the program; whoever calls may lay others over them. Nothing is read
//! from the disk here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::kind;

macro_rules! embed {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../faults/", $name, ".toml")))),*]
    };
}

/// The files in `faults/`, by name.
const EMBEDDED: &[(&str, &str)] = &embed![
    "3g",
    "cross-region",
    "dsl",
    "half-open",
    "idle-lb-fin",
    "lossy-wifi",
    "pg-down",
    "pg-hung-host",
    "pg-kill-sessions",
    "port-closed",
    "satellite",
    "slow-lan",
];

/// A named fault.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name; the stem of its file.
    pub name: String,
    /// One line: what happens.
    pub summary: String,
    /// A paragraph: where this is met, and what an application should do about it.
    pub story: String,
    /// The kind, as in the registry.
    pub kind: String,
    /// The kind's parameters.
    #[serde(default)]
    pub params: Map<String, Value>,
}

/// Why a file is no entry of the catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It has not the shape of an entry.
    #[error("fault `{name}` of the catalogue: {message}")]
    Shape {
        /// The stem of the file.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The name inside and the name of the file differ.
    #[error("fault `{file}` of the catalogue calls itself `{name}`; file and fault bear one name")]
    Name {
        /// The stem of the file.
        file: String,
        /// The name inside.
        name: String,
    },
    /// Its kind is unknown.
    #[error("fault `{name}` of the catalogue: no kind of fault is called `{kind}`")]
    Kind {
        /// The entry.
        name: String,
        /// The kind that it names.
        kind: String,
    },
    /// Its parameters do not fit its kind.
    #[error("fault `{name}` of the catalogue: {source}")]
    Params {
        /// The entry.
        name: String,
        /// What the kind says.
        source: super::BuildError,
    },
}

/// Every named fault.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(BTreeMap<String, Entry>);

impl Catalogue {
    /// What the program brings along.
    pub fn embedded() -> Result<Self, CatalogueError> {
        let mut catalogue = Self(BTreeMap::new());
        for (name, text) in EMBEDDED {
            catalogue.add(name, text)?;
        }
        Ok(catalogue)
    }

    /// Adds the entry in `text`, in the place of one of the same name; `file` is the stem of the
    /// file's name.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), CatalogueError> {
        let entry: Entry = toml::from_str(text).map_err(|error| CatalogueError::Shape {
            name: file.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let name = entry.name.clone();
        if name != file {
            let file = file.to_owned();
            return Err(CatalogueError::Name { file, name });
        }
        let Some(kind) = kind(&entry.kind) else {
            let kind = entry.kind;
            return Err(CatalogueError::Kind { name, kind });
        };
        match (kind.build)(&Value::Object(entry.params.clone())) {
            Ok(_) => {
                self.0.insert(name, entry);
                Ok(())
            }
            Err(source) => Err(CatalogueError::Params { name, source }),
        }
    }

    /// The entry of this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    /// Every entry, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_catalogue_is_embedded_and_builds() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/faults");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        let catalogue = Catalogue::embedded().unwrap();
        let names: Vec<_> = catalogue.entries().map(|entry| &*entry.name).collect();
        assert_eq!(names, files);
        assert!(names.len() >= 6, "{names:?}");
        for entry in catalogue.entries() {
            assert!(!entry.summary.ends_with('.'), "{}", entry.name);
            assert!(entry.story.len() > 80, "{} has no story", entry.name);
        }
    }

    #[test]
    fn an_entry_of_ones_own_replaces_one_of_the_same_name() {
        let mut catalogue = Catalogue::embedded().unwrap();
        let count = catalogue.entries().count();
        let text = "name = 'pg-down'\nsummary = 'mine'\nstory = ''\nkind = 'disconnect'\n";
        catalogue.add("pg-down", text).unwrap();
        assert_eq!(catalogue.entries().count(), count);
        assert_eq!(catalogue.get("pg-down").unwrap().summary, "mine");
    }

    #[test]
    fn an_entry_that_cannot_be_built_is_refused_with_its_reason() {
        let mut catalogue = Catalogue::embedded().unwrap();
        let entry = |kind: &str, params: &str| {
            format!("name = 'x'\nsummary = ''\nstory = ''\nkind = '{kind}'\n[params]\n{params}\n")
        };
        let mut refused =
            |file: &str, text: &str| catalogue.add(file, text).unwrap_err().to_string();
        assert_eq!(
            refused("x", &entry("earthquake", "")),
            "fault `x` of the catalogue: no kind of fault is called `earthquake`"
        );
        assert!(refused("x", &entry("partition", "mode = 'soft'")).contains("unknown variant"));
        assert!(refused("y", &entry("partition", "")).contains("calls itself `x`"));
    }
}
