//! One page of a list, and how much there is in all.
//!
//! A store is asked for one row more than a page holds: that row says whether another page follows. Totals are counted
//! only when asked for, and only up to [`MOST_COUNTED`], so that a list of millions costs what a list of a few costs.

use xavyo_core::error::Result;

/// Totals are exact up to here.
pub const MOST_COUNTED: i64 = 10_000;

/// A page of a list, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    pub items: Vec<T>,
    pub has_more: bool,
    /// Where it was asked for.
    pub total: Option<Total>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    pub size: i64,
    /// There are more than `size`.
    pub is_capped: bool,
}

/// The total of a list, if it is asked for. `count` is the store's, up to one more than [`MOST_COUNTED`].
pub async fn total(asked: bool, count: impl Future<Output = Result<i64>>) -> Result<Option<Total>> {
    if asked { Ok(Some(Total::of(count.await?))) } else { Ok(None) }
}

/// What a store is asked for, so that [`Listed::of`] can tell whether more follows.
pub fn rows(page_size: i64) -> i64 {
    page_size.saturating_add(1)
}

impl<T> Listed<T> {
    /// `items` are up to [`rows`] of the page's size.
    pub fn of(mut items: Vec<T>, page_size: i64, total: Option<Total>) -> Self {
        let size = usize::try_from(page_size).unwrap_or(usize::MAX);
        let has_more = items.len() > size;
        items.truncate(size);
        Self { items, has_more, total }
    }

    /// Where the next page begins; None where there is none.
    pub fn last(&self) -> Option<&T> {
        self.items.last().filter(|_| self.has_more)
    }
}

impl Total {
    /// Of a count that stopped at one more than [`MOST_COUNTED`].
    pub fn of(counted: i64) -> Self {
        Self { size: counted.min(MOST_COUNTED), is_capped: counted > MOST_COUNTED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_beyond_a_page_says_that_another_follows() {
        assert_eq!(
            Listed::of(vec![3, 2, 1], 2, None),
            Listed { items: vec![3, 2], has_more: true, total: None }
        );
        assert!(!Listed::of(vec![3, 2], 2, None).has_more);
    }

    #[test]
    fn a_total_is_exact_up_to_its_cap() {
        assert_eq!(Total::of(MOST_COUNTED), Total { size: MOST_COUNTED, is_capped: false });
        assert_eq!(Total::of(MOST_COUNTED + 1), Total { size: MOST_COUNTED, is_capped: true });
    }
}
