//! The `lora` program: parse, run, and turn the outcome into an exit code.
//!
//! 0: done. 1: it failed on the way. 2: the command or an input is wrong, and nothing was done.
//! 130: Ctrl-C.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use lora_cli::args::{Arguments, Command};
use lora_cli::{failure, interrupt};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    failure::remember_panics();
    interrupt::let_large_writes_fail();
    let arguments = Arguments::of_this_call();
    match panic::catch_unwind(AssertUnwindSafe(|| lora_cli::run(&arguments))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let is_of_compare = matches!(arguments.command, Command::Compare(_));
            ExitCode::from(failure::tell(&error, is_of_compare))
        }
        Err(_) => {
            failure::show(&failure::bug());
            ExitCode::FAILURE
        }
    }
}
