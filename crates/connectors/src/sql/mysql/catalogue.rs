//! What the information schema of MySQL and MariaDB says of a table or view.

use super::dialect::DIALECT;
use crate::sql::{
    column::{Column, Kind, Shape},
    connection::{Cell, Connection, Parameter, Row},
    failure::{Trouble, refused},
    table::Catalogue,
};

/// The columns of one table, and whether its engine has transactions (null for a view). The information schema compares
/// names without case and trailing spaces, so that names are compared again, byte by byte.
const DESCRIBE: &str = "
select c.column_name, c.data_type, c.column_type, c.is_nullable, c.privileges,
       if(exists (
         select 1 from information_schema.statistics i
          where i.table_schema = c.table_schema and i.table_name = c.table_name and i.non_unique = 0
          group by i.index_name
         having count(*) = 1 and max(i.column_name) = c.column_name), 'YES', 'NO'),
       if(c.is_nullable = 'YES' or c.column_default is not null or c.extra like '%auto_increment%', 'YES', 'NO'),
       if(coalesce(c.generation_expression, '') <> '', 'YES', 'NO'),
       e.transactions
  from information_schema.columns c
  join information_schema.tables t on t.table_schema = c.table_schema and t.table_name = c.table_name
  left join information_schema.engines e on e.engine = t.engine
 where c.table_schema = ? and c.table_name = ?
   and binary c.table_schema = binary ? and binary c.table_name = binary ?
 order by c.ordinal_position";

/// Fails with `Refused` where there is no such table, or none that can be rolled back.
pub(super) async fn describe(
    connection: &mut Connection,
    schema: &str,
    table: &str,
) -> Result<Catalogue, Trouble> {
    let names = [schema, table, schema, table].map(|name| Parameter::Text(name.to_owned()));
    let rows = connection.rows(DESCRIBE.to_owned(), names.into()).await?;
    let Some(transactions) = rows.first().and_then(|row| row.last()) else {
        return Err(refused("SQL_TABLE", format!("no table {schema}.{table}")).into());
    };
    if transactions.text().is_some_and(|answer| answer != "YES") {
        let message = format!("{schema}.{table} has no transactions: nothing could be rolled back");
        return Err(refused("SQL_TABLE_ENGINE", message).into());
    }
    Ok(Catalogue {
        columns: rows.iter().filter_map(column).collect(),
        row_version: None,
        row_security: false,
    })
}

/// What the database says of an operator's list. The driver cannot tell text of a `_bin` collation from bytes: the
/// database is asked, of a row that needs none of the list's.
pub(super) async fn describe_list(connection: &mut Connection, source: &str) -> Result<Catalogue, Trouble> {
    let listed = connection.describe(format!("select * from {source} as account")).await?;
    let charset = |name: &str| format!("charset(account.{})", DIALECT.quoted(name));
    let charsets: Vec<String> = listed.columns.iter().map(|(name, _)| charset(name)).collect();
    let asked = format!(
        "select {} from (select 1) as one left join {source} as account on false",
        charsets.join(", ")
    );
    let charsets = connection.rows(asked, Vec::new()).await?.into_iter().next().unwrap_or_default();
    let columns = listed.columns.into_iter().zip(charsets).map(|((name, type_name), charset)| {
        let type_name = type_name.to_lowercase();
        let plain = type_name.trim_end_matches(" unsigned");
        let is_text = charset.text().is_some_and(|charset| charset != "binary");
        let kind = match kind(plain, plain) {
            _ if plain == "boolean" => Kind::Boolean,
            Kind::Binary if is_text => Kind::Text,
            kind => kind,
        };
        Column {
            name,
            kind,
            shape: Shape::Single,
            element_type: type_name.clone(),
            type_name,
            nullable: true,
            optional: true,
            generated: false,
            readable: true,
            unique: false,
        }
    });
    Ok(Catalogue { columns: columns.collect(), row_version: None, row_security: false })
}

fn column(row: &Row) -> Option<Column> {
    let [name, data_type, column_type, nullable, privileges, unique, optional, generated, ..] =
        row.as_slice()
    else {
        return None;
    };
    let (data_type, column_type) = (data_type.text()?, column_type.text()?);
    Some(Column {
        name: name.text()?.to_owned(),
        kind: kind(data_type, column_type),
        shape: Shape::Single,
        type_name: data_type.to_owned(),
        element_type: column_type.to_owned(),
        nullable: is_yes(nullable),
        optional: is_yes(optional),
        generated: is_yes(generated),
        readable: privileges.text().is_some_and(|list| list.split(',').any(|one| one == "select")),
        unique: is_yes(unique),
    })
}

fn is_yes(cell: &Cell) -> bool {
    cell.text() == Some("YES")
}

/// The kind of a type's values.
pub(super) fn kind(data_type: &str, column_type: &str) -> Kind {
    match data_type {
        "tinyint" if column_type.starts_with("tinyint(1)") => Kind::Boolean,
        "bit" if column_type == "bit(1)" => Kind::Boolean,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" | "bit" => Kind::Integer,
        "float" | "double" => Kind::Double,
        "decimal" => Kind::Numeric,
        "datetime" | "timestamp" => Kind::Timestamp,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Kind::Binary,
        _ => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boolean_is_told_from_other_small_numbers() {
        for (data_type, column_type, expected) in [
            ("tinyint", "tinyint(1)", Kind::Boolean),
            ("tinyint", "tinyint(4)", Kind::Integer),
            ("tinyint", "tinyint unsigned", Kind::Integer),
            ("bit", "bit(1)", Kind::Boolean),
            ("bit", "bit(8)", Kind::Integer),
            ("datetime", "datetime(6)", Kind::Timestamp),
            ("varbinary", "varbinary(16)", Kind::Binary),
            ("uuid", "uuid", Kind::Text),
        ] {
            assert_eq!(kind(data_type, column_type), expected, "{column_type}");
        }
    }
}
