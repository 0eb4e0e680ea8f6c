//! The program: nginx's command line, signals and files.

mod allocator;
mod cli;
mod load;
mod machine;
mod messages;
mod pid;
mod process;
mod reload;
mod signal;
mod version;

use std::process::ExitCode;

use cli::{Action, Options};

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> ExitCode {
    allocator::share_with_openssl();
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(error) => return messages::fail(&error),
    };
    let result = match options.action {
        about @ (Action::Help | Action::Version | Action::Configuration) => {
            version::tell(about);
            Ok(())
        }
        Action::DumpTree(notation) => load::dump_tree(&options, notation),
        Action::Test => {
            options.about.into_iter().for_each(version::tell);
            load::test(&options)
        }
        Action::Signal(name) => signal::send(&options, name),
        Action::Run => process::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => messages::fail(&error),
    }
}
