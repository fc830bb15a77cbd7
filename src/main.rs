//! The program: parse, dispatch, exit code.

use citystream::commands;

fn main() {
    std::process::exit(commands::main());
}
