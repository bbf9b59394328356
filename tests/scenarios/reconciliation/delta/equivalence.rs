//! Whatever happens between two runs: where the target tells every change, what is open after a delta is what a full run
//! finds at that moment, neither more nor less.

use super::*;

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> Option<T> {
        if among.is_empty() { None } else { Some(among[self.below(among.len())].clone()) }
    }
}

/// What is going on, and who and what there is.
struct Life {
    staff: Staff,
    dice: Dice,
    logins: Vec<String>,
    accounts: Vec<String>,
    made: usize,
    waiting: Vec<String>,
    told: Vec<String>,
}

impl Life {
    async fn begin(seed: u64) -> Self {
        let logins = ["p0", "p1", "p2", "p3", "p4", "p5"];
        let staff = Staff::of(&logins).await;
        let names = logins.map(str::to_owned).to_vec();
        let accounts = names.clone();
        let dice = Dice(seed.wrapping_mul(7_919) + 1);
        let mut life = Self { staff, dice, logins: names, accounts, made: 0, waiting: vec![], told: vec![] };
        life.happen(3).await;
        life.staff.full().await;
        life
    }

    /// So many things happen.
    async fn happen(&mut self, count: usize) {
        for _ in 0..count {
            let what = self.dice.below(14);
            let done = self.one_thing(what).await;
            self.told.push(format!("{what}: {done:?}"));
        }
    }

    async fn one_thing(&mut self, what: usize) -> Option<String> {
        let (login, account) = (self.dice.pick(&self.logins), self.dice.pick(&self.accounts));
        let title = ["clerk", "boss", "chief"][self.dice.below(3)];
        self.made += 1;
        let new = format!("n{}", self.made);
        match what {
            0 | 1 => self.staff.retitle(account.as_ref()?, title).await,
            2 | 3 => self.staff.retitle_person(login.as_ref()?, title).await,
            4 => {
                let gone = account.clone()?;
                self.staff.delete(&gone).await;
                self.accounts.retain(|other| *other != gone);
            }
            5 => {
                let mail = login.clone().unwrap_or_default();
                self.staff.join(&new, &format!("{mail}@x")).await;
                self.accounts.push(new.clone());
            }
            6 => {
                self.staff.person(&new).await;
                self.logins.push(new.clone());
            }
            7 => self.leave(login.as_ref()?, title == "clerk").await,
            8 | 12 => self.unlink(login.as_ref()?, title == "clerk").await?,
            9 | 13 => self.link(login.as_ref()?, account.as_ref()?).await?,
            10 => {
                let former = account.clone()?;
                let mut administrator = self.staff.slapd.administrator().await.unwrap();
                let renamed = administrator.modifydn(&dn(&former), &format!("uid={new}"), true, None).await;
                renamed.unwrap().success().unwrap();
                self.accounts.retain(|other| *other != former);
                self.accounts.push(new.clone());
            }
            _ => self.waiting.push(self.staff.operation_later(login.as_ref()?).await),
        }
        Some(format!("{login:?} {account:?} {title} {new}"))
    }

    async fn leave(&self, login: &str, comes_back: bool) {
        let identity_id = self.staff.people[login].clone();
        let mut identities = self.staff.world.admin.identities.clone();
        if comes_back {
            let back = pp::ReactivateIdentityRequest { identity_id, ..Default::default() };
            identities.reactivate_identity(back).await.ok();
        } else {
            let leave = pp::InactivateIdentityRequest { identity_id, ..Default::default() };
            identities.inactivate_identity(leave).await.ok();
        }
    }

    /// None where there is no link, or something is under way.
    async fn unlink(&self, login: &str, reject_pair: bool) -> Option<()> {
        let request = pp::ListLinksRequest {
            connector_id: Some(self.staff.connector.clone()),
            identity_id: Some(self.staff.people[login].clone()),
            ..pp::ListLinksRequest::default()
        };
        let mut accounts = self.staff.world.admin.accounts.clone();
        let link = accounts.list_links(request).await.unwrap().into_inner().links.pop()?;
        let unlink = pp::UnlinkAccountRequest { link_id: link.id, reject_pair, ..Default::default() };
        accounts.unlink_account(unlink).await.ok().map(drop)
    }

    /// None where one of the two has a link, or something is under way.
    async fn link(&self, login: &str, account: &str) -> Option<()> {
        let request = pp::LinkAccountRequest {
            connector_id: self.staff.connector.clone(),
            object_class: OBJECT_CLASS.to_owned(),
            identity_id: self.staff.people[login].clone(),
            external_uid: dn(account),
            ..pp::LinkAccountRequest::default()
        };
        self.staff.world.admin.accounts.clone().link_account(request).await.ok().map(drop)
    }

    /// Nothing is under way any more, and nothing of it was written.
    async fn call_off(&mut self) {
        for operation_id in std::mem::take(&mut self.waiting) {
            let cancel = pp::CancelOperationRequest { operation_id, ..Default::default() };
            self.staff.world.admin.operations.clone().cancel_operation(cancel).await.ok();
        }
    }

    /// However many have left.
    async fn full_dry(&self) -> pr::ReconciliationRun {
        let request = pr::StartRunRequest {
            connector_id: self.staff.connector.clone(),
            mode: Mode::Full.into(),
            dry_run: true,
            accept_count_at_least: Some(0),
            reason: Some("many leave".to_owned()),
            ..pr::StartRunRequest::default()
        };
        let started = self.staff.world.admin.runs.clone().start_run(request).await.unwrap().into_inner();
        let full = self.staff.world.admin.run_ended(&started.run.unwrap().id).await;
        assert_eq!(full.status(), Status::Completed, "{full:?}");
        full
    }

    /// What runs that were no dry ones have left open.
    async fn open(&self, dry: &[String]) -> Vec<String> {
        let request = pr::ListDiscrepanciesRequest {
            connector_id: Some(self.staff.connector.clone()),
            resolution_status: Some(ResolutionStatus::Pending.into()),
            page_size: 1_000,
            ..pr::ListDiscrepanciesRequest::default()
        };
        let listed = self.staff.world.admin.discrepancies.clone().list_discrepancies(request).await.unwrap();
        let found = listed.into_inner().discrepancies;
        in_words(found.iter().filter(|row| !dry.contains(&row.run_id)))
    }
}

fn in_words<'a>(found: impl Iterator<Item = &'a pr::Discrepancy>) -> Vec<String> {
    let text = |row: &pr::Discrepancy| {
        let mut candidates: Vec<String> =
            row.candidates.iter().map(|it| format!("{} {}", it.identity_id, it.immutable_id())).collect();
        candidates.sort_unstable();
        format!(
            "{:?} {} {} {} {} {} {candidates:?}",
            row.discrepancy_type(),
            row.identity_id(),
            row.external_uid(),
            row.attribute_name(),
            row.expected_value(),
            row.actual_value(),
        )
    };
    let mut words: Vec<String> = found.map(text).collect();
    words.sort_unstable();
    words
}

async fn is_equivalent(seed: u64) {
    let mut life = Box::pin(Life::begin(seed)).await;
    let mut dry = Vec::new();
    for round in 0..8 {
        life.happen(4).await;
        let delta = life.staff.delta().await;
        assert_eq!((delta.status(), delta.mode(), delta.mode_note()), (Status::Completed, Mode::Delta, ""));
        if round % 2 == 0 {
            continue;
        }
        life.call_off().await;
        life.staff.delta().await;
        let open = life.open(&dry).await;
        let full = life.full_dry().await;
        let found = life.staff.world.admin.discrepancies_of(&full.id).await;
        dry.push(full.id);
        assert_eq!(open, in_words(found.iter()), "seed {seed}, round {round}: {:#?}", life.told);
    }
}

#[tokio::test]
async fn what_is_open_after_a_delta_is_what_a_full_run_finds() {
    for seed in 1..=3 {
        Box::pin(is_equivalent(seed)).await;
    }
}
