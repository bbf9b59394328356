//! Logs: to standard error, for people or as JSON. Standard output stays free for what a program answers.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::{
    StartError,
    settings::{LogFormat, LogSettings},
};

/// Once a process. A panic becomes an event of the log too.
pub fn start(settings: &LogSettings) -> Result<(), StartError> {
    let filter = EnvFilter::try_new(&settings.log)
        .map_err(|error| StartError::Setting { setting: "XAVYO_LOG", problem: error.to_string() })?;
    let events = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => events.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => events.json().flatten_event(true).with_span_list(false).init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, message = panic.payload_as_str(), "panic");
    }));
    Ok(())
}
