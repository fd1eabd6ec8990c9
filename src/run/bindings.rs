use std::collections::BTreeMap;

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
    }
}
