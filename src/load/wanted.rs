//! What a JSON document must say.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::jsonpath::{Path, PathError, equal};

/// Values by path; each must be as wanted.
#[derive(Debug)]
pub(crate) struct Wanted(Vec<(Path, Value)>);

impl Wanted {
    pub(crate) fn new(values: &BTreeMap<String, Value>) -> Result<Self, PathError> {
        let values = values
            .iter()
            .map(|(path, wanted)| Ok((Path::parse(path)?, wanted.clone())));
        Ok(Self(values.collect::<Result<_, PathError>>()?))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is not as wanted, if anything. Where nothing is wanted, anything may be said.
    pub(crate) fn objection(&self, text: &[u8]) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let document: Value = match serde_json::from_slice(text) {
            Ok(document) => document,
            Err(error) => return Some(format!("the answer is not JSON: {error}")),
        };
        self.0
            .iter()
            .find_map(|(path, wanted)| match path.find(&document) {
                None => Some(format!("no `{path}` in the answer")),
                Some(found) if equal(found, wanted) => None,
                Some(found) => Some(format!("`{path}` is {found}, expected {wanted}")),
            })
    }
}
