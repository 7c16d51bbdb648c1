//! Readers of folders: the files that an input stands among.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use tempfile::TempDir;

thread_local! {
    /// A folder for each reader of this thread, with the files that do not change.
    static FOLDERS: RefCell<HashMap<&'static str, TempDir>> = RefCell::default();
}

/// Puts bytes into the file `name` of a folder that holds the files `others` besides. `reader` names the folder.
pub(crate) fn folder_with(
    reader: &'static str,
    name: &str,
    bytes: &[u8],
    others: impl FnOnce() -> Vec<(&'static str, Vec<u8>)>,
) -> PathBuf {
    FOLDERS.with_borrow_mut(|folders| {
        let folder = folders.entry(reader).or_insert_with(|| {
            // A sandbox may have the place and let nobody write there.
            let folder = TempDir::new_in(memory()).or_else(|_| TempDir::new());
            let folder = folder.expect("a folder for temporary files");
            for (name, content) in others() {
                write(&folder.path().join(name), &content);
            }
            folder
        });
        write(&folder.path().join(name), bytes);
        folder.path().to_owned()
    })
}

/// The path of a file with these bytes, whose name has this ending.
pub(crate) fn file_with(reader: &'static str, ending: &str, bytes: &[u8]) -> PathBuf {
    let name = format!("input.{ending}");
    folder_with(reader, &name, bytes, Vec::new).join(name)
}

/// Where files are in memory, if there is such a place: on a disk, a file that is written again waits for it, longer than any
/// reader takes.
fn memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() {
        shared.to_owned()
    } else {
        env::temp_dir()
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("room for a temporary file");
}
