//! What the catalogue of Postgres says of a relation.

use crate::sql::{
    column::{Column, Kind, Shape},
    connection::{Cell, Connection, Parameter, Row},
    failure::{Trouble, refused},
    table::Catalogue,
};

/// The columns of one relation; also what kind of relation it is, and whether row-level security narrows what we see.
const DESCRIBE: &str = "
select a.attname::text,
       format_type(a.atttypid, -1),
       format_type(coalesce(element.oid, a.atttypid), -1),
       coalesce(element.typname, base.typname)::text,
       (element.oid is not null)::text,
       (not a.attnotnull)::text,
       (not a.attnotnull or a.atthasdef or a.attidentity <> '')::text,
       (a.attgenerated <> '' or a.attidentity = 'a')::text,
       has_column_privilege(c.oid, a.attnum, 'select')::text,
       exists (
         select from pg_index i
          where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null
            and i.indnkeyatts = 1 and i.indkey[0] = a.attnum)::text,
       c.relkind::text,
       row_security_active(c.oid)::text
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  join pg_type t on t.oid = a.atttypid
  join pg_type base on base.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
  left join pg_type element on element.oid = base.typelem and base.typcategory = 'A'
 where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f')
 order by a.attnum";

const ORDINARY_TABLE: &str = "r";
/// The transaction that wrote the row: every write of anybody changes it.
const XMIN: &str = "account.xmin::text";

/// Fails with `Refused` where there is no such relation.
pub(super) async fn describe(
    connection: &mut Connection,
    schema: &str,
    table: &str,
) -> Result<Catalogue, Trouble> {
    let names = vec![Parameter::Text(schema.to_owned()), Parameter::Text(table.to_owned())];
    let rows = connection.rows(DESCRIBE.to_owned(), names).await?;
    let columns: Vec<Column> = rows.iter().filter_map(column).collect();
    let Some([.., relation, row_security]) = rows.first().map(Vec::as_slice) else {
        return Err(refused("SQL_TABLE", format!("no table {schema}.{table}")).into());
    };
    Ok(Catalogue {
        columns,
        row_version: (relation.text() == Some(ORDINARY_TABLE)).then_some(XMIN),
        row_security: is_true(row_security),
    })
}

/// What the database says of an operator's list.
pub(super) async fn describe_list(connection: &mut Connection, source: &str) -> Result<Catalogue, Trouble> {
    let listed = connection.describe(format!("select * from {source} as account")).await?;
    let columns = listed.columns.into_iter().map(|(name, type_name)| {
        let type_name = spelled(&type_name);
        let (element_type, shape) = match type_name.strip_suffix("[]") {
            Some(element) => (element.to_owned(), Shape::Array),
            None => (type_name.clone(), Shape::Single),
        };
        Column {
            name,
            kind: kind(&element_type),
            shape,
            type_name,
            element_type,
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
    let [name, type_name, element_type, base, is_array, nullable, optional, generated, readable, unique, ..] =
        row.as_slice()
    else {
        return None;
    };
    Some(Column {
        name: name.text()?.to_owned(),
        kind: kind(base.text()?),
        shape: if is_true(is_array) { Shape::Array } else { Shape::Single },
        type_name: type_name.text()?.to_owned(),
        element_type: element_type.text()?.to_owned(),
        nullable: is_true(nullable),
        optional: is_true(optional),
        generated: is_true(generated),
        readable: is_true(readable),
        unique: is_true(unique),
    })
}

/// The kind of a base type's values.
pub(super) fn kind(type_name: &str) -> Kind {
    match type_name {
        "int2" | "int4" | "int8" | "oid" => Kind::Integer,
        "float4" | "float8" => Kind::Double,
        "numeric" => Kind::Numeric,
        "bool" => Kind::Boolean,
        "timestamp" | "timestamptz" => Kind::Timestamp,
        "bytea" => Kind::Binary,
        _ => Kind::Text,
    }
}

/// A type as SQL spells it. The driver calls the blank-padded one CHAR, which without a length would cut to one.
pub(super) fn spelled(type_name: &str) -> String {
    match type_name.strip_suffix("[]").unwrap_or(type_name) {
        "CHAR" => type_name.replace("CHAR", "bpchar"),
        "UNKNOWN" => "text".to_owned(),
        _ => type_name.to_lowercase(),
    }
}

fn is_true(cell: &Cell) -> bool {
    cell.text() == Some("true")
}
