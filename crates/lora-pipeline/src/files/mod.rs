//! Files that appear whole or not at all, and what made a result.

pub mod folder_lock;
pub mod folder_swap;
pub mod output;
pub mod output_file;
pub mod provenance;
pub mod unfinished;
