//! The text of slapd.conf.

use std::{fmt::Write, fs};

use anyhow::Result;

use super::{ADMINISTRATOR_DN, BASE, CONNECTOR_DN, LEDGER};
use crate::{directory::PrivateDirectory, user::User};

/// The largest size of a database file; sparse, so it costs what is in it.
const MAX_BYTES: u64 = 4 << 30;

/// How the server treats the connector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The most entries of one search, over all its pages: beyond it the server answers sizeLimitExceeded.
    pub size_limit: Option<u32>,
    /// Subtrees that the connector cannot see: its searches succeed with fewer entries.
    pub hidden: Vec<String>,
    /// Every write is recorded by the server itself under `cn=ledger`.
    pub ledger: bool,
    pub overlays: Vec<Overlay>,
}

/// What administrators add to a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// `memberOf` follows each group's `member`, and groups follow renamed and deleted members.
    Groups,
    /// Passwords have at least eight letters; accounts can be locked ([`POLICY`]).
    PasswordPolicy,
    /// RFC 4533, with the deletes of the last thousand writes.
    Changes,
}

/// Where the password policy is.
pub const POLICY: &str = "cn=policy,dc=example,dc=org";

impl Overlay {
    fn module(self) -> &'static str {
        match self {
            Self::Groups => "memberof",
            Self::PasswordPolicy => "ppolicy",
            Self::Changes => "syncprov",
        }
    }

    fn text(self) -> String {
        match self {
            Self::Groups => "overlay memberof\nmemberof-refint TRUE".to_owned(),
            Self::PasswordPolicy => format!("overlay ppolicy\nppolicy_default \"{POLICY}\""),
            Self::Changes => "overlay syncprov\nsyncprov-sessionlog 1000".to_owned(),
        }
    }
}

pub fn write(options: &Options, directory: &PrivateDirectory, user: &User, password: &str) -> Result<()> {
    let file = directory.join("slapd.conf");
    fs::write(&file, text(options, &directory.path().display().to_string(), password)?)?;
    user.own(&file)
}

fn text(options: &Options, directory: &str, password: &str) -> Result<String> {
    let mut text = String::new();
    for schema in ["core", "cosine", "inetorgperson"] {
        writeln!(text, "include /etc/ldap/schema/{schema}.schema")?;
    }
    writeln!(text, "modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload accesslog")?;
    for overlay in &options.overlays {
        writeln!(text, "moduleload {}", overlay.module())?;
    }
    writeln!(
        text,
        "\
pidfile {directory}/pid
TLSCACertificateFile {directory}/ca.pem
TLSCertificateFile {directory}/certificate.pem
TLSCertificateKeyFile {directory}/key.pem
sizelimit {}",
        options.size_limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string()),
    )?;
    if options.ledger {
        write_ledger_database(&mut text, directory)?;
    }
    write_people_database(&mut text, options, directory, password)?;
    Ok(text)
}

/// The ledger's database must stand before the one whose writes it records.
fn write_ledger_database(text: &mut String, directory: &str) -> Result<()> {
    writeln!(
        text,
        "
database mdb
suffix {LEDGER}
rootdn \"{ADMINISTRATOR_DN}\"
directory {directory}/ledger
maxsize {MAX_BYTES}
dbnosync
index objectClass,reqStart eq"
    )?;
    Ok(())
}

fn write_people_database(
    text: &mut String,
    options: &Options,
    directory: &str,
    password: &str,
) -> Result<()> {
    writeln!(
        text,
        "
database mdb
suffix \"{BASE}\"
rootdn \"{ADMINISTRATOR_DN}\"
rootpw {password}
directory {directory}/data
maxsize {MAX_BYTES}
dbnosync
index objectClass,entryUUID,uid,cn,mail,employeeNumber eq"
    )?;
    for subtree in &options.hidden {
        writeln!(text, "access to dn.subtree=\"{subtree}\" by * none")?;
    }
    writeln!(
        text,
        "\
access to attrs=userPassword by dn.exact=\"{CONNECTOR_DN}\" write by anonymous auth by * none
access to * by dn.exact=\"{CONNECTOR_DN}\" write by * none"
    )?;
    for overlay in &options.overlays {
        writeln!(text, "{}", overlay.text())?;
    }
    if options.ledger {
        writeln!(text, "overlay accesslog\nlogdb {LEDGER}\nlogops writes\nlogsuccess TRUE")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_stands_before_the_database_that_it_records() {
        let options = Options {
            ledger: true,
            size_limit: Some(10),
            hidden: vec!["ou=secret,dc=example,dc=org".into()],
            overlays: vec![Overlay::Groups],
        };

        let text = text(&options, "/d", "p").unwrap();

        let position = |part: &str| text.find(part).unwrap();
        assert!(position("suffix cn=ledger") < position("suffix \"dc=example,dc=org\""));
        assert!(position("by * none") < position("access to *"), "a rule that hides must come first");
        assert!(text.contains("sizelimit 10\n"));
        assert!(position("moduleload memberof") < position("overlay memberof"));
    }
}
