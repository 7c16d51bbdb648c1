//! `lora push`: an adapter folder to the Hugging Face hub.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use lora_pipeline::base::hub::{hub_account, hub_options};
use lora_pipeline::counted::counted;
use lora_pipeline::files::unfinished::note_unfinished;
use lora_pipeline::push::{PushError, PushPlan};
use serde_json::json;

use crate::terminal::Terminal;

/// Arguments of `lora push`.
#[derive(Args, Clone, Debug)]
pub struct PushArgs {
    /// Folder of the adapter
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where it goes on the hub
    #[arg(value_name = "USER/NAME")]
    repo: String,
    /// A new repository is seen by its owner alone
    #[arg(long)]
    private: bool,
    /// Only show what would happen: the files, and where they would go
    #[arg(long)]
    dry_run: bool,
}

/// Makes one commit with the adapter's own files.
///
/// # Errors
///
/// If the folder holds no adapter, nobody is logged in, or the hub does not take it.
pub fn run(args: &PushArgs, terminal: &Terminal) -> Result<()> {
    let plan = PushPlan::of(&args.folder, &args.repo)?;
    note_unfinished(&args.folder, terminal);
    let account = hub_account();
    if let Some(base) = &plan.local_base {
        terminal.note(format!(
            "note: the base model is `{base}` of this machine; whoever loads the adapter must have it too (--model)"
        ));
    }
    let bytes: u64 = plan.files.iter().map(|file| file.bytes).sum();
    let what = format!(
        "{} ({:.1} MB)",
        counted(plan.files.len(), "file"),
        bytes as f64 / 1e6
    );
    if args.dry_run {
        for file in &plan.files {
            terminal.say(format!("{:>12}  {}", file.bytes, file.name))?;
        }
        terminal.say(format!("{what} would go to {}/{}", account.endpoint, plan.repo))?;
        return terminal.document(&json!({"endpoint": account.endpoint, "plan": plan}));
    }
    if hub_options(None).offline {
        bail!("offline mode is on, and pushing needs the network: unset HF_HUB_OFFLINE, or give --dry-run");
    }
    if account.token.is_none() {
        let endpoint = account.endpoint;
        return Err(PushError::NoToken { endpoint }.into());
    }
    let pushed = plan.push(&account, args.private)?;
    if args.private && !pushed.is_new {
        terminal.note("note: the repository was there before; who sees it has not changed");
    }
    terminal.say(format!("{what} pushed: {}", pushed.url))?;
    terminal.document(&json!({"pushed": pushed, "plan": plan}))
}
