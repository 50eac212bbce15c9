//! `bptt export`.

use std::borrow::Cow;
use std::io::{BufWriter, Write, sink};
use std::path::{Path, PathBuf};

use bptt::experiment::files::folder::io_error;
use bptt::experiment::files::new_file;
use bptt::experiment::files::new_file::NewFile;
use bptt::experiment::loaded_model::LoadedModel;
use bptt::experiment::model::c_interface::c_interface;
use bptt::experiment::model::codec::Codec;
use bptt::experiment::model::interface::interface;
use bptt::experiment::model::model_file::{KEY, ModelFile};
use bptt::experiment::rounding::ComparedFigure;
use bptt::format::{bytes, grouped, path_text};
use bptt::interchange::c;
use bptt::interchange::c::{CHeader, CInput, CReading, MOST_UNROLLED, WeightFormat};
use bptt::interchange::onnx::{ModelInput, write_model, write_step};
use bptt::{Error, Model, Readout, Result, StateDictPrefixes};
use clap::{Args, ValueEnum, ValueHint};
use serde_json::Value;

use super::model_args::open_model;
use crate::cli::args::whole;
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{eprint_line, heading, print_line};

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// Folder of a run, or a model.safetensors
    #[arg(value_hint = ValueHint::AnyPath)]
    run: PathBuf,
    /// New file: FILE.onnx, FILE.h, FILE.safetensors or another with --to
    ///
    /// FILE.onnx is the whole model for ONNX runtimes. FILE.h is a header of C99 with the model, for programs and
    /// microcontrollers. FILE.safetensors has the weights for a PyTorch module.
    #[arg(value_hint = ValueHint::FilePath)]
    out: PathBuf,
    /// Format of the file [default: by its extension]
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Option<Format>,
    /// ONNX: one step, with states as inputs and outputs
    #[arg(long)]
    step: bool,
    /// C: how weights are stored [default: f32]
    ///
    /// f16 takes half of the memory and int8, with a scale for each row, a quarter. The run's test part is measured with
    /// the rounded weights as well, on the CPU.
    #[arg(long, value_enum, value_name = "TYPE")]
    weights: Option<Stored>,
    /// C: terms of a product per turn of its loop [default: 4]
    ///
    /// Each has a sum of its own. 1 gives the smallest code.
    #[arg(long, value_parser = whole::<1, MOST_UNROLLED>, value_name = "N")]
    unroll: Option<usize>,
    /// C: prefix of all names [default: the file's name]
    #[arg(long)]
    name: Option<String>,
    /// PyTorch: names in the module [default: rnn,head,embedding]
    ///
    /// The attributes of the recurrent layers, the linear layer and the embedding: `lstm,fc` for `self.lstm` and
    /// `self.fc`.
    #[arg(long, value_delimiter = ',', value_name = "A,B,C")]
    names: Option<Vec<String>>,
}

/// The format of an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// the whole model for ONNX runtimes
    Onnx,
    /// a header of C99 with the model
    C,
    /// the JSON of RTNeural, for LSTM and GRU
    Rtneural,
    /// the weights for a PyTorch module
    Safetensors,
}

/// How a header stores the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stored {
    /// 4 bytes: as trained
    F32,
    /// 2 bytes: IEEE half precision
    F16,
    /// 1 byte: whole numbers with a scale for each row
    Int8,
}

/// What is printed of an export: names and texts.
type Lines = Vec<(&'static str, String)>;

pub(crate) async fn export(args: &ExportArgs) -> Result<(), Failure> {
    let out = &args.out;
    new_file::check("OUT", Some(out))?;
    let format = format(args)?;
    check_flags(args, format)?;
    // What is wrong with a name is said before the model is read.
    let name = c_name(args, format)?;
    let names = args.names.as_deref().map(names).transpose()?.unwrap_or_default();
    let model = open_model(&args.run)?;
    let file = &model.file;
    let lines = match format {
        Format::Onnx => {
            let reads = reads(&file.codec);
            write(out, |to| onnx(file, reads, args.step, to))?;
            describe(&file.model, reads, args.step)
        }
        Format::Safetensors => {
            let weights = names.write(&file.model, &file.weights)?;
            write(out, |to| weights.write_safetensors(to, None))?;
            Vec::new()
        }
        Format::C => header(args, &model, name).await?,
        Format::Rtneural => rtneural(out, file)?,
    };
    let written = out.metadata().map_err(io_error(out))?.len();
    print_line(heading("file", &format!("{}, {}", path_text(out), bytes(written))));
    lines.iter().for_each(|(name, text)| print_line(heading(name, text)));
    Ok(())
}

/// The format that the flag or the extension names.
fn format(args: &ExportArgs) -> Result<Format> {
    let extension = args.out.extension().and_then(|extension| extension.to_str());
    let by_extension = match extension {
        Some("onnx") => Some(Format::Onnx),
        Some("h") => Some(Format::C),
        Some("safetensors") => Some(Format::Safetensors),
        _ => None,
    };
    match (args.to, by_extension) {
        (Some(to), Some(other)) if to != other => Err(refused(format!(
            "OUT {} has the extension of --to {}, and --to is {}: leave out one of them",
            path_text(&args.out),
            word(other),
            word(to)
        ))),
        (Some(format), _) | (None, Some(format)) => Ok(format),
        (None, None) => Err(refused(format!(
            "OUT: expected FILE.onnx, FILE.h or FILE.safetensors, or --to with the format, got {}",
            path_text(&args.out)
        ))),
    }
}

/// A format as it is typed.
fn word(format: Format) -> String {
    format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Refuses flags of other formats.
fn check_flags(args: &ExportArgs, format: Format) -> Result<()> {
    let flags = [
        ("--step", args.step, Format::Onnx, "FILE.onnx"),
        ("--weights", args.weights.is_some(), Format::C, "FILE.h"),
        ("--unroll", args.unroll.is_some(), Format::C, "FILE.h"),
        ("--name", args.name.is_some(), Format::C, "FILE.h"),
        ("--names", args.names.is_some(), Format::Safetensors, "FILE.safetensors"),
    ];
    match flags.into_iter().find(|(_, is_set, of, _)| *is_set && *of != format) {
        Some((flag, _, of, file)) => {
            let (of, to) = (word(of), word(format));
            Err(refused(format!("{flag} is for {file} (--to {of}); the format is {to}")))
        }
        None => Ok(()),
    }
}

fn refused(message: String) -> Error {
    Error::Unsupported(message)
}

/// The prefix of the names in a header.
fn c_name(args: &ExportArgs, format: Format) -> Result<String> {
    if format != Format::C {
        return Ok(String::new());
    }
    let stem = args.out.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    match &args.name {
        Some(name) if c::identifier(name).is_ok_and(|identifier| identifier == name.to_ascii_lowercase()) => {
            Ok(name.clone())
        }
        Some(name) => Err(Error::Value {
            what: "--name".into(),
            expected: "letters A to Z, digits and single underscores, with a letter first".into(),
            got: name.clone(),
        }),
        None => c::identifier(&stem).map_err(|_| {
            let file = path_text(&args.out);
            refused(format!(
                "OUT {file}: the names in a header begin with a letter A to Z; set their prefix with --name"
            ))
        }),
    }
}

/// Writes a header, and measures what rounding its weights changes.
async fn header(args: &ExportArgs, model: &LoadedModel, name: String) -> Result<Lines> {
    let file = &model.file;
    let format = match args.weights {
        None | Some(Stored::F32) => WeightFormat::F32,
        Some(Stored::F16) => WeightFormat::F16,
        Some(Stored::Int8) => WeightFormat::Int8,
    };
    let interface = c_interface(&file.codec, &file.model)?;
    let mut header = CHeader::new(&name).weights(format).input(interface.input).output(interface.output);
    header.unroll = args.unroll.unwrap_or(header.unroll);
    header.notes = interface.notes;
    // Whatever is wrong with the model or its data is found before anything is measured.
    c::write_header(&file.model, &file.weights, &header, &mut sink())?;
    let mut lines = Vec::new();
    if format != WeightFormat::F32 {
        for line in measured(model, format).await? {
            header.notes.push(line.clone());
            lines.push(("rounding", line));
        }
    }
    let mut sizes = None;
    write(&args.out, |to| {
        sizes = Some(c::write_header(&file.model, &file.weights, &header, to)?);
        Ok(())
    })?;
    let mut first = vec![("functions", format!("{name}_reset, {}", functions(&header)))];
    first.extend(sizes.map(|sizes| {
        let [weights, state, products] = [sizes.weight_bytes, sizes.state_bytes, sizes.multiply_adds].map(grouped);
        ("takes", format!("{weights} bytes of weights, {state} of state; {products} multiply-adds a step"))
    }));
    Ok(first.into_iter().chain(lines).collect())
}

/// The functions to call.
fn functions(header: &CHeader) -> String {
    let name = &header.name;
    let of_rows = match &header.input {
        CInput::Rows(rows) => match rows.reading {
            CReading::Window(_) => Some("predict"),
            CReading::Forecast { .. } => Some("forecast"),
            _ => None,
        },
        _ => None,
    };
    format!("{name}_{}", of_rows.unwrap_or("step"))
}

/// What rounding the weights changes, in lines.
async fn measured(model: &LoadedModel, format: WeightFormat) -> Result<Vec<String>> {
    let file = &model.file;
    let rounded = c::rounded(&file.model, &file.weights, format, file.codec.has_tokens())?;
    let unmeasured = |why: String| {
        eprint_line(format!("note: what the rounding changes is not measured: {why}"));
        vec!["not measured".to_owned()]
    };
    let name = format.name();
    Ok(match model.compare_weights(&rounded).await {
        Ok(figures) if figures.is_empty() => unmeasured("the run has no part that it measures".into()),
        Ok(figures) => {
            let line =
                |figure: ComparedFigure| format!("{}: {} in f32, {} in {name}", figure.name, figure.own, figure.other);
            figures.into_iter().map(line).collect()
        }
        Err(error) => unmeasured(error.to_string()),
    })
}

/// Writes RTNeural's JSON. Networks of sound read and make samples; others have the units of the network.
fn rtneural(out: &Path, file: &ModelFile) -> Result<Lines> {
    if file.codec.has_tokens() {
        let message = "RTNeural reads numbers, and the network tokens: export it as a C header or as ONNX";
        return Err(refused(message.into()));
    }
    let (weights, units) = match &file.codec {
        Codec::Audio(codec) => (
            Cow::Owned(codec.of_samples(&file.model, &file.weights)?),
            "samples in and out, full scale is 1".to_owned(),
        ),
        _ => (Cow::Borrowed(&file.weights), format!("scaled as its key {INTERFACE} says")),
    };
    let mut notes = vec![("bptt_units", Value::from(units.as_str()))];
    if !matches!(file.codec, Codec::Audio(_)) {
        notes.push((INTERFACE, interface(&file.codec, &file.model)));
    }
    write(out, |to| bptt::interchange::rtneural::write_model(&file.model, &weights, &notes, to))?;
    Ok(vec![("units", units)])
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
fn onnx(file: &ModelFile, reads: ModelInput, step: bool, to: &mut impl Write) -> Result<()> {
    let interface = interface(&file.codec, &file.model).to_string();
    let description = file.description()?;
    let notes = [(KEY, description.as_str()), (INTERFACE, interface.as_str())];
    if step {
        write_step(&file.model, &file.weights, reads, &notes, to)
    } else {
        write_model(&file.model, &file.weights, reads, &notes, to)
    }
}

/// The tensors of a codec.
fn reads(codec: &Codec) -> ModelInput {
    if codec.has_tokens() { ModelInput::Tokens } else { ModelInput::Dense }
}

/// The inputs and outputs.
fn describe(model: &Model, reads: ModelInput, step: bool) -> Lines {
    let recurrent = &model.recurrent;
    let t = if step { "1" } else { "T" };
    let input = match reads {
        ModelInput::Dense => format!("x [{t}, B, {}]", recurrent.input_size),
        ModelInput::Tokens => format!("tokens [{t}, B] below {}", model.vocabulary()),
    };
    let input = if step { input } else { format!("{input}, lengths [B]") };
    let readout = model.head.as_ref().map(|head| head.readout);
    let states = |end: &str| {
        let names = if recurrent.cell.has_cell_state() { format!("h_{end}, c_{end}") } else { format!("h_{end}") };
        let states = format!("{names} [{}, B, {}]", recurrent.num_layer_directions(), recurrent.hidden_size);
        if step && readout == Some(Readout::MeanPool) {
            format!("{states}, sum_{end} [1, B, {}], count_{end} [1, B, 1]", recurrent.hidden_size)
        } else {
            states
        }
    };
    let predictions = model.head.as_ref().map(|head| {
        let p = if head.readout == Readout::PerStep && !step { "T" } else { "1" };
        format!("y, logits [{p}, B, {}], ", head.outputs)
    });
    vec![
        ("inputs", format!("{input}, {}", states("0"))),
        ("outputs", format!("{}{}", predictions.unwrap_or_default(), states("n"))),
    ]
}
