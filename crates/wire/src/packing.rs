//! Packing the records of a stream into pages: as many as fit, never above the limits of the contract.

use prost::Message;

/// The most items of a page; fewer than the contract allows, so that a reader works while the next page is made.
const MAX_ITEMS: usize = 500;
/// The contract's 1 MiB, less the page's own frame.
const MAX_BYTES: usize = 1_048_576 - 1_024;
/// Tag and length of one item, at most.
const FRAME: usize = 8;

/// A page in the making.
#[derive(Debug)]
pub struct Packing<T> {
    items: Vec<T>,
    bytes: usize,
}

impl<T: Message> Packing<T> {
    /// Adds an item; the page before it comes back where the item no longer fits there. An item above the limit by itself
    /// gets a page of its own.
    pub fn push(&mut self, item: T) -> Option<Vec<T>> {
        let bytes = item.encoded_len() + FRAME;
        let full = self.items.len() >= MAX_ITEMS || self.bytes + bytes > MAX_BYTES;
        let page = if full { self.take() } else { None };
        self.items.push(item);
        self.bytes += bytes;
        page
    }

    /// What was not handed out yet, unless there is nothing.
    pub fn take(&mut self) -> Option<Vec<T>> {
        self.bytes = 0;
        Some(std::mem::take(&mut self.items)).filter(|items| !items.is_empty())
    }
}

impl<T> Default for Packing<T> {
    fn default() -> Self {
        Self { items: Vec::new(), bytes: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::provisioning::{TargetAccount, TargetAccountPage};

    fn account(uid_bytes: usize) -> TargetAccount {
        TargetAccount { external_uid: "x".repeat(uid_bytes), ..Default::default() }
    }

    fn pages(sizes: impl Iterator<Item = usize>) -> Vec<Vec<TargetAccount>> {
        let mut packing = Packing::default();
        let mut pages: Vec<_> = sizes.filter_map(|size| packing.push(account(size))).collect();
        pages.extend(packing.take());
        pages
    }

    #[test]
    fn nothing_is_lost_and_no_page_is_above_the_limits() {
        for (count, size) in [(0, 1), (1, 1), (1_500, 10), (300, 50_000)] {
            let pages = pages(std::iter::repeat_n(size, count));
            assert_eq!(pages.iter().map(Vec::len).sum::<usize>(), count);
            for accounts in pages {
                assert!(!accounts.is_empty() && accounts.len() <= MAX_ITEMS);
                assert!(TargetAccountPage { accounts, gone_accounts: Vec::new() }.encoded_len() <= 1_048_576);
            }
        }
    }

    #[test]
    fn a_giant_travels_alone() {
        let pages = pages([10, 2_000_000, 10].into_iter());
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
