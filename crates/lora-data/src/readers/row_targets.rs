//! What labels became: a target a row.

use super::joined_labels::JoinedLabels;
use crate::dataset::Target;
use crate::task::Task;

/// One target a row, and the task they make.
pub(crate) struct RowTargets {
    pub each: Vec<Option<Target>>,
    pub task: Task,
    /// A label that was written as a decimal number and taken for a class.
    pub decimal_label: Option<String>,
    /// Labels that seem to be several ones, joined.
    pub joined_labels: Option<JoinedLabels>,
    /// A label that was taken for the index of a class.
    pub index_label: Option<String>,
}

impl RowTargets {
    /// Targets that were read as they are written.
    pub fn new(each: Vec<Option<Target>>, task: Task) -> Self {
        Self {
            each,
            task,
            decimal_label: None,
            joined_labels: None,
            index_label: None,
        }
    }

    /// Rows without a target, for a model of this task.
    pub fn none(task: &Task, rows: usize) -> Self {
        Self::new(vec![None; rows], task.clone())
    }
}
