//! Connectors around connectors: `Paced(ReadOnly(Ldap))`.
//!
//! Each adds one rule to any connector and changes nothing else. [`ReadOnly`] is for connectors in mode observe;
//! [`Paced`] keeps one process within a concurrency and a rate (shares over processes are given out elsewhere);
//! [`TimedOut`] gives calls up that take longer than a connector's policy allows.

mod paced;
mod read_only;
mod timed_out;

pub use paced::{Pace, Paced};
pub use read_only::ReadOnly;
pub use timed_out::TimedOut;
