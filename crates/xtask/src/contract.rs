//! The contract: what `proto/` promises to callers, and the image of it that changes are compared with.

use anyhow::Result;

use crate::{program::run, tools::buf};

/// Later changes must not break it; written by [`accept`] only.
pub const IMAGE: &str = "proto/contract.binpb";

/// Takes `proto/` as it is now as the contract. Goes into a commit that says why.
pub fn accept() -> Result<()> {
    run(buf()?.args(["build", "--exclude-source-info", "--output", IMAGE]))?;
    eprintln!("{IMAGE} is the contract as it is now; commit it, and say why it changed.");
    Ok(())
}
