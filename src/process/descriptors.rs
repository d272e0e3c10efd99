//! The limit of open files.

use defmt_or_log::warn;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Raises the soft limit to what is needed, and says when the hard limit does not let it.
pub(crate) fn provide(needed: u64) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    #[allow(clippy::useless_conversion, reason = "of 32 bits on some machines")]
    let needed_here = rlim_t::try_from(needed).unwrap_or(hard);
    if soft >= needed_here {
        return;
    }
    let raised = needed_here.min(hard);
    if setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_err() || raised < needed_here {
        warn!(
            "limits.connections: {} open files are needed, and the limit is {} (ulimit -n, LimitNOFILE): some connections will be refused",
            needed,
            getrlimit(Resource::RLIMIT_NOFILE).map_or(soft, |(soft, _)| soft)
        );
    }
}
