//! Parses the command line and runs one command.

/// Refreshes hand their records from thread to thread, and glibc's allocator takes its time over that: see
/// docs/performance.md. Those who embed the library choose their own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    grantkeeper::cli::main()
}
