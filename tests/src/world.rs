//! One running system a process, one tenant a test.

use std::time::Duration;

use tokio::sync::OnceCell;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;
use xavyo_runtime::Clock;
use xavyo_sandbox::{
    keys::Claims,
    postgres::Postgres,
    stack::{Ground, Stack},
};

use crate::Clients;

static STACK: OnceCell<Stack> = OnceCell::const_new();

/// A tenant of its own in a system that other tests use, too.
#[derive(Debug)]
pub struct World {
    pub tenant: Uuid,
    stack: &'static Stack,
    /// As an admin of the tenant.
    pub admin: Clients,
}

impl World {
    /// Starts the system where this process has none yet.
    ///
    /// # Panics
    /// If it cannot be started.
    pub async fn new() -> Self {
        let stack = STACK.get_or_init(start).await;
        let tenant = Clock::system().new_id();
        Self { tenant, stack, admin: clients(stack, &token(stack, tenant, &["admin"])) }
    }

    /// In a system of its own, for what must not happen to others: it lives as long as this process.
    ///
    /// # Panics
    /// If it cannot be started.
    pub async fn alone() -> Self {
        let stack: &'static Stack = Box::leak(Box::new(start().await));
        let tenant = Clock::system().new_id();
        Self { tenant, stack, admin: clients(stack, &token(stack, tenant, &["admin"])) }
    }

    /// As an admin, through that replica of reconciliation.
    pub fn through(&self, reconciliation_url: &str) -> Clients {
        let token = token(self.stack, self.tenant, &["admin"]);
        Clients::new(&connect(self.stack.provisioning.url()), &connect(reconciliation_url.to_owned()), &token)
    }

    /// Another customer of the same system.
    pub async fn another_tenant(&self) -> Self {
        Self::new().await
    }

    /// As a caller of this tenant with these roles.
    pub fn as_role(&self, role: &str) -> Clients {
        self.with_token(&token(self.stack, self.tenant, &[role]))
    }

    pub fn with_token(&self, token: &str) -> Clients {
        clients(self.stack, token)
    }

    /// A token with any claims, signed with the key that the services trust.
    ///
    /// # Panics
    /// If the claims cannot be signed.
    pub fn token(&self, claims: &Claims) -> String {
        self.ground().keys.token(claims).expect("claims are plain data")
    }

    pub fn ground(&self) -> &'static Ground {
        self.stack.ground()
    }

    pub fn provisioning_url(&self) -> String {
        self.stack.provisioning.url()
    }

    pub fn reconciliation_url(&self) -> String {
        self.stack.reconciliation.url()
    }

    /// What both services have logged so far.
    ///
    /// # Panics
    /// If a log cannot be read.
    pub fn logs(&self) -> String {
        [self.stack.provisioning.log(), self.stack.reconciliation.log()]
            .map(|log| std::fs::read_to_string(log).expect("a service has a log"))
            .join("\n")
    }
}

async fn start() -> Stack {
    let postgres = Postgres::shared().await.expect("Postgres starts");
    Stack::start(postgres).await.expect("both services start")
}

fn token(stack: &Stack, tenant: Uuid, roles: &[&str]) -> String {
    stack.ground().keys.token(&Claims::of(tenant, roles)).expect("claims are plain data")
}

/// Connections of their own: a test's runtime ends with it.
fn clients(stack: &Stack, token: &str) -> Clients {
    Clients::new(&connect(stack.provisioning.url()), &connect(stack.reconciliation.url()), token)
}

fn connect(url: String) -> Channel {
    let endpoint = Endpoint::from_shared(url).expect("an address is a URL");
    endpoint.timeout(Duration::from_secs(30)).connect_lazy()
}
