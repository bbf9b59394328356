//! What every kind of target must do, as one list of cases, judged by what the target itself shows afterwards.
//!
//! The same cases run against servers that the sandbox starts ([`kinds`]) and against a target that an operator names
//! ([`operator`]). A case knows no kind: it speaks of a target through the words that the target brings ([`Words`]),
//! and is *not offered* where the target has no such thing. Never here: a mock, or a write to an account that this
//! suite did not make ([`guard`]).
//!
//! Begin with [`cases`], the list, and [`run`], which walks it. A new kind is one file in [`kinds`].

pub mod case;
pub mod cases;
pub mod guard;
pub mod kinds;
pub mod operator;
pub mod report;
pub mod suite;
pub mod target;

pub use case::{Case, NotOffered};
pub use kinds::Kind;
pub use report::Report;
pub use suite::run;
pub use target::{Place, Target, Words};
