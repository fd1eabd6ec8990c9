//! What a JSON document must say.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ProbeProblem;
use crate::jsonpath::{Path, equal};

/// Values by path; each must be as wanted.
#[derive(Debug)]
pub(super) struct Wanted(Vec<(Path, Value)>);

impl Wanted {
    pub(super) fn new(values: &BTreeMap<String, Value>) -> Result<Self, ProbeProblem> {
        let values = values
            .iter()
            .map(|(path, wanted)| Ok((Path::parse(path)?, wanted.clone())));
        Ok(Self(values.collect::<Result<_, ProbeProblem>>()?))
    }

    /// What is not as wanted, if anything. Where nothing is wanted, anything may be said.
    pub(super) fn objection(&self, text: &[u8]) -> Option<String> {
        if self.0.is_empty() {
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
