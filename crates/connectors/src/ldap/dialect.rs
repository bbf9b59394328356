//! What differs from server to server, and what a server says about itself (root DSE, RFC 4512 §5.1).
//!
//! The OpenLDAP dialect is proven against slapd; what stands here of 389 Directory Server and Active Directory is
//! written from their documentation.

use xavyo_core::connector::{LdapDialect, LdapSettings};

use super::entry::Entry;

/// Of modifications: values already there or already gone are no errors.
pub(super) const PERMISSIVE_MODIFY: &str = "1.2.840.113556.1.4.1413";
const ASSERTION: &str = "1.3.6.1.1.12";
const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";
const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";
const SYNC: &str = "1.3.6.1.4.1.4203.1.9.1.1";
const POST_READ: &str = "1.3.6.1.1.13.2";
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";
const ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.800";
/// Of `userAccountControl`: the account is disabled.
const ACCOUNT_DISABLE: i64 = 2;
/// Of `pwdAccountLockedTime`: locked until an administrator unlocks it (draft-behera-ldap-password-policy, §5.3.3).
const LOCKED_FOR_GOOD: &str = "000001010000Z";

/// What must be asked of the root DSE.
pub(super) const ROOT_DSE: [&str; 7] = [
    "supportedControl",
    "supportedExtension",
    "supportedCapabilities",
    "vendorName",
    "namingContexts",
    "subschemaSubentry",
    "objectClass",
];

/// A server as it is to be spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent offers of the server, each asked for by itself"
)]
pub(super) struct Server {
    pub kind: Kind,
    /// Writes can carry a condition that the server itself checks (RFC 4528).
    pub asserts: bool,
    /// Writes can answer with the entry as they left it (RFC 4527).
    pub post_reads: bool,
    pub pages: bool,
    pub permissive: bool,
    /// Passwords are set by an operation of their own (RFC 3062).
    pub sets_passwords: bool,
    /// It tells what changed (RFC 4533).
    pub syncs: bool,
    pub naming_contexts: Vec<String>,
    /// Where it tells of its schema.
    pub schema: Option<String>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// And every server that keeps entryUUID (RFC 4530).
    OpenLdap,
    Dirsrv389,
    ActiveDirectory,
}

/// How an account shows that it is disabled.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    None,
    /// By holding this value.
    Value {
        attribute: String,
        disabled: String,
    },
    /// By a bit of `userAccountControl`.
    Bit,
}

impl Server {
    pub fn recognised(root: &Entry, settings: &LdapSettings) -> Self {
        let has = |list: &str, wanted: &str| root.texts(list).any(|offered| offered == wanted);
        let offers = |control: &str| has("supportedControl", control);
        let kind = match settings.dialect {
            LdapDialect::ActiveDirectory => Kind::ActiveDirectory,
            LdapDialect::Dirsrv389 => Kind::Dirsrv389,
            LdapDialect::OpenLdap => Kind::OpenLdap,
            LdapDialect::Detect => detected(root),
        };
        Self {
            kind,
            asserts: offers(ASSERTION),
            post_reads: offers(POST_READ),
            pages: offers(PAGED_RESULTS),
            permissive: offers(PERMISSIVE_MODIFY),
            sets_passwords: has("supportedExtension", PASSWORD_MODIFY),
            syncs: offers(SYNC),
            naming_contexts: root.texts("namingContexts").map(str::to_owned).collect(),
            schema: root.texts("subschemaSubentry").next().map(str::to_owned),
            state: State::of(kind, settings, offers(PASSWORD_POLICY)),
        }
    }

    /// The attribute whose value no other entry ever gets.
    pub fn id_attribute(&self) -> &'static str {
        match self.kind {
            Kind::OpenLdap => "entryUUID",
            Kind::Dirsrv389 => "nsUniqueId",
            Kind::ActiveDirectory => "objectGUID",
        }
    }

    /// The attribute that a password is written as.
    pub fn password_attribute(&self) -> &'static str {
        match self.kind {
            Kind::OpenLdap | Kind::Dirsrv389 => "userPassword",
            Kind::ActiveDirectory => "unicodePwd",
        }
    }

    /// A name that leads to the entry of that id wherever it is, if the server has such ([MS-ADTS] §3.1.1.3.1.2.4).
    pub fn name_of_id(&self, immutable_id: &str) -> Option<String> {
        match self.kind {
            Kind::OpenLdap | Kind::Dirsrv389 => None,
            Kind::ActiveDirectory => {
                uuid::Uuid::parse_str(immutable_id).ok().map(|id| format!("<GUID={id}>"))
            }
        }
    }

    /// The attribute that changes with every write of the entry.
    pub fn version_attribute(&self) -> &'static str {
        match self.kind {
            Kind::OpenLdap => "entryCSN",
            Kind::Dirsrv389 => "modifyTimestamp",
            Kind::ActiveDirectory => "uSNChanged",
        }
    }

    pub fn state_attribute(&self) -> Option<&str> {
        match &self.state {
            State::None => None,
            State::Value { attribute, .. } => Some(attribute),
            State::Bit => Some("userAccountControl"),
        }
    }

    /// The immutable id as text: GUIDs, which Active Directory keeps in 16 bytes of its own order, are spelled out.
    pub fn immutable_id(&self, entry: &Entry) -> Option<String> {
        let bytes = entry.values(self.id_attribute()).first()?;
        match self.kind {
            Kind::OpenLdap | Kind::Dirsrv389 => String::from_utf8(bytes.clone()).ok(),
            Kind::ActiveDirectory => {
                let bytes = bytes.as_slice().try_into().ok()?;
                Some(uuid::Uuid::from_bytes_le(bytes).to_string())
            }
        }
    }

    /// The value to search an immutable id by. None: the text is no id of this server.
    pub fn id_value(&self, immutable_id: &str) -> Option<Vec<u8>> {
        match self.kind {
            Kind::OpenLdap | Kind::Dirsrv389 => Some(immutable_id.as_bytes().to_vec()),
            Kind::ActiveDirectory => {
                uuid::Uuid::parse_str(immutable_id).ok().map(|id| id.to_bytes_le().to_vec())
            }
        }
    }

    pub fn version(&self, entry: &Entry) -> Option<String> {
        entry.texts(self.version_attribute()).next().map(str::to_owned)
    }

    /// None where nothing says so.
    pub fn enabled(&self, entry: &Entry) -> Option<bool> {
        match &self.state {
            State::None => None,
            State::Value { attribute, disabled } => {
                Some(!entry.texts(attribute).any(|value| value.eq_ignore_ascii_case(disabled)))
            }
            State::Bit => {
                let control: i64 = entry.texts("userAccountControl").next()?.parse().ok()?;
                Some(control & ACCOUNT_DISABLE == 0)
            }
        }
    }

    /// What makes an account enabled or disabled depends on what the attribute holds.
    pub fn state_is_relative(&self) -> bool {
        self.state == State::Bit
    }

    /// The values of the state's attribute that make an entry enabled or disabled; none = the attribute is absent.
    pub fn state_values(&self, entry: &Entry, enabled: bool) -> Option<(&str, Vec<String>)> {
        match &self.state {
            State::None => None,
            State::Value { attribute, disabled } => {
                Some((attribute, if enabled { Vec::new() } else { vec![disabled.clone()] }))
            }
            State::Bit => {
                let control = entry.texts("userAccountControl").next().and_then(|text| text.parse().ok());
                // 512: an ordinary account.
                let control: i64 = control.unwrap_or(512);
                let control = if enabled { control & !ACCOUNT_DISABLE } else { control | ACCOUNT_DISABLE };
                Some(("userAccountControl", vec![control.to_string()]))
            }
        }
    }

    /// For the connection check.
    pub fn summary(&self) -> String {
        let kind = match self.kind {
            Kind::OpenLdap => "OpenLDAP or alike",
            Kind::Dirsrv389 => "389 Directory Server",
            Kind::ActiveDirectory => "Active Directory",
        };
        let offered = |name, offered| if offered { format!(", {name}") } else { format!(", no {name}") };
        kind.to_owned()
            + &offered("paging", self.pages)
            + &offered("assertions", self.asserts)
            + &offered("post-read", self.post_reads)
    }
}

fn detected(root: &Entry) -> Kind {
    if root.texts("supportedCapabilities").any(|capability| capability == ACTIVE_DIRECTORY) {
        Kind::ActiveDirectory
    } else if root.texts("vendorName").any(|name| name.contains("389")) {
        Kind::Dirsrv389
    } else {
        Kind::OpenLdap
    }
}

impl State {
    fn of(kind: Kind, settings: &LdapSettings, has_password_policy: bool) -> Self {
        match (&settings.disabled_attribute, &settings.disabled_value, kind) {
            (Some(attribute), Some(disabled), _) => {
                Self::Value { attribute: attribute.clone(), disabled: disabled.clone() }
            }
            (_, _, Kind::OpenLdap) if has_password_policy => {
                Self::Value { attribute: "pwdAccountLockedTime".into(), disabled: LOCKED_FOR_GOOD.into() }
            }
            (_, _, Kind::OpenLdap) => Self::None,
            (_, _, Kind::Dirsrv389) => {
                Self::Value { attribute: "nsAccountLock".into(), disabled: "true".into() }
            }
            (_, _, Kind::ActiveDirectory) => Self::Bit,
        }
    }
}
