//! File capabilities: rpm keeps them as text, as `setcap` takes it, and a tar as the kernel does.

/// As the kernel keeps capabilities with a file, version 2: a word of version and flag, then permitted and inheritable
/// ones, first the lower 32 and then the upper.
pub(super) type VfsCapData = [u8; 20];

const VERSION_2: u32 = 0x0200_0000;
const EFFECTIVE: u32 = 1;

/// By their numbers (linux/capability.h).
const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

const ALL: u64 = (1 << NAMES.len()) - 1;

#[derive(Default)]
struct Sets {
    effective: u64,
    inheritable: u64,
    permitted: u64,
}

/// Reads clauses such as `cap_net_raw,cap_net_admin=ep` or `= cap_chown+i`. Nothing if it is no such text, or says what a
/// file cannot have: some capabilities effective, and others not.
pub(super) fn vfs_cap_data(text: &[u8]) -> Option<VfsCapData> {
    let text = str::from_utf8(text).ok()?;
    let mut sets = Sets::default();
    for clause in text.split_ascii_whitespace() {
        sets.apply(clause)?;
    }
    let held = sets.permitted | sets.inheritable;
    let flags = match sets.effective {
        0 => 0,
        effective if effective == held => EFFECTIVE,
        _ => return None,
    };
    let low = |set: u64| set as u32;
    let high = |set: u64| (set >> 32) as u32;
    let words = [
        VERSION_2 | flags,
        low(sets.permitted),
        low(sets.inheritable),
        high(sets.permitted),
        high(sets.inheritable),
    ];
    let mut data = VfsCapData::default();
    for (bytes, word) in data.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Some(data)
}

impl Sets {
    /// A list of capabilities, and then operators with the sets they are for.
    fn apply(&mut self, clause: &str) -> Option<()> {
        let operators = clause.find(['=', '+', '-'])?;
        let (list, mut actions) = clause.split_at(operators);
        let capabilities = match list {
            "" if actions.starts_with('=') => ALL,
            "" => return None,
            list => list
                .split(',')
                .map(number)
                .try_fold(0, |set, bits| Some(set | bits?))?,
        };
        while let Some(operator) = actions.chars().next() {
            let rest = &actions[1..];
            let end = rest.find(['=', '+', '-']).unwrap_or(rest.len());
            let (flags, next) = rest.split_at(end);
            if flags.is_empty() && operator != '=' {
                return None;
            }
            if operator == '=' {
                for set in [
                    &mut self.effective,
                    &mut self.inheritable,
                    &mut self.permitted,
                ] {
                    *set &= !capabilities;
                }
            }
            for flag in flags.chars() {
                let set = match flag {
                    'e' => &mut self.effective,
                    'i' => &mut self.inheritable,
                    'p' => &mut self.permitted,
                    _ => return None,
                };
                match operator {
                    '-' => *set &= !capabilities,
                    _ => *set |= capabilities,
                }
            }
            actions = next;
        }
        Some(())
    }
}

/// The set of this capability alone, or of all.
fn number(name: &str) -> Option<u64> {
    if name.eq_ignore_ascii_case("all") {
        return Some(ALL);
    }
    let number = NAMES
        .iter()
        .position(|known| name.eq_ignore_ascii_case(known))?;
    Some(1 << number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn data(text: &str) -> Option<[u32; 5]> {
        let data = vfs_cap_data(text.as_bytes())?;
        let mut words = [0; 5];
        for (word, bytes) in words.iter_mut().zip(data.chunks_exact(4)) {
            *word = u32::from_le_bytes(bytes.try_into().unwrap());
        }
        Some(words)
    }

    #[test]
    fn text_becomes_what_the_kernel_keeps() {
        const WITH_EFFECTIVE: u32 = VERSION_2 | EFFECTIVE;
        let raw = 1 << 13;
        for (text, expected) in [
            ("cap_net_raw=ep", [WITH_EFFECTIVE, raw, 0, 0, 0]),
            ("= cap_net_raw+ep", [WITH_EFFECTIVE, raw, 0, 0, 0]),
            ("CAP_NET_RAW=p", [VERSION_2, raw, 0, 0, 0]),
            ("cap_net_raw+p-p+ie", [WITH_EFFECTIVE, 0, raw, 0, 0]),
            (
                "cap_net_raw=eip cap_chown=eip",
                [WITH_EFFECTIVE, raw | 1, raw | 1, 0, 0],
            ),
            ("cap_net_raw,cap_bpf=p", [VERSION_2, raw, 0, 1 << 7, 0]),
            ("=p cap_chown-p", [VERSION_2, !1, 0, 0x1ff, 0]),
            ("all=ep", [WITH_EFFECTIVE, !0, 0, 0x1ff, 0]),
            ("=", [VERSION_2, 0, 0, 0, 0]),
        ] {
            assert_eq!(data(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_no_file_can_have_is_refused() {
        for text in [
            "cap_net_raw",
            "cap_none=p",
            "cap_net_raw=x",
            "+p",
            "cap_chown+",
            "cap_chown=ep cap_kill=p",
            "é=p",
        ] {
            assert_eq!(data(text), None, "{text}");
        }
    }
}
