//! `chaosproxy demo`.

use std::process::ExitCode;

use clap::Subcommand;

use crate::demo::{codebase, embeddings, workflow};

/// Arguments of `chaosproxy demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Server {
    /// Indexes files, stores chunks of text, searches both.
    Codebase(Box<codebase::Args>),
    /// Keeps projects, one database each, and work items that refer to codebase.
    Workflow(Box<workflow::Args>),
    /// Turns texts into vectors, for codebase.
    Embeddings(embeddings::Args),
}

/// Runs the command. The servers say what goes wrong in their own log.
pub fn main(args: &Args) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return ExitCode::from(70);
    };
    let outcome = runtime.block_on(async {
        match &args.server {
            Server::Codebase(args) => codebase::run(args).await,
            Server::Workflow(args) => workflow::run(args).await,
            Server::Embeddings(args) => embeddings::run(args).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
