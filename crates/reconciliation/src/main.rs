//! The binary `xavyo-reconciliation`: `serve` and `migrate`. What it serves is in the library, begun by
//! [`xavyo_reconciliation::start`]; how it lives is in [`xavyo_runtime::process`].

use std::process::ExitCode;

use mimalloc::MiMalloc;
use xavyo_runtime::process::{self, Program};

/// What two streams bring is unpacked into many small things, and dropped again.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    if xavyo_reconciliation::crash::are_asked_for() {
        return ExitCode::SUCCESS;
    }
    let program = Program {
        name: "xavyo-reconciliation",
        about: "Compares what should be with what is on target systems, reports, and remediates",
        migrations: &xavyo_reconciliation::MIGRATIONS,
    };
    process::main(&program, xavyo_reconciliation::start)
}
