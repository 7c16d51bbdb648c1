//! How much memory this process takes, where the system tells it (Linux does).

use std::fs;

/// The most memory that this process has held, in bytes, code included, since it began or since [`reset_peak`].
pub fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Forgets the peak so far, so that [`peak_memory_bytes`] tells of what comes after. Whether that worked.
pub fn reset_peak() -> bool {
    // Linux: 5 resets the peak of the resident set (proc(5), /proc/pid/clear_refs).
    fs::write("/proc/self/clear_refs", "5").is_ok()
}
