//! What is asked next: a step at random, the same for the same seed and accounts.

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
    /// The identities are imported again, with something new about each.
    Import(Uuid),
}

impl Account {
    /// A create with that mail and one list value.
    pub fn create(&self, mail: &str) -> CreateOperationRequest {
        let values = list(vec![text("g0")]);
        self.request(OperationType::Create, [("mail", text(mail)), (self.list_attribute, values)])
    }

    /// An update that sets the mail.
    pub fn set(&self, mail: &str) -> CreateOperationRequest {
        self.update([("mail", text(mail))])
    }

    /// An update that adds a list value, and takes away the one that the create gave.
    pub fn add(&self, value: &str) -> CreateOperationRequest {
        let [add, remove] = [vec![text(value)], vec![text("g0")]].map(list);
        let fields = [("add".to_owned(), add), ("remove".to_owned(), remove)].into();
        self.update([(self.list_attribute, Value { kind: Some(Kind::StructValue(Struct { fields })) })])
    }

    pub fn delete(&self) -> CreateOperationRequest {
        self.request(OperationType::Delete, [])
    }

    fn update<const N: usize>(&self, changes: [(&str, Value); N]) -> CreateOperationRequest {
        self.request(OperationType::Update, changes)
    }

    fn request<const N: usize>(
        &self,
        operation_type: OperationType,
        changes: [(&str, Value); N],
    ) -> CreateOperationRequest {
        let fields = changes.map(|(name, value)| (name.to_owned(), value)).into();
        CreateOperationRequest {
            connector_id: self.connector.to_string(),
            user_id: Some(self.identity.to_string()),
            operation_type: operation_type.into(),
            object_class: self.object_class.clone(),
            target_uid: Some(self.external_uid.clone()),
            payload: Some(Struct { fields }),
            ..CreateOperationRequest::default()
        }
    }
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
            .map(|account| Step::Enqueue(account.tenant, vec![account.create(&self.value())]))
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
            0..16 => account.create(&self.value()),
            16..28 => account.delete(),
            28..30 if account.poison.is_some() => {
                account.update([(account.poison.unwrap_or_default(), text("poison"))])
            }
            28..50 => account.add(&self.value()),
            _ if self.random.random_bool(0.3) => {
                let [mail, title] = [self.value(), self.value()].map(|value| text(&value));
                account.update([("mail", mail), ("title", title)])
            }
            _ => account.set(&self.value()),
        }
    }

    fn value(&mut self) -> String {
        self.next_value += 1;
        format!("v{}@example.org", self.next_value)
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
