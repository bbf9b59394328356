//! What is concluded from changes alone: never anything that a reading of everything would not find.

use std::collections::BTreeSet;

use proptest::prelude::{Strategy, prop, proptest};

use super::{
    super::reference::{self, Account, Outcome, Person, changes, outcome_of_changes},
    account, keyed, linked, person, some_account, some_person,
};
use crate::{account::AccountState, classification::AccountRef, ids::IdentityId};

const NONE: BTreeSet<usize> = BTreeSet::new();

fn found(people: &[Person], accounts: &[Account], told: &[usize]) -> Outcome {
    Outcome::from(&changes(people, accounts, &told.iter().copied().collect(), &NONE))
}

fn identity(number: u128) -> IdentityId {
    IdentityId(uuid::Uuid::from_u128(number))
}

#[test]
fn only_what_was_seen_differs_and_nothing_is_deleted_because_it_was_not_seen() {
    let people = ["a", "b", "c"].map(|uid| linked(uid.as_bytes()[0].into(), uid, None));
    let drifted = |uid: &str| Account { id: None, digest: 1, ..account(uid, &[]) };
    let found = found(&people, &[drifted("a"), drifted("b")], &[0]);
    assert_eq!(found, Outcome { differing: [(u128::from(b'a'), (true, None))].into(), ..Outcome::default() });
}

#[test]
fn deleted_is_what_the_target_does_not_have_when_it_is_asked() {
    let people = [linked(1, "a", Some("7")), linked(2, "b", Some("8"))];
    let mut reading = reference::load(&people);
    let gone = AccountRef { external_uid: "", immutable_id: Some("8") };
    assert_eq!(reading.owner(gone), Some(identity(2)));
    assert_eq!(reading.observe_gone(gone), Some(identity(2)));
    assert_eq!(reading.observe_gone(AccountRef { immutable_id: Some("9"), ..gone }), None);
    let findings = reading.finish_changes();
    assert_eq!(Outcome::from(&findings).deleted, [(2, true)].into());
    assert_eq!(findings.unjudged().collect::<Vec<_>>(), [identity(1)]);
}

#[test]
fn a_uid_that_nobody_has_any_more_says_nothing_of_an_account_known_by_its_id() {
    let mut reading = reference::load(&[linked(1, "a", Some("7")), linked(2, "b", None)]);
    assert_eq!(reading.observe_gone(AccountRef { external_uid: "a", immutable_id: None }), None);
    assert_eq!(reading.observe_gone(AccountRef { external_uid: "b", immutable_id: Some("8") }), None);
    let findings = reading.finish_changes();
    assert_eq!((findings.deleted().len(), findings.unjudged().count()), (0, 2));
}

#[test]
fn an_account_that_resembles_somebody_whose_own_account_was_not_seen_proves_nothing() {
    let jane = Person { keys: Some(vec![(0, 1)]), ..linked(1, "a", None) };
    let mut reading = reference::load(&[jane]);
    reference::observe(&mut reading, &account("b", &[(0, 1)]));
    assert_eq!(reading.open_candidates().collect::<Vec<_>>(), [identity(1)]);
    let findings = reading.finish_changes();
    assert_eq!(Outcome::from(&findings), Outcome { suppressed: 1, ..Outcome::default() });
    assert_eq!(findings.passed_over().collect::<Vec<_>>(), [identity(1)], "to be looked at again");
}

#[test]
fn whoever_has_no_link_is_judged_by_all_unlinked_accounts() {
    let people = [person(1), keyed(2, &[(0, 2)])];
    let found = found(&people, &[account("b", &[(0, 2)]), account("c", &[])], &[]);
    let (unlinked, orphans) = ([(2, "b".to_owned())].into(), [("c".to_owned(), vec![])].into());
    assert_eq!(found, Outcome { missing: [1].into(), unlinked, orphans, ..Outcome::default() });
}

#[test]
fn what_was_in_flight_or_resembled_is_named_for_the_next_reading() {
    let busy = Person { in_flight: true, ..linked(1, "a", None) };
    let resembled = Person { keys: Some(vec![(0, 1)]), ..linked(2, "b", None) };
    let plain = linked(3, "c", None);
    let state = AccountState::Disabled;
    let accounts = [
        Account { state, ..account("a", &[]) },
        account("b", &[]),
        account("c", &[]),
        account("stray", &[(0, 1)]),
    ];
    let findings = reference::engine(&[busy, resembled, plain], &accounts, super::PROVEN);
    assert_eq!(findings.passed_over().collect::<Vec<_>>(), [identity(1), identity(2)]);
    assert_eq!(findings.strangers().map(|it| it.external_uid).collect::<Vec<_>>(), ["stray"]);
    assert_eq!(findings.unjudged().count(), 0, "all were read");
}

fn some_places() -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0..6_usize, 0..6)
}

proptest! {
    #[test]
    fn changes_never_tell_what_everything_would_not(
        people in (0..6_usize).prop_flat_map(|n| (0..n).map(some_person).collect::<Vec<_>>()),
        accounts in (0..6_usize).prop_flat_map(|n| (0..n).map(some_account).collect::<Vec<_>>()),
        told in some_places(),
        asked in some_places(),
    ) {
        let found = Outcome::from(&changes(&people, &accounts, &told, &asked));
        proptest::prop_assert_eq!(found, outcome_of_changes(&people, &accounts, &told, &asked));
    }
}
