//! Connectors around connectors: `Paced(ReadOnly(Ldap))`.
//!
//! Each adds one rule to any connector and changes nothing else. [`ReadOnly`] is for connectors in mode observe;
//! [`Paced`] lets calls begin when its [`Pacer`] says, which keeps to a concurrency and a rate, alone or with other processes;
//! [`TimedOut`] gives calls up that take longer than a connector's policy allows.

mod paced;
mod pacer;
mod read_only;
mod timed_out;

pub use paced::Paced;
pub use pacer::{Grant, Moments, Need, Pace, Pacer, Place, Rate, Source, UNLIMITED};
pub use read_only::ReadOnly;
pub use timed_out::TimedOut;
