//! As whom children run: Postgres refuses to run as root, and nothing else here needs to.

use std::{fs, os::unix::fs::chown, path::Path};

use anyhow::{Context, Result};

/// The user that children run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// The one who runs this process.
    Myself,
    /// An unprivileged one, because this process is root.
    Other { name: String, uid: u32, gid: u32 },
}

impl User {
    /// Myself; or, for root, the first of `preferred` and `nobody` that the machine knows.
    pub fn unprivileged(preferred: &str) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Myself);
        }
        let known = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        [preferred, "nobody"]
            .into_iter()
            .find_map(|name| named(&known, name))
            .with_context(|| format!("root needs the user {preferred} or nobody to run servers as"))
    }

    /// Gives a file or folder to this user.
    pub fn own(&self, path: &Path) -> Result<()> {
        match self {
            Self::Myself => Ok(()),
            Self::Other { uid, gid, .. } => chown(path, Some(*uid), Some(*gid))
                .with_context(|| format!("cannot give {} to its user", path.display())),
        }
    }
}

/// The user of that name in the text of a passwd file.
fn named(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (found, _password, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        (found == name).then_some(())?;
        Some(User::Other { name: name.to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\npostgres2:x:9:9::/:\npostgres:x:104:110:,,,:/var:/bin/bash\n";

        let found = named(passwd, "postgres");

        assert_eq!(found, Some(User::Other { name: "postgres".to_owned(), uid: 104, gid: 110 }));
        assert_eq!(named(passwd, "slapd"), None);
    }
}
