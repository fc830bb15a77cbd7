//! The program: parse, dispatch, exit code.

fn main() {
    one_arena();
    std::process::exit(citystream::main());
}

/// Memory that one thread frees is there for all others. Measured (2,000,000 records of the simulated city, all tables, a
/// budget of 64 MiB, 1 and 2 workers on 2 cores): at most 199 and 239 MiB resident where the C library's arenas, one a
/// thread, take 264 and 309, and no slower; mimalloc took 356 and 541.
#[allow(unsafe_code)] // Reason: see above; there is no other way to say it from within.
fn one_arena() {
    // SAFETY: no other thread runs yet, and a value that the C library does not like changes nothing.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
