//! Delta runs, against real targets that can say what changed: what they find, what they leave alone, and what makes them
//! full runs.

mod basis;
mod directory;
mod equivalence;
mod steering;
mod table;

use std::collections::HashMap;

use ldap3::Mod;
use sqlx::Connection;
use xavyo_sandbox::{
    proxy::{Proxy, Server},
    slapd::{self, HOST, Options, Overlay, PEOPLE, Slapd},
};
use xavyo_tests::{World, set};
use xavyo_wire::pb::{
    google::{FieldMask, Timestamp},
    provisioning as pp, reconciliation as pr,
};

use crate::provisioning::target::directory;
use pr::{ReconciliationMode as Mode, ReconciliationRunStatus as Status, ResolutionStatus};

const OBJECT_CLASS: &str = "inetOrgPerson";

/// A directory that tells its changes, and people with accounts there that are in step.
struct Staff {
    world: World,
    slapd: Slapd,
    /// Between the connector and the directory.
    network: Proxy,
    connector: String,
    /// Identities by login.
    people: HashMap<String, String>,
}

fn dn(login: &str) -> String {
    format!("uid={login},{PEOPLE}")
}

/// What a run found: type, whose or which account, attribute.
async fn findings(world: &World, run: &pr::ReconciliationRun) -> Vec<String> {
    let found = world.admin.discrepancies_of(&run.id).await;
    let text = |one: &pr::Discrepancy| {
        let what = format!("{:?} {} {}", one.discrepancy_type(), one.external_uid(), one.attribute_name());
        what.replace(&format!(",{PEOPLE}"), "").trim_end().to_owned()
    };
    let mut found: Vec<String> = found.iter().map(text).collect();
    found.sort_unstable();
    found
}

/// It was a delta to its end, and looked at so many accounts.
fn was_delta(run: &pr::ReconciliationRun, accounts: i64) {
    assert_eq!((run.status(), run.mode(), run.mode_note()), (Status::Completed, Mode::Delta, ""), "{run:?}");
    assert_eq!(run.accounts_processed, accounts, "{run:?}");
}

/// It was asked for as a delta, became a full run, and says why.
fn became_full(run: &pr::ReconciliationRun, why: &str) {
    assert_eq!((run.mode(), run.requested_mode()), (Mode::Full, Mode::Delta), "{run:?}");
    assert!(run.mode_note().contains(why), "{:?} for want of {why}", run.mode_note());
}

/// How the findings of a run are settled by now: by the account's name.
async fn settled(world: &World, run: &pr::ReconciliationRun) -> Vec<(String, String)> {
    let found = world.admin.discrepancies_of(&run.id).await;
    let how = |one: &pr::Discrepancy| {
        let uid = one.external_uid().replace(&format!(",{PEOPLE}"), "");
        let note = match one.resolution_status() {
            ResolutionStatus::Pending => "open",
            _ => one.resolution_notes(),
        };
        (uid, note.to_owned())
    };
    let mut how: Vec<(String, String)> = found.iter().map(how).collect();
    how.sort_unstable();
    how
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

async fn evidence(world: &World, run: &pr::ReconciliationRun) -> (pr::Evidence, pr::ReconciliationReport) {
    let request = pr::GetReportRequest { run_id: run.id.clone() };
    let report = world.admin.runs.clone().get_report(request).await.unwrap().into_inner().report.unwrap();
    (report.evidence.clone().unwrap(), report)
}

/// In reconciliation's own database, as its program.
async fn in_database(world: &World, statement: &str) {
    let url = world.ground().reconciliation.program_url();
    let mut program = sqlx::PgConnection::connect(&url).await.unwrap();
    let mut tx = program.begin().await.unwrap();
    let tenant = format!("set local xavyo.tenant = '{}'; {statement}", world.tenant);
    sqlx::raw_sql(sqlx::AssertSqlSafe(tenant)).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

impl Staff {
    async fn of(logins: &[&str]) -> Self {
        Self::in_world(World::new().await, logins, |_| {}).await
    }

    /// The connector is changed as the test likes.
    async fn in_world(
        world: World,
        logins: &[&str],
        change: impl FnOnce(&mut pp::CreateConnectorRequest),
    ) -> Self {
        let options = Options { overlays: vec![Overlay::Changes], ..Options::default() };
        let slapd = Slapd::start(&options).await.unwrap();
        let server = Server::Tcp((HOST, slapd.tls_port()).into());
        let network = Proxy::start(server).await.unwrap();
        let connector = world
            .connector(|request| {
                *request = directory(&slapd, slapd.password());
                for name in ["cn", "sn"] {
                    request.object_types[0].mapping.push(pp::AttributeRule {
                        name: name.to_owned(),
                        expression: "identity.login".to_owned(),
                        ..pp::AttributeRule::default()
                    });
                }
                if let Some(pp::connector_settings::Kind::Ldap(ldap)) =
                    request.settings.as_mut().and_then(|settings| settings.kind.as_mut())
                {
                    ldap.port = network.port().into();
                }
                change(request);
            })
            .await;
        let mut staff = Self { world, slapd, network, connector, people: HashMap::new() };
        for login in logins {
            let person = staff.person(login).await;
            let operation = staff.operation(pp::OperationType::Create, &person).await;
            staff.world.admin.ended(&operation).await;
        }
        staff
    }

    /// A person without an account.
    async fn person(&mut self, login: &str) -> String {
        let id = self.world.person(login, &format!("{login}@x"), "clerk").await;
        self.people.insert(login.to_owned(), id.clone());
        id
    }

    async fn operation(&self, operation_type: pp::OperationType, person: &str) -> String {
        let request = pp::CreateOperationRequest {
            connector_id: self.connector.clone(),
            operation_type: operation_type.into(),
            object_class: OBJECT_CLASS.to_owned(),
            user_id: Some(person.to_owned()),
            ..pp::CreateOperationRequest::default()
        };
        self.world.admin.accept(request).await
    }

    /// An update of the person's account that waits for its hour.
    async fn operation_later(&self, login: &str) -> String {
        let request = pp::CreateOperationRequest {
            connector_id: self.connector.clone(),
            operation_type: pp::OperationType::Update.into(),
            object_class: OBJECT_CLASS.to_owned(),
            user_id: Some(self.people[login].clone()),
            payload: Some(set(&[("mail", "later@x")])),
            // Long after any test.
            not_before: Some(Timestamp { seconds: 7_000_000_000, nanos: 0 }),
            ..pp::CreateOperationRequest::default()
        };
        self.world.admin.accept(request).await
    }

    /// Somebody changes a title behind our back.
    async fn retitle(&self, login: &str, title: &str) {
        let changes = vec![Mod::Replace("title".to_owned(), [title.to_owned()].into())];
        let mut administrator = self.slapd.administrator().await.unwrap();
        administrator.modify(&dn(login), changes).await.unwrap().success().unwrap();
    }

    async fn delete(&self, login: &str) {
        let mut administrator = self.slapd.administrator().await.unwrap();
        administrator.delete(&dn(login)).await.unwrap().success().unwrap();
    }

    /// Somebody makes an account behind our back.
    async fn join(&self, login: &str, mail: &str) {
        let values =
            [("objectClass", OBJECT_CLASS), ("uid", login), ("cn", login), ("sn", login), ("mail", mail)];
        let mut administrator = self.slapd.administrator().await.unwrap();
        administrator.add(&dn(login), slapd::values_by_name(&values)).await.unwrap().success().unwrap();
    }

    async fn full(&self) -> pr::ReconciliationRun {
        let run = self.world.full_run(&self.connector, false).await;
        assert_eq!(run.status(), Status::Completed, "{run:?}");
        run
    }

    async fn delta(&self) -> pr::ReconciliationRun {
        self.world.delta_run(&self.connector, false).await
    }

    async fn retitle_person(&self, login: &str, title: &str) {
        let update = pp::UpdateIdentityRequest {
            identity: Some(pp::Identity {
                id: self.people[login].clone(),
                attributes: Some(set(&[("title", title)])),
                ..pp::Identity::default()
            }),
            update_mask: Some(FieldMask { paths: vec!["attributes.title".to_owned()] }),
            ..pp::UpdateIdentityRequest::default()
        };
        self.world.admin.identities.clone().update_identity(update).await.unwrap();
    }
}
