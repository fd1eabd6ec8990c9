//! Texts with `{{name}}` placeholders, filled in while a scenario runs.
//!
//! What a name means is the caller's business; this module only finds and replaces.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A text with placeholders, checked for balance when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    raw: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
}

/// The template is not well formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{{{{` without a closing `}}}}` in `{text}`")]
pub struct Unclosed {
    /// The text as written.
    pub text: String,
}

/// A placeholder without a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{{{{{name}}}}}` is not known here")]
pub struct UnknownName {
    /// The name between the braces.
    pub name: String,
}

impl Template {
    /// Splits `text` into literal parts and names.
    pub fn parse(text: &str) -> Result<Self, Unclosed> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            let close = rest[open..].find("}}").ok_or_else(|| Unclosed {
                text: text.to_owned(),
            })? + open;
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            parts.push(Part::Name(rest[open + 2..close].trim().to_owned()));
            rest = &rest[close + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self {
            raw: text.to_owned(),
            parts,
        })
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The names that must be known to fill it in, in order, repeated as written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Fills in every placeholder by `lookup`.
    pub fn render(
        &self,
        mut lookup: impl FnMut(&str) -> Option<String>,
    ) -> Result<String, UnknownName> {
        let mut out = String::with_capacity(self.raw.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Name(name) => {
                    out.push_str(&lookup(name).ok_or_else(|| UnknownName { name: name.clone() })?);
                }
            }
        }
        Ok(out)
    }
}

impl TryFrom<String> for Template {
    type Error = Unclosed;

    fn try_from(text: String) -> Result<Self, Unclosed> {
        Self::parse(&text)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.raw
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl schemars::JsonSchema for Template {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A text; `{{proxy.NAME.address}}`, `{{service.NAME.url}}` and `{{database.NAME.url}}` are filled in when the scenario starts.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_and_the_rest_is_kept() {
        let template =
            Template::parse("postgres://chaos@{{ proxy.db.address }}/x?{{seq}}").unwrap();
        assert_eq!(
            template.names().collect::<Vec<_>>(),
            ["proxy.db.address", "seq"]
        );
        let filled = template.render(|name| Some(format!("<{name}>"))).unwrap();
        assert_eq!(filled, "postgres://chaos@<proxy.db.address>/x?<seq>");
    }

    #[test]
    fn an_open_brace_and_an_unknown_name_are_errors() {
        assert!(Template::parse("{{proxy.db").is_err());
        let error = Template::parse("{{nobody}}")
            .unwrap()
            .render(|_| None)
            .unwrap_err();
        assert_eq!(error.to_string(), "`{{nobody}}` is not known here");
    }
}
