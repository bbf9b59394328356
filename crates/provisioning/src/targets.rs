//! Targets that are ready to be called: opened connectors, kept while their configuration lasts.
//!
//! The only place where a stored connector, its secrets and the code of its kind come together. A changed connector
//! has another version, so the next caller opens it anew; whoever holds the old one finishes with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use xavyo_connectors::{
    Connector as Target, Options,
    wrappers::{Paced, Pacer, ReadOnly},
};
use xavyo_core::{
    Error, Reason,
    account::Account,
    connector::{Connector, FailureKind, Mode, Settings, TargetFailure},
    error::Result,
    ids::{ConnectorId, TenantId},
    mapping::Program,
};
use xavyo_runtime::db::Database;

use crate::{
    accounts::uid::uid_key,
    pacing::Pacing,
    programs::{Programs, Rules},
    secrets::{LazySealer, Vault},
    store::connector::work::Pair,
};

/// The most targets that are kept open.
const MAX_OPEN: usize = 1_000;

/// A connector as it was stored, its compiled rules, and the way to its target.
#[derive(Debug)]
pub struct OpenTarget {
    pub connector: Connector,
    /// The key of the login that the connector itself uses, where it may be among the accounts.
    own_login: Option<String>,
    /// Each call waits for a place and a moment of its own.
    pub target: Arc<dyn Target>,
    /// For whoever takes a place and moments of the pacer by itself.
    pub unpaced: Arc<dyn Target>,
    pub pacer: Arc<Pacer>,
    pub rules: Rules,
    /// Opens what its operations hold sealed.
    pub sealer: LazySealer,
}

impl OpenTarget {
    pub fn program(&self, object_class: &str, intent: &str) -> Option<&Arc<Program>> {
        self.rules.program(object_class, intent)
    }

    /// Whether the account is never written: by the rules, or because it is the connector's own login. The error is
    /// the failure of the expression: nobody knows then, so nobody writes.
    pub fn is_protected(&self, program: &Program, account: &Account) -> Result<bool, String> {
        let key = || uid_key(&self.connector.settings, &account.external_uid);
        match &self.own_login {
            Some(own) if *own == key() => Ok(true),
            _ => program.is_protected(account),
        }
    }

    /// Whether any mapping refers to the identity's accounts on other connectors.
    pub fn uses_links(&self) -> bool {
        self.rules.programs.iter().any(|program| program.uses_links())
    }
}

type Open = HashMap<(TenantId, ConnectorId), Arc<OpenTarget>>;

/// All targets in use. Cheap to clone; clones share what is open.
#[derive(Clone, Debug)]
pub struct Targets {
    database: Database,
    vault: Vault,
    programs: Programs,
    options: Options,
    pacing: Pacing,
    open: Arc<Mutex<Open>>,
}

impl Targets {
    /// `options` is what the process allows; the call time-out comes from each connector.
    pub fn new(database: Database, vault: Vault, programs: Programs, options: Options) -> Self {
        Self { database, vault, programs, options, pacing: Pacing::alone(), open: Arc::default() }
    }

    /// Calls are paced together with those of other processes.
    #[must_use]
    pub fn paced_by(self, pacing: Pacing) -> Self {
        Self { pacing, ..self }
    }

    pub fn pacing(&self) -> &Pacing {
        &self.pacing
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The target of a connector that the caller has just read. No call is made yet. Fails where a secret is missing
    /// or does not open.
    pub async fn open(&self, tenant: TenantId, connector: &Connector) -> Result<Arc<OpenTarget>> {
        let key = (tenant, connector.id);
        if let Some(open) = self.lock().get(&key).filter(|open| open.connector.version == connector.version) {
            return Ok(Arc::clone(open));
        }
        let rules = self.programs.of(tenant, connector).await?;
        let mut tx = self.database.begin(tenant).await?;
        let secrets = self.vault.open(&mut tx, tenant, connector.id).await?;
        drop(tx);
        let options = self.options_of(connector);
        let target = xavyo_connectors::open(&connector.settings, &secrets, &options)?;
        let pair = Pair { tenant, connector: connector.id };
        let pacer = self.pacing.pacer(pair, &connector.policies);
        let unpaced = within_mode(target, connector.mode);
        let target = Arc::new(Paced::new(Arc::clone(&unpaced), Arc::clone(&pacer)));
        let sealer = LazySealer::new(self.database.clone(), self.vault.clone(), tenant, connector.id);
        let own_login = own_login(&connector.settings);
        let connector = connector.clone();
        let opened = Arc::new(OpenTarget { connector, own_login, target, unpaced, pacer, rules, sealer });
        let mut open = self.lock();
        if open.len() >= MAX_OPEN {
            open.clear();
        }
        open.insert(key, Arc::clone(&opened));
        Ok(opened)
    }

    /// The target as it was last opened here; its connector may have changed since.
    pub fn kept(&self, pair: Pair) -> Option<Arc<OpenTarget>> {
        self.lock().get(&(pair.tenant, pair.connector)).map(Arc::clone)
    }

    fn options_of(&self, connector: &Connector) -> Options {
        let seconds = u64::try_from(connector.policies.call_timeout.0).unwrap_or(1);
        Options { call_timeout: Duration::from_secs(seconds), ..self.options.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// CONNECTOR_PAUSED where nothing may be sent, reads included.
pub fn check_not_paused(connector: &Connector) -> Result<()> {
    if !connector.paused {
        return Ok(());
    }
    let error = Error::new(Reason::ConnectorPaused, "the connector is paused");
    Err(match &connector.pause_reason {
        Some(reason) => error.with("pause_reason", reason.clone()),
        None => error,
    })
}

/// In mode observe never a write, whoever asks.
fn within_mode(target: Arc<dyn Target>, mode: Mode) -> Arc<dyn Target> {
    match mode {
        Mode::Observe => Arc::new(ReadOnly::new(target)),
        Mode::Manual | Mode::Enforce => target,
    }
}

/// Where logins and accounts have one kind of name, xavyo's own login is recognised.
pub fn is_own_login(settings: &Settings, external_uid: &str) -> bool {
    own_login(settings).is_some_and(|own| own == uid_key(settings, external_uid))
}

fn own_login(settings: &Settings) -> Option<String> {
    match settings {
        Settings::Ldap(ldap) => Some(uid_key(settings, &ldap.bind_dn)),
        Settings::Scim(_) | Settings::Sql(_) | Settings::Remote(_) | Settings::Memory(_) => None,
    }
}

/// What a target's failure means to somebody who only wanted to look. The target's code is a fact.
pub fn failed(failure: TargetFailure) -> Error {
    let reason = match failure.kind {
        FailureKind::Busy | FailureKind::Down | FailureKind::Unknown => Reason::TargetUnavailable,
        FailureKind::Refused
        | FailureKind::BadCredentials
        | FailureKind::AlreadyExists
        | FailureKind::NotFound
        | FailureKind::PreconditionFailed => Reason::TargetRefused,
    };
    Error::new(reason, failure.message.clone()).with("code", failure.code.clone()).caused_by(failure)
}

/// A call that somebody waits for took too long.
pub fn timed_out(after: Duration) -> TargetFailure {
    TargetFailure::new(FailureKind::Busy, "TIMED_OUT", format!("no answer within {} s", after.as_secs()))
}
