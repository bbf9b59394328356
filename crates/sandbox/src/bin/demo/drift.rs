//! What happens to a target behind our back, in each of the six ways, and how often.

use std::{collections::BTreeMap, time::Instant};

use anyhow::Result;
use xavyo_wire::pb::common::DiscrepancyType;

use crate::{
    people::{Person, Population},
    story,
    target::{Column, HandMade, Target},
};

/// The six types, in the order in which they are shown.
pub const TYPES: [(DiscrepancyType, &str); 6] = [
    (DiscrepancyType::Missing, "missing"),
    (DiscrepancyType::Orphan, "orphan"),
    (DiscrepancyType::Mismatch, "mismatch"),
    (DiscrepancyType::Collision, "collision"),
    (DiscrepancyType::Unlinked, "unlinked"),
    (DiscrepancyType::Deleted, "deleted"),
];

/// How many of each of the six, by name. All six are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, i64>);

/// Who is hit by what. Nobody is hit twice, so that each hit is one discrepancy.
pub struct Drift<'a> {
    pub counts: Counts,
    /// Linked accounts of which one value is overwritten.
    changed: Vec<&'a Person>,
    /// Linked accounts that are removed.
    removed: Vec<&'a Person>,
    /// People with an account that get a second one.
    doubled: Vec<&'a Person>,
    /// Newcomers for whom somebody made an account by hand. The other newcomers are missing one.
    made_by_hand: Vec<&'a Person>,
    /// Accounts of nobody.
    strangers: usize,
}

/// Of a thousand people.
const CHANGED: usize = 25;
const REMOVED: usize = 10;
const DOUBLED: usize = 5;
const STRANGERS: usize = 15;
/// Of eight newcomers.
const MADE_BY_HAND: usize = 3;

/// The columns that people overwrite, and what they write there.
const WHIMS: [(Column, &str); 4] = [
    (Column::Title, "Chief everything officer"),
    (Column::Department, "Special projects"),
    (Column::Phone, "+1 555 0100"),
    (Column::City, "Atlantis"),
];

impl<'a> Drift<'a> {
    pub fn plan(population: &'a Population) -> Self {
        let people = population.staff.len() + population.newcomers.len();
        let share = |per_mille: usize| (people * per_mille / 1_000).max(1);
        // A stride spreads them over the whole company.
        let mut hit = spread(&population.employees().collect::<Vec<_>>(), 7).into_iter();
        let mut take = |count: usize| hit.by_ref().take(count).collect::<Vec<_>>();
        let (changed, removed, doubled) = (take(share(CHANGED)), take(share(REMOVED)), take(share(DOUBLED)));
        let made = (population.newcomers.len() * MADE_BY_HAND / 8).max(1);
        let made_by_hand: Vec<&Person> = population.newcomers.iter().take(made).collect();
        let strangers = share(STRANGERS);
        let counts = Counts::of([
            ("missing", population.newcomers.len() - made),
            ("orphan", strangers),
            ("mismatch", changed.len()),
            ("collision", doubled.len()),
            ("unlinked", made),
            ("deleted", removed.len()),
        ]);
        Self { counts, changed, removed, doubled, made_by_hand, strangers }
    }

    /// Does it, directly in the target.
    pub async fn inject(&self, target: &Target) -> Result<()> {
        let began = Instant::now();
        for (person, turn) in self.changed.iter().zip(0..) {
            self.change(target, person, turn).await?;
        }
        for person in &self.removed {
            target.remove(&person.username).await?;
        }
        for person in &self.doubled {
            target.add(&second_account(person)).await?;
        }
        for person in &self.made_by_hand {
            target.add(&account_by_hand(person)).await?;
        }
        for number in 0..self.strangers {
            target.add(&stranger(number)).await?;
        }
        let line = format!("{} things went wrong in the target, behind our back", self.counts.total());
        story::done(&line, began.elapsed());
        Ok(())
    }

    /// Overwrites one value, or, where that can be done, disables the account.
    async fn change(&self, target: &Target, person: &Person, turn: usize) -> Result<()> {
        if target.disables() && turn % (WHIMS.len() + 1) == WHIMS.len() {
            return target.disable(&person.username).await;
        }
        let (column, whim) = WHIMS[turn % WHIMS.len()];
        target.change(&person.username, column, whim).await
    }
}

impl Counts {
    /// Counts by name; those that are not given are 0.
    pub fn of<N: TryInto<i64>>(given: impl IntoIterator<Item = (&'static str, N)>) -> Self {
        let mut counts: BTreeMap<&str, i64> = TYPES.into_iter().map(|(_, name)| (name, 0)).collect();
        counts.extend(given.into_iter().map(|(name, count)| (name, count.try_into().unwrap_or(i64::MAX))));
        Self(counts)
    }

    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }

    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!(self.0)
    }
}

/// The same list, `stride` apart each time around.
fn spread<T: Copy>(list: &[T], stride: usize) -> Vec<T> {
    (0..stride)
        .flat_map(|start| list.iter().skip(start).step_by(stride).copied().collect::<Vec<_>>())
        .collect()
}

/// A second account of somebody who has one: same person, other name.
fn second_account(person: &Person) -> HandMade {
    HandMade { username: format!("{}.old", person.username), values: all_values(person) }
}

/// An account that somebody made without us, and forgot to give an office.
fn account_by_hand(person: &Person) -> HandMade {
    let mut values = all_values(person);
    values.retain(|(column, _)| *column != Column::Office);
    HandMade { username: person.username.clone(), values }
}

/// An account that belongs to nobody we know.
fn stranger(number: usize) -> HandMade {
    let username = format!("service{number}");
    let values = vec![
        (Column::FullName, format!("Service account {number}")),
        (Column::FamilyName, "Service".to_owned()),
        (Column::Mail, format!("{username}@elsewhere.example")),
        (Column::Title, "Left by a project long ago".to_owned()),
    ];
    HandMade { username, values }
}

fn all_values(person: &Person) -> Vec<(Column, String)> {
    Column::ALL.into_iter().map(|column| (column, column.of(person))).collect()
}
