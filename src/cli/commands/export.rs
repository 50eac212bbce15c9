//! `bptt export`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use bptt::experiment::files::folder::io_error;
use bptt::experiment::files::new_file;
use bptt::experiment::files::new_file::NewFile;
use bptt::experiment::model::codec::Codec;
use bptt::experiment::model::interface::interface;
use bptt::experiment::model::model_file::{KEY, ModelFile};
use bptt::format::{bytes, path_text};
use bptt::interchange::onnx::{ModelInput, write_model};
use bptt::{Error, Model, Readout, Result, StateDictPrefixes};
use clap::{Args, ValueHint};

use super::model_args::open_model;
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{heading, print_line};

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// Folder of a run, or a model.safetensors
    #[arg(value_hint = ValueHint::AnyPath)]
    run: PathBuf,
    /// New file: FILE.onnx or FILE.safetensors
    ///
    /// FILE.onnx is the whole model for ONNX runtimes. FILE.safetensors has the weights for a PyTorch module.
    #[arg(value_hint = ValueHint::FilePath)]
    out: PathBuf,
    /// Names in the PyTorch module [default: rnn,head,embedding]
    ///
    /// The attributes of the recurrent layers, the linear layer and the embedding: `lstm,fc` for `self.lstm` and
    /// `self.fc`.
    #[arg(long, value_delimiter = ',', value_name = "A,B,C")]
    names: Option<Vec<String>>,
}

pub(crate) fn export(args: &ExportArgs) -> Result<(), Failure> {
    let out = &args.out;
    new_file::check("OUT", Some(out))?;
    let refused = |message: String| Failure::from(Error::Unsupported(message));
    let lines = match (out.extension().and_then(|extension| extension.to_str()), &args.names) {
        (Some("onnx"), None) => {
            let file = open_model(&args.run)?.file;
            let reads = reads(&file.codec);
            write(out, |to| onnx(&file, reads, to))?;
            describe(&file.model, reads)
        }
        (Some("onnx"), Some(_)) => {
            return Err(refused("--names is for FILE.safetensors; ONNX has its own names".into()));
        }
        (Some("safetensors"), attributes) => {
            let names = attributes.as_deref().map(names).transpose()?;
            let file = open_model(&args.run)?.file;
            let names = names.unwrap_or_default();
            let weights = names.write(&file.model, &file.weights)?;
            write(out, |to| weights.write_safetensors(to, None))?;
            Vec::new()
        }
        _ => return Err(refused(format!("OUT: expected FILE.onnx or FILE.safetensors, got {}", path_text(out)))),
    };
    let written = out.metadata().map_err(io_error(out))?.len();
    print_line(heading("file", &format!("{}, {}", path_text(out), bytes(written))));
    lines.iter().for_each(|(name, text)| print_line(heading(name, text)));
    Ok(())
}

/// Writes the file piece by piece.
fn write(out: &Path, fill: impl FnOnce(&mut BufWriter<&mut NewFile>) -> Result<()>) -> Result<()> {
    new_file::write_with(out, |file| {
        let mut file = BufWriter::new(file);
        fill(&mut file)?;
        file.flush().map_err(io_error(out))
    })
}

/// The attribute names, each with a dot; an empty one is the module itself.
fn names(attributes: &[String]) -> Result<StateDictPrefixes> {
    let dotted = |attribute: &String| if attribute.is_empty() { String::new() } else { format!("{attribute}.") };
    match attributes {
        [recurrent, head] => Ok(StateDictPrefixes::new(dotted(recurrent), dotted(head))),
        [recurrent, head, embedding] => {
            Ok(StateDictPrefixes::new(dotted(recurrent), dotted(head)).embedding(dotted(embedding)))
        }
        _ => Err(Error::Value {
            what: "--names".into(),
            expected: "two or three attributes of a module, as in lstm,fc".into(),
            got: attributes.join(","),
        }),
    }
}

/// The metadata key of an ONNX file: see [`interface`].
const INTERFACE: &str = "bptt_interface";

/// The model as ONNX, with its description and that of its inputs and outputs.
fn onnx(file: &ModelFile, reads: ModelInput, to: &mut impl Write) -> Result<()> {
    let interface = interface(&file.codec, &file.model).to_string();
    let description = file.description()?;
    write_model(&file.model, &file.weights, reads, &[(KEY, &description), (INTERFACE, &interface)], to)
}

/// The tensors of a codec.
fn reads(codec: &Codec) -> ModelInput {
    if codec.has_tokens() { ModelInput::Tokens } else { ModelInput::Dense }
}

/// The inputs and outputs.
fn describe(model: &Model, reads: ModelInput) -> Vec<(&'static str, String)> {
    let recurrent = &model.recurrent;
    let input = match reads {
        ModelInput::Dense => format!("x [T, B, {}]", recurrent.input_size),
        ModelInput::Tokens => format!("tokens [T, B] below {}", model.vocabulary()),
    };
    let states = |end: &str| {
        let names = if recurrent.cell.has_cell_state() { format!("h_{end}, c_{end}") } else { format!("h_{end}") };
        format!("{names} [{}, B, {}]", recurrent.num_layer_directions(), recurrent.hidden_size)
    };
    let predictions = model.head.as_ref().map(|head| {
        let p = if head.readout == Readout::PerStep { "T" } else { "1" };
        format!("y, logits [{p}, B, {}], ", head.outputs)
    });
    vec![
        ("inputs", format!("{input}, lengths [B], {}", states("0"))),
        ("outputs", format!("{}{}", predictions.unwrap_or_default(), states("n"))),
    ]
}
