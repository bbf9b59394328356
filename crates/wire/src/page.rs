//! Pages and their tokens (AIP-158).
//!
//! A token is the cursor of the last item with a MAC over it, the tenant, the method and all filters: one that was made for
//! anything else, or altered, is refused as INVALID_PAGE_TOKEN. Cursors are JSON of the caller's own type; they are signed,
//! not hidden. Resume tokens of watch streams are made the same way.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use prost::{Message, Name};
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;
use xavyo_core::{Error, Reason, error::Result, ids::TenantId};

use crate::{limits, pb};

const MAC_BYTES: usize = 32;
/// A longer token was not made here.
const MAX_TOKEN: usize = 4_096;

/// Makes and checks tokens. All replicas of a service hold the same key.
#[derive(Clone)]
pub struct Tokens {
    key: [u8; 32],
}

/// A request that is answered page by page, or from a resume token on.
pub trait Paged: Message + Name + Clone {
    /// Takes out what is not a filter: page size, token and whether the total is wanted.
    fn take_paging(&mut self) -> Paging;
}

/// The paging fields of a request.
#[derive(Debug)]
pub struct Paging {
    pub page_size: i32,
    pub token: String,
    pub count_total: bool,
}

/// Where a page begins and how large it is.
#[derive(Clone, Debug)]
pub struct Page<C> {
    /// The most items: 1 to 1,000. Ask the store for one more, to know whether a next page exists.
    pub size: i64,
    /// The cursor of the last item before; none = from the beginning.
    pub after: Option<C>,
    /// The caller asks how many there are.
    pub count_total: bool,
    scope: Vec<u8>,
}

impl Tokens {
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The page that a request asks for. INVALID_FIELD for a negative size, INVALID_PAGE_TOKEN for a foreign token.
    pub fn open<C: DeserializeOwned, R: Paged>(&self, tenant: TenantId, request: &R) -> Result<Page<C>> {
        let mut filters = request.clone();
        let paging = filters.take_paging();
        let size = match usize::try_from(paging.page_size) {
            Err(_) => return Err(Error::invalid("page_size", "0 (the default) to 1,000")),
            Ok(0) => limits::DEFAULT_PAGE,
            Ok(size) => size.min(limits::PAGE),
        };
        let scope = scope(tenant, &filters);
        let after = match paging.token.as_str() {
            "" => None,
            token => Some(self.read(&scope, token).ok_or_else(refused)?),
        };
        let size = i64::try_from(size).expect("at most 1,000");
        Ok(Page { size, after, count_total: paging.count_total, scope })
    }

    /// The token that continues a page behind a cursor; empty where there is nothing more.
    pub fn next<C: Serialize>(&self, page: &Page<C>, last: Option<&C>) -> String {
        last.map_or_else(String::new, |cursor| self.write(&page.scope, cursor))
    }

    fn write(&self, scope: &[u8], cursor: &impl Serialize) -> String {
        let cursor = serde_json::to_vec(cursor).expect("cursors are plain data");
        let mut token = self.mac(scope, &cursor).finalize().into_bytes().to_vec();
        token.extend(cursor);
        BASE64_URL_SAFE_NO_PAD.encode(token)
    }

    fn read<C: DeserializeOwned>(&self, scope: &[u8], token: &str) -> Option<C> {
        let token = BASE64_URL_SAFE_NO_PAD.decode(Some(token).filter(|it| it.len() <= MAX_TOKEN)?).ok()?;
        let (mac, cursor) = token.split_at_checked(MAC_BYTES)?;
        self.mac(scope, cursor).verify_slice(mac).ok()?;
        serde_json::from_slice(cursor).ok()
    }

    fn mac(&self, scope: &[u8], cursor: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        let length = u64::try_from(scope.len()).expect("a length fits 64 bits");
        mac.update(&length.to_be_bytes());
        mac.update(scope);
        mac.update(cursor);
        mac
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(***)")
    }
}

/// What a token is bound to. Prost writes fields in the order of their numbers and maps sorted, so equal filters are equal
/// bytes.
fn scope<R: Paged>(tenant: TenantId, filters: &R) -> Vec<u8> {
    let mut scope = tenant.0.as_bytes().to_vec();
    scope.extend(R::full_name().as_bytes());
    scope.push(0);
    scope.extend(filters.encode_to_vec());
    scope
}

fn refused() -> Error {
    Error::new(Reason::InvalidPageToken, "the token is not one of this method, tenant and filter")
}

macro_rules! lists {
    ($($request:path),+ $(,)?) => {$(
        impl Paged for $request {
            fn take_paging(&mut self) -> Paging {
                Paging {
                    page_size: std::mem::take(&mut self.page_size),
                    token: std::mem::take(&mut self.page_token),
                    count_total: std::mem::take(&mut self.count_total),
                }
            }
        }
    )+};
}

macro_rules! watches {
    ($($request:path),+ $(,)?) => {$(
        impl Paged for $request {
            fn take_paging(&mut self) -> Paging {
                Paging { page_size: 0, token: std::mem::take(&mut self.resume_token), count_total: false }
            }
        }
    )+};
}

lists!(
    pb::provisioning::ListConnectorsRequest,
    pb::provisioning::ListIdentitiesRequest,
    pb::provisioning::ListLinksRequest,
    pb::provisioning::ListAccountEventsRequest,
    pb::provisioning::ListOperationsRequest,
    pb::provisioning::ListDeadLetterGroupsRequest,
    pb::provisioning::ListHeldOperationsRequest,
    pb::provisioning::ListOperationLogsRequest,
    pb::provisioning::ListExecutionAttemptsRequest,
    pb::provisioning::ListConflictsRequest,
    pb::provisioning::ListAuditEventsRequest,
    pb::reconciliation::ListRunsRequest,
    pb::reconciliation::ListDiscrepanciesRequest,
    pb::reconciliation::ListIgnoresRequest,
    pb::reconciliation::ListSchedulesRequest,
    pb::reconciliation::ListActionsRequest,
);

watches!(pb::provisioning::WatchOperationsRequest, pb::reconciliation::WatchRunRequest);

#[cfg(test)]
mod tests {
    use pb::provisioning::{ListConflictsRequest, ListLinksRequest};
    use uuid::Uuid;

    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));

    fn tokens() -> Tokens {
        Tokens::new([7; 32])
    }

    fn request(token: &str) -> ListLinksRequest {
        ListLinksRequest {
            page_token: token.to_owned(),
            connector_id: Some("c".into()),
            ..Default::default()
        }
    }

    fn token() -> String {
        let page = tokens().open::<u64, _>(TENANT, &request("")).unwrap();
        tokens().next(&page, Some(&42))
    }

    #[track_caller]
    fn assert_refused(page: Result<Page<u64>>) {
        assert_eq!(page.unwrap_err().reason, Reason::InvalidPageToken);
    }

    #[test]
    fn a_token_continues_its_own_list_at_any_size() {
        let next = ListLinksRequest { page_size: 7, count_total: true, ..request(&token()) };
        let page = tokens().open::<u64, _>(TENANT, &next).unwrap();
        assert_eq!((page.after, page.size, page.count_total), (Some(42), 7, true));
    }

    #[test]
    fn a_token_of_another_tenant_filter_method_or_key_is_refused() {
        let other_filter = ListLinksRequest { connector_id: Some("d".into()), ..request(&token()) };
        let other_method = ListConflictsRequest {
            page_token: token(),
            connector_id: Some("c".into()),
            ..Default::default()
        };
        assert_refused(tokens().open(TenantId(Uuid::from_u128(2)), &request(&token())));
        assert_refused(tokens().open(TENANT, &other_filter));
        assert_refused(tokens().open(TENANT, &other_method));
        assert_refused(Tokens::new([8; 32]).open(TENANT, &request(&token())));
    }

    #[test]
    fn an_altered_token_is_refused() {
        let token = token();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            assert_refused(tokens().open(TENANT, &request(&altered)));
        }
        for token in ["x", "====", &token[1..], &"A".repeat(10_000)] {
            assert_refused(tokens().open(TENANT, &request(token)));
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let size = |page_size| {
            let request = ListLinksRequest { page_size, ..request("") };
            tokens().open::<u64, _>(TENANT, &request).map(|page| page.size)
        };
        assert_eq!([0, 1, 1_000, 1_001, i32::MAX].map(|it| size(it).unwrap()), [50, 1, 1_000, 1_000, 1_000]);
        assert_eq!(size(-1).unwrap_err().reason, Reason::InvalidField);
    }
}
