//! What to say of a folder without an adapter in it.

use std::fs;
use std::path::{Path, PathBuf};

use lora_core::peft::{CONFIG_FILE, TENSOR_FILE};
use lora_core::tuned::TUNING_FILE;

use crate::base::model_folder::MODEL_CONFIG_FILE;
use crate::config::keys::nearest_of;
use crate::train::{checkpoints_in, command_of};

/// So many neighbours are named, at most.
const MOST: usize = 5;

/// Whether a folder holds something that was trained, or a model.
pub(crate) fn is_adapter(folder: &Path) -> bool {
    [CONFIG_FILE, TUNING_FILE, MODEL_CONFIG_FILE]
        .iter()
        .any(|file| folder.join(file).is_file())
}

/// Why there is no adapter in a folder, and where one is; none if there is one.
pub(super) fn no_adapter(folder: &Path) -> Option<String> {
    if is_adapter(folder) {
        return None;
    }
    let shown = folder.display();
    if let Some((step, checkpoint)) = checkpoints_in(folder).pop() {
        let command = command_of(&checkpoint).map_or_else(
            || "train with --resume".to_owned(),
            |command| format!("go on with it: {command}"),
        );
        return Some(format!(
            "the training of `{shown}` stopped at step {step}, before its first evaluation, so there is no adapter in it yet; {command}{}",
            if is_adapter(&checkpoint) {
                format!("; or use that of the checkpoint, `{}`", checkpoint.display())
            } else {
                String::new()
            }
        ));
    }
    let expected = "an adapter folder, as lora train and PEFT write it";
    let what = if folder.is_dir() {
        format!(
            "`{shown}` holds no adapter: expected is {expected}, with {CONFIG_FILE} and {TENSOR_FILE}, one with {TUNING_FILE}, or a whole model"
        )
    } else if folder.exists() {
        format!("`{shown}` is a file; expected is {expected}")
    } else {
        format!(
            "there is no folder `{shown}` (a relative path starts at the current folder); expected is {expected}"
        )
    };
    Some(format!("{what}{}", did_you_mean(folder)))
}

/// The end of a message about a folder that holds no adapter: those near it that do; empty without any.
pub fn did_you_mean(folder: &Path) -> String {
    let near = adapters_near(folder);
    if near.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", near.join(" or "))
    }
}

/// Adapter folders in this folder, or beside it with a name like its own.
fn adapters_near(folder: &Path) -> Vec<String> {
    let inside = adapters_in(folder);
    let found = if inside.is_empty() {
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        let beside = adapters_in(parent.unwrap_or(Path::new(".")));
        let names: Vec<String> = beside.iter().filter_map(|path| name_of(path)).collect();
        let name = name_of(folder).unwrap_or_default();
        let nearest = nearest_of(&name, names.iter().map(String::as_str));
        let is_near = |path: &PathBuf| nearest.is_some() && name_of(path).as_deref() == nearest;
        beside.into_iter().filter(is_near).collect()
    } else {
        inside
    };
    let shown = found.iter().take(MOST);
    shown.map(|path| format!("`{}`", path.display())).collect()
}

fn name_of(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
}

fn adapters_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| is_adapter(path))
        // As the user would write it.
        .map(|path| {
            path.strip_prefix(".")
                .map_or_else(|_| path.clone(), Path::to_owned)
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn the_adapter_that_was_meant_is_named() {
        let runs = tempfile::tempdir().unwrap();
        let at = |name: &str| runs.path().join(name);
        for name in ["reviews", "questions"] {
            fs::create_dir_all(at(name)).unwrap();
            fs::write(at(name).join(CONFIG_FILE), "{}").unwrap();
        }
        assert_eq!(no_adapter(&at("reviews")), None);
        let said = no_adapter(&at("review")).unwrap();
        assert!(said.contains("there is no folder `"), "{said}");
        assert!(
            said.contains(&format!("did you mean `{}`?", at("reviews").display())),
            "{said}"
        );
        let said = no_adapter(runs.path()).unwrap();
        assert!(
            said.contains("holds no adapter") && said.contains(CONFIG_FILE),
            "{said}"
        );
        assert!(
            said.contains("reviews` or `") || said.contains("questions` or `"),
            "{said}"
        );
        let said = no_adapter(&at("something-else")).unwrap();
        assert!(!said.contains("did you mean"), "{said}");
    }
}
