//! The program: parse, dispatch, exit code.

use citystream::cli as commands;

fn main() {
    std::process::exit(commands::main());
}
