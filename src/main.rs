//! The `chaosproxy` command.

fn main() -> std::process::ExitCode {
    chaosproxy::cli::main()
}
