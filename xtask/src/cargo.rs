//! Cargo, as the tasks call it.

use std::env;
use std::process::Command;

use xtask::stack::workspace;

/// Cargo, in this workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace());
    // What `cargo run` tells about this package is not for the packages to be built: some would be built anew for it.
    for name in env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        cargo.env_remove(name);
    }
    cargo
}
