//! Values that cannot be read back, and values that nobody may read, from their acceptance to their end.

use tonic::Code;
use uuid::Uuid;
use xavyo_tests::{World, refused, set, update_of};
use xavyo_wire::pb::provisioning::{self as pp, InitialPassword, OperationStatus};

use super::{CANARY, assert_untold, betrayed_by};

/// A connector whose accounts have a password that cannot be read back, and a title that nobody may read; with these
/// faults. Its id, and the file in which its target keeps its own ledger.
async fn with_passwords(
    world: &World,
    policy: InitialPassword,
    faults: &[(&str, &str, i32)],
) -> (String, std::path::PathBuf) {
    let faults = faults.iter().map(|(call, kind, times)| pp::MemoryFault {
        call: (*call).to_owned(),
        kind: (*kind).to_owned(),
        times: *times,
    });
    let faults: Vec<_> = faults.collect();
    let mut store = String::new();
    let connector = world
        .connector(|request| {
            store.clone_from(&request.name);
            let settings = request.settings.as_mut().and_then(|settings| settings.kind.as_mut());
            if let Some(pp::connector_settings::Kind::Memory(memory)) = settings {
                memory.faults = faults;
            }
            let kind = &mut request.object_types[0];
            kind.mapping[1].sensitive = true;
            kind.mapping.push(pp::AttributeRule {
                name: "password".to_owned(),
                expression: "unmanaged()".to_owned(),
                write_only: true,
                ..pp::AttributeRule::default()
            });
            request.policies.get_or_insert_default().initial_password = policy.into();
        })
        .await;
    let journal = world.ground().directory().join("memory").join(format!("{store}.jsonl"));
    (connector, journal)
}

fn create(connector: &str, payload: &[(&str, &str)]) -> pp::CreateOperationRequest {
    pp::CreateOperationRequest {
        operation_type: pp::OperationType::Create.into(),
        payload: Some(set(payload)),
        ..update_of(connector, "ann", "")
    }
}

fn update(connector: &str, password: &str) -> pp::CreateOperationRequest {
    pp::CreateOperationRequest {
        payload: Some(set(&[("password", password)])),
        ..update_of(connector, "ann", "")
    }
}

/// The passwords that the target took, in its order.
fn told(journal: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(journal).unwrap();
    let entries = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let taken = entries.filter(|entry| entry["outcome"] == "applied");
    taken.filter_map(|entry| Some(entry["attributes"]["password"].as_str()?.to_owned())).collect()
}

fn password_in(operation: &pp::ProvisioningOperation) -> String {
    format!("{:?}", operation.payload.as_ref().unwrap().fields["password"])
}

#[tokio::test]
async fn a_password_reaches_its_target_and_nobody_else_s3() {
    let world = World::new().await;
    let (connector, journal) = with_passwords(&world, InitialPassword::FromOperation, &[]).await;
    let id = world.admin.accept(create(&connector, &[("mail", "ann@x"), ("password", CANARY)])).await;
    let ended = world.admin.ended(&id).await;
    assert_eq!(told(&journal), [CANARY]);
    assert!(password_in(&ended).contains("***"), "{ended:?}");
    let run = world.full_run(&connector, false).await;
    let found = world.admin.discrepancies_of(&run.id).await;
    assert_eq!(betrayed_by(&format!("{ended:?}\n{found:?}")), None, "in an answer");
    assert_untold(&world).await;
}

#[tokio::test]
async fn a_password_that_waits_is_sealed_and_one_that_ended_is_erased_s3() {
    let world = World::new().await;
    let (connector, journal) = with_passwords(&world, InitialPassword::None, &[]).await;
    world.stray(&connector, "ann", "ann@x", "clerk").await;
    let mut connectors = world.admin.connectors.clone();
    let pause = pp::PauseConnectorRequest { connector_id: connector.clone(), ..Default::default() };
    connectors.pause_connector(pause).await.unwrap();
    let id = world.admin.accept(update(&connector, CANARY)).await;
    let waiting = world.admin.operation(&id).await.unwrap();
    assert!(password_in(&waiting).contains("***"), "{waiting:?}");
    assert_untold(&world).await;
    connectors.resume_connector(pp::ResumeConnectorRequest { connector_id: connector }).await.unwrap();
    let ended = world.admin.ended(&id).await;
    assert_eq!(told(&journal), [CANARY]);
    assert!(password_in(&ended).contains("***"));
    let mut judge = world.ground().provisioning.superuser().await.unwrap();
    let kept: serde_json::Value = sqlx::query_scalar("select payload from operation_history where id = $1")
        .bind(id.parse::<Uuid>().unwrap())
        .fetch_one(&mut judge)
        .await
        .unwrap();
    assert_eq!(kept, serde_json::json!({ "password": "***" }), "the history holds nothing to open");
}

#[tokio::test]
async fn a_password_that_the_target_refuses_is_quoted_nowhere_and_may_be_retried_s3() {
    let world = World::new().await;
    let (connector, journal) =
        with_passwords(&world, InitialPassword::FromOperation, &[("create", "refused", 1)]).await;
    let id = world.admin.accept(create(&connector, &[("password", CANARY)])).await;
    let dead = world.admin.reaches(&id, OperationStatus::DeadLetter).await;
    assert_eq!(betrayed_by(&format!("{dead:?}")), None);
    assert_untold(&world).await;
    let retry = pp::RetryOperationRequest { operation_id: id.clone(), ..Default::default() };
    world.admin.operations.clone().retry_operation(retry).await.unwrap();
    world.admin.ended(&id).await;
    assert_eq!(told(&journal).last().map(String::as_str), Some(CANARY), "it waited sealed");
}

#[tokio::test]
async fn a_repeated_call_is_told_by_its_password_though_nobody_can_read_it() {
    let world = World::new().await;
    let (connector, journal) = with_passwords(&world, InitialPassword::None, &[]).await;
    world.stray(&connector, "ann", "ann@x", "clerk").await;
    let request_id = Some(Uuid::from_u128(7).to_string());
    let asked = |password: &str| pp::CreateOperationRequest {
        request_id: request_id.clone(),
        ..update(&connector, password)
    };
    let id = world.admin.accept(asked(CANARY)).await;
    assert_eq!(world.admin.accept(asked(CANARY)).await, id);
    let refusal = refused(world.admin.operations.clone().create_operation(asked("another")).await);
    assert_eq!(refusal.named(), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
    world.admin.ended(&id).await;
    assert_eq!(told(&journal), [CANARY]);
    assert_untold(&world).await;
}

#[tokio::test]
async fn a_new_account_takes_a_password_from_its_operation_only_by_policy() {
    let world = World::new().await;
    for policy in [InitialPassword::None, InitialPassword::Generate] {
        let (connector, _) = with_passwords(&world, policy, &[]).await;
        let request = create(&connector, &[("password", CANARY)]);
        let answer = world.admin.operations.clone().create_operation(request).await;
        assert_eq!(betrayed_by(&format!("{answer:?}")), None);
        assert_eq!(refused(answer).fields, ["payload.password"]);
    }
    let (connector, _) = with_passwords(&world, InitialPassword::FromOperation, &[]).await;
    let request = create(&connector, &[("PASSWORD", CANARY)]);
    let refusal = refused(world.admin.operations.clone().create_operation(request).await);
    assert_eq!(refusal.fields, ["payload.PASSWORD"], "another spelling is no way around the seal");
}

#[tokio::test]
async fn a_generated_password_is_set_once_and_never_when_an_account_is_adopted() {
    let world = World::new().await;
    let (connector, journal) = with_passwords(&world, InitialPassword::Generate, &[]).await;
    let ann = world.person("ann", "ann@x", "clerk").await;
    world.account_of(&connector, &ann).await;
    let first = told(&journal);
    assert!(first.len() == 1 && first[0].len() >= 24, "{first:?}");
    world.stray(&connector, "bob", "bob@x", "clerk").await;
    let before = told(&journal);
    let bob = world.person("bob", "bob@x", "clerk").await;
    world.account_of(&connector, &bob).await;
    assert_eq!(told(&journal), before, "an adopted account keeps its password");
    assert_ne!(before[0], before[1], "no two are alike");
}

#[tokio::test]
async fn a_sensitive_value_is_written_and_shown_to_nobody_s3() {
    let world = World::new().await;
    let (connector, journal) = with_passwords(&world, InitialPassword::None, &[]).await;
    world.stray(&connector, "ann", "ann@x", "clerk").await;
    let request = pp::CreateOperationRequest {
        payload: Some(set(&[("title", CANARY), ("mail", "b@x")])),
        ..update_of(&connector, "ann", "")
    };
    let mut operations = world.admin.operations.clone();
    let accepted = operations.create_operation(request).await.unwrap().into_inner();
    let id = accepted.operation.as_ref().unwrap().id.clone();
    let ended = world.admin.ended(&id).await;
    let read = world.admin.operation(&id).await.unwrap();
    let list = pp::ListOperationsRequest { connector_id: Some(connector), ..Default::default() };
    let listed = operations.list_operations(list).await.unwrap().into_inner();
    let answers = format!("{accepted:?}\n{ended:?}\n{read:?}\n{listed:?}");
    assert_eq!(betrayed_by(&answers), None);
    assert!(answers.contains("b@x") && answers.contains("***"));
    assert!(std::fs::read_to_string(journal).unwrap().contains(CANARY), "the target was told");
    assert_eq!(betrayed_by(&world.logs()), None, "in a log");
}

#[tokio::test]
async fn text_that_looks_sealed_is_not_taken() {
    let world = World::new().await;
    let connector = world.connector(|_| {}).await;
    let request = update_of(&connector, "ann", "\u{fdd0}c2VhbGVk");
    let refusal = refused(world.admin.operations.clone().create_operation(request).await);
    assert_eq!(refusal.fields, ["payload.mail"]);
}
