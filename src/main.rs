//! Parses the command line and runs one command.

fn main() -> std::process::ExitCode {
    grantkeeper::cli::main()
}
