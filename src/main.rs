//! `dnstapd`: arguments, configuration, the program that is asked for, exit status.

use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;

use dnstapd::args::{Args, Command, FALLBACK, ImmediateAnswer};
use dnstapd::config::Config;
use dnstapd::sys::table_memory::TableMemory;
use dnstapd::{cat, check, daemon, password, top};

/// Tables lie side by side in one block.
#[global_allocator]
static MEMORY: TableMemory = TableMemory;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args_os().skip(1)) {
        Ok(args) => args,
        Err(ImmediateAnswer::Help(text)) => {
            let _ = stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(ImmediateAnswer::Usage(text)) => return complain(text.trim_end(), 2),
    };
    if let Command::Top(options) = &args.command {
        return match top::run(options, || of_this_machine(&args)) {
            Ok(()) => ExitCode::SUCCESS,
            Err((why, status)) => complain(format_args!("dnstapd: {why}"), status),
        };
    }
    if let Command::Cat(options) = &args.command {
        return match cat::run(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err((why, status)) => complain(why, status),
        };
    }
    let config = match args.configuration(Path::new(FALLBACK)) {
        Ok(config) => config,
        Err(errors) => return complain(&errors, errors.class().exit_status()),
    };
    let done = match &args.command {
        Command::Check { against } => {
            let old = against.as_deref().map(|old| Config::load(old, &args.overlay));
            let done = check::check(&config, &mut stdout().lock());
            match old.filter(|_| done.is_ok()) {
                Some(old) => return check::compare(&config, old, &mut stdout().lock()),
                None => done,
            }
        }
        Command::Password(action) => password::run(&config, *action, &mut stdout().lock()),
        _ => daemon::run(config, args.overlay),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(failure, 1),
    }
}

/// The daemon of this machine, for who may read its configuration.
fn of_this_machine(args: &Args) -> Option<top::LocalDaemon> {
    let api = args.configuration(Path::new(FALLBACK)).ok()?.web_api;
    let (address, encrypted) = (api.own_address(), api.tls_support == Some(true));
    let credentials = if !api.api_key.is_off() {
        Some(top::LocalCredentials::Key(api.api_key))
    } else {
        let login = api.login.as_str().to_owned();
        (!api.password.is_off()).then_some(top::LocalCredentials::Password(login, api.password))
    };
    Some(top::LocalDaemon { address, encrypted, credentials })
}

/// Says on standard error why the program ends.
fn complain(why: impl std::fmt::Display, status: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{why}");
    ExitCode::from(status)
}
