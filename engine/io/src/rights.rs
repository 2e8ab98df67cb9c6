//! Rights (capabilities(7)) for eBPF and AF_XDP: what is missing, and how they are given up when
//! everything that takes them is done. They belong to threads: each gives up its own.

use std::io;

/// A right by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Right(u32, &'static str);

const NET_ADMIN: Right = Right(12, "CAP_NET_ADMIN");
const NET_RAW: Right = Right(13, "CAP_NET_RAW");
/// Has all of the two below in it.
const SYS_ADMIN: Right = Right(21, "CAP_SYS_ADMIN");
const PERFMON: Right = Right(38, "CAP_PERFMON");
const BPF: Right = Right(39, "CAP_BPF");

/// What a thread still does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Nothing that takes any of these rights.
    None,
    /// It binds sockets, whose buffers may be larger than the system's limit under `CAP_NET_ADMIN`.
    BindSockets,
}

/// Makes the calling thread, and those it starts from now on, give up `CAP_BPF`, `CAP_PERFMON`,
/// `CAP_SYS_ADMIN`, `CAP_NET_RAW` and, unless its duty takes it, `CAP_NET_ADMIN`. Other rights stay
/// as they are.
///
/// # Errors
/// What the kernel says; nothing has been given up then.
pub fn give_up_rights(duty: Duty) -> io::Result<()> {
    let mut sets = Sets::of_this_thread()?;
    let net_admin = (duty == Duty::None).then_some(NET_ADMIN);
    for Right(number, _) in [BPF, PERFMON, SYS_ADMIN, NET_RAW]
        .into_iter()
        .chain(net_admin)
    {
        sets.clear(number);
    }
    sets.set()
}

/// Of the rights that eBPF and AF_XDP take, those this thread lacks; none where that can not be
/// seen.
pub(crate) fn missing() -> Vec<&'static str> {
    Sets::of_this_thread().map_or(Vec::new(), |sets| sets.missing())
}

/// `struct __user_cap_data_struct`, twice: rights 0 to 31 and 32 to 63.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct Sets {
    halves: [Half; 2],
}

#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `struct __user_cap_header_struct` for the calling thread.
#[repr(C)]
struct Header {
    version: u32,
    thread: i32,
}

/// `_LINUX_CAPABILITY_VERSION_3`
const HEADER: Header = Header {
    version: 0x2008_0522,
    thread: 0,
};

impl Sets {
    fn of_this_thread() -> io::Result<Self> {
        let mut header = HEADER;
        let mut sets = Self::default();
        // SAFETY: the kernel reads and writes two live structs of the layout this version has.
        let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, &raw mut sets) };
        match result {
            0 => Ok(sets),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn set(&self) -> io::Result<()> {
        let mut header = HEADER;
        // SAFETY: the kernel reads two live structs of the layout this version has.
        let result =
            unsafe { libc::syscall(libc::SYS_capset, &raw mut header, std::ptr::from_ref(self)) };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn clear(&mut self, right: u32) {
        let half = &mut self.halves[right as usize / 32];
        let keep = !(1 << (right % 32));
        half.effective &= keep;
        half.permitted &= keep;
        half.inheritable &= keep;
    }

    fn has(&self, right: Right) -> bool {
        self.halves[right.0 as usize / 32].effective & 1 << (right.0 % 32) != 0
    }

    fn missing(&self) -> Vec<&'static str> {
        let lacks = |&right: &Right| !(self.has(right) || right == BPF && self.has(SYS_ADMIN));
        let lacking = [NET_ADMIN, NET_RAW, BPF].into_iter().filter(lacks);
        lacking.map(|Right(_, name)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(rights: &[Right]) -> Sets {
        let mut sets = Sets::default();
        for Right(number, _) in rights {
            sets.halves[*number as usize / 32].effective |= 1 << (number % 32);
        }
        sets
    }

    #[test]
    fn what_is_lacking_is_named() {
        assert_eq!(sets(&[NET_ADMIN, NET_RAW, BPF]).missing(), [""; 0]);
        assert_eq!(
            sets(&[]).missing(),
            ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF"]
        );
        assert_eq!(sets(&[SYS_ADMIN, NET_ADMIN]).missing(), ["CAP_NET_RAW"]);
    }

    #[test]
    fn what_is_given_up_is_gone_from_this_thread_only() {
        let before = Sets::of_this_thread().unwrap();
        std::thread::spawn(|| {
            give_up_rights(Duty::BindSockets).unwrap();
            let after = Sets::of_this_thread().unwrap();
            assert!(
                ![BPF, PERFMON, SYS_ADMIN, NET_RAW]
                    .into_iter()
                    .any(|right| after.has(right))
            );
            give_up_rights(Duty::None).unwrap();
            assert!(!Sets::of_this_thread().unwrap().has(NET_ADMIN));
        })
        .join()
        .unwrap();
        let now = Sets::of_this_thread().unwrap();
        assert_eq!(now.missing(), before.missing());
    }
}
