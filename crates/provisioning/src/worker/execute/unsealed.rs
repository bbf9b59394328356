//! What cannot be read back: opened just before the call that writes it, and kept nowhere. The first password of an
//! account is chosen here, too.

use rand::seq::{IndexedRandom, SliceRandom};
use xavyo_core::{
    change::Changes,
    connector::{FailureKind, InitialPassword, TargetFailure},
    error::{Error, Kind},
    mapping::Program,
    sealed,
    value::{Attributes, Value},
};

use super::{Attempt, Stop, failed, refused};
use crate::secrets::Sealer;

/// Characters of a generated password: about 190 bits.
const PASSWORD_LENGTH: usize = 32;

/// At least one of each, as most targets want it; none that people take for another.
const ALPHABETS: [&[u8]; 4] =
    [b"abcdefghijkmnopqrstuvwxyz", b"ABCDEFGHJKLMNPQRSTUVWXYZ", b"23456789", b"!#%+-.:=?@_"];

/// Shorter values are not looked for in a target's answers: they would be found everywhere.
const SHORTEST: usize = 3;

impl Attempt<'_> {
    /// The changes as they are written.
    pub(super) async fn opened_changes(&self, changes: Changes) -> Result<Changes, Stop> {
        if !sealed::in_changes(&changes) {
            return Ok(changes);
        }
        let sealer = self.sealer().await?;
        let opened = changes.into_iter().map(|(name, change)| {
            let opened = change.try_map(|value| sealer.open(&name, value));
            opened.map(|change| (name, change)).map_err(|error| unreadable(&error))
        });
        opened.collect()
    }

    /// The attributes of a new account as they are written, with a password where the policy says so.
    pub(super) async fn opened_attributes(&self, attributes: &Attributes) -> Result<Attributes, Stop> {
        let mut opened = attributes.clone();
        if attributes.values().flatten().any(sealed::is_sealed) {
            let sealer = self.sealer().await?;
            for (name, values) in &mut opened {
                let all = values.iter().map(|value| sealer.open(name, value));
                *values = all.collect::<Result<_, Error>>().map_err(|error| unreadable(&error))?;
            }
        }
        match self.target.connector.policies.initial_password {
            InitialPassword::Generate => self.add_passwords(&mut opened)?,
            InitialPassword::FromOperation | InitialPassword::None => {}
        }
        Ok(opened)
    }

    /// One that nobody learns, for each write-only attribute that has no value yet.
    fn add_passwords(&self, attributes: &mut Attributes) -> Result<(), Stop> {
        for rule in self.program()?.object_type().mapping.iter().filter(|rule| rule.write_only) {
            attributes.entry(rule.name.clone()).or_insert_with(|| vec![Value::Text(generated())]);
        }
        Ok(())
    }

    async fn sealer(&self) -> Result<&Sealer, Stop> {
        self.target.sealer.get().await.map_err(|error| {
            // Nothing was sent: the database, not the target, keeps it waiting.
            if matches!(error.kind(), Kind::Unavailable | Kind::Aborted | Kind::DeadlineExceeded) {
                failed(TargetFailure::new(FailureKind::Busy, error.reason.name(), error.to_string()))
            } else {
                unreadable(&error)
            }
        })
    }
}

/// The texts among what is written that no log may hold: of sensitive and of write-only attributes.
pub(super) fn hidden_texts<'v>(
    program: &Program,
    written: impl Iterator<Item = (&'v String, &'v Value)>,
) -> Vec<String> {
    let rules = &program.object_type().mapping;
    let is_hidden = |name: &str| {
        let rule = rules.iter().find(|rule| rule.name.eq_ignore_ascii_case(name));
        rule.is_some_and(|rule| rule.sensitive || rule.write_only)
    };
    let hidden = written.filter(|(name, _)| is_hidden(name)).map(|(_, value)| value.to_text());
    hidden.filter(|text| text.len() >= SHORTEST).collect()
}

/// A failure that quotes none of the texts. Connectors take out what they know of; this is the last look.
pub(super) fn silenced(failure: TargetFailure, hidden: &[String]) -> TargetFailure {
    hidden.iter().fold(failure, |failure, text| TargetFailure {
        code: failure.code.replace(text, sealed::HIDDEN),
        message: failure.message.replace(text, sealed::HIDDEN),
        ..failure
    })
}

/// Fails closed: it is never written as it stands.
fn unreadable(error: &Error) -> Stop {
    tracing::error!(error = xavyo_runtime::lifecycle::with_sources(error), "a sealed value does not open");
    refused("SEALED_VALUE_UNREADABLE", "a sealed value does not open: the log of the process says why")
}

fn generated() -> String {
    let mut random = rand::rng();
    let every: Vec<u8> = ALPHABETS.concat();
    let mut password: Vec<u8> =
        ALPHABETS.iter().filter_map(|alphabet| alphabet.choose(&mut random)).copied().collect();
    while password.len() < PASSWORD_LENGTH {
        password.extend(every.choose(&mut random));
    }
    password.shuffle(&mut random);
    password.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_has_every_kind_of_character_and_no_twin() {
        let (one, other) = (generated(), generated());
        assert_ne!(one, other);
        for alphabet in ALPHABETS {
            assert!(one.bytes().any(|byte| alphabet.contains(&byte)), "{one}");
        }
        assert_eq!(one.len(), PASSWORD_LENGTH);
    }

    #[test]
    fn a_target_that_quotes_a_password_is_not_quoted() {
        let failure = TargetFailure::new(FailureKind::Refused, "LDAP_19", "\"canary\" is too short");
        let silent = silenced(failure, &["canary".to_owned()]);
        assert_eq!(silent.message, "\"***\" is too short");
    }
}
