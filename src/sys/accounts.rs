//! Users and groups, by name or number.

use std::io;

use nix::unistd::{Gid, Group, Uid, User};

/// The user of a name or number, and the list's entry; a number need not be in the list of users.
///
/// # Errors
///
/// When no user has the name, or the list of users cannot be read.
pub(crate) fn user(account: &str) -> io::Result<(Uid, Option<User>)> {
    if let Ok(number) = account.parse() {
        let number = Uid::from_raw(number);
        return Ok((number, User::from_uid(number)?));
    }
    let user = User::from_name(account)?.ok_or_else(|| unknown("user", account))?;
    Ok((user.uid, Some(user)))
}

/// The group of a name or number; a number need not be in the list of groups.
///
/// # Errors
///
/// When no group has the name, or the list of groups cannot be read.
pub(crate) fn group(account: &str) -> io::Result<Gid> {
    if let Ok(number) = account.parse() {
        return Ok(Gid::from_raw(number));
    }
    Group::from_name(account)?.map(|group| group.gid).ok_or_else(|| unknown("group", account))
}

fn unknown(kind: &str, account: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no {kind} is called `{account}`"))
}
