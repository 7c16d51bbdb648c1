//! The results of sweeps as a page, as Markdown, as CSV, as pictures.
//!
//! | file | holds |
//! |---|---|
//! | `results` | trials of results files, in the groups that can be compared |
//! | `measure` | the numbers of a trial by name |
//! | `choice` | which settings stand for a method: validation rows say it |
//! | `against` | a method against the reference, with an interval |
//! | `over_tasks`, `intervals` | all tasks together: wins, changes of the loss, ranks |
//! | `tables`, `figures`, `curves` | one task |
//! | `sentences` | what came out, in words |
//! | `page`, `trials_csv`, `files` | the page, and what is written |

pub mod against;
pub mod choice;
pub mod curves;
pub mod figures;
pub mod files;
pub mod intervals;
pub mod measure;
pub mod over_tasks;
pub mod page;
pub mod results;
pub mod sentences;
pub mod tables;
pub mod trials_csv;
