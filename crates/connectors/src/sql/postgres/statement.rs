//! The statements, as text. Names are quoted here and nowhere else; values are parameters everywhere.

use super::table::{State, Table, Version};
use crate::sql::column::Column;

/// A name in quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Columns of the table's rows, each as text or an array of texts, in the order of [`super::row::Layout`].
pub(super) fn selection(table: &Table, attributes: &[&Column]) -> String {
    let mut parts = vec![as_text(&table.uid)];
    parts.extend(table.id.as_ref().map(as_text));
    parts.extend(match &table.version {
        Version::Column(column) => Some(as_text(column)),
        Version::Xmin => Some("account.xmin::text".to_owned()),
        Version::None => None,
    });
    parts.extend(table.state.as_ref().map(|state| as_text(state.column())));
    parts.extend(attributes.iter().map(|column| as_text(column)));
    parts.join(",\n       ")
}

/// Every row, and how many there are, from one snapshot.
pub(super) fn declare(table: &Table, attributes: &[&Column]) -> String {
    format!(
        "declare accounts no scroll cursor for
select {}
  from {} as account",
        selection(table, attributes),
        table.name,
    )
}

/// The evidence: rows, and distinct uids where the database does not promise that they are as many.
pub(super) fn count(table: &Table) -> String {
    let uid = quoted(&table.uid.name);
    let distinct = if table.uid.unique { format!("count({uid})") } else { format!("count(distinct {uid})") };
    format!("select count(*), count({uid}), {distinct} from {}", table.name)
}

/// Rows by keys (`$1`, an array), each with the position of its key.
pub(super) fn by_keys(table: &Table, key: &Column, attributes: &[&Column]) -> String {
    format!(
        "select key.position,
       {}
  from unnest($1::text[]) with ordinality as key (value, position)
  join {} as account on account.{} = key.value::{}",
        selection(table, attributes),
        table.name,
        quoted(&key.name),
        key.type_name,
    )
}

/// Rows whose column equals `$1`, or holds it.
pub(super) fn find(table: &Table, column: &Column, attributes: &[&Column], limit: usize) -> String {
    let name = quoted(&column.name);
    let condition = if column.multi_valued {
        format!("$1::text::{} = any(account.{name})", column.element_type)
    } else {
        format!("account.{name} = $1::text::{}", column.type_name)
    };
    format!(
        "select {}
  from {} as account
 where {condition}
 limit {limit}",
        selection(table, attributes),
        table.name,
    )
}

/// The row of key `$1`, kept from others until the transaction ends. Two rows when the key names more than one.
pub(super) fn lock(table: &Table, key: &Column, attributes: &[&Column]) -> String {
    format!(
        "select {}
  from {} as account
 where account.{} = $1::text::{}
 limit 2
   for update",
        selection(table, attributes),
        table.name,
        quoted(&key.name),
        key.type_name,
    )
}

/// Inserts a row whose columns are `$1` …, and shows it.
pub(super) fn insert(table: &Table, columns: &[&Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let values: Vec<String> =
        (1..).zip(columns).map(|(position, column)| parameter(position, column)).collect();
    format!(
        "insert into {} as account ({})
values ({})
returning {}",
        table.name,
        names.join(", "),
        values.join(", "),
        selection(table, &[]),
    )
}

/// Sets columns to `$2` … in the row of key `$1`, and shows it.
pub(super) fn update(table: &Table, key: &Column, columns: &[&Column]) -> String {
    let mut assignments: Vec<String> = (2..)
        .zip(columns)
        .map(|(position, column)| format!("{} = {}", quoted(&column.name), parameter(position, column)))
        .collect();
    if let Version::Column(version) = &table.version
        && !columns.iter().any(|column| column.name == version.name)
    {
        assignments.extend(next_version(version));
    }
    format!(
        "update {} as account
   set {}
 where account.{} = $1::text::{}
returning {}",
        table.name,
        assignments.join(",\n       "),
        quoted(&key.name),
        key.type_name,
        selection(table, &[]),
    )
}

/// Deletes the row of key `$1`.
pub(super) fn delete(table: &Table, key: &Column) -> String {
    format!(
        "delete from {} as account
 where account.{} = $1::text::{}",
        table.name,
        quoted(&key.name),
        key.type_name,
    )
}

fn as_text(column: &Column) -> String {
    let suffix = if column.multi_valued { "[]" } else { "" };
    format!("account.{}::text{suffix}", quoted(&column.name))
}

fn parameter(position: usize, column: &Column) -> String {
    let suffix = if column.multi_valued { "[]" } else { "" };
    format!("${position}::text{suffix}::{}", column.type_name)
}

/// How our own writes move the version: a number by one, a time to now. Other versions are the database's to move.
fn next_version(version: &Column) -> Option<String> {
    use crate::sql::column::Kind;
    let name = quoted(&version.name);
    match version.kind {
        Kind::Integer | Kind::Numeric => Some(format!("{name} = coalesce(account.{name}, 0) + 1")),
        Kind::Timestamp => Some(format!("{name} = clock_timestamp()")),
        Kind::Text | Kind::Double | Kind::Boolean | Kind::Binary => None,
    }
}

impl State {
    pub(super) fn column(&self) -> &Column {
        match self {
            Self::DisabledWhenTrue(column) | Self::EnabledWhenTrue(column) => column,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::postgres::table::tests::people;

    #[test]
    fn names_are_quoted_whatever_they_hold() {
        assert_eq!(quoted("a\"; drop table x; --"), "\"a\"\"; drop table x; --\"");
    }

    #[test]
    fn an_update_names_one_row_and_moves_the_version() {
        let table = people();
        let columns = [table.column("mail").unwrap(), table.column("groups").unwrap()];
        assert_eq!(
            update(&table, table.id.as_ref().unwrap(), &columns),
            "update \"public\".\"people\" as account
   set \"mail\" = $2::text::character varying,
       \"groups\" = $3::text[]::text[],
       \"revision\" = coalesce(account.\"revision\", 0) + 1
 where account.\"id\" = $1::text::uuid
returning account.\"login\"::text,
       account.\"id\"::text,
       account.\"revision\"::text,
       account.\"blocked\"::text"
        );
    }

    #[test]
    fn equality_is_the_columns_own_and_an_array_holds_its_values() {
        let table = people();
        let statement = |name: &str| find(&table, table.column(name).unwrap(), &[], 5);
        assert!(statement("mail").contains("where account.\"mail\" = $1::text::character varying\n limit 5"));
        assert!(statement("groups").contains("where $1::text::text = any(account.\"groups\")"));
    }
}
