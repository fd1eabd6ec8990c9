use std::collections::BTreeMap;

use serde_json::Value;

use crate::template::{Template, UnknownName};

/// What the placeholders of a scenario stand for, as far as it is known yet:
/// `database.NAME.url`, `proxy.NAME.address`, `service.NAME.url` and so on.
#[derive(Debug, Clone, Default)]
pub(super) struct Bindings {
    values: BTreeMap<String, String>,
}

impl Bindings {
    /// Says what `{{kind.name.field}}` stands for.
    pub(super) fn bind(&mut self, kind: &str, name: &str, field: &str, value: impl Into<String>) {
        self.values
            .insert(format!("{kind}.{name}.{field}"), value.into());
    }

    /// The value of a placeholder.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// Fills in every text of a JSON value that is a template.
    pub(super) fn fill_in(&self, value: &Value) -> Result<Value, UnknownName> {
        Ok(match value {
            Value::String(text) => match Template::parse(text) {
                Ok(template) => Value::String(self.render(&template)?),
                Err(_) => value.clone(),
            },
            Value::Array(items) => {
                let items = items.iter().map(|item| self.fill_in(item));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let pairs = map
                    .iter()
                    .map(|(key, inner)| Ok((key.clone(), self.fill_in(inner)?)));
                Value::Object(pairs.collect::<Result<_, _>>()?)
            }
            plain => plain.clone(),
        })
    }

    /// Fills in a template.
    pub(super) fn render(&self, template: &Template) -> Result<String, UnknownName> {
        template.render(|name| self.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_filled_in_once_it_is_bound() {
        let template = Template::parse("postgres://chaos@{{proxy.db.address}}/x").unwrap();
        let mut bindings = Bindings::default();
        assert!(bindings.render(&template).is_err());
        bindings.bind("proxy", "db", "address", "127.0.0.1:6020");
        assert_eq!(
            bindings.render(&template).unwrap(),
            "postgres://chaos@127.0.0.1:6020/x"
        );
        let command = serde_json::json!({ "run": ["ping", "{{proxy.db.address}}"], "times": 3 });
        assert_eq!(
            bindings.fill_in(&command).unwrap(),
            serde_json::json!({ "run": ["ping", "127.0.0.1:6020"], "times": 3 })
        );
    }
}
