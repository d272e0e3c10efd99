//! Giving up rights that are needed at the start only.
//!
//! Rights belong to a thread, so this is for the start, before there is a second one.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Gid, Uid, geteuid, initgroups, setgroups, setresgid, setresuid};

use super::accounts;

/// Who to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User; none = stay.
    pub(crate) user: Option<Uid>,
    /// Group; none = stay.
    pub(crate) group: Option<Gid>,
    /// The user's name in the list of users, by which further groups are found.
    name: Option<CString>,
}

impl Identity {
    /// Who is meant by a user and a group, by name or number; without a group the user's own is meant.
    ///
    /// # Errors
    ///
    /// An unknown name, or a number that is not a listed user's and comes without a group.
    pub(crate) fn find(user: Option<&str>, group: Option<&str>) -> io::Result<Self> {
        let user = user.map(accounts::user).transpose()?;
        let (user, entry) = user.map_or((None, None), |(user, entry)| (Some(user), entry));
        let group = match group {
            Some(group) => Some(accounts::group(group)?),
            None => entry.as_ref().map(|entry| entry.gid),
        };
        if user.is_some() && group.is_none() {
            let text = "this number is no user's in the list of users, so a group is needed";
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Ok(Identity { user, group, name: entry.and_then(|entry| CString::new(entry.name).ok()) })
    }

    /// Becomes this user and group for good. Only the user's own groups are kept; who is not root afterwards
    /// has no capability left, nor a way to one.
    ///
    /// # Errors
    ///
    /// A step that only root may take.
    pub(crate) fn assume(&self) -> io::Result<()> {
        if self.user.is_some_and(|user| !user.is_root()) {
            empty_bounding_set();
        }
        if let Some(group) = self.group {
            match &self.name {
                Some(name) => initgroups(name, group)?,
                None => setgroups(&[group])?,
            }
            setresgid(group, group, group)?;
        }
        if let Some(user) = self.user {
            setresuid(user, user, user)?;
        }
        if !geteuid().is_root() {
            drop_capabilities()?;
        }
        Ok(())
    }
}

/// Takes every capability out of the bounding set, so that no program started later can have one.
fn empty_bounding_set() {
    // The first number the kernel does not know ends the list (capabilities(7)).
    (0..64).take_while(|&capability| prctl(libc::PR_CAPBSET_DROP, capability).is_ok()).for_each(drop);
}

/// Empties the effective, permitted, inheritable and, by that, ambient sets.
fn drop_capabilities() -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h: sets of 64 bits in two halves.
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let sets = [0u32; 6];
    // SAFETY: capset(2) reads a header of two words, version and thread (0 = this one), and for version 3 two
    // times three words. Both arrays are that long and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    Errno::result(result)?;
    Ok(())
}

/// Whether this process has a capability in effect; by number, as in linux/capability.h.
pub(crate) fn has_capability(number: u32) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return geteuid().is_root() };
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set >> number & 1 == 1)
}

/// `CAP_NET_BIND_SERVICE`: ports below those for everybody.
pub(crate) const NET_BIND_SERVICE: u32 = 10;

/// `CAP_NET_RAW`: packet sockets.
pub(crate) const NET_RAW: u32 = 13;

/// Whether this process may listen on a port.
pub(crate) fn may_listen_on(port: u16) -> bool {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok();
    let first = first.and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
    port == 0 || port >= first || has_capability(NET_BIND_SERVICE)
}

/// Forgoes new rights by setuid programs and file capabilities.
///
/// # Errors
///
/// On kernels before 3.5.
pub(crate) fn forgo_new() -> io::Result<()> {
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

fn prctl(option: libc::c_int, argument: libc::c_ulong) -> nix::Result<()> {
    const NONE: libc::c_ulong = 0;
    // SAFETY: the options used here take one number and touch no memory.
    Errno::result(unsafe { libc::prctl(option, argument, NONE, NONE, NONE) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_brings_its_group() {
        let root = Identity::find(Some("root"), None).unwrap();
        assert_eq!((root.user, root.group), (Some(Uid::from_raw(0)), Some(Gid::from_raw(0))));
        assert_eq!(Identity::find(Some("0"), None).unwrap(), root);
        let number = Identity::find(Some("4000000000"), Some("7")).unwrap();
        assert_eq!((number.user, number.group), (Some(Uid::from_raw(4_000_000_000)), Some(Gid::from_raw(7))));
        assert_eq!(Identity::find(None, None).unwrap(), Identity { user: None, group: None, name: None });
    }

    #[test]
    fn who_is_unknown_is_named() {
        let error = |user, group| Identity::find(user, group).unwrap_err().to_string();
        assert_eq!(error(Some("nobody-here"), None), "no user is called `nobody-here`");
        assert_eq!(error(None, Some("nobody-here")), "no group is called `nobody-here`");
        assert!(error(Some("4000000000"), None).contains("a group is needed"));
    }
}
