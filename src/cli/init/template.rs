use anyhow::{Context, bail};
use include_dir::{Dir, include_dir};
use toml::{Table, Value};

use crate::diag::did_you_mean;

/// The shipped scenarios.
static SCENARIOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// A shipped scenario.
pub(super) struct Template {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    values: Table,
}

impl Template {
    pub(super) fn find(name: &str) -> anyhow::Result<Self> {
        let Some((name, text)) = all().find(|(known, _)| *known == name) else {
            match did_you_mean(name, all().map(|(known, _)| known)) {
                Some(near) => bail!("no template is called `{name}`; did you mean `{near}`?"),
                None => {
                    bail!("no template is called `{name}`; `chaosproxy init --list` lists them all")
                }
            }
        };
        let values = text
            .parse()
            .with_context(|| format!("the template `{name}` cannot be read"))?;
        Ok(Self { name, text, values })
    }

    /// A text of its `[scenario]` block; empty if there is none.
    pub(super) fn head(&self, key: &str) -> &str {
        let head = self.values.get("scenario");
        let text = head.and_then(|head| head.get(key)?.as_str());
        text.unwrap_or_default()
    }

    /// The names of its blocks of a kind.
    pub(super) fn names(&self, kind: &str) -> Vec<&str> {
        let blocks = self.values.get(kind).and_then(Value::as_array);
        let blocks = blocks.into_iter().flatten();
        blocks
            .filter_map(|block| block.get("name")?.as_str())
            .collect()
    }

    /// Its blocks of a kind as they are written, comments and all.
    pub(super) fn blocks(&self, kind: &str) -> String {
        let headers = [format!("[[{kind}]]"), format!("[{kind}]")];
        let mut wanted = false;
        let mut out = String::new();
        for line in self.text.lines() {
            if line.starts_with('[') {
                wanted = headers
                    .iter()
                    .any(|header| line.starts_with(header.as_str()));
            }
            if wanted {
                out.push_str(line);
                out.push('\n');
            }
        }
        out
    }
}

/// Name and title of every template.
pub(super) fn list() -> String {
    let width = all().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, _): (&str, &str)| {
        let template = Template::find(name).ok()?;
        Some(format!("{name:width$}  {}\n", template.head("title")))
    };
    all().filter_map(line).collect()
}

/// Name and text of every template, sorted by name.
fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut all: Vec<_> = SCENARIOS
        .files()
        .filter_map(|file| Some((file.path().file_stem()?.to_str()?, file.contents_utf8()?)))
        .collect();
    all.sort_unstable();
    all.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_copied_as_they_are_written() {
        let template = Template::find("db-partition").unwrap();
        let faults = template.blocks("fault");
        assert_eq!(faults.matches("[[fault]]\n").count(), 2);
        assert!(faults.contains("# the host hangs"), "{faults}");
        assert!(!faults.contains("[blast_radius]"), "{faults}");
        assert_eq!(template.names("proxy"), ["codebase-db", "workflow-db"]);
        assert_eq!(template.head("duration"), "80s");
    }

    #[test]
    fn a_misspelt_template_is_told_its_neighbour() {
        let error = Template::find("db-partiton").err().unwrap().to_string();
        assert!(error.ends_with("did you mean `db-partition`?"), "{error}");
    }
}
