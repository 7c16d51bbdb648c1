//! The most memory that this process had, where the system tells.

use std::fs;

/// Forgets the peak so far, so that [`peak`] tells of what comes after. Whether that worked.
pub fn reset_peak() -> bool {
    // Linux: 5 resets the peak of the resident set (proc(5), /proc/pid/clear_refs).
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The peak in bytes.
pub fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
