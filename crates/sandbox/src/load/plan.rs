//! What is asked next: a step at random, the same for the same seed and accounts.

use std::collections::HashMap;

use rand::{
    RngExt, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use uuid::Uuid;
use xavyo_wire::pb::{
    google::{ListValue, Struct, Value, value::Kind},
    provisioning::{CreateOperationRequest, OperationType},
};

/// Whom operations are about: one account of one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub tenant: Uuid,
    pub connector: Uuid,
    pub identity: Uuid,
    pub object_class: String,
    pub external_uid: String,
    /// The attribute to which values are added and from which they are removed.
    pub list_attribute: &'static str,
    /// An attribute that the target does not have: writing it makes a dead letter. None = it takes anything.
    pub poison: Option<&'static str>,
}

/// One thing that a client does.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// One operation, or a batch of one tenant.
    Enqueue(Uuid, Vec<CreateOperationRequest>),
    /// About an operation of before: the pick counts back from the newest.
    Cancel {
        pick: usize,
    },
    Retry {
        pick: usize,
    },
    /// Dead letters: retried, or resolved.
    TendDeadLetters {
        tenant: Uuid,
        retry: bool,
    },
    /// The identities are imported again, unchanged.
    Import(Uuid),
}

/// Draws steps.
#[derive(Debug)]
pub struct Plan {
    random: StdRng,
    accounts: Vec<Account>,
    /// Every value is written once: a write that is lost or comes too late shows.
    next_value: u64,
}

impl Plan {
    pub fn new(seed: u64, accounts: Vec<Account>) -> Self {
        Self { random: StdRng::seed_from_u64(seed), accounts, next_value: 0 }
    }

    pub fn random(&mut self) -> &mut StdRng {
        &mut self.random
    }

    /// Several plans side by side write different values.
    pub fn number_values(&mut self, plan: usize) {
        self.next_value = u64::try_from(plan).unwrap_or_default() * 1_000_000;
    }

    /// The first operation of every account: its create.
    pub fn creates(&mut self) -> Vec<Step> {
        self.accounts
            .clone()
            .iter()
            .map(|account| Step::Enqueue(account.tenant, vec![self.create(account)]))
            .collect()
    }

    pub fn step(&mut self) -> Step {
        match self.random.random_range(0..100) {
            0..58 => {
                let account = self.account();
                Step::Enqueue(account.tenant, vec![self.operation(&account)])
            }
            58..74 => self.batch(),
            74..86 => Step::Cancel { pick: self.random.random_range(0..12) },
            86..92 => Step::Retry { pick: self.random.random_range(0..40) },
            92..97 => {
                Step::TendDeadLetters { tenant: self.account().tenant, retry: self.random.random_bool(0.5) }
            }
            _ => Step::Import(self.account().tenant),
        }
    }

    /// Several operations of one tenant: some of one account, some of others.
    fn batch(&mut self) -> Step {
        let tenant = self.account().tenant;
        let mut accounts: Vec<Account> =
            self.accounts.iter().filter(|account| account.tenant == tenant).cloned().collect();
        accounts.shuffle(&mut self.random);
        accounts.truncate(self.random.random_range(1..4));
        let count = self.random.random_range(2..12);
        let operations = (0..count).map(|_| {
            let account = accounts.choose(&mut self.random).expect("a tenant has accounts").clone();
            self.operation(&account)
        });
        Step::Enqueue(tenant, operations.collect())
    }

    fn account(&mut self) -> Account {
        self.accounts.choose(&mut self.random).expect("there are accounts").clone()
    }

    fn operation(&mut self, account: &Account) -> CreateOperationRequest {
        match self.random.random_range(0..100) {
            0..16 => self.create(account),
            16..28 => request(account, OperationType::Delete, HashMap::new()),
            28..30 if account.poison.is_some() => {
                let name = account.poison.unwrap_or_default();
                request(account, OperationType::Update, [(name.to_owned(), text("poison"))].into())
            }
            28..50 => {
                let value = self.value();
                let [add, remove] = [vec![text(&value)], vec![text("g0")]].map(list);
                let change = Kind::StructValue(Struct {
                    fields: [("add".to_owned(), add), ("remove".to_owned(), remove)].into(),
                });
                let change = Value { kind: Some(change) };
                request(account, OperationType::Update, [(account.list_attribute.to_owned(), change)].into())
            }
            _ => {
                let mut payload: HashMap<String, Value> = [("mail".to_owned(), text(&self.value()))].into();
                if self.random.random_bool(0.3) {
                    payload.insert("title".to_owned(), text(&self.value()));
                }
                request(account, OperationType::Update, payload)
            }
        }
    }

    fn create(&mut self, account: &Account) -> CreateOperationRequest {
        let list = list(vec![text("g0")]);
        let payload =
            [("mail".to_owned(), text(&self.value())), (account.list_attribute.to_owned(), list)].into();
        request(account, OperationType::Create, payload)
    }

    fn value(&mut self) -> String {
        self.next_value += 1;
        format!("v{}@example.org", self.next_value)
    }
}

fn request(
    account: &Account,
    operation_type: OperationType,
    payload: HashMap<String, Value>,
) -> CreateOperationRequest {
    CreateOperationRequest {
        connector_id: account.connector.to_string(),
        user_id: Some(account.identity.to_string()),
        operation_type: operation_type.into(),
        object_class: account.object_class.clone(),
        target_uid: Some(account.external_uid.clone()),
        payload: Some(Struct { fields: payload }),
        ..CreateOperationRequest::default()
    }
}

fn text(text: &str) -> Value {
    Value { kind: Some(Kind::StringValue(text.to_owned())) }
}

fn list(values: Vec<Value>) -> Value {
    Value { kind: Some(Kind::ListValue(ListValue { values })) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_asks_the_same() {
        let accounts = |tenant: u128| Account {
            tenant: Uuid::from_u128(tenant),
            connector: Uuid::from_u128(2),
            identity: Uuid::from_u128(3),
            object_class: "account".to_owned(),
            external_uid: "p1".to_owned(),
            list_attribute: "groups",
            poison: Some("nowhere"),
        };
        let steps = |seed| {
            let mut plan = Plan::new(seed, vec![accounts(1), accounts(9)]);
            (0..50).map(|_| plan.step()).collect::<Vec<_>>()
        };

        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
    }
}
