//! `bptt eval`.

use bptt::Error;
use bptt::experiment::loaded_model::AppliedModel;
use bptt::format::path_json;
use clap::Args;
use serde_json::Value;

use super::model_args::ModelArgs;
use crate::cli::exit::Failure;
use crate::cli::provenance;
use crate::cli::terminal::printed::{headings, print_json, print_line};

#[derive(Args)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Print the results as one line of JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn eval(args: &EvalArgs) -> Result<(), Failure> {
    let mut applied = args.model.open().await?;
    let results = applied.evaluate(args.json).await?;
    let AppliedModel { task, device, .. } = &applied;
    if args.json {
        let mut summary = provenance::to_json();
        summary.extend([("run".to_owned(), Value::from(path_json(&args.model.run)))]);
        summary.extend([("device".to_owned(), Value::from(device.describe()))]);
        summary.extend([("data".to_owned(), Value::from(task.describe()))]);
        summary.extend(results.summary);
        summary.extend(task.relation().map(|words| ("trained_on".to_owned(), Value::from(words))));
        print_json(Value::Object(summary));
        return complete(results.missing);
    }
    headings("data", &task.describe()).iter().for_each(print_line);
    print_line("");
    results.lines.iter().for_each(print_line);
    complete(results.missing)
}

/// The error if a result is missing.
fn complete(missing: Vec<(&'static str, Error)>) -> Result<(), Failure> {
    match missing.into_iter().next() {
        Some((what, error)) => Err(Error::Failed(format!("missing {what}: {error}")).into()),
        None => Ok(()),
    }
}
