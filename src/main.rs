//! `dnstapd`: arguments, configuration, daemon, exit status.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use dnstapd::args::{Answer, Args, FALLBACK};
use dnstapd::{check, daemon, top};

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args_os().skip(1)) {
        Ok(args) => args,
        Err(Answer::Help(text)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(Answer::Usage(text)) => return complain(text.trim_end(), 2),
    };
    if let Some(options) = &args.top {
        return match top::run(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err((why, status)) => complain(format_args!("dnstapd: {why}"), status),
        };
    }
    let config = match args.configuration(Path::new(FALLBACK)) {
        Ok(config) => config,
        Err(error) => return complain(&error, error.class().exit_status()),
    };
    let done = if args.check {
        check::check(&config, &mut std::io::stdout().lock())
    } else {
        daemon::run(config, args.overlay)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(failure, 1),
    }
}

/// Says on standard error why the program ends.
fn complain(why: impl std::fmt::Display, status: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{why}");
    ExitCode::from(status)
}
