//! The statements, as text. Names are quoted by the dialect and nowhere else; values are parameters everywhere.

use super::{
    column::{Column, Kind},
    table::{Table, Version},
};
use crate::MAX_PAGE;

/// Columns of the table's rows, each as text or an array of texts, in the order of [`super::table::Layout`].
pub(super) fn selection(table: &Table, attributes: &[&Column]) -> String {
    let as_text = |column: &Column| table.dialect.as_text(column);
    let mut parts = vec![as_text(&table.uid)];
    parts.extend(table.id.as_ref().map(as_text));
    parts.extend(match &table.version {
        Version::Column(column) => Some(as_text(column)),
        Version::Row(expression) => Some((*expression).to_owned()),
        Version::None => None,
    });
    parts.extend(table.state.as_ref().map(|state| as_text(state.column())));
    parts.extend(attributes.iter().map(|column| as_text(column)));
    parts.join(",\n       ")
}

/// The condition that a row was not deleted softly, where rows can be.
fn lives(table: &Table) -> Option<String> {
    let column = table.deleted.as_ref()?;
    let unset = if column.kind == Kind::Boolean { "is not true" } else { "is null" };
    Some(format!("account.{} {unset}", table.dialect.quoted(&column.name)))
}

/// The `where` of all rows that meet the condition and are accounts: not deleted softly.
pub(super) fn accounts(table: &Table, condition: Option<String>) -> String {
    let conditions: Vec<String> = condition.into_iter().chain(lives(table)).collect();
    if conditions.is_empty() { String::new() } else { format!("\n where {}", conditions.join("\n   and ")) }
}

/// The evidence: rows, uids, and distinct uids where the database does not promise that they are as many.
pub(super) fn count(table: &Table) -> String {
    let uid = format!("account.{}", table.dialect.quoted(&table.uid.name));
    let distinct = if table.uid.unique { format!("count({uid})") } else { format!("count(distinct {uid})") };
    format!(
        "select concat(count(*)), concat(count({uid})), concat({distinct})
  from {} as account{}",
        table.source,
        accounts(table, None),
    )
}

/// Every row that has a uid, by a cursor.
pub(super) fn declare(table: &Table, attributes: &[&Column]) -> String {
    let named = format!("account.{} is not null", table.dialect.quoted(&table.uid.name));
    format!(
        "declare accounts no scroll cursor for
select {}
  from {} as account{}",
        selection(table, attributes),
        table.source,
        accounts(table, Some(named)),
    )
}

/// The next rows by uid: the first, or those after the uid that is the first parameter.
pub(super) fn page(table: &Table, attributes: &[&Column], is_first: bool, limit: usize) -> String {
    let uid = format!("account.{}", table.dialect.quoted(&table.uid.name));
    let from = if is_first {
        format!("{uid} is not null")
    } else {
        format!("{uid} > {}", table.dialect.place(1, &table.uid))
    };
    format!(
        "select {}
  from {} as account{}
 order by {uid}
 limit {limit}",
        selection(table, attributes),
        table.source,
        accounts(table, Some(from)),
    )
}

/// The rows of a selection of an operator's own, at most a page.
pub(super) fn of_source(table: &Table, attributes: &[&Column], source: &str) -> String {
    let selection = selection(table, attributes);
    format!("select {selection}\n  from {source} as account\n limit {MAX_PAGE}")
}

/// The time up to which everything that this snapshot shows was written.
pub(super) fn watermark(table: &Table) -> Option<String> {
    let updated_at = table.updated_at.as_ref()?;
    Some(format!("select {} from {} as account", table.dialect.watermark(updated_at), table.source))
}

/// The next rows by uid, deleted ones too, that were written at the first parameter's time or later: the first, or those
/// after the uid that is the second parameter. Before each stands whether it is an account still.
pub(super) fn changed(table: &Table, attributes: &[&Column], is_first: bool, limit: usize) -> String {
    let dialect = table.dialect;
    let uid = format!("account.{}", dialect.quoted(&table.uid.name));
    let after = if is_first {
        format!("{uid} is not null")
    } else {
        format!("{uid} > {}", dialect.place(2, &table.uid))
    };
    let lives = lives(table).unwrap_or_else(|| "true".to_owned());
    let since = table
        .updated_at
        .as_ref()
        .map(|column| format!("account.{} >= {}", dialect.quoted(&column.name), dialect.place(1, column)));
    format!(
        "select case when {lives} then '1' else '0' end,
       {}
  from {} as account
 where {}
   and {after}
 order by {uid}
 limit {limit}",
        selection(table, attributes),
        table.source,
        since.unwrap_or_else(|| "false".to_owned()),
    )
}

/// Rows whose column equals the first parameter, or holds it.
pub(super) fn find(table: &Table, column: &Column, attributes: &[&Column], limit: usize) -> String {
    format!(
        "select {}
  from {} as account{}
 limit {limit}",
        selection(table, attributes),
        table.source,
        accounts(table, Some(table.dialect.equals(1, column))),
    )
}

/// The same, kept from others until the transaction ends.
pub(super) fn lock(table: &Table, key: &Column, attributes: &[&Column]) -> String {
    // Two rows when the key names more than one.
    format!("{}\n   for update", find(table, key, attributes, 2))
}

/// Inserts a row whose columns are the parameters.
pub(super) fn insert(table: &Table, columns: &[&Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| table.dialect.quoted(&column.name)).collect();
    let values: Vec<String> =
        (1..).zip(columns).map(|(position, column)| table.dialect.place(position, column)).collect();
    format!(
        "{} ({})
values ({})",
        table.dialect.insert_into(&table.source),
        names.join(", "),
        values.join(", "),
    )
}

/// Sets columns to the first parameters in the row whose key is the last one.
pub(super) fn update(table: &Table, key: &Column, columns: &[&Column]) -> String {
    let mut assignments: Vec<String> = (1..)
        .zip(columns)
        .map(|(position, column)| {
            format!("{} = {}", table.dialect.quoted(&column.name), table.dialect.place(position, column))
        })
        .collect();
    assignments.extend(moved(table, columns));
    written(table, key, &assignments, columns.len() + 1)
}

/// Deletes the row whose key is the parameter; softly where the table has a column for that.
pub(super) fn delete(table: &Table, key: &Column) -> String {
    let Some(deleted) = &table.deleted else {
        let named = accounts(table, Some(table.dialect.equals(1, key)));
        return format!("{}{named}", table.dialect.delete_from(&table.source));
    };
    let value = if deleted.kind == Kind::Boolean { "true" } else { table.dialect.now() };
    let mut assignments = vec![format!("{} = {value}", table.dialect.quoted(&deleted.name))];
    assignments.extend(moved(table, &[deleted]));
    written(table, key, &assignments, 1)
}

fn written(table: &Table, key: &Column, assignments: &[String], position: usize) -> String {
    format!(
        "update {} as account
   set {}{}",
        table.source,
        assignments.join(",\n       "),
        accounts(table, Some(table.dialect.equals(position, key))),
    )
}

/// Shows the rows that a write leaves.
pub(super) fn returning(table: &Table, statement: &str) -> String {
    format!("{statement}\nreturning {}", selection(table, &[]))
}

/// How our own writes move what tells versions apart: a number by one, a time to now. Other versions are the database's
/// to move. What the write sets itself is left to it.
fn moved(table: &Table, set: &[&Column]) -> Vec<String> {
    let version = match &table.version {
        Version::Column(column) => Some(column),
        Version::Row(_) | Version::None => None,
    };
    let mut columns: Vec<&Column> = version.into_iter().chain(&table.updated_at).collect();
    columns.dedup_by(|left, right| left.name == right.name);
    columns.retain(|column| !set.iter().any(|other| other.name == column.name));
    columns.into_iter().filter_map(|column| next(table, column)).collect()
}

fn next(table: &Table, column: &Column) -> Option<String> {
    let name = table.dialect.quoted(&column.name);
    match column.kind {
        Kind::Integer | Kind::Numeric => Some(format!("{name} = coalesce(account.{name}, 0) + 1")),
        Kind::Timestamp => Some(format!("{name} = {}", table.dialect.now())),
        Kind::Text | Kind::Double | Kind::Boolean | Kind::Binary => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{mysql, postgres, table::tests::people};

    #[test]
    fn names_are_quoted_whatever_they_hold() {
        assert_eq!(postgres::DIALECT.quoted("a\"; drop table x; --"), "\"a\"\"; drop table x; --\"");
        assert_eq!(mysql::DIALECT.quoted("a`; drop table x; --"), "`a``; drop table x; --`");
    }

    #[test]
    fn an_update_names_one_row_and_moves_the_version() {
        let table = people(postgres::DIALECT);
        let columns = [table.column("mail").unwrap(), table.column("groups").unwrap()];
        let statement = update(&table, table.id.as_ref().unwrap(), &columns);
        assert_eq!(
            returning(&table, &statement),
            "update \"public\".\"people\" as account
   set \"mail\" = $1::text::character varying,
       \"groups\" = $2::text[]::text[],
       \"revision\" = coalesce(account.\"revision\", 0) + 1
 where account.\"id\" = $3::text::uuid
returning account.\"login\"::text,
       account.\"id\"::text,
       account.\"revision\"::text,
       account.\"blocked\"::text"
        );
        let table = people(mysql::DIALECT);
        assert_eq!(
            update(&table, &table.uid, &[table.column("mail").unwrap()]),
            "update `public`.`people` as account
   set `mail` = ?,
       `revision` = coalesce(account.`revision`, 0) + 1
 where account.`login` = ?"
        );
    }

    #[test]
    fn equality_is_the_columns_own_and_an_array_holds_its_values() {
        let table = people(postgres::DIALECT);
        let statement = |name: &str| find(&table, table.column(name).unwrap(), &[], 5);
        assert!(statement("mail").contains("where account.\"mail\" = $1::text::character varying\n"));
        assert!(statement("groups").contains("where $1::text::text = any(account.\"groups\")\n"));
    }

    #[test]
    fn a_soft_delete_sets_its_column_and_hides_the_row() {
        let mut table = people(mysql::DIALECT);
        table.deleted = Some(table.column("blocked").unwrap().clone());
        assert_eq!(
            delete(&table, &table.uid),
            "update `public`.`people` as account
   set `blocked` = true,
       `revision` = coalesce(account.`revision`, 0) + 1
 where account.`login` = ?
   and account.`blocked` is not true"
        );
        assert!(page(&table, &[], true, 9).contains("and account.`blocked` is not true"));
    }

    #[test]
    fn a_row_deleted_softly_is_not_there_for_whoever_names_it() {
        for dialect in [postgres::DIALECT, mysql::DIALECT] {
            let mut table = people(dialect);
            table.deleted = Some(table.column("blocked").unwrap().clone());
            let statements = dialect.by_keys(&table, &table.uid, "1", &["ann"]);
            assert!(statements[0].0.contains("is not true"), "{}", statements[0].0);
        }
    }
}
