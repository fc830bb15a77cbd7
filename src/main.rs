//! citystream
fn main() {}
