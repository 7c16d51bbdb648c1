//! How much memory there is, where Linux tells it.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use lora_kernels::is_flex;

/// Memory of this machine, in bytes, or of the control group that the program runs in, where that has less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineMemory {
    /// All of it.
    pub total: u64,
    /// What a program can still get.
    pub available: u64,
}

impl MachineMemory {
    /// Where a model on this device would lie; none for a graphics device, whose memory is its own, and where the system does not tell.
    pub fn of(device: &Device) -> Option<Self> {
        is_flex(device).then(|| Self::below(Path::new("/"))).flatten()
    }

    /// By the files of Linux (proc(5), and the kernel's page on cgroup v2) below this folder.
    fn below(root: &Path) -> Option<Self> {
        let info = fs::read_to_string(root.join("proc/meminfo")).ok()?;
        let bytes = |name: &str| -> Option<u64> {
            let line = info.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kib.saturating_mul(1024))
        };
        let machine = Self {
            total: bytes("MemTotal:")?,
            available: bytes("MemAvailable:")?,
        };
        Some(groups(root).fold(machine, |least, group| Self {
            total: least.total.min(group.total),
            available: least.available.min(group.available),
        }))
    }
}

/// The limits of the program's control group and of those around it.
fn groups(root: &Path) -> impl Iterator<Item = MachineMemory> {
    let listed = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let own = listed.lines().find_map(|line| line.strip_prefix("0::/"));
    let all = root.join("sys/fs/cgroup");
    let own = all.join(own.unwrap_or_default());
    let groups = own.ancestors().take_while(|group| group.starts_with(&all));
    groups.filter_map(of_group).collect::<Vec<_>>().into_iter()
}

/// What files take that were only read is given back when it is needed.
fn of_group(folder: &Path) -> Option<MachineMemory> {
    let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
    let number = |file: &str| -> Option<u64> { read(file)?.trim().parse().ok() };
    let (total, held) = (number("memory.max")?, number("memory.current")?);
    let files = read("memory.stat").and_then(|stat| {
        let line = stat
            .lines()
            .find_map(|line| line.strip_prefix("inactive_file "))?;
        line.trim().parse().ok()
    });
    let held = held.saturating_sub(files.unwrap_or(0));
    Some(MachineMemory {
        total,
        available: total.saturating_sub(held),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail by panic")]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn machine(files: &[(&str, &str)]) -> Option<MachineMemory> {
        let root = TempDir::new().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        MachineMemory::below(root.path())
    }

    const INFO: (&str, &str) = (
        "proc/meminfo",
        "MemTotal:       1000 kB\nMemFree: 10 kB\nMemAvailable:    400 kB\n",
    );

    #[test]
    fn a_machine_without_limits_has_what_meminfo_says() {
        let expected = MachineMemory {
            total: 1_024_000,
            available: 409_600,
        };
        assert_eq!(machine(&[INFO]), Some(expected));
        let unlimited = [
            INFO,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.current", "7\n"),
        ];
        assert_eq!(machine(&unlimited), Some(expected));
        assert_eq!(machine(&[]), None);
    }

    #[test]
    fn the_least_limit_of_the_groups_around_the_program_counts_and_read_files_are_not_held() {
        let limited = [
            INFO,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "900000\n"),
            ("sys/fs/cgroup/a/b/memory.current", "800000\n"),
            ("sys/fs/cgroup/a/memory.max", "500000\n"),
            ("sys/fs/cgroup/a/memory.current", "450000\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 100\ninactive_file 150000\n"),
        ];
        let expected = MachineMemory {
            total: 500_000,
            available: 100_000,
        };
        assert_eq!(machine(&limited), Some(expected));
    }
}
