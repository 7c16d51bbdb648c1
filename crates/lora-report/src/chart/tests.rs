//! Charts: well-formed, to scale, and told apart without colour.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod colours;
mod geometry;
mod markup;
