//! What nouns are made of: values and attributes, changes, plain JSON, instants.

pub mod change;
pub mod json;
pub mod time;
pub mod value;
