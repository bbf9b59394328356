//! Which statements there must be, and what each may name. Pure: no database is asked.

use std::collections::BTreeSet;

use xavyo_core::connector::{SqlSettings, SqlStatements};

use super::{
    Verb,
    parse::{Parsed, parse},
};

/// Names with a meaning of their own.
const RESERVED: [&str; 8] = ["uid", "id", "new_uid", "version", "enabled", "tag", "attribute", "value"];
const MAX_ATTRIBUTES: usize = 200;
const MAX_NAME: usize = 63;

/// Every fault by field (`statements.update`) and what was expected there.
pub(crate) fn faults(settings: &SqlSettings, statements: &SqlStatements) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, expected: String| faults.push((field.to_owned(), expected));
    if !settings.table.is_empty() {
        fault("table", "nothing where there are statements".into());
    }
    if settings.deleted_column.is_some() {
        fault("deleted_column", "nothing where there are statements: the list leaves such rows out".into());
    }
    if statements.attributes.len() > MAX_ATTRIBUTES {
        fault("statements.attributes", format!("at most {MAX_ATTRIBUTES} names"));
    }
    let mut seen = BTreeSet::new();
    for (index, name) in statements.attributes.iter().enumerate() {
        if !is_name(name) || RESERVED.contains(&name.as_str()) || !seen.insert(name) {
            let expected =
                "another name of 1 to 63 letters, digits and `_`, and none with a meaning of its own";
            fault(&format!("statements.attributes[{index}]"), expected.into());
        }
    }
    match parse(settings.dialect, &statements.list) {
        _ if statements.list.trim().is_empty() => {
            fault("statements.list", "a statement that selects every account".into());
        }
        Ok(parsed) => {
            if let Some(name) = parsed.parameters().next() {
                fault("statements.list", format!("no parameters, and not :{name}"));
            }
        }
        Err(expected) => fault("statements.list", expected.into()),
    }
    for verb in Verb::ALL {
        let Some(text) = verb.text(statements) else { continue };
        let field = format!("statements.{}", verb.name());
        match parse(settings.dialect, text) {
            Ok(parsed) => {
                for expected in misnamed(verb, &parsed, settings, statements) {
                    fault(&field, expected);
                }
            }
            Err(expected) => fault(&field, expected.into()),
        }
    }
    let shows_state = settings.disabled_column.is_some() || settings.enabled_column.is_some();
    for (one, other) in [(Verb::Enable, Verb::Disable), (Verb::Disable, Verb::Enable)] {
        let (one, has_other) = (one.text(statements).map(|_| one), other.text(statements).is_some());
        if let Some(verb) = one.filter(|_| !has_other || !shows_state) {
            let expected = "set together with its opposite, and with disabled_column or enabled_column";
            fault(&format!("statements.{}", verb.name()), expected.into());
        }
    }
    faults
}

/// What a statement names that it may not, and does not name that it must.
fn misnamed(verb: Verb, parsed: &Parsed, settings: &SqlSettings, statements: &SqlStatements) -> Vec<String> {
    let key = if settings.id_column.is_some() { "id" } else { "uid" };
    let (may, must): (&[&str], &[&str]) = match verb {
        Verb::Get => (&["uid"], &["uid"]),
        Verb::Find => (&["attribute", "value"], &["attribute", "value"]),
        Verb::Create => (&["uid", "enabled", "tag"], &["uid"]),
        Verb::Update => (&["uid", "id", "new_uid", "version", "tag"], &[key]),
        Verb::Delete | Verb::Enable | Verb::Disable => (&["uid", "id", "version", "tag"], &[key]),
    };
    let takes_attributes = matches!(verb, Verb::Create | Verb::Update);
    let is_known = |name: &str| {
        let is_column = match name {
            "id" => settings.id_column.is_some(),
            "version" => settings.version_column.is_some(),
            _ => true,
        };
        let is_attribute = takes_attributes && statements.attributes.iter().any(|known| known == name);
        (may.contains(&name) && is_column) || is_attribute
    };
    let names: BTreeSet<&str> = parsed.parameters().collect();
    let unknown =
        names.iter().filter(|name| !is_known(name)).map(|name| format!("no parameter :{name} here"));
    let missing =
        must.iter().filter(|name| !names.contains(*name)).map(|name| format!("the parameter :{name}"));
    unknown.chain(missing).collect()
}

fn is_name(name: &str) -> bool {
    let fits = (1..=MAX_NAME).contains(&name.len());
    let plain = name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    fits && plain && !name.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> (SqlSettings, SqlStatements) {
        let statements = SqlStatements {
            attributes: vec!["mail".into()],
            list: "select id, login, mail, blocked from people".into(),
            get: Some("select id, login, mail, blocked from people where login = :uid".into()),
            find: Some("select * from people where :attribute = 'mail' and mail = :value".into()),
            create: Some("insert into people (login, mail) values (:uid, :mail);".into()),
            update: Some("update people set mail = :mail, login = :new_uid where id = :id".into()),
            delete: Some("delete from people where id = :id -- :uid".into()),
            enable: Some("update people set blocked = false where id = :id".into()),
            disable: Some("update people set blocked = true where id = :id".into()),
        };
        let settings = SqlSettings {
            uid_column: "login".into(),
            id_column: Some("id".into()),
            disabled_column: Some("blocked".into()),
            ..SqlSettings::default()
        };
        (settings, statements)
    }

    #[test]
    fn good_statements_have_no_faults() {
        let (settings, statements) = good();
        assert_eq!(faults(&settings, &statements), []);
    }

    #[test]
    fn each_fault_is_told_where_it_is() {
        type Change = fn(&mut SqlSettings, &mut SqlStatements);
        let changes: [(&str, Change); 14] = [
            ("statements.list", |_, it| it.list = " ".into()),
            ("statements.list", |_, it| it.list = "select :uid".into()),
            ("statements.get", |_, it| it.get = Some("select 1".into())),
            ("statements.find", |_, it| it.find = Some("select :value".into())),
            ("statements.create", |_, it| it.create = Some("insert into p values (:uid, :nickname)".into())),
            ("statements.create", |_, it| it.create = Some("insert into p values (:uid, :id)".into())),
            ("statements.update", |_, it| {
                it.update = Some("update p set mail = :mail where login = :uid".into());
            }),
            ("statements.update", |_, it| it.update = Some("update p set mail = :mail; drop table p".into())),
            ("statements.delete", |_, it| {
                it.delete = Some("delete from p where id = :id and v = :version".into());
            }),
            ("statements.delete", |_, it| it.delete = Some("delete from p where id = $1".into())),
            ("statements.enable", |_, it| it.disable = None),
            ("statements.attributes[1]", |_, it| it.attributes.push("mail".into())),
            ("statements.attributes[1]", |_, it| it.attributes.push("uid".into())),
            ("table", |settings, _| settings.table = "people".into()),
        ];
        for (field, change) in changes {
            let (mut settings, mut statements) = good();
            change(&mut settings, &mut statements);
            let found: Vec<String> =
                faults(&settings, &statements).into_iter().map(|(field, _)| field).collect();
            assert_eq!(found, [field], "{statements:?}");
        }
    }
}
