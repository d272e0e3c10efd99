//! `dnstapd password`: the password of the web API, shown or changed.
//!
//! It is in the file that `web-api.password-file` names, and whoever may read that file may see it. A running
//! daemon takes a new one over when it is started again.

use std::io::{self, BufRead, Write};
use std::path::Path;

use crate::config::Config;
use crate::process::StartError;
use crate::sys::files;
use crate::sys::new_password::new_password;

/// The thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordAction {
    /// Show it.
    Show,
    /// Make a new one, and show it.
    Make,
    /// Take the one that standard input brings.
    Take,
}

/// Does it.
///
/// # Errors
///
/// No password file in the configuration, or one that cannot be written.
pub fn run(config: &Config, action: PasswordAction, out: &mut impl Write) -> Result<(), StartError> {
    let api = &config.web_api;
    let Some(path) = api.password_file.as_deref() else {
        let text = "web-api.password-file: unset, so the password is in the configuration itself; set it for `dnstapd password`";
        return Err(StartError(text.to_owned()));
    };
    let failure = StartError::of(format!("web-api.password-file: {}", path.display()));
    let password = match action {
        PasswordAction::Show if config.password_to_make.is_some() => {
            return Err(StartError(format!(
                "web-api.password-file: {}: not there yet; made at the first start, or by `dnstapd password --new`",
                path.display()
            )));
        }
        PasswordAction::Show => api.password.expose().to_owned(),
        PasswordAction::Make => new_password(),
        PasswordAction::Take => read_line().map_err(StartError::of("standard input"))?,
    };
    if action != PasswordAction::Show {
        write(path, &password).map_err(&failure)?;
        let _ = writeln!(io::stderr(), "Written to {}; in force after a restart", path.display());
    }
    if action != PasswordAction::Take {
        let _ = writeln!(io::stderr(), "login: {}", api.login.as_str());
        writeln!(out, "{password}").map_err(StartError::of("standard output"))?;
    }
    Ok(())
}

/// Writes a password into a new file that only its owner can read.
///
/// # Errors
///
/// Those of the file system.
pub(crate) fn write(path: &Path, password: &str) -> io::Result<()> {
    let mut file = files::make_anew(path, 0o600)?;
    writeln!(file, "{password}")?;
    file.sync_all()
}

/// The first line of standard input.
fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the first line is empty"));
    }
    Ok(line.to_owned())
}
