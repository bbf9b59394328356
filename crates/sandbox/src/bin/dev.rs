//! `xavyo-dev`: the whole product on this machine until Ctrl-C, with an admin's token to try it.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use xavyo_sandbox::{
    postgres::{Durability, Postgres},
    stack::Stack,
};

/// How often it looks whether the services still run.
const GLANCE: Duration = Duration::from_millis(250);

/// Starts Postgres and both services, prints their addresses and an admin's token, and stays until Ctrl-C.
/// Everything is thrown away at the end.
#[derive(Parser)]
#[command(name = "cargo xtask dev")]
struct Arguments {
    /// Print one JSON line {"provisioning", "reconciliation", "token", "tenant_id"} first.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (mut interrupted, mut terminated) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let postgres = Postgres::start(Durability::Fast).await?;
    let mut stack = Stack::start(&postgres).await?;
    let token = stack.token(&["admin"])?;
    if arguments.json {
        println!("{}", as_json(&stack, &token));
    } else {
        print_welcome(&stack, &token);
    }

    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
        died = death(&mut stack) => bail!("{died}"),
    }
    stack.stop()?;
    postgres.stop()
}

fn as_json(stack: &Stack, token: &str) -> serde_json::Value {
    json!({
        "provisioning": stack.provisioning.address().to_string(),
        "reconciliation": stack.reconciliation.address().to_string(),
        "token": token,
        "tenant_id": stack.ground().tenant.to_string(),
    })
}

fn print_welcome(stack: &Stack, token: &str) {
    let (provisioning, reconciliation) = (stack.provisioning.address(), stack.reconciliation.address());
    println!(
        "\
xavyo runs here until Ctrl-C.

  provisioning    {provisioning}
  reconciliation  {reconciliation}
  tenant          {tenant}
  logs            {logs}

Try it:

  export TOKEN={token}
  grpcurl -plaintext {provisioning} list
  grpcurl -plaintext -H \"authorization: Bearer $TOKEN\" {provisioning} \\
      xavyo.provisioning.v1.ConnectorService/ListConnectors
",
        tenant = stack.ground().tenant,
        logs = stack.ground().directory().display(),
    );
}

/// Which service ended by itself, and how.
async fn death(stack: &mut Stack) -> String {
    loop {
        for service in [&mut stack.provisioning, &mut stack.reconciliation] {
            if let Some(status) = service.process().ended() {
                return format!(
                    "{} ended: {status}\n{}",
                    service.kind().name(),
                    service.process().log_tail()
                );
            }
        }
        tokio::time::sleep(GLANCE).await;
    }
}
