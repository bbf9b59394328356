//! The judge is judged: a sound history, and the same with one thing wrong, each time.

mod cast;
mod scene;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use uuid::Uuid;

use super::*;
use crate::ledger::{Account, Tag};
use cast::{Cast, sound};

#[test]
fn a_sound_history_breaks_no_rule() {
    let (evidence, _) = sound();

    let report = check(&evidence);

    assert!(report.is_clean(), "{}", report.excerpt(3));
    assert_eq!((report.operations, report.writes), (12, 9));
}

#[test]
fn evidence_survives_being_written_to_a_file() {
    let (evidence, _) = sound();
    let text = serde_json::to_string(&evidence).unwrap();
    assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
}

/// One thing that is wrong, the rule that it breaks, and the harm that it does.
struct Wrong {
    name: &'static str,
    breaks: &'static str,
    harm: Harm,
    spoil: fn(&mut Evidence, &Cast),
}

#[test]
fn each_single_wrong_is_found_by_its_rule() {
    for wrong in WRONGS {
        let (mut evidence, cast) = sound();
        (wrong.spoil)(&mut evidence, &cast);

        let report = check(&evidence);

        let found: BTreeSet<(&str, Harm)> = report
            .violations
            .iter()
            .map(|violation| (violation.invariant.as_str(), violation.harm))
            .collect();
        assert!(found.contains(&(wrong.breaks, wrong.harm)), "{}: found {found:?}", wrong.name);
    }
}

#[test]
fn a_violation_tells_the_whole_story_of_its_operation() {
    let (mut evidence, cast) = sound();
    evidence.ledgers[0].writes.retain(|write| write.tag.is_none_or(|tag| tag.operation != cast.ann[1]));

    let report = check(&evidence);
    let story = report.violations.iter().find(|one| one.operation == Some(cast.ann[1])).unwrap().to_string();

    for part in ["Q5", "call ", "move ", "attempt ", "MEMORY_BUSY", "ann"] {
        assert!(story.contains(part), "{part} is missing in\n{story}");
    }
}

const WRONGS: [Wrong; 27] = [
    Wrong {
        name: "an accepted operation has no row",
        breaks: "Q1",
        harm: Harm::Lost,
        spoil: |evidence, cast| evidence.snapshot.operations.retain(|one| one.id != cast.cid[1]),
    },
    Wrong {
        name: "an operation is both live and past",
        breaks: "Q1",
        harm: Harm::Duplicated,
        spoil: |evidence, cast| {
            let row = operation(evidence, cast.ann[0]).clone();
            evidence.snapshot.operations.push(Operation { status: "pending".to_owned(), ..row });
        },
    },
    Wrong {
        name: "a refused call made an operation",
        breaks: "Q1",
        harm: Harm::Unexpected,
        spoil: |evidence, cast| {
            let refused = evidence
                .history
                .iter()
                .find(|call| matches!(call.outcome, Outcome::Failed(_)))
                .map(|call| call.id);
            operation(evidence, cast.cid[1]).request_id = refused;
        },
    },
    Wrong {
        name: "half of a batch was accepted",
        breaks: "Q1",
        harm: Harm::Unexpected,
        spoil: |evidence, cast| {
            let call = evidence
                .history
                .iter_mut()
                .find(|call| call.outcome == Outcome::Ok(cast.eve.to_vec()))
                .unwrap();
            call.outcome = Outcome::Unknown("cut".to_owned());
            evidence.snapshot.operations.retain(|one| one.id != cast.eve[1]);
        },
    },
    Wrong {
        name: "an operation that nobody asked for",
        breaks: "Q1",
        harm: Harm::Unexpected,
        spoil: |evidence, cast| operation(evidence, cast.ann[0]).request_id = Some(Uuid::from_u128(0xdead)),
    },
    Wrong {
        name: "a move that the table does not have",
        breaks: "Q2",
        harm: Harm::Record,
        spoil: |evidence, cast| {
            let moved = moves(evidence, cast.ann[1]).find(|one| one.event == "due").unwrap();
            moved.event = "target_back".to_owned();
        },
    },
    Wrong {
        name: "an operation with two ends",
        breaks: "Q2",
        harm: Harm::Duplicated,
        spoil: |evidence, cast| {
            let last = moves(evidence, cast.ann[1]).last().unwrap().clone();
            let again = Move { event: "cancelled".to_owned(), from: Some("completed".to_owned()), ..last };
            evidence.snapshot.moves.push(Move { to: "cancelled".to_owned(), ..again });
        },
    },
    Wrong {
        name: "a dead letter is retried by nobody",
        breaks: "Q2",
        harm: Harm::Record,
        spoil: |evidence, cast| {
            let last = moves(evidence, cast.cid[0]).last().unwrap().clone();
            evidence.snapshot.moves.push(Move {
                event: "retried".to_owned(),
                from: Some("dead_letter".to_owned()),
                to: "pending".to_owned(),
                actor: None,
                ..last
            });
            operation(evidence, cast.cid[0]).status = "pending".to_owned();
        },
    },
    Wrong {
        name: "a gap in the attempts",
        breaks: "Q3",
        harm: Harm::Record,
        spoil: |evidence, cast| {
            evidence.snapshot.attempts.retain(|one| one.operation != cast.ann[1] || one.number != 1);
        },
    },
    Wrong {
        name: "overlapping attempts of one operation",
        breaks: "Q3",
        harm: Harm::Order,
        spoil: |evidence, cast| {
            attempt(evidence, cast.ann[1], 1).completed_at += TimeDelta::hours(1);
        },
    },
    Wrong {
        name: "a fence that comes back",
        breaks: "Q3",
        harm: Harm::Order,
        spoil: |evidence, cast| attempt(evidence, cast.ann[1], 2).fence = 2,
    },
    Wrong {
        name: "a write under a fence that another has taken",
        breaks: "Q4",
        harm: Harm::Unexpected,
        spoil: |evidence, cast| {
            let last = evidence.ledgers[0].writes.last().unwrap().position;
            let mut late = write(evidence, cast.ann[1]).clone();
            late.position = last + 1;
            late.tag = Some(Tag { operation: cast.ann[1], attempt: 1, fence: 2 });
            evidence.ledgers[0].writes.push(late);
        },
    },
    Wrong {
        name: "a write after its attempt was given up for lost",
        breaks: "Q4",
        harm: Harm::Unexpected,
        spoil: |evidence, cast| {
            let ended = attempt(evidence, cast.ann[0], 1).completed_at;
            write(evidence, cast.ann[0]).at = Some(ended + TimeDelta::seconds(1));
        },
    },
    Wrong {
        name: "a completed operation that was never written",
        breaks: "Q5",
        harm: Harm::Lost,
        spoil: |evidence, cast| {
            evidence.ledgers[0].writes.retain(|one| one.tag.is_none_or(|tag| tag.operation != cast.ann[2]));
        },
    },
    Wrong {
        name: "a create that made two objects",
        breaks: "Q5",
        harm: Harm::Duplicated,
        spoil: |evidence, cast| {
            let again = write(evidence, cast.ann[0]).clone();
            evidence.ledgers[0].writes.insert(1, again);
        },
    },
    Wrong {
        name: "a value that stands twice",
        breaks: "Q5",
        harm: Harm::Duplicated,
        spoil: |evidence, cast| {
            let groups = vec!["g1".to_owned(), "g1".to_owned()];
            let written = write(evidence, cast.ann[2]).attributes.as_mut().unwrap();
            written.insert("groups".to_owned(), groups);
        },
    },
    Wrong {
        name: "a write that nobody made",
        breaks: "Q6",
        harm: Harm::Unexpected,
        spoil: |evidence, cast| write(evidence, cast.ann[1]).tag = None,
    },
    Wrong {
        name: "a write by an operation of another tenant",
        breaks: "Q6",
        harm: Harm::Unexpected,
        spoil: |evidence, cast| {
            let foreign = Tag { operation: cast.dan[0], attempt: 1, fence: 1 };
            write(evidence, cast.ann[0]).tag = Some(foreign);
        },
    },
    Wrong {
        name: "a write at an account where nobody was, without tags",
        breaks: "Q6",
        harm: Harm::Unexpected,
        spoil: |evidence, _| {
            let at = evidence.ledgers[1].writes[0].at.unwrap();
            evidence.ledgers[1].writes[0].at = Some(at - TimeDelta::hours(1));
        },
    },
    Wrong {
        name: "two operations of an account in the wrong order",
        breaks: "Q7",
        harm: Harm::Order,
        spoil: |evidence, cast| {
            let writes = &mut evidence.ledgers[0].writes;
            let position = |id| writes.iter().position(|one| one.tag.is_some_and(|tag| tag.operation == id));
            let [one, other] = [cast.ann[1], cast.ann[2]].map(|id| position(id).unwrap());
            writes.swap(one, other);
        },
    },
    Wrong {
        name: "two operations of an account in flight at once",
        breaks: "Q7",
        harm: Harm::Order,
        spoil: |evidence, cast| attempt(evidence, cast.ann[0], 1).completed_at += TimeDelta::hours(1),
    },
    Wrong {
        name: "the account is not what its operations make of it",
        breaks: "Q8",
        harm: Harm::Lost,
        spoil: |evidence, _| {
            let ann = account(evidence, "ann");
            ann.attributes.insert("mail".to_owned(), vec!["old@x".to_owned()]);
        },
    },
    Wrong {
        name: "a deleted account is there",
        breaks: "Q8",
        harm: Harm::Unexpected,
        spoil: |evidence, _| {
            let bob = Account { external_uid: "bob".to_owned(), ..account(evidence, "ann").clone() };
            evidence.ledgers[0].accounts.push(bob);
        },
    },
    Wrong {
        name: "cancelled with an ok, then written",
        breaks: "Q9",
        harm: Harm::Unexpected,
        spoil: |evidence, cast| {
            let mut late = write(evidence, cast.ann[1]).clone();
            late.tag = Some(Tag { operation: cast.bob[1], attempt: 1, fence: 3 });
            evidence.ledgers[0].writes.push(late);
        },
    },
    Wrong {
        name: "an operation that is stuck",
        breaks: "Q10",
        harm: Harm::Lost,
        spoil: |evidence, cast| {
            let dead = operation(evidence, cast.cid[0]);
            dead.status = "pending".to_owned();
        },
    },
    Wrong {
        name: "a dead letter without a cause",
        breaks: "Q12",
        harm: Harm::Lost,
        spoil: |evidence, cast| {
            operation(evidence, cast.cid[0]).error_code = Some("LEASE_LOST".to_owned());
        },
    },
    Wrong {
        name: "an outage that used a retry",
        breaks: "Q12",
        harm: Harm::Record,
        spoil: |evidence, cast| operation(evidence, cast.ann[2]).retry_count = 1,
    },
];

#[test]
fn wrong_statistics_are_found() {
    let (mut evidence, _) = sound();
    evidence.snapshot.counts[0].n += 1;
    assert_eq!(check(&evidence).invariants(), ["Q13"].into());
}

#[test]
fn more_calls_at_once_than_allowed_are_found() {
    let (mut evidence, _) = sound();
    let began = evidence.snapshot.attempts[0].started_at;
    evidence.snapshot.connectors.iter_mut().for_each(|connector| connector.max_concurrency = 1);
    assert!(check(&evidence).is_clean(), "one at a time");

    for attempt in &mut evidence.snapshot.attempts {
        attempt.started_at = began;
    }
    assert!(check(&evidence).invariants().contains("Q11"));
}

fn operation(evidence: &mut Evidence, id: Uuid) -> &mut Operation {
    evidence.snapshot.operations.iter_mut().find(|one| one.id == id).unwrap()
}

fn attempt(evidence: &mut Evidence, id: Uuid, number: i32) -> &mut Attempt {
    let mut attempts = evidence.snapshot.attempts.iter_mut();
    attempts.find(|one| one.operation == id && one.number == number).unwrap()
}

fn moves(evidence: &mut Evidence, id: Uuid) -> impl Iterator<Item = &mut Move> {
    evidence.snapshot.moves.iter_mut().filter(move |one| one.operation == id)
}

fn write(evidence: &mut Evidence, id: Uuid) -> &mut crate::ledger::Write {
    let mut writes = evidence.ledgers[0].writes.iter_mut();
    writes.find(|one| one.tag.is_some_and(|tag| tag.operation == id)).unwrap()
}

fn account<'a>(evidence: &'a mut Evidence, uid: &str) -> &'a mut Account {
    evidence.ledgers[0].accounts.iter_mut().find(|one| one.external_uid == uid).unwrap()
}
