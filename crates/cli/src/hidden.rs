//! Completions and manual pages, for packagers.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::CliError;
use crate::output::print;

/// Prints what `shell` needs to complete the command.
pub(crate) fn completions(shell: Shell) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "percept", &mut script);
    print(&script)
}

/// Prints the manual page of the command, or of one of its subcommands.
pub(crate) fn man(subcommand: Option<&str>) -> Result<(), CliError> {
    let mut command = Cli::command();
    command.build();
    if let Some(name) = subcommand {
        let found = command
            .find_subcommand(name)
            .filter(|found| !found.is_hide_set());
        let Some(found) = found else {
            return Err(CliError::NoSubcommand {
                name: name.to_owned(),
            });
        };
        command = found.clone();
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .expect("a Vec takes everything");
    print(&page)
}
