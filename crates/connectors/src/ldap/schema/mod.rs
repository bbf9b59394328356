//! What a directory can hold, from its own subschema (RFC 4512 §4.2).
//!
//! An account's class is described with the attributes of all classes that new accounts get, and of what they inherit.

mod attribute;
mod definition;

use std::collections::{BTreeMap, BTreeSet};

use xavyo_core::connector::{AttributeSchema, LdapSettings, ObjectSchema, TargetFailure};

use self::definition::Definition;
use super::{Ldap, changes, failure, session::Session};

/// No chain of inheritance is longer; a circle is.
const MOST_ANCESTORS: usize = 32;

/// The schema as the server tells it.
struct Subschema {
    classes: Vec<Definition>,
    attributes: Vec<Definition>,
}

impl Session<'_> {
    pub(super) async fn describe(&self, ldap: &Ldap) -> Result<Vec<ObjectSchema>, TargetFailure> {
        let missing = || failure::refused(crate::NOT_OFFERED, "the server shows no schema");
        let name = self.server.schema.clone().ok_or_else(missing)?;
        let wanted = ["objectClasses", "attributeTypes"];
        let entry = changes::entry(&self.connection, &name, &wanted, self.deadline).await?;
        let definitions = |attribute| entry.texts(attribute).filter_map(Definition::parse).collect();
        let schema =
            Subschema { classes: definitions("objectClasses"), attributes: definitions("attributeTypes") };
        if schema.classes.is_empty() {
            return Err(missing());
        }
        Ok(schema.described(&ldap.settings, self.server.password_attribute()))
    }
}

impl Subschema {
    /// The structural classes among those that new accounts get.
    fn described(&self, settings: &LdapSettings, password: &str) -> Vec<ObjectSchema> {
        let given: Vec<&Definition> =
            settings.create_object_classes.iter().filter_map(|name| self.class(name)).collect();
        let structural = given.iter().filter(|class| !class.has("AUXILIARY") && !class.has("ABSTRACT"));
        let described = structural.map(|class| ObjectSchema {
            object_class: class.name().to_owned(),
            display_name: class.value("DESC").unwrap_or(class.name()).to_owned(),
            uid_attribute: None,
            attributes: self.attributes_of(&given, settings, password),
        });
        described.collect()
    }

    fn attributes_of(
        &self,
        classes: &[&Definition],
        settings: &LdapSettings,
        password: &str,
    ) -> Vec<AttributeSchema> {
        let lineage: Vec<&Definition> = classes.iter().flat_map(|class| self.lineage(class)).collect();
        let named = |keyword| {
            let names = lineage.iter().flat_map(move |class| class.values(keyword));
            names.filter_map(|name| self.attribute(name)).map(Definition::name).collect::<BTreeSet<_>>()
        };
        let required = named("MUST");
        let all: BTreeSet<&str> = named("MAY").union(&required).copied().collect();
        // The connector itself gives these to a new entry.
        let is_given = |name: &str| {
            name.eq_ignore_ascii_case("objectClass") || name.eq_ignore_ascii_case(&settings.naming_attribute)
        };
        let definitions = all.iter().filter_map(|name| self.attribute(name));
        let described = definitions.map(|definition| {
            let name = definition.name();
            let mut attribute = attribute::described(definition, &self.ancestors(definition));
            attribute.required = required.contains(name) && !is_given(name);
            attribute.readable = !name.eq_ignore_ascii_case(password);
            (name.to_ascii_lowercase(), attribute)
        });
        described.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    fn class(&self, name: &str) -> Option<&Definition> {
        self.classes.iter().find(|class| class.is_called(name))
    }

    fn attribute(&self, name: &str) -> Option<&Definition> {
        self.attributes.iter().find(|attribute| attribute.is_called(name))
    }

    /// The class, and all that it inherits from.
    fn lineage<'s>(&'s self, class: &'s Definition) -> Vec<&'s Definition> {
        let mut lineage = vec![class];
        let mut next = 0;
        while let Some(class) = lineage.get(next).copied().filter(|_| lineage.len() < MOST_ANCESTORS) {
            lineage.extend(class.values("SUP").iter().filter_map(|name| self.class(name)));
            next += 1;
        }
        lineage
    }

    /// What the attribute inherits from, nearest first.
    fn ancestors(&self, attribute: &Definition) -> Vec<&Definition> {
        let mut ancestors = Vec::new();
        let mut now = attribute.value("SUP").and_then(|name| self.attribute(name));
        while let Some(ancestor) = now.filter(|_| ancestors.len() < MOST_ANCESTORS) {
            ancestors.push(ancestor);
            now = ancestor.value("SUP").and_then(|name| self.attribute(name));
        }
        ancestors
    }
}
