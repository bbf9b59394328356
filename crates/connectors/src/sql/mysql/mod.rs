//! MySQL and MariaDB: their SQL, their types, their connections.
//!
//! Values travel as numbers, bytes or text, each as its column's kind wants it: left to itself the server takes `12abc`
//! for 12 where a number is compared, and cuts or rounds what does not fit. What is no value of its column is therefore
//! refused here, or names no row; sessions are strict, so that the rest is refused there. Text is compared by the
//! column's own collation: parameters have none of their own.
//!
//! A row has a version only by a version column. There is no `returning` that both servers know: a written row is read
//! back in the same transaction. Tables without transactions are refused: nothing could be rolled back there.

mod catalogue;
mod dialect;
mod driver;
mod failure;
mod value;

pub(super) use dialect::DIALECT;
pub(super) use driver::Mysql;
