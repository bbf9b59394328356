//! One page of a list, and how much there is in all.
//!
//! The store is asked for one row more than a page holds: it says whether another page follows. Totals are counted only
//! where they are asked for, and only up to a cap, so that a list of millions costs what a list of a few costs.

use sqlx::PgConnection;
use uuid::Uuid;
use xavyo_core::{error::Result, ids::TenantId};
use xavyo_wire::page::Page;

use crate::store::list::{self, COUNT_CAP, Filter};

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

impl Listed<Uuid> {
    /// The ids of the page that a request asks for.
    pub async fn ids<F: Filter>(
        tx: &mut PgConnection,
        tenant: TenantId,
        filter: &F,
        page: &Page<Uuid>,
    ) -> Result<Self> {
        let mut items = list::ids(tx, tenant, filter, page.after, page.size + 1).await?;
        let size = usize::try_from(page.size).unwrap_or(usize::MAX);
        let has_more = items.len() > size;
        items.truncate(size);
        let counts = page.count_total;
        let total = if counts { Some(Total::of(list::count(tx, tenant, filter).await?)) } else { None };
        Ok(Self { items, has_more, total })
    }

    /// The rows of the ids, in their place.
    pub fn with<T>(self, items: Vec<T>) -> Listed<T> {
        Listed { items, has_more: self.has_more, total: self.total }
    }
}

impl Total {
    /// Of a count that stopped at one more than the cap.
    fn of(counted: i64) -> Self {
        Self { size: counted.min(COUNT_CAP), is_capped: counted > COUNT_CAP }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_exact_up_to_its_cap() {
        assert_eq!(Total::of(COUNT_CAP), Total { size: COUNT_CAP, is_capped: false });
        assert_eq!(Total::of(COUNT_CAP + 1), Total { size: COUNT_CAP, is_capped: true });
    }
}
