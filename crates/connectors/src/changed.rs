//! What a change makes of the values that are there.

use xavyo_core::{change::Change, value::Value};

/// The values afterwards: those to add that are there, and those to remove that are gone, are left as they are.
pub(crate) fn after(held: &[Value], change: &Change) -> Vec<Value> {
    match change {
        Change::Set(values) => values.clone(),
        Change::Clear => Vec::new(),
        Change::Modify { add, remove } => {
            let mut values: Vec<Value> =
                held.iter().filter(|value| !remove.contains(value)).cloned().collect();
            for value in add {
                if !values.contains(value) {
                    values.push(value.clone());
                }
            }
            values
        }
    }
}
