//! The caller of an RPC, as handlers see it.

use http::HeaderMap;
use tokio::time::Instant;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    error::Result,
    ids::{SubjectId, TenantId},
    role::Role,
};

use super::token::{Claims, refused};

/// Metadata in which the `service` role, and nobody else, names the tenant of a call.
pub const TENANT_HEADER: &str = "x-xavyo-tenant";
/// Metadata in which the `service` role, and nobody else, names the subject that it acts for.
pub const SUBJECT_HEADER: &str = "x-xavyo-subject";

/// Who calls. The tenant of everything that the call reads and writes comes from here alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub tenant: TenantId,
    /// For the `service` role: the subject that it acts for.
    pub subject: SubjectId,
    pub roles: Vec<Role>,
    /// 32 hexadecimal digits (W3C Trace Context): the caller's trace, or a new one.
    pub trace_id: String,
}

/// When the answer must be out: the caller's deadline or the server's limit, whichever comes first, with a little time
/// left for the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub Instant);

/// The namespace of the subjects of one issuer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Issuer(Uuid);

impl Caller {
    /// The gate puts it there; a call without one never gets this far, except in a test that forgot the gate.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self> {
        request.extensions().get::<Self>().cloned().ok_or_else(|| refused("the call was not authenticated"))
    }

    /// Exactly this role: an admin has `admin` alone.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    pub fn is_service(&self) -> bool {
        self.has(Role::Service)
    }

    pub(super) fn from_claims(
        claims: &Claims,
        headers: &HeaderMap,
        issuer: &Issuer,
        trace_id: String,
    ) -> Result<Self> {
        let roles: Vec<_> = claims.roles.iter().filter_map(|name| Role::named(name)).collect();
        let (tenant, subject) = if roles.contains(&Role::Service) {
            if roles.len() > 1 || claims.tenant.is_some() {
                return Err(refused("a token of the service role carries no tenant and no other role"));
            }
            (TenantId(named(headers, TENANT_HEADER)?), SubjectId(named(headers, SUBJECT_HEADER)?))
        } else {
            if headers.contains_key(TENANT_HEADER) || headers.contains_key(SUBJECT_HEADER) {
                return Err(Error::new(Reason::RoleForbids, "only a service names a tenant and a subject"));
            }
            let tenant = claims.tenant.as_deref().and_then(hyphenated);
            (
                TenantId(tenant.ok_or_else(|| refused("the token names no tenant"))?),
                issuer.subject(&claims.sub)?,
            )
        };
        Ok(Self { tenant, subject, roles, trace_id })
    }
}

impl Deadline {
    /// The gate sets one on every unary call. Streams have none of their own: for them, far away.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get::<Self>().copied().unwrap_or_else(Self::far)
    }

    fn far() -> Self {
        Self(Instant::now() + std::time::Duration::from_hours(24))
    }
}

impl Issuer {
    pub(super) fn named(issuer: &str) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_URL, issuer.as_bytes()))
    }

    /// A subject that is a UUID is itself; any other text becomes one that only this issuer's subject has.
    fn subject(self, subject: &str) -> Result<SubjectId> {
        if subject.is_empty() {
            return Err(refused("the token names no subject"));
        }
        Ok(SubjectId(hyphenated(subject).unwrap_or_else(|| Uuid::new_v5(&self.0, subject.as_bytes()))))
    }
}

/// The one UUID under a metadata key of a service's call.
fn named(headers: &HeaderMap, key: &'static str) -> Result<Uuid> {
    let mut values = headers.get_all(key).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused("a service names one tenant and one subject: x-xavyo-tenant, x-xavyo-subject"));
    };
    let id = value.to_str().ok().and_then(hyphenated);
    id.ok_or_else(|| refused("x-xavyo-tenant and x-xavyo-subject are UUIDs"))
}

/// Only the form with hyphens, so that no two texts name one tenant.
fn hyphenated(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}
