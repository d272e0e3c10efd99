//! A system call filter: what this program does once it runs, and nothing else (seccomp(2)).
//!
//! A call that is not on the list fails as on a kernel that does not know it (`ENOSYS`), for which the C
//! libraries are prepared, and for which an intruder is not. Two calls are on the list with a condition: a
//! new thread must be a thread, not a process, and a socket must be a Unix, Internet or routing socket.
//!
//! The list is of names, the numbers differ between machines. It holds for musl and glibc, and for 32 bits,
//! where the calls with a time come in two widths.
#![allow(unsafe_code)]

use std::io;

use nix::errno::Errno;
use nix::libc::{self, c_long};

use super::bpf::{Assembler, Instruction};

/// Puts the filter in force, for all threads and for good.
///
/// # Errors
///
/// `Unsupported` where the processor is not known, or the kernel was built without.
pub(crate) fn install() -> io::Result<()> {
    let Some(machine) = MACHINE else { return Err(io::ErrorKind::Unsupported.into()) };
    let mut filter = program(machine);
    let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: seccomp(2) reads the program, `len` instructions at `filter`, and keeps a copy; both outlive
    // the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        )
    };
    match Errno::result(result) {
        Ok(_) => Ok(()),
        Err(Errno::EINVAL | Errno::ENOSYS) => Err(io::ErrorKind::Unsupported.into()),
        Err(errno) => Err(errno.into()),
    }
}

/// The program that the kernel runs before each call.
///
/// ```text
/// load machine;  other than ours: refuse
/// load number;   calls of another word size: refuse
/// one pair of instructions a call: is it this one? allow
/// clone, socket: go on where the first argument is looked at
/// refuse
/// ```
fn program(machine: u32) -> Vec<Instruction> {
    let mut code = Assembler::default();
    code.load_word(MACHINE_AT);
    code.return_unless_equal(machine, REFUSE);
    code.load_word(NUMBER_AT);
    if cfg!(target_arch = "x86_64") {
        code.return_when_at_least(X32, REFUSE);
    }
    let lists = [ALWAYS, LIBRARY, OLD, NARROW, TIME64, PLACED, MACHINE_OWN].into_iter().flatten();
    code.return_when_one_of(lists.filter_map(|&number| u32::try_from(number).ok()), ALLOW);
    let [clone, socket] = [libc::SYS_clone, libc::SYS_socket].map(|number| {
        let label = code.label();
        code.jump_when_equal(u32::try_from(number).unwrap_or(u32::MAX), label);
        label
    });
    code.finish(REFUSE);

    code.place(clone);
    code.load_word(ARGUMENT_AT);
    code.return_when_set(THREAD, ALLOW);
    code.finish(REFUSE);

    code.place(socket);
    code.load_word(ARGUMENT_AT);
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    code.return_when_one_of(families.map(i32::cast_unsigned), ALLOW);
    code.finish(REFUSE);
    code.resolve()
}

/// The call is made.
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
/// The call fails as one that this kernel does not have.
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();

/// Offsets in `struct seccomp_data`; arguments are of 64 bits, of which the low half counts here.
const NUMBER_AT: u32 = 0;
const MACHINE_AT: u32 = 4;
const ARGUMENT_AT: u32 = if cfg!(target_endian = "big") { 20 } else { 16 };

/// From here on, x86_64's calls are those of its 32-bit pointers.
const X32: u32 = 0x4000_0000;

/// The flag that makes a new thread of a new process.
const THREAD: u32 = libc::CLONE_THREAD.cast_unsigned();

/// `AUDIT_ARCH_*` of linux/audit.h: the number of the processor in ELF, 64 bits, little endian.
const MACHINE: Option<u32> = {
    const WIDE: u32 = 0x8000_0000;
    const LITTLE: u32 = if cfg!(target_endian = "little") { 0x4000_0000 } else { 0 };
    if cfg!(target_arch = "x86_64") {
        Some(62 | WIDE | LITTLE)
    } else if cfg!(target_arch = "aarch64") {
        Some(183 | WIDE | LITTLE)
    } else if cfg!(target_arch = "riscv64") {
        Some(243 | WIDE | LITTLE)
    } else if cfg!(target_arch = "arm") {
        Some(40 | LITTLE)
    } else if cfg!(target_arch = "mips") {
        Some(8 | LITTLE)
    } else {
        None
    }
};

/// Numbers by name.
macro_rules! calls {
    ($($call:ident)*) => { &[$(libc::$call),*] };
}

/// On every machine; what a message or a wake-up needs is first.
const ALWAYS: &[c_long] = calls![
    SYS_epoll_pwait SYS_epoll_ctl SYS_read SYS_write SYS_futex SYS_timerfd_settime SYS_recvfrom SYS_sendto
    SYS_readv SYS_writev SYS_recvmsg SYS_sendmsg SYS_recvmmsg SYS_sendmmsg SYS_ppoll SYS_clock_gettime
    // Connections.
    SYS_accept4 SYS_accept SYS_connect SYS_bind SYS_listen SYS_getsockname SYS_getpeername SYS_getsockopt
    SYS_setsockopt SYS_shutdown SYS_socketpair SYS_close SYS_dup SYS_dup3 SYS_fcntl SYS_ioctl SYS_pipe2
    // Files: configuration, certificates, databases, rotation.
    SYS_openat SYS_statx SYS_fstat SYS_lseek SYS_getdents64 SYS_readlinkat
    SYS_faccessat SYS_renameat2 SYS_unlinkat SYS_ftruncate SYS_fsync SYS_fdatasync SYS_fchmod
    SYS_statfs SYS_fstatfs SYS_getcwd SYS_umask
    // Memory.
    SYS_brk SYS_munmap SYS_mremap SYS_mprotect SYS_madvise SYS_membarrier
    // Threads: the reactor's, the pool's. `clone` has a condition; without `clone3` libraries use `clone`.
    SYS_set_robust_list SYS_set_tid_address SYS_sched_yield SYS_sched_getaffinity SYS_gettid SYS_exit
    SYS_prctl SYS_getpriority SYS_setpriority
    // Signals, and the end.
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_sigaltstack SYS_signalfd4 SYS_tgkill
    SYS_exit_group SYS_restart_syscall
    // Clocks, descriptors to wait for.
    SYS_clock_getres SYS_clock_nanosleep SYS_nanosleep SYS_gettimeofday SYS_timerfd_create
    SYS_timerfd_gettime SYS_eventfd2 SYS_epoll_create1 SYS_getrandom
    // Who and where.
    SYS_getpid SYS_getppid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_uname SYS_sysinfo SYS_prlimit64
    SYS_getrusage
];

/// The call without which glibc does not start a thread.
#[cfg(target_env = "gnu")]
const LIBRARY: &[c_long] = calls![SYS_rseq];
#[cfg(not(target_env = "gnu"))]
const LIBRARY: &[c_long] = &[];

/// Calls that newer processors never had.
#[cfg(any(target_arch = "x86_64", target_arch = "arm", target_arch = "mips"))]
const OLD: &[c_long] = calls![
    SYS_open SYS_stat SYS_lstat SYS_access SYS_readlink SYS_rename SYS_renameat SYS_unlink SYS_poll
    SYS_epoll_wait SYS_epoll_create SYS_eventfd SYS_pipe SYS_dup2 SYS_chmod
];
#[cfg(target_arch = "aarch64")]
const OLD: &[c_long] = calls![SYS_renameat];
#[cfg(not(any(target_arch = "x86_64", target_arch = "arm", target_arch = "mips", target_arch = "aarch64")))]
const OLD: &[c_long] = &[];

/// Calls that 32 bits need for long files, and for users beyond 65,535.
#[cfg(target_pointer_width = "32")]
const NARROW: &[c_long] = calls![
    SYS_mmap2 SYS__llseek SYS_fcntl64 SYS_stat64 SYS_lstat64 SYS_fstat64 SYS_ftruncate64
    SYS_statfs64 SYS_fstatfs64 SYS_send SYS_recv
];
#[cfg(not(target_pointer_width = "32"))]
const NARROW: &[c_long] = calls![SYS_mmap SYS_newfstatat];

/// Calls with a time of 64 bits, which 32-bit machines have beside the older ones. All machines have agreed
/// on these numbers (Linux 5.1), MIPS counts from 4,000.
#[cfg(target_pointer_width = "32")]
const TIME64: &[c_long] = {
    const BASE: c_long = if cfg!(target_arch = "mips") { 4_000 } else { 0 };
    // clock_gettime, clock_getres, clock_nanosleep, timerfd_gettime, timerfd_settime, ppoll, recvmmsg, futex
    &[BASE + 403, BASE + 406, BASE + 407, BASE + 410, BASE + 411, BASE + 414, BASE + 417, BASE + 422]
};
#[cfg(not(target_pointer_width = "32"))]
const TIME64: &[c_long] = &[];

/// Calls that one processor alone has.
#[cfg(target_arch = "arm")]
const MACHINE_OWN: &[c_long] = &[
    libc::SYS_getuid32,
    libc::SYS_geteuid32,
    libc::SYS_getgid32,
    libc::SYS_getegid32,
    0x0f_0002, // cacheflush
    0x0f_0005, // set_tls
];
#[cfg(target_arch = "mips")]
const MACHINE_OWN: &[c_long] = calls![SYS_set_thread_area SYS_cacheflush];
#[cfg(not(any(target_arch = "arm", target_arch = "mips")))]
const MACHINE_OWN: &[c_long] = &[];

/// Reads and writes at a place, and `fstatat64`, which the crate does not name on all of these machines.
#[cfg(target_arch = "mips")]
const PLACED: &[c_long] = &[4_200, 4_201, 4_293];
#[cfg(all(target_pointer_width = "32", not(target_arch = "mips")))]
const PLACED: &[c_long] = calls![SYS_pread64 SYS_pwrite64 SYS_fstatat64];
#[cfg(not(target_pointer_width = "32"))]
const PLACED: &[c_long] = calls![SYS_pread64 SYS_pwrite64];

#[cfg(test)]
mod tests {
    use super::super::privileges;
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    /// The experience of a process under the filter.
    fn verdicts() -> [Result<c_long, Errno>; 6] {
        // SAFETY: none of these calls touches memory but the path, which outlives its call; what comes to be
        // is thrown away with the process.
        unsafe {
            [
                libc::syscall(libc::SYS_execve, c"/bin/true".as_ptr(), 0, 0),
                libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0),
                libc::syscall(libc::SYS_socket, libc::AF_PACKET, libc::SOCK_RAW, 0),
                libc::syscall(libc::SYS_mount, 0, 0, 0, 0, 0),
                libc::syscall(libc::SYS_socket, libc::AF_INET6, libc::SOCK_DGRAM, 0),
                libc::syscall(libc::SYS_getpid),
            ]
        }
        .map(Errno::result)
    }

    #[test]
    fn what_is_not_needed_is_refused() {
        // SAFETY: the child makes system calls and ends; of the C library it uses the allocator alone, which
        // is prepared for a fork.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
            }
            ForkResult::Child => {
                let installed = privileges::forgo_new().and_then(|()| install());
                let refused = Err(Errno::ENOSYS);
                let as_it_should = match (installed, verdicts()) {
                    (Ok(()), [exec, process, raw, mount, Ok(_), Ok(_)]) => {
                        [exec, process, raw, mount] == [refused; 4]
                    }
                    _ => false,
                };
                // SAFETY: ends the process.
                unsafe { libc::_exit(if as_it_should { 0 } else { 1 }) }
            }
        }
    }
}
