//! Object types: what a connector keeps in step, and by which rules.

use serde::{Deserialize, Serialize};

pub const DEFAULT_INTENT: &str = "default";

/// One kind of account of a connector: who should have one (scope), what it should look like (mapping), and how an
/// unlinked one is recognised (correlation).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectType {
    /// The target's class of object: `account`, `inetOrgPerson`, a table's name.
    pub object_class: String,
    /// Which of several accounts of one identity this is.
    pub intent: String,
    /// CEL predicate over `identity`; empty = every active identity.
    pub scope: String,
    /// CEL expression over `identity` and `iteration` that names a new account (its `external_uid`).
    pub naming: String,
    pub mapping: Vec<AttributeRule>,
    pub correlation: CorrelationPolicy,
    /// CEL predicate over `account`: accounts that are never written. Empty = none.
    pub protected: String,
}

/// The rule of one target attribute.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each named in the contract")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributeRule {
    /// The target attribute.
    pub name: String,
    /// CEL over `identity`; `null` = must be absent, `unmanaged()` = leave alone.
    pub expression: String,
    /// CEL over `account`, yielding the identity attributes to change, for `target_to_xavyo`. None = no inverse.
    pub inverse: Option<Inverse>,
    pub matching: MatchingRule,
    pub multi_valued: bool,
    pub ownership: Ownership,
    /// Written when the account is created, never compared.
    pub on_create_only: bool,
    /// Cannot be read back (passwords): sealed, never compared.
    pub write_only: bool,
    /// Shown as `***` everywhere.
    pub sensitive: bool,
    pub authority: Authority,
}

/// How a target attribute is written back to the identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inverse {
    /// The identity attribute that is set.
    pub identity_attribute: String,
    /// CEL over `account`.
    pub expression: String,
}

/// Which differences of spelling are no differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchingRule {
    #[default]
    Exact,
    CaseInsensitive,
    /// Leading, trailing and repeated spaces, and case, do not count.
    Spaces,
    /// Only digits and a leading `+` count.
    Phone,
    /// Distinguished names (RFC 4514): spaces around separators, case of types and values, escapes.
    Dn,
    Boolean,
    Timestamp,
}

/// Which values of a multi-valued attribute are ours to compare and to remove.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// Those that the mapping yields.
    #[default]
    Yielded,
    All,
    /// CEL predicate over `value`.
    Matching(String),
}

/// Whose value counts when both sides changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    #[default]
    Xavyo,
    Target,
    None,
}

/// How an unlinked account is recognised: rules in order, weights added up, a candidate from the threshold on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CorrelationPolicy {
    pub rules: Vec<CorrelationRule>,
    /// The least sum of weights that makes a candidate. With no rules nothing correlates.
    pub threshold: i32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorrelationRule {
    /// CEL over `identity`; an empty or absent key never matches.
    pub expression: String,
    /// The account attribute it must equal; `external_uid` names the uid.
    pub attribute: String,
    pub normaliser: Normaliser,
    /// 1–100.
    pub weight: i32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normaliser {
    /// Unicode NFKC, case folded, outer and repeated spaces removed.
    #[default]
    Text,
    Exact,
    Phone,
}
