//! The people of a small invented company: the same ones at every run.

/// What the identity source says of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub number: u32,
    pub username: String,
    pub given_name: &'static str,
    pub family_name: &'static str,
    pub title: &'static str,
    pub department: &'static str,
    pub city: &'static str,
    /// `employee` or `contractor`; only employees should have accounts.
    pub employment: &'static str,
}

/// Who comes when.
#[derive(Debug)]
pub struct Population {
    /// Imported while accounts are made by themselves.
    pub staff: Vec<Person>,
    /// Imported afterwards: they should have accounts, and nobody makes them.
    pub newcomers: Vec<Person>,
}

/// Of a thousand people, so many come late; see [`crate::drift`] for what becomes of them.
const NEWCOMERS_PER_MILLE: u32 = 32;
/// Every so-manieth person is a contractor, out of the connector's scope.
const CONTRACTOR_EVERY: u32 = 40;

/// A name as it is written, and as a user name writes it.
type Name = (&'static str, &'static str);

const GIVEN: [Name; 24] = [
    ("Ada", "ada"),
    ("Bjørn", "bjorn"),
    ("Chloé", "chloe"),
    ("Dmitri", "dmitri"),
    ("Elif", "elif"),
    ("Fumiko", "fumiko"),
    ("Grace", "grace"),
    ("Håkon", "hakon"),
    ("Inés", "ines"),
    ("Jan", "jan"),
    ("Katarína", "katarina"),
    ("Luís", "luis"),
    ("Mireille", "mireille"),
    ("Noor", "noor"),
    ("Óscar", "oscar"),
    ("Priya", "priya"),
    ("Quentin", "quentin"),
    ("Rosa", "rosa"),
    ("Søren", "soren"),
    ("Tomás", "tomas"),
    ("Ursula", "ursula"),
    ("Vera", "vera"),
    ("Wanda", "wanda"),
    ("Zoë", "zoe"),
];
const FAMILY: [Name; 23] = [
    ("Almeida", "almeida"),
    ("Bakker", "bakker"),
    ("Čapek", "capek"),
    ("Díaz", "diaz"),
    ("Eriksen", "eriksen"),
    ("Fontaine", "fontaine"),
    ("García", "garcia"),
    ("Hopper", "hopper"),
    ("Ito", "ito"),
    ("Jørgensen", "jorgensen"),
    ("Kovács", "kovacs"),
    ("Lovelace", "lovelace"),
    ("Müller", "muller"),
    ("Novák", "novak"),
    ("O'Brien", "obrien"),
    ("Papadakis", "papadakis"),
    ("Rossi", "rossi"),
    ("Šimić", "simic"),
    ("Turing", "turing"),
    ("Vogel", "vogel"),
    ("Wójcik", "wojcik"),
    ("Xenakis", "xenakis"),
    ("Yılmaz", "yilmaz"),
];
const TITLES: [&str; 7] =
    ["Engineer", "Designer", "Analyst", "Account manager", "Team lead", "Research fellow", "Accountant"];
const DEPARTMENTS: [&str; 5] = ["Research", "Sales", "Finance", "Operations", "People"];
const CITIES: [&str; 6] = ["Lyon", "Utrecht", "Porto", "Brno", "Bergen", "Graz"];

impl Population {
    pub fn of(count: u32) -> Self {
        let mut people: Vec<Person> = (0..count).map(Person::new).collect();
        let newcomers = (count * NEWCOMERS_PER_MILLE / 1_000).max(2);
        let late =
            people.split_off(people.len() - usize::try_from(newcomers).expect("it is a share of the length"));
        // Contractors never have accounts, whenever they come: all newcomers are employees, so that each one counts.
        let newcomers = late.into_iter().map(|person| Person { employment: "employee", ..person }).collect();
        Self { staff: people, newcomers }
    }

    /// Those of the staff that should have an account.
    pub fn employees(&self) -> impl Iterator<Item = &Person> {
        self.staff.iter().filter(|person| person.employment == "employee")
    }
}

impl Person {
    fn new(number: u32) -> Self {
        let (given_name, given) = pick(&GIVEN, number);
        // The lists' lengths have no common factor: every pair of names comes before one comes twice.
        let (family_name, family) = pick(&FAMILY, number);
        let round = number / u32::try_from(GIVEN.len() * FAMILY.len()).expect("two short lists");
        let username = match round {
            0 => format!("{given}.{family}"),
            again => format!("{given}.{family}{}", again + 1),
        };
        Self {
            number,
            username,
            given_name,
            family_name,
            title: pick(&TITLES, number / 3),
            department: pick(&DEPARTMENTS, number / 7),
            city: pick(&CITIES, number / 11),
            employment: if number % CONTRACTOR_EVERY == CONTRACTOR_EVERY - 1 {
                "contractor"
            } else {
                "employee"
            },
        }
    }

    pub fn source_key(&self) -> String {
        format!("hr-{:06}", self.number)
    }

    pub fn employee_number(&self) -> String {
        format!("E{:06}", self.number)
    }

    pub fn full_name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name)
    }

    pub fn mail(&self) -> String {
        format!("{}@example.org", self.username)
    }

    pub fn phone(&self) -> String {
        format!("+31 20 {:03} {:04}", self.number / 10_000, self.number % 10_000)
    }

    pub fn office(&self) -> String {
        format!("{}{:03}", &self.city[..1], self.number % 400)
    }
}

fn pick<T: Copy>(list: &[T], number: u32) -> T {
    list[usize::try_from(number).expect("a count fits") % list.len()]
}
