//! Messages of ImportIdentities: a record that is wrong is named and skipped, a stream that is wrong ends.

use tonic::Status;
use xavyo_core::{Error, error::Result, identity::MAX_SOURCE_KEY};
use xavyo_runtime::server;
use xavyo_wire::{
    fields::Fields, limits, pb::provisioning as pb, status::error_of, value::attributes_of_list,
};

use crate::identities::import::{Counts, Incomer, Incoming, Outgoing, Record, RefusedRecord, Start};

/// The most of a refused key that is echoed.
const ECHOED: usize = 64;

pub(super) fn incoming(message: Result<pb::ImportIdentitiesRequest, Status>) -> Result<Incoming> {
    use pb::import_identities_request::Item;
    // A stream that breaks is the client's affair: what it has sent is committed.
    let message =
        message.map_err(|status| server::unreadable(&status).unwrap_or_else(|| error_of(&status)))?;
    match message.item {
        Some(Item::Start(start)) => {
            let mut fields = Fields::default();
            let reason = fields.optional_text("start.reason", start.reason, limits::REASON);
            fields.finish(Incoming::Start(Start { snapshot: start.snapshot, reason }))
        }
        Some(Item::Chunk(chunk)) if chunk.identities.len() > limits::BATCH => {
            Err(Error::invalid("chunk.identities", format!("at most {} records", limits::BATCH)))
        }
        Some(Item::Chunk(chunk)) => Ok(Incoming::Chunk(chunk.identities.into_iter().map(record).collect())),
        Some(Item::End(end)) => Ok(Incoming::End { count: end.count }),
        None => Err(Error::invalid("item", "start, chunk or end")),
    }
}

fn record(record: pb::ImportedIdentity) -> Incomer {
    let mut fields = Fields::default();
    let echoed: String = record.source_key.chars().take(ECHOED).collect();
    let parsed = Record {
        source_key: fields.text("source_key", record.source_key, MAX_SOURCE_KEY),
        active: record.active.unwrap_or(true),
        attributes: attributes_of_list(&mut fields, "attributes", record.attributes),
    };
    match fields.finish(parsed) {
        Ok(record) => Incomer::Usable(record),
        Err(error) => {
            let first = error.violations.into_iter().next();
            let (field, expected) = first.map(|first| (first.field, first.expected)).unwrap_or_default();
            Incomer::Refused { source_key: echoed, field, expected }
        }
    }
}

pub(super) fn outgoing(outgoing: Outgoing) -> pb::ImportIdentitiesResponse {
    use pb::import_identities_response::Item;
    let item = match outgoing {
        Outgoing::Acknowledgement(it) => Item::Acknowledgement(pb::ImportAcknowledgement {
            counts: Some(counts(&it.counts)),
            last_source_key: it.last_source_key,
            errors: it.errors.into_iter().map(refused).collect(),
        }),
        Outgoing::Summary(it) => Item::Summary(pb::ImportSummary {
            import_id: it.import_id.to_string(),
            counts: Some(counts(&it.counts)),
            received: it.received,
        }),
    };
    pb::ImportIdentitiesResponse { item: Some(item) }
}

fn counts(counts: &Counts) -> pb::ImportCounts {
    pb::ImportCounts {
        created: counts.created,
        updated: counts.updated,
        unchanged: counts.unchanged,
        inactivated: counts.inactivated,
        failed: counts.failed,
        operations_enqueued: counts.operations_enqueued,
    }
}

fn refused(record: RefusedRecord) -> pb::ImportError {
    pb::ImportError {
        index: record.index,
        source_key: record.source_key,
        reason: record.reason.name().to_owned(),
        field: record.field,
        message: record.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_wrong_is_named_and_the_others_go_on() {
        use pb::import_identities_request::Item;
        let good = pb::ImportedIdentity { source_key: "e1".to_owned(), ..Default::default() };
        let bad = pb::ImportedIdentity::default();
        let chunk = pb::ImportChunk { identities: vec![bad, good] };
        let message = pb::ImportIdentitiesRequest { item: Some(Item::Chunk(chunk)) };

        let Incoming::Chunk(records) = incoming(Ok(message)).unwrap() else { panic!("a chunk") };
        assert!(matches!(&records[0], Incomer::Refused { field, .. } if field == "source_key"));
        assert!(matches!(&records[1], Incomer::Usable(record) if record.active));
    }
}
