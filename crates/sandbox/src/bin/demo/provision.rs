//! Identities in, accounts out.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use indicatif::HumanCount;
use xavyo_wire::pb::{
    common::{Attribute, Value, value},
    provisioning::{
        GetQueueStatisticsRequest, ImportChunk, ImportEnd, ImportIdentitiesRequest, ImportStart,
        ImportSummary, ImportedIdentity, ListDeadLetterGroupsRequest, QueueStatistics,
        import_identities_request::Item, import_identities_response,
    },
};

use crate::{api::Api, people::Person, story};

const CHUNK: usize = 500;
const GLANCE: Duration = Duration::from_millis(200);
/// A queue in which nothing ends for so long is stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// Streams people in, and waits until the last of them is durable.
pub async fn import(api: &Api, people: &[Person]) -> Result<()> {
    let began = Instant::now();
    let mut items = vec![Item::Start(ImportStart { snapshot: false, reason: Some("demo".to_owned()) })];
    items.extend(
        people
            .chunks(CHUNK)
            .map(|chunk| Item::Chunk(ImportChunk { identities: chunk.iter().map(imported).collect() })),
    );
    items.push(Item::End(ImportEnd { count: i64::try_from(people.len())? }));
    let requests =
        tokio_stream::iter(items.into_iter().map(|item| ImportIdentitiesRequest { item: Some(item) }));

    let mut answers = api.identities.clone().import_identities(requests).await?.into_inner();
    let mut summary: Option<ImportSummary> = None;
    while let Some(answer) = answers.message().await? {
        match answer.item.context("an answer says something")? {
            import_identities_response::Item::Acknowledgement(acknowledgement) => {
                if let Some(error) = acknowledgement.errors.first() {
                    bail!("{} was refused: {} {}", error.source_key, error.field, error.message);
                }
            }
            import_identities_response::Item::Summary(last) => summary = Some(last),
        }
    }
    let counts = summary.and_then(|summary| summary.counts).context("the import ended without a summary")?;
    ensure!(
        usize::try_from(counts.created) == Ok(people.len()),
        "{} of {} imported",
        counts.created,
        people.len()
    );
    let line = format!(
        "{} people imported, {} operations follow from it",
        HumanCount(counts.created.unsigned_abs()),
        HumanCount(counts.operations_enqueued.unsigned_abs())
    );
    story::done(&line, began.elapsed());
    Ok(())
}

/// Waits until no operation of the connector is left to do.
pub async fn drain(api: &Api, connector_id: &str) -> Result<()> {
    let began = Instant::now();
    let total = live(&statistics(api, connector_id).await?);
    let bar = story::bar("creating accounts", total);
    let (mut last, mut moved_at) = (total, Instant::now());
    let completed = loop {
        let queue = statistics(api, connector_id).await?;
        if queue.dead_letter > 0 {
            bail!(
                "{} operations failed for good: {}",
                queue.dead_letter,
                dead_letter(api, connector_id).await?
            );
        }
        let left = live(&queue);
        bar.set_position(total.saturating_sub(left));
        if left == 0 {
            break queue.completed;
        }
        if left != last {
            (last, moved_at) = (left, Instant::now());
        }
        ensure!(moved_at.elapsed() < PATIENCE, "the queue is stuck: {queue:?}");
        tokio::time::sleep(GLANCE).await;
    };
    bar.finish_and_clear();
    let line = format!("{} accounts created by operations", HumanCount(completed.unsigned_abs()));
    story::done(&line, began.elapsed());
    Ok(())
}

async fn statistics(api: &Api, connector_id: &str) -> Result<QueueStatistics> {
    let request = GetQueueStatisticsRequest { connector_id: Some(connector_id.to_owned()) };
    let answer = api.operations.clone().get_queue_statistics(request).await?.into_inner();
    answer.statistics.context("the answer has the statistics")
}

/// Why the first dead letter is one.
async fn dead_letter(api: &Api, connector_id: &str) -> Result<String> {
    let request =
        ListDeadLetterGroupsRequest { connector_id: Some(connector_id.to_owned()), ..Default::default() };
    let groups = api.operations.clone().list_dead_letter_groups(request).await?.into_inner().groups;
    Ok(groups.first().map(|group| group.example_message.clone()).unwrap_or_default())
}

fn live(queue: &QueueStatistics) -> u64 {
    (queue.pending + queue.in_progress + queue.failed + queue.awaiting_system).unsigned_abs()
}

fn imported(person: &Person) -> ImportedIdentity {
    let attributes = [
        ("username", person.username.clone()),
        ("given_name", person.given_name.to_owned()),
        ("family_name", person.family_name.to_owned()),
        ("mail", person.mail()),
        ("title", person.title.to_owned()),
        ("department", person.department.to_owned()),
        ("phone", person.phone()),
        ("city", person.city.to_owned()),
        ("office", person.office()),
        ("employee_number", person.employee_number()),
        ("employment", person.employment.to_owned()),
    ];
    let attribute = |(name, text): (&str, String)| Attribute {
        name: name.to_owned(),
        values: vec![Value { kind: Some(value::Kind::StringValue(text)) }],
    };
    ImportedIdentity {
        source_key: person.source_key(),
        active: None,
        attributes: attributes.into_iter().map(attribute).collect(),
    }
}
