//! The binary `xavyo-provisioning`: `serve` and `migrate`. What it serves is in the library, begun by
//! [`xavyo_provisioning::start`]; how it lives is in [`xavyo_runtime::process`].

use std::process::ExitCode;

use mimalloc::MiMalloc;
use xavyo_runtime::process::{self, Program};

/// A queue makes and drops many small things in many threads: a sixth of its time went to the system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    if xavyo_provisioning::crash::are_asked_for() {
        return ExitCode::SUCCESS;
    }
    let program = Program {
        name: "xavyo-provisioning",
        about: "Creates, updates and deletes accounts on target systems, durably and in order",
        migrations: &xavyo_provisioning::MIGRATIONS,
    };
    process::main(&program, xavyo_provisioning::start)
}
