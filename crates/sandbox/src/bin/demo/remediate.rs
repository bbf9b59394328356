//! Everything that was found is put right: previewed, then done in bulk.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use indicatif::HumanCount;
use xavyo_wire::pb::{
    common::{DiscrepancyType, RemediationAction},
    provisioning::{GetIdentityRequest, get_identity_request},
    reconciliation::{
        BulkRemediateDiscrepanciesRequest, Discrepancy, ListDiscrepanciesRequest, PreviewRemediationRequest,
        RemediationItem, ResolutionStatus,
    },
};

use crate::{api::Api, drift::TYPES, story};

/// The most that one call takes.
const BULK: usize = 100;
const PAGE: i32 = 1_000;
/// How much of a preview is shown.
const LINE: usize = 110;
const GLANCE: Duration = Duration::from_millis(100);
/// How long the rest may take to end after the last call.
const PATIENCE: Duration = Duration::from_mins(1);

/// Remediates until nothing is open. Answers how many.
pub async fn everything(api: &Api, connector_id: &str) -> Result<i64> {
    let open = open(api, connector_id).await?;
    preview_each_type(api, &open).await?;
    let began = Instant::now();
    let bar = story::bar("remediating", u64::try_from(open.len())?);
    for chunk in open.chunks(BULK) {
        remediate(api, chunk).await?;
        bar.inc(u64::try_from(chunk.len())?);
    }
    wait_until_none_is_open(api, connector_id).await?;
    bar.finish_and_clear();
    let count = i64::try_from(open.len())?;
    let line = format!("{} remediated, {BULK} a call", HumanCount(count.unsigned_abs()));
    story::done(&line, began.elapsed());
    Ok(count)
}

/// What is to be done about each type, so that nothing is left open.
fn choice(discrepancy_type: DiscrepancyType) -> Result<RemediationAction> {
    Ok(match discrepancy_type {
        DiscrepancyType::Missing | DiscrepancyType::Deleted => RemediationAction::Create,
        DiscrepancyType::Mismatch => RemediationAction::Update,
        DiscrepancyType::Unlinked => RemediationAction::Link,
        // Nobody's accounts, and second accounts of people who have one.
        DiscrepancyType::Orphan | DiscrepancyType::Collision => RemediationAction::Delete,
        DiscrepancyType::Unspecified => bail!("a discrepancy has a type"),
    })
}

fn item(discrepancy: &Discrepancy) -> Result<RemediationItem> {
    let candidate = discrepancy.candidates.first();
    Ok(RemediationItem {
        discrepancy_id: discrepancy.id.clone(),
        action: choice(discrepancy.discrepancy_type())?.into(),
        direction: 0,
        identity_id: None,
        // A collision is a group of accounts: say which.
        external_uid: match discrepancy.discrepancy_type() {
            DiscrepancyType::Collision => candidate.map(|candidate| candidate.external_uid.clone()),
            _ => None,
        },
    })
}

/// Shows what would be done about the first of each type.
async fn preview_each_type(api: &Api, open: &[Discrepancy]) -> Result<()> {
    story::chapter("What would be done, one of each");
    for (discrepancy_type, name) in TYPES {
        if let Some(first) = open.iter().find(|found| found.discrepancy_type() == discrepancy_type) {
            let line = format!("{name:<10} {}", preview(api, first).await?);
            story::tell(&console::truncate_str(&line, LINE, "…"));
        }
    }
    story::tell("");
    Ok(())
}

/// `update elif.lovelace: title "Chief everything officer" → "Designer"`.
async fn preview(api: &Api, discrepancy: &Discrepancy) -> Result<String> {
    let item = item(discrepancy)?;
    let account = discrepancy.external_uid.clone().or(item.external_uid.clone());
    let request = PreviewRemediationRequest {
        discrepancy_id: item.discrepancy_id,
        action: item.action,
        direction: item.direction,
        identity_id: item.identity_id,
        external_uid: item.external_uid,
    };
    let answer = api.discrepancies.clone().preview_remediation(request).await?.into_inner();
    let preview = answer.preview.context("the answer has the preview")?;
    if let Some(refusal) = preview.refused_message {
        bail!("a remediation would be refused: {refusal}");
    }
    let subject = match (account, &discrepancy.identity_id) {
        (Some(account), _) => account,
        (None, Some(identity_id)) => username(api, identity_id).await?,
        (None, None) => String::new(),
    };
    let action = preview.action().as_str_name().trim_start_matches("REMEDIATION_ACTION_").to_lowercase();
    Ok(format!("{action} {subject}: {}", in_words(&serde_json::to_value(preview.changes)?)))
}

async fn username(api: &Api, identity_id: &str) -> Result<String> {
    let request =
        GetIdentityRequest { key: Some(get_identity_request::Key::IdentityId(identity_id.to_owned())) };
    let identity =
        api.identities.clone().get_identity(request).await?.into_inner().identity.unwrap_or_default();
    Ok(serde_json::to_value(identity.attributes)?["username"].as_str().unwrap_or(identity_id).to_owned())
}

/// `title "Chief everything officer" → "Designer"`, the first of several.
fn in_words(changes: &serde_json::Value) -> String {
    // What is no value, a link, is said by the action already.
    let mut changes =
        changes.as_object().into_iter().flatten().filter(|(_, change)| !change["to"].is_object());
    let Some((name, change)) = changes.next() else { return "nothing to write".to_owned() };
    let first = match &change["from"] {
        serde_json::Value::Null => format!("{name} {}", change["to"]),
        before => format!("{name} {before} → {}", change["to"]),
    };
    match changes.count() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

async fn remediate(api: &Api, chunk: &[Discrepancy]) -> Result<()> {
    let request = BulkRemediateDiscrepanciesRequest {
        items: chunk.iter().map(item).collect::<Result<_>>()?,
        reason: Some("demo".to_owned()),
        dry_run: false,
        request_id: None,
    };
    let answer = api.discrepancies.clone().bulk_remediate_discrepancies(request).await?.into_inner();
    if let Some(failed) = answer.results.iter().find(|result| !result.success && !result.under_way) {
        let error = failed.error.clone().unwrap_or_default();
        bail!("{} of {} failed; the first: {:?} {error}", answer.failed, chunk.len(), failed.action());
    }
    ensure!(answer.skipped == 0, "{} were skipped", answer.skipped);
    Ok(())
}

async fn wait_until_none_is_open(api: &Api, connector_id: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = open(api, connector_id).await?;
        match left.first() {
            None => return Ok(()),
            Some(first) if Instant::now() > deadline => bail!("{} are still open: {first:?}", left.len()),
            Some(_) => tokio::time::sleep(GLANCE).await,
        }
    }
}

/// All that is pending, over all pages.
async fn open(api: &Api, connector_id: &str) -> Result<Vec<Discrepancy>> {
    let mut open = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListDiscrepanciesRequest {
            page_size: PAGE,
            page_token,
            connector_id: Some(connector_id.to_owned()),
            resolution_status: Some(ResolutionStatus::Pending.into()),
            ..ListDiscrepanciesRequest::default()
        };
        let page = api.discrepancies.clone().list_discrepancies(request).await?.into_inner();
        open.extend(page.discrepancies);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(open);
        }
    }
}
