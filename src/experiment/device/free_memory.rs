//! The memory that this program may still use: the smaller of the machine's free memory and the control group's limit.

use std::fs::read_to_string;
use std::path::Path;

use crate::format::bytes;

/// The memory that this program may still use, and what limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeMemory {
    /// In bytes.
    pub bytes: u64,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Machine,
    /// The limit of a container, a systemd unit or a scheduler's job, which is killed beyond it.
    ControlGroup,
    /// The limit of the address space (`ulimit -v`), common in schedulers' jobs.
    AddressSpace,
}

impl FreeMemory {
    /// As Linux reports it; `None` on other systems.
    pub fn now() -> Option<Self> {
        Self::under(Path::new("/"))
    }

    fn under(root: &Path) -> Option<Self> {
        let machine = kilobytes(&root.join("proc/meminfo"), "MemAvailable:");
        let machine = machine.map(|bytes| Self { bytes, limit: Limit::Machine });
        let group = control_group(root).map(|bytes| Self { bytes, limit: Limit::ControlGroup });
        let addresses = address_space(root).map(|bytes| Self { bytes, limit: Limit::AddressSpace });
        machine.into_iter().chain(group).chain(addresses).min_by_key(|free| free.bytes)
    }

    /// In words, as in `the 3.5 GiB of free memory`.
    pub fn words(self) -> String {
        match self.limit {
            Limit::Machine => format!("the {} of free memory", bytes(self.bytes)),
            Limit::AddressSpace => format!("the {} that `ulimit -v` leaves this program", bytes(self.bytes)),
            Limit::ControlGroup => {
                format!("the {} that this program's control group (its container) has left", bytes(self.bytes))
            }
        }
    }
}

/// The remaining address space, if it is limited.
fn address_space(root: &Path) -> Option<u64> {
    let limits = read_to_string(root.join("proc/self/limits")).ok()?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit = limit.split_whitespace().next()?.parse::<u64>().ok()?;
    Some(limit.saturating_sub(kilobytes(&root.join("proc/self/status"), "VmSize:").unwrap_or_default()))
}

/// Bytes of the machine's memory that this program uses; 0 where the system does not report it.
pub fn resident() -> u64 {
    kilobytes(Path::new("/proc/self/status"), "VmRSS:").unwrap_or_default()
}

/// The peak of that so far.
pub fn most_resident() -> u64 {
    kilobytes(Path::new("/proc/self/status"), "VmHWM:").unwrap_or_default()
}

/// The bytes on a line of such a file, which counts in kB.
fn kilobytes(path: &Path, name: &str) -> Option<u64> {
    let text = read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|count| 1024 * count)
}

/// Where each version of control groups keeps its files, and their names.
struct Version {
    /// Of the line of `/proc/self/cgroup` that names the group: `HIERARCHY:CONTROLLERS:PATH`.
    controllers: &'static str,
    mount: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// The key in `memory.stat` for page cache that the kernel can reclaim.
    cache: &'static str,
}

const VERSIONS: [Version; 2] = [
    Version {
        controllers: "",
        mount: "sys/fs/cgroup",
        limit: "memory.max",
        usage: "memory.current",
        cache: "inactive_file ",
    },
    Version {
        controllers: "memory",
        mount: "sys/fs/cgroup/memory",
        limit: "memory.limit_in_bytes",
        usage: "memory.usage_in_bytes",
        cache: "total_inactive_file ",
    },
];

/// The remaining limit of this program's control group and of every group around it.
fn control_group(root: &Path) -> Option<u64> {
    let groups = read_to_string(root.join("proc/self/cgroup")).ok()?;
    let left = |version: &Version| {
        let path = groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let listed = fields.next()?.split(',').any(|name| name == version.controllers);
            fields.next().filter(|_| listed)
        })?;
        let mount = root.join(version.mount);
        // A container may see a path that exists only on the host: existing files count, up to the mount point.
        let inner = Path::new(path.trim_start_matches('/'));
        inner.ancestors().filter_map(|group| left_in(&mount.join(group), version)).min()
    };
    VERSIONS.iter().filter_map(left).min()
}

/// `None` if the group has no limit.
fn left_in(group: &Path, version: &Version) -> Option<u64> {
    let number = |name: &str| read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number(version.limit)?;
    let stat = read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cache = stat.lines().find_map(|line| line.strip_prefix(version.cache)?.trim().parse::<u64>().ok());
    let used = number(version.usage).unwrap_or_default().saturating_sub(cache.unwrap_or_default());
    Some(limit.saturating_sub(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A machine with 8 GiB free whose files are these.
    fn machine(files: &[(&str, &str)]) -> FreeMemory {
        let root = tempfile::tempdir().unwrap();
        let meminfo = ("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n");
        for (path, text) in [meminfo].iter().chain(files) {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        FreeMemory::under(root.path()).unwrap()
    }

    #[track_caller]
    fn has_left(files: &[(&str, &str)], mebibytes: u64) {
        assert_eq!(machine(files), FreeMemory { bytes: mebibytes * MIB, limit: Limit::ControlGroup });
    }

    #[test]
    fn a_container_limit_counts_instead_of_the_machines_memory() {
        let group = ("proc/self/cgroup", "0::/\n");
        let limit = ("sys/fs/cgroup/memory.max", "536870912\n");
        has_left(&[group, limit], 512);
        has_left(&[group, limit, ("sys/fs/cgroup/memory.current", "104857600\n")], 412);
        // What the page cache holds of files gives way.
        let cache = ("sys/fs/cgroup/memory.stat", "anon 5\ninactive_file 52428800\nactive_file 9\n");
        has_left(&[group, limit, ("sys/fs/cgroup/memory.current", "104857600\n"), cache], 462);
        has_left(&[group, limit, ("sys/fs/cgroup/memory.current", "636870912\n")], 0);
    }

    #[test]
    fn the_tightest_enclosing_control_group_counts() {
        let group = ("proc/self/cgroup", "1:name=systemd:/x\n0::/system.slice/job.service\n");
        let own = ("sys/fs/cgroup/system.slice/job.service/memory.max", "max\n");
        let slice = ("sys/fs/cgroup/system.slice/memory.max", "1073741824\n");
        has_left(&[group, own, slice], 1024);
        has_left(&[group, ("sys/fs/cgroup/system.slice/job.service/memory.max", "268435456"), slice], 256);
    }

    #[test]
    fn control_groups_v1_count_even_if_the_path_exists_only_on_the_host() {
        let group = ("proc/self/cgroup", "12:cpu,cpuacct:/docker/1a\n11:hugetlb,memory:/docker/1a\n");
        let usage = ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1048576");
        let stat = ("sys/fs/cgroup/memory/memory.stat", "inactive_file 7\ntotal_inactive_file 0\n");
        has_left(&[group, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "105906176"), usage, stat], 100);
        has_left(&[group, ("sys/fs/cgroup/memory/docker/1a/memory.limit_in_bytes", "104857600")], 100);
    }

    #[test]
    fn an_address_space_limit_leaves_what_the_program_does_not_use() {
        let limits =
            |soft: &str| format!("Limit  Soft Limit  Hard Limit  Units\nMax address space  {soft}  unlimited  bytes\n");
        let status = ("proc/self/status", "VmPeak: 300000 kB\nVmSize: 204800 kB\n");
        let told = limits("314572800");
        let free = machine(&[("proc/self/limits", &told), status]);
        assert_eq!(free, FreeMemory { bytes: 100 * MIB, limit: Limit::AddressSpace });
        assert_eq!(free.words(), "the 100 MiB that `ulimit -v` leaves this program");
        let told = limits("unlimited");
        let free = machine(&[("proc/self/limits", &told), status]);
        assert_eq!(free, FreeMemory { bytes: 8192 * MIB, limit: Limit::Machine });
    }

    #[test]
    fn without_limits_the_machines_free_memory_counts() {
        let machine_has = FreeMemory { bytes: 8192 * MIB, limit: Limit::Machine };
        let group = ("proc/self/cgroup", "0::/\n");
        assert_eq!(machine(&[]), machine_has);
        assert_eq!(machine(&[group]), machine_has);
        assert_eq!(machine(&[group, ("sys/fs/cgroup/memory.max", "max\n")]), machine_has);
        let unlimited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
        assert_eq!(machine(&[("proc/self/cgroup", "4:memory:/\n"), unlimited]), machine_has);
    }
}
