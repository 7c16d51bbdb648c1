//! The book's page on tasks, so that its examples are compiled with the tests.

#[doc = include_str!("../../../docs/src/tasks.md")]
mod tasks {}
