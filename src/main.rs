//! The program: parse, dispatch, exit code.

fn main() {
    std::process::exit(citystream::main());
}
