//! Failures on demand: which fault of the settings' list a call meets.

use std::fmt::Write;

use xavyo_core::connector::MemoryFault;

use super::ledger::{Call, Outcome};

/// What a fault in the settings must look like.
pub(crate) const FAULTS: &str = "call: read, get, create, update, delete or any; kind: refused, bad_credentials, \
     busy, down, unknown_before or unknown_after, or, for read alone, truncate or hidden";

pub(crate) fn is_fault(call: &str, kind: &str) -> bool {
    let of_reads = matches!(kind, "truncate" | "hidden");
    let known = Outcome::named(kind).is_some_and(Outcome::is_fault);
    known
        && (call == "read"
            || (!of_reads && (call == "any" || Call::named(call).is_some_and(Call::is_faulty))))
}

/// The faults of a connector's settings. How often each was met is counted by the store, under the list's own name:
/// the same list set again goes on where it stopped, another list starts anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    list: Vec<(String, Outcome, i32)>,
    name: String,
}

impl Faults {
    pub fn new(faults: &[MemoryFault]) -> Self {
        let mut name = String::new();
        let list = faults.iter().filter_map(|fault| {
            write!(name, "{}:{}:{};", fault.call, fault.kind, fault.times)
                .expect("writing to a string never fails");
            Some((fault.call.clone(), Outcome::named(&fault.kind)?, fault.times))
        });
        let list = list.collect();
        Self { list, name }
    }

    /// The first fault that still has a turn and concerns the call: its name, for the count, and what happens.
    pub fn next(&self, call: Call, met: impl Fn(&str) -> i32) -> Option<(String, Outcome)> {
        self.list.iter().enumerate().find_map(|(position, (of, outcome, times))| {
            let concerned = of == "any" || of == call.name();
            let name = concerned.then(|| format!("{}#{position}", self.name))?;
            (met(&name) < *times).then_some((name, *outcome))
        })
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn faults_come_in_order_each_so_often_then_calls_succeed() {
        let fault =
            |call: &str, kind: &str, times| MemoryFault { call: call.into(), kind: kind.into(), times };
        let faults = Faults::new(&[fault("create", "busy", 2), fault("any", "down", 1)]);
        let mut met = BTreeMap::<String, i32>::new();
        let mut call = |call| {
            let (name, outcome) = faults.next(call, |name| met.get(name).copied().unwrap_or(0))?;
            *met.entry(name).or_default() += 1;
            Some(outcome)
        };
        assert_eq!(call(Call::Create), Some(Outcome::Busy));
        assert_eq!(call(Call::Update), Some(Outcome::Down));
        assert_eq!(call(Call::Create), Some(Outcome::Busy));
        assert_eq!(call(Call::Create), None);
    }

    #[test]
    fn only_reads_can_be_truncated() {
        assert!(
            is_fault("read", "truncate") && is_fault("any", "busy") && is_fault("delete", "unknown_after")
        );
        assert!(!is_fault("any", "truncate") && !is_fault("get", "hidden") && !is_fault("open", "busy"));
        assert!(!is_fault("create", "applied") && !is_fault("create", "not_found"));
    }
}
