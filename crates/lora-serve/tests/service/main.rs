//! The service, asked in-process and over sockets of this machine.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod adapters;
mod equality;
mod limits;
mod openapi;
mod requests;
mod served;
mod shutdown;
