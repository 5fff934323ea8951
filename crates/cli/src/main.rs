//! The `percept` command: speech to text, sound to tokens and back, on ordinary CPUs.
//!
//! `args` says what can be asked for, one module per subcommand does it, and `error` holds every way to fail.

#![forbid(unsafe_code)]

mod args;
mod atomic;
mod audio;
mod bench;
mod codec;
mod defect;
mod error;
mod features;
mod hidden;
mod inputs;
mod inspect;
mod model;
mod models;
mod npy;
mod output;
mod plan;
mod progress;
mod resume;
mod signals;
mod stream;
mod subtitles;
mod transcribe;
mod weights;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use error::CliError;

fn main() -> ExitCode {
    signals::install();
    defect::install();
    let command = Cli::parse().command;
    match defect::contain("the command", || run(command)) {
        Ok(code) => code,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            progress::to_stderr(&format!("percept: {}", error.line()));
            error.exit_code()
        }
    }
}

fn run(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Transcribe(args) => return Ok(transcribe::run(&args)),
        Command::Stream(args) => return stream::run(&args),
        Command::Listen(args) => return stream::listen::run(&args),
        Command::Codec(command) => return codec::run(&command),
        Command::Features(args) => features::run(&args)?,
        Command::Inspect(args) => inspect::run(&args)?,
        Command::Bench(args) => bench::run(&args)?,
        Command::Models(command) => return models::run(&command),
        Command::Completions { shell } => hidden::completions(shell)?,
        Command::Man { subcommand } => hidden::man(subcommand.as_deref())?,
    }
    Ok(ExitCode::SUCCESS)
}
