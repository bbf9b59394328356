//! Every type, exactly; then any small world against the reference. Readings of changes: [`changes`].

mod changes;

use proptest::prelude::{Just, Strategy, any, prop, proptest};

use super::{
    AccountRef, Expectation, ExpectedLink, Matcher, Observation, Proof, Standing, TargetRecord,
    reference::{Account, Outcome, Person, engine, outcome, policy},
};
use crate::{
    account::AccountState, connector::CorrelationPolicy, correlation::CorrelationKey, digest::Digest,
    ids::IdentityId,
};

const PROVEN: Proof = Proof { expected: true, target: true };

fn person(id: u128) -> Person {
    let standing = Standing::ShouldHave;
    Person { id, standing, link: None, keys: Some(vec![]), rejected: vec![], in_flight: false }
}

fn keyed(id: u128, keys: &[(u16, u8)]) -> Person {
    Person { keys: Some(keys.to_vec()), ..person(id) }
}

fn linked(id: u128, uid: &str, immutable_id: Option<&str>) -> Person {
    let link = (uid.to_owned(), immutable_id.map(str::to_owned), Some(AccountState::Enabled));
    Person { link: Some(link), ..person(id) }
}

fn account(uid: &str, keys: &[(u16, u8)]) -> Account {
    let (id, state) = (Some(format!("id of {uid}")), AccountState::Enabled);
    Account { uid: uid.to_owned(), id, state, digest: 0, keys: keys.to_vec(), protected: false }
}

fn found(people: &[Person], accounts: &[Account]) -> Outcome {
    Outcome::from(&engine(people, accounts, PROVEN))
}

#[test]
fn an_identity_that_should_have_an_account_and_resembles_none_is_missing() {
    let out_of_scope = Person { standing: Standing::ShouldNotHave, ..person(2) };
    let found = found(&[person(1), out_of_scope], &[]);
    assert_eq!(found, Outcome { missing: [1].into(), ..Outcome::default() });
}

#[test]
fn an_account_that_resembles_nobody_is_an_orphan_with_its_near_matches() {
    let found = found(
        &[Person { standing: Standing::ShouldNotHave, ..keyed(1, &[(1, 7)]) }],
        &[account("a", &[(1, 7)])],
    );
    assert_eq!(found, Outcome { orphans: [("a".to_owned(), vec![1])].into(), ..Outcome::default() });
}

#[test]
fn a_linked_account_whose_digest_or_state_differs_needs_a_closer_look() {
    let people = ["a", "b", "c"].map(|uid| linked(uid.as_bytes()[0].into(), uid, None));
    let changed = Account { digest: 1, ..account("b", &[]) };
    let disabled = Account { state: AccountState::Disabled, ..account("c", &[]) };
    let accounts = [account("a", &[]), changed, disabled].map(|account| Account { id: None, ..account });
    let found = found(&people, &accounts);
    let differing = [(u128::from(b'b'), (true, None)), (u128::from(b'c'), (false, Some("disabled")))].into();
    assert_eq!(found, Outcome { differing, ..Outcome::default() });
}

#[test]
fn a_leavers_attributes_are_not_compared_but_the_state_is() {
    let link = Some(("a".to_owned(), None, Some(AccountState::Disabled)));
    let leaver = Person { standing: Standing::ShouldNotHave, link, ..person(1) };
    let found = found(&[leaver], &[Account { id: None, digest: 1, ..account("a", &[]) }]);
    assert_eq!(found.differing, [(1, (false, Some("enabled")))].into());
}

#[test]
fn one_account_and_one_identity_that_resemble_each_other_are_unlinked() {
    let inactive = Person { standing: Standing::ShouldNotHave, ..keyed(1, &[(0, 1)]) };
    let found = found(&[inactive, keyed(2, &[(0, 2)])], &[account("a", &[(0, 1)]), account("b", &[(0, 2)])]);
    let unlinked = [(1, "a".to_owned()), (2, "b".to_owned())].into();
    assert_eq!(found, Outcome { unlinked, ..Outcome::default() });
}

#[test]
fn a_linked_account_that_is_gone_is_deleted() {
    let leaver = Person { standing: Standing::ShouldNotHave, ..linked(2, "b", None) };
    let found = found(&[linked(1, "a", Some("7")), leaver], &[]);
    assert_eq!(found, Outcome { deleted: [(1, true), (2, false)].into(), ..Outcome::default() });
}

#[test]
fn whatever_is_not_one_to_one_is_one_collision_without_other_rows() {
    let uids = |names: &[&str]| names.iter().copied().map(str::to_owned).collect::<Vec<_>>();
    let two_accounts = found(&[keyed(1, &[(0, 1)])], &[account("a", &[(0, 1)]), account("b", &[(0, 1)])]);
    assert_eq!(
        two_accounts,
        Outcome { collisions: [(vec![1], uids(&["a", "b"]))].into(), ..Outcome::default() }
    );
    let two_people = found(&[keyed(1, &[(0, 1)]), keyed(2, &[(0, 1)])], &[account("a", &[(0, 1)])]);
    assert_eq!(two_people, Outcome { collisions: [(vec![1, 2], uids(&["a"]))].into(), ..Outcome::default() });
    let chain = found(
        &[keyed(1, &[(0, 1)]), keyed(2, &[(0, 2), (0, 3)]), keyed(3, &[(0, 9)])],
        &[account("a", &[(0, 1), (0, 2)]), account("b", &[(0, 3)]), account("c", &[(0, 9)])],
    );
    let unlinked = [(3, "c".to_owned())].into();
    assert_eq!(
        chain,
        Outcome { collisions: [(vec![1, 2], uids(&["a", "b"]))].into(), unlinked, ..Outcome::default() }
    );
}

#[test]
fn an_unlinked_account_that_resembles_somebody_with_an_account_is_a_collision() {
    let jane = Person { keys: Some(vec![(0, 1)]), ..linked(1, "a", None) };
    let drifted = Account { id: None, digest: 1, ..account("a", &[]) };
    let both = found(std::slice::from_ref(&jane), &[drifted, account("b", &[(0, 1)])]);
    assert_eq!(both, Outcome { collisions: [(vec![1], vec!["b".to_owned()])].into(), ..Outcome::default() });
    let without_her_own = found(&[jane], &[account("b", &[(0, 1)])]);
    assert_eq!(without_her_own, Outcome { unlinked: [(1, "b".to_owned())].into(), ..Outcome::default() });
}

#[test]
fn a_changed_uid_with_the_same_immutable_id_is_a_rename_and_no_finding() {
    let found = found(&[linked(1, "former", Some("id of a"))], &[account("a", &[])]);
    assert_eq!(found, Outcome { renamed: [(1, "a".to_owned())].into(), ..Outcome::default() });
}

#[test]
fn a_uid_given_to_another_account_is_not_the_linked_account() {
    let found = found(&[linked(1, "a", Some("the id of the deleted one"))], &[account("a", &[])]);
    let orphans = [("a".to_owned(), vec![])].into();
    assert_eq!(found, Outcome { deleted: [(1, true)].into(), orphans, ..Outcome::default() });
}

#[test]
fn a_link_learns_the_immutable_id_that_it_did_not_know() {
    let found = found(&[linked(1, "a", None)], &[account("a", &[])]);
    assert_eq!(found, Outcome { renamed: [(1, "a".to_owned())].into(), ..Outcome::default() });
}

#[test]
fn a_rejected_pair_never_correlates_again() {
    let rejected = vec![("a".to_owned(), Some("id of a".to_owned()))];
    let found = found(&[Person { rejected, ..keyed(1, &[(0, 1)]) }], &[account("a", &[(0, 1)])]);
    let orphans = [("a".to_owned(), vec![])].into();
    assert_eq!(found, Outcome { missing: [1].into(), orphans, ..Outcome::default() });
}

#[test]
fn protected_accounts_are_counted_and_nothing_else() {
    let protected = |uid, keys| Account { protected: true, digest: 1, ..account(uid, keys) };
    let people = [keyed(1, &[(0, 1)]), linked(2, "b", Some("id of b"))];
    let found = found(&people, &[protected("a", &[(0, 1)]), protected("b", &[])]);
    assert_eq!(found, Outcome { missing: [1].into(), protected: 2, ..Outcome::default() });
}

#[test]
fn what_is_in_flight_is_counted_and_never_reported() {
    let busy = |person: Person| Person { in_flight: true, ..person };
    let people =
        [busy(person(1)), busy(linked(2, "b", None)), busy(keyed(3, &[(0, 3)])), keyed(4, &[(0, 3)])];
    let findings = engine(&people, &[account("c", &[(0, 3)])], PROVEN);
    assert_eq!(Outcome::from(&findings), Outcome::default());
    assert_eq!(findings.counts().in_flight, 4);
}

#[test]
fn an_account_without_owner_that_has_live_operations_is_no_orphan() {
    let busy = AccountRef { external_uid: "a", immutable_id: Some("7") };
    let mut matcher = Matcher::new(&policy());
    matcher.expect_busy_account(busy);
    let mut reading = matcher.ready();
    let record = TargetRecord {
        account: busy,
        state: AccountState::Enabled,
        digest: None,
        keys: &[],
        protected: false,
    };
    assert_eq!(reading.observe(record), Observation::InFlight);
    let findings = reading.finish(PROVEN);
    assert_eq!((findings.orphans().len(), findings.counts().in_flight), (0, 1));
}

#[test]
fn absence_is_not_concluded_from_an_unproven_read() {
    let people = [person(1), linked(2, "b", None), keyed(3, &[(0, 3)]), keyed(4, &[(0, 4)])];
    let accounts =
        [account("c", &[(0, 3)]), account("orphan", &[]), account("d", &[(0, 4)]), account("e", &[(0, 4)])];
    let collisions = [(vec![4], vec!["d".to_owned(), "e".to_owned()])].into();
    let target = engine(&people, &accounts, Proof { expected: true, target: false });
    assert_eq!(Outcome::from(&target), Outcome { collisions, suppressed: 4, ..Outcome::default() });
    let expected = engine(&people, &accounts, Proof { expected: false, target: true });
    assert_eq!(Outcome::from(&expected), Outcome { suppressed: 5, ..Outcome::default() });
}

#[test]
fn what_cannot_be_evaluated_proves_nothing() {
    let scope_failed = Person { standing: Standing::Unknown, ..linked(1, "a", None) };
    let keys_failed = Person { keys: None, ..person(2) };
    let found = found(&[scope_failed, keys_failed], &[account("b", &[])]);
    assert_eq!(found, Outcome { unevaluable: 2, suppressed: 1, ..Outcome::default() });
}

#[test]
fn an_account_that_moved_while_it_was_read_counts_once() {
    let moved = Account { uid: "moved".to_owned(), ..account("a", &[(0, 1)]) };
    let findings = engine(&[keyed(1, &[(0, 1)])], &[account("a", &[(0, 1)]), moved], PROVEN);
    assert_eq!(Outcome::from(&findings).unlinked, [(1, "a".to_owned())].into());
    assert_eq!(findings.counts().accounts, 1);
}

#[test]
fn a_key_that_a_crowd_shares_counts_for_whom_another_key_names_and_proves_no_orphan() {
    let key = |rule, name: &str| CorrelationKey { rule, key: super::hash_of_uid(&format!("{rule} {name}")) };
    let mut matcher = Matcher::new(&CorrelationPolicy { threshold: 100, ..policy() });
    for n in 0..1_000_u128 {
        let keys = [key(1, "sales"), key(0, &n.to_string())];
        let (identity, standing) = (IdentityId(uuid::Uuid::from_u128(n)), Standing::ShouldNotHave);
        let keys = Some(&keys[..]);
        matcher.expect(Expectation { identity, standing, link: None, keys, rejected: &[], in_flight: false });
    }
    let mut reading = matcher.ready();
    for (uid, keys) in
        [("a", vec![key(1, "sales"), key(0, "999")]), ("b", vec![key(1, "sales")]), ("c", vec![])]
    {
        let account = AccountRef { external_uid: uid, immutable_id: None };
        let state = AccountState::Enabled;
        reading.observe(TargetRecord { account, state, digest: None, keys: &keys, protected: false });
    }
    let found = Outcome::from(&reading.finish(PROVEN));
    let (unlinked, orphans) = ([(999, "a".to_owned())].into(), [("c".to_owned(), vec![])].into());
    assert_eq!(found, Outcome { unlinked, orphans, suppressed: 1, ..Outcome::default() });
}

#[test]
fn a_million_expectations_fit_in_a_couple_of_hundred_megabytes() {
    const COUNT: u32 = 20_000;
    let mut matcher = Matcher::new(&policy());
    let keys =
        |n: u32| [0, 1].map(|rule| CorrelationKey { rule, key: super::hash_of_id(&format!("{rule} {n}")) });
    for n in 0..COUNT {
        let (uid, id) = (format!("uid=user{n},ou=people,dc=example,dc=org"), n.to_string());
        let account = AccountRef { external_uid: &uid, immutable_id: Some(&id) };
        let link =
            ExpectedLink { account, state: Some(AccountState::Enabled), digest: Some(Digest([0; 16])) };
        matcher.expect(Expectation {
            identity: IdentityId(uuid::Uuid::from_u128(n.into())),
            standing: Standing::ShouldHave,
            link: Some(link).filter(|_| n % 2 == 0),
            keys: Some(&keys(n)),
            rejected: &[],
            in_flight: false,
        });
    }
    let mut reading = matcher.ready();
    for n in 0..COUNT {
        let (uid, id) = (format!("uid=user{n},ou=people,dc=example,dc=org"), n.to_string());
        let account = AccountRef { external_uid: &uid, immutable_id: Some(&id) };
        let keys = keys(n);
        let (state, digest) = (AccountState::Enabled, Some(Digest([0; 16])));
        reading.observe(TargetRecord { account, state, digest, keys: &keys, protected: false });
    }
    let bytes_each = reading.bytes() / COUNT as usize;
    assert!(bytes_each <= 230, "{bytes_each}");
}

fn some_keys() -> impl Strategy<Value = Vec<(u16, u8)>> {
    prop::collection::vec((0..2_u16, 0..4_u8), 0..3)
}

fn some_state() -> impl Strategy<Value = AccountState> {
    prop::sample::select(vec![AccountState::Enabled, AccountState::Disabled])
}

fn some_account(number: usize) -> impl Strategy<Value = Account> {
    (some_state(), 0..2_u8, some_keys(), prop::bool::weighted(0.1)).prop_map(
        move |(state, digest, keys, protected)| {
            let (uid, id) = (format!("u{number}"), Some(format!("i{number}")));
            Account { uid, id, state, digest, keys, protected }
        },
    )
}

/// A link to the account of the same number: as it is, renamed, known by uid only, deleted, or its uid given away.
fn some_link(number: usize) -> impl Strategy<Value = Option<(String, Option<String>)>> {
    prop::sample::select(vec![
        None,
        Some((format!("u{number}"), Some(format!("i{number}")))),
        Some((format!("former{number}"), Some(format!("i{number}")))),
        Some((format!("u{number}"), None)),
        Some((format!("gone{number}"), Some(format!("gone{number}")))),
        Some((format!("u{number}"), Some(format!("given away{number}")))),
    ])
}

fn some_person(number: usize) -> impl Strategy<Value = Person> {
    let standings =
        vec![Standing::ShouldHave, Standing::ShouldHave, Standing::ShouldNotHave, Standing::Unknown];
    let rejected =
        prop::collection::vec((0..6_usize).prop_map(|at| (format!("u{at}"), Some(format!("i{at}")))), 0..2);
    let keys = prop::option::weighted(0.95, some_keys());
    let flags = (prop::option::of(some_state()), prop::bool::weighted(0.1));
    (prop::sample::select(standings), some_link(number), keys, rejected, flags).prop_map(
        move |(standing, link, keys, rejected, (state, in_flight))| {
            let link = link.map(|(uid, id)| (uid, id, state));
            Person { id: number as u128, standing, link, keys, rejected, in_flight }
        },
    )
}

fn shuffled<T: Clone + std::fmt::Debug + 'static>(items: Vec<T>) -> impl Strategy<Value = (Vec<T>, Vec<T>)> {
    (Just(items.clone()), Just(items).prop_shuffle())
}

proptest! {
    #[test]
    fn any_small_world_is_classified_as_the_reference_does_in_any_order(
        (people, other_people) in (0..6_usize).prop_flat_map(|n| (0..n).map(some_person).collect::<Vec<_>>()).prop_flat_map(shuffled),
        (accounts, other_accounts) in (0..6_usize).prop_flat_map(|n| (0..n).map(some_account).collect::<Vec<_>>()).prop_flat_map(shuffled),
        (expected, target) in any::<(bool, bool)>(),
    ) {
        let proof = Proof { expected, target };
        let reference = outcome(&people, &accounts, proof);
        proptest::prop_assert_eq!(&Outcome::from(&engine(&people, &accounts, proof)), &reference);
        proptest::prop_assert_eq!(&Outcome::from(&engine(&other_people, &other_accounts, proof)), &reference);
    }
}
