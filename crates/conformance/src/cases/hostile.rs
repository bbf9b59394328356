//! Values that mean something to a parser: they come back as they were, or are refused by name (fault 11, fault 30).

use anyhow::{Context, Result, anyhow, bail, ensure};
use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop_oneof},
    sample::select,
    strategy::ValueTree,
    test_runner::TestRunner,
};
use xavyo_core::{
    account::Account,
    connector::{FailureKind, TargetFailure},
    value::Value,
};

use crate::{
    Target,
    case::not_offered,
    target::{by_name, set},
};

const HOSTILE: [&str; 24] = [
    "*)(uid=*",
    "*",
    "(&(a=b))",
    "'; drop table people; --",
    "\"quoted\"",
    "back\\slash",
    "\\2a\\00",
    "#hash",
    " leading",
    "trailing ",
    "  ",
    "a,ou=admins",
    "a+b=c;d",
    "<script>",
    "../../etc/passwd",
    "$1",
    "{1,2}",
    "null",
    "Ünïcödé \u{1f600} e\u{301}",
    "::ffff:127.0.0.1",
    "[fe80::1%25eth0]:389",
    "%2e%2e%2f",
    "line\nbreak\ttab",
    "nul\0byte",
];
/// Of which texts are made.
const PIECES: [&str; 34] = [
    "*", "(", ")", "\\", "\0", "\u{1}", "\u{7f}", "#", " ", "  ", ",", "+", "=", "\"", "'", "`", ";", "<",
    ">", "/", "../", "%", "$1", "{", "}", "[", "]", ":", "&", "|", "\n", "\r", "é", "e\u{301}",
];
const TEXTS: usize = 64;
const NAMES: usize = 48;
/// A long value, and the length of the longest identifier of common servers.
const LONG: usize = 100_000;
const LONG_NAME: usize = 64;

/// Text of pieces that parsers stumble over, in any order.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => select(PIECES.as_slice()).prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
        1 => "[a-z]{1,8}",
    ];
    vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

/// Tries so many texts; of the first that fails, the simplest that still does is told.
async fn every_text(tries: usize, check: impl AsyncFn(&str) -> Result<()>) -> Result<()> {
    let mut runner = TestRunner::default();
    for _ in 0..tries {
        let mut tree = any_text().new_tree(&mut runner).map_err(|reason| anyhow!("no text: {reason}"))?;
        let Err(mut error) = check(&tree.current()).await else { continue };
        let mut simplest = tree.current();
        while tree.simplify() {
            if let Err(simpler) = check(&tree.current()).await {
                (error, simplest) = (simpler, tree.current());
            } else if !tree.complicate() {
                break;
            }
        }
        return Err(error.context(format!("of the text {simplest:?}")));
    }
    Ok(())
}

pub async fn any_text_comes_back_literally_or_is_refused(target: &Target) -> Result<()> {
    let made = target.create("ada").await?;
    every_text(TEXTS, async |text| {
        match target.update(&made.key(), set(target.text(), &[text])).await {
            Ok(_) => {
                let now = target.values(&made.key(), target.text()).await?;
                ensure!(now == [text], "it came back as {now:?}");
                let found = target.connector.find(target.class(), target.text(), &Value::from(text)).await?;
                let ours = found.iter().filter(|account| account.key() == made.key()).count();
                ensure!(ours == 1, "it is not found by itself");
            }
            Err(failure) => refused(text, &failure)?,
        }
        Ok(())
    })
    .await
}

pub async fn any_name_comes_back_literally_or_is_refused(target: &Target) -> Result<()> {
    every_text(NAMES, async |text| {
        let account = match target.connector.create(&target.new_account(text)).await {
            Ok(account) => account,
            Err(failure) => {
                ensure!(failure.kind == FailureKind::Refused, "{failure}");
                return Ok(());
            }
        };
        let judged = is_led_to_by_its_name(target, &account).await;
        // Whatever was found: the next text may be another spelling of the same name.
        let deleted = target.delete(&account.key()).await;
        judged?;
        deleted?;
        Ok(())
    })
    .await
}

async fn is_led_to_by_its_name(target: &Target, account: &Account) -> Result<()> {
    let name = by_name(account);
    let got = target.shown(&name).await?;
    ensure!(got.key() == account.key(), "it led to {:?}", got.key());
    let written = target.update(&name, set(target.text(), &["found"])).await?;
    ensure!(written.key() == account.key(), "{:?} was written", written.key());
    let (accounts, _) = target.read().await?;
    ensure!(accounts.iter().any(|read| read.key() == account.key()), "a read spells it in another way");
    Ok(())
}

pub async fn hostile_values_come_back_literally_or_are_refused(target: &Target) -> Result<()> {
    let made = target.create("ada").await?;
    let attributes = [Some(target.text()), target.words().many.as_deref()];
    for attribute in attributes.into_iter().flatten() {
        for value in HOSTILE {
            match target.update(&made.key(), set(attribute, &[value])).await {
                Ok(_) => {
                    let now = target.values(&made.key(), attribute).await?;
                    ensure!(now == [value], "{attribute} = {value:?} came back as {now:?}");
                }
                Err(failure) => refused(value, &failure)?,
            }
        }
    }
    Ok(())
}

pub async fn hostile_names_come_back_literally_or_are_refused(target: &Target) -> Result<()> {
    let mut made = Vec::new();
    let mut refusals = 0;
    for hostile in HOSTILE.into_iter().map(str::to_owned).chain(["n".repeat(LONG_NAME)]) {
        let account = match target.connector.create(&target.new_account(&hostile)).await {
            Ok(account) => account,
            Err(failure) => {
                ensure!(failure.kind == FailureKind::Refused, "{hostile:?}: {failure}");
                refusals += 1;
                continue;
            }
        };
        let got = target.shown(&by_name(&account)).await.with_context(|| format!("the name {hostile:?}"))?;
        ensure!(got.key() == account.key(), "{hostile:?} led to {:?}", got.key());
        made.push(account);
    }
    ensure!(refusals <= 3, "{refusals} names were refused");
    let (accounts, proof) = target.read().await?;
    ensure!(proof.complete && accounts.len() == made.len(), "{} of {}", accounts.len(), made.len());
    for account in &made {
        target.delete(&by_name(account)).await.with_context(|| account.external_uid.clone())?;
    }
    ensure!(target.read().await?.0.is_empty(), "some are left");
    Ok(())
}

pub async fn hostile_values_find_only_themselves(target: &Target) -> Result<()> {
    let plain = target.name("plain");
    target.create_with("ada", target.text(), &[&plain]).await?;
    for value in HOSTILE {
        match target.connector.find(target.class(), target.text(), &Value::from(value)).await {
            Ok(found) => {
                let wrong = found.iter().any(|account| {
                    account
                        .attributes
                        .get(target.text())
                        .is_some_and(|values| values.contains(&Value::from(plain.as_str())))
                });
                ensure!(!wrong, "{value:?} found {found:?}");
            }
            Err(failure) => ensure!(failure.kind == FailureKind::Refused, "{value:?}: {failure}"),
        }
    }
    for name in ["no such attribute", "a=b)(c", "\"; --", "../x", ""] {
        match target.connector.find(target.class(), name, &Value::from(plain.as_str())).await {
            Ok(found) => ensure!(found.is_empty(), "the attribute {name:?} found {found:?}"),
            Err(failure) => ensure!(failure.kind == FailureKind::Refused, "{name:?}: {failure}"),
        }
    }
    Ok(())
}

pub async fn long_values_come_back_whole_or_are_refused(target: &Target) -> Result<()> {
    let made = target.create("ada").await?;
    let attribute = target.words().many.as_deref().unwrap_or(target.text());
    let long = "x".repeat(LONG);
    match target.update(&made.key(), set(attribute, &[&long])).await {
        Ok(_) => ensure!(target.values(&made.key(), attribute).await? == [long], "it was cut"),
        Err(failure) => {
            ensure!(failure.kind == FailureKind::Refused, "{failure}");
            ensure!(target.values(&made.key(), attribute).await?.is_empty(), "a part was written");
        }
    }
    Ok(())
}

/// S3: messages go to logs, reports and dead letters.
pub async fn a_refusal_never_repeats_a_written_value(target: &Target) -> Result<()> {
    if target.words().refused.is_empty() {
        return not_offered("no attribute is known to refuse a value");
    }
    let made = target.create("ada").await?;
    let secret = "canary-5e3a1c";
    for (attribute, count) in &target.words().refused {
        let values: Vec<String> = (0..*count).map(|n| format!("{secret}{n}")).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        match target.update(&made.key(), set(attribute, &values)).await {
            Ok(_) => bail!("{attribute} took {count} values"),
            Err(failure) => {
                ensure!(failure.kind == FailureKind::Refused, "{attribute}: {failure}");
                ensure!(!failure.message.contains(secret), "{attribute} tells: {failure}");
            }
        }
    }
    Ok(())
}

/// Only what cannot be text, and names of nothing, may be refused.
fn refused(value: &str, failure: &TargetFailure) -> Result<()> {
    ensure!(failure.kind == FailureKind::Refused, "{value:?}: {failure}");
    ensure!(value.contains('\0'), "{value:?} was refused: {failure}");
    Ok(())
}
