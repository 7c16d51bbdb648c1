//! What the run file of a training that did not come to its end says of the adapter beside it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::output::{INTERRUPTED, RUN_FILE, UNFINISHED};
use crate::progress::Progress;

/// Tells whoever uses an adapter that its training did not come to its end.
pub fn note_unfinished(adapter: &Path, progress: &dyn Progress) {
    if let Some(note) = unfinished(adapter) {
        progress.note(&note);
    }
}

/// What an adapter folder's run file says of its training; none for whole ones and for folders of other programs.
fn unfinished(adapter: &Path) -> Option<String> {
    let read = |folder: &Path| fs::read(folder.join(RUN_FILE)).ok();
    // The last adapter, and those of checkpoints, are in folders of the run; the steps in its file are about the best one.
    let (text, is_best) = match read(adapter) {
        Some(text) => (text, true),
        None => (read(adapter.parent()?)?, false),
    };
    let run: Value = serde_json::from_slice(&text).ok()?;
    let of_adapter = step_of_adapter(&run)
        .filter(|_| is_best)
        .map_or_else(String::new, |step| format!("this is the adapter of step {step}"));
    let joined = |before: &str, after: &str| match &of_adapter[..] {
        "" => String::new(),
        known => format!("{before}{known}{after}"),
    };
    let step = run[INTERRUPTED]["step"].as_u64();
    let interrupted = step.map(|step| format!("was interrupted at step {step}{}", joined("; ", "")));
    let failed = || Some(format!("failed ({})", run["failed"].as_str()?));
    let killed = || {
        run[UNFINISHED].is_object().then(|| {
            format!(
                "has not finished: {}the training was killed or still runs",
                joined("", ", and ")
            )
        })
    };
    let what = interrupted.or_else(failed).or_else(killed)?;
    Some(format!("note: the training of `{}` {what}", adapter.display()))
}

/// Of which step the adapter in the folder of an unfinished run is, as its `run.json` says.
pub(crate) fn step_of_adapter(run: &Value) -> Option<u64> {
    let of_killed = run[UNFINISHED]["step"].as_u64();
    of_killed.or_else(|| run[INTERRUPTED]["adapter_step"].as_u64())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use serde_json::json;

    use super::*;

    #[test]
    fn the_step_of_the_adapter_is_told_from_that_of_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let said = |run: Value, inner: &str| {
            fs::write(folder.path().join(RUN_FILE), run.to_string()).unwrap();
            unfinished(&folder.path().join(inner)).unwrap_or_default()
        };
        let interrupted = json!({ INTERRUPTED: { "step": 7, "adapter_step": 4 } });
        let of_best = said(interrupted.clone(), "");
        assert!(
            of_best.ends_with("was interrupted at step 7; this is the adapter of step 4"),
            "{of_best}"
        );
        let of_last = said(interrupted, "last");
        assert!(of_last.ends_with("was interrupted at step 7"), "{of_last}");
        let of_killed = said(json!({ UNFINISHED: { "step": 4 } }), "");
        assert!(
            of_killed.ends_with(
                "has not finished: this is the adapter of step 4, and the training was killed or still runs"
            ),
            "{of_killed}"
        );
        assert_eq!(said(json!({ "finished": true }), ""), "");
    }
}
