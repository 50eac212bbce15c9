//! Networks as one header of C99, for programs and microcontrollers: constant weights, a struct for the state, `NAME_reset`
//! and `NAME_step`, without memory allocation and with the math library alone.
//!
//! ```
//! use bptt::interchange::c::{CHeader, WeightFormat, write_header};
//! use bptt::{Cell, Head, Layout, Loss, Model, Readout, Recurrent};
//!
//! let model = Model::new(Recurrent::new(Cell::Gru, 2, 8), Head::new(3, Loss::CrossEntropy, Readout::PerStep));
//! let layout = Layout::new(&model);
//! let weights = layout.to_state_dict(&vec![0.1; layout.len()]); // or those of a trainer
//! let mut header = Vec::new();
//! let sizes = write_header(&model, &weights, &CHeader::new("gesture").weights(WeightFormat::F16), &mut header)?;
//! assert_eq!((sizes.state_bytes, sizes.multiply_adds), (4 * 8, 24 * (2 + 8) + 3 * 8));
//! assert!(String::from_utf8_lossy(&header).contains("gesture_step(gesture_state *state, const float *x, float *y)"));
//! # Ok::<(), bptt::Error>(())
//! ```

mod arrays;
mod data;
mod head;
mod layers;
mod names;
mod rounding;
mod rows;
mod sizes;
mod texts;

use std::collections::BTreeSet;
use std::io::Write;

use arrays::{Bias, Matrix, biases, matrices, put, unwritten};
pub use data::{CColumn, CFeatures, CInput, COutput, CReading, CRelative, CRows, CTokens, CValues};
pub use names::identifier;
use names::{comment, float, wrapped};
pub use rounding::{WeightFormat, rounded};
pub use sizes::CSizes;

use crate::error::{Error, Result};
use crate::model::{Cell, Layout, Loss, Model, Readout, Role, StateDict};

/// The most sums of a product: see [`CHeader::unroll`].
pub const MOST_UNROLLED: usize = 32;

/// What a header is to have.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CHeader {
    /// The prefix of all identifiers.
    pub name: String,
    /// How the weights are stored.
    pub weights: WeightFormat,
    /// By how many terms the loops of products are unrolled, each into a sum of its own: 1 to [`MOST_UNROLLED`]. All sizes
    /// are constants either way.
    ///
    /// Sums of their own hide the latency of an addition, which a compiler may not reorder. Other loops stay loops: a
    /// straight line of code has an instruction or more for each weight, so that the code of a network would be larger than
    /// its weights, and compilers unroll short loops with constant bounds by themselves.
    pub unroll: usize,
    /// What a step takes.
    pub input: CInput,
    /// What a step returns.
    pub output: COutput,
    /// Lines for the comment at the top.
    pub notes: Vec<String>,
}

impl CHeader {
    /// A header with f32 weights, products in four sums, and the network's own inputs and outputs.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            weights: WeightFormat::F32,
            unroll: 4,
            input: CInput::Numbers,
            output: COutput::Numbers,
            notes: Vec::new(),
        }
    }

    /// Sets how the weights are stored.
    #[must_use]
    pub fn weights(self, weights: WeightFormat) -> Self {
        Self { weights, ..self }
    }

    /// Sets by how many terms the loops of products are unrolled.
    #[must_use]
    pub fn unroll(self, unroll: usize) -> Self {
        Self { unroll, ..self }
    }

    /// Sets what a step takes.
    #[must_use]
    pub fn input(self, input: CInput) -> Self {
        Self { input, ..self }
    }

    /// Sets what a step returns.
    #[must_use]
    pub fn output(self, output: COutput) -> Self {
        Self { output, ..self }
    }

    /// Adds a line to the comment at the top.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// A header in the making.
pub(super) struct Plan<'a> {
    model: &'a Model,
    header: &'a CHeader,
    name: &'a str,
    matrices: Vec<Matrix>,
    biases: Vec<Bias>,
}

/// Writes a header, and returns its sizes. It computes what [`Session`](crate::Session) computes in f32, up to the order
/// of sums: see the functions' comments in it. A head on the mean over time takes it over all steps since the start, not
/// over those of a call.
///
/// # Errors
/// [`Error::Unsupported`] for a network that cannot be computed step by step, since it has a reverse direction, and for a
/// cell that another crate defines; [`Error::Value`] for a name that is no identifier, inputs or outputs that are not
/// those of the model, and a weight that the format does not have; [`Error::StateDict`] if the weights are not those of
/// the model; [`Error::Io`], without a file name, if `to` fails.
pub fn write_header(model: &Model, dict: &StateDict, header: &CHeader, to: &mut impl Write) -> Result<CSizes> {
    let plan = Plan::new(model, dict, header)?;
    let sizes = plan.sizes();
    plan.write_beginning(&sizes, to)?;
    let layout = Layout::new(model);
    for bias in &plan.biases {
        let name = format!("{}_{}", plan.name, bias.symbol);
        put(to, "float", &name, bias.values.len(), "Biases.", bias.values.iter().map(|value| float(*value)))?;
    }
    for matrix in &plan.matrices {
        matrix.write(plan.name, &layout, dict, header.weights, to)?;
    }
    to.write_all(b"\n").map_err(unwritten)?;
    let code = [plan.state(), plan.arithmetic(), plan.layers(), plan.output_helpers(), plan.head()].concat();
    plan.write_code(&code, to)?;
    plan.write_tokens(to)?;
    plan.write_code(&plan.rows(), to)?;
    to.write_all(plan.names().as_bytes()).map_err(unwritten)?;
    plan.write_code("#endif\n", to)?;
    Ok(sizes)
}

impl<'a> Plan<'a> {
    fn new(model: &'a Model, dict: &StateDict, header: &'a CHeader) -> Result<Self> {
        model.validate()?;
        let r = &model.recurrent;
        if let Cell::Custom(_) = r.cell {
            return Err(Error::Unsupported(format!(
                "C headers have the cells RNN, LSTM and GRU; the network's is {}, which another crate defines",
                r.cell.name()
            )));
        }
        if r.has_reverse() {
            return Err(Error::Unsupported(
                "a header computes step by step, and the network also reads from the end of a sequence, which is not there \
                 yet: train one that reads forward, or export it as ONNX"
                    .into(),
            ));
        }
        names::check(&header.name)?;
        if !(1..=MOST_UNROLLED).contains(&header.unroll) {
            return Err(Error::value("the unrolling", format!("1 to {MOST_UNROLLED}"), header.unroll));
        }
        let tokens = matches!(header.input, CInput::Tokens(_));
        if model.embedding.is_some() && !tokens {
            return Err(Error::Unsupported("a model with an embedding reads tokens, not numbers".into()));
        }
        let biases = biases(model, dict)?;
        if let Some(bias) = biases.iter().find(|bias| bias.values.iter().any(|value| !value.is_finite())) {
            return Err(Error::value(format!("the bias {}", bias.symbol), "finite numbers", "others"));
        }
        let plan = Self { model, header, name: &header.name, matrices: matrices(model, tokens), biases };
        plan.check_data()?;
        Ok(plan)
    }

    /// Refuses inputs and outputs that are not those of the model.
    fn check_data(&self) -> Result<()> {
        let expect = |what: &str, expected: usize, got: usize| {
            if expected == got { Ok(()) } else { Err(Error::value(what, format!("{expected}, as the model has"), got)) }
        };
        let inputs = self.model.recurrent.input_size;
        match &self.header.input {
            CInput::Numbers | CInput::Tokens(CTokens::Ids) => {}
            CInput::Named(names) => expect("the names of the inputs", inputs, names.len())?,
            CInput::Tokens(CTokens::Bytes) => expect("the tokens", self.model.vocabulary(), 256)?,
            CInput::Tokens(CTokens::Characters(characters)) => {
                expect("the tokens", self.model.vocabulary(), characters.len() + 1)?;
            }
            CInput::Rows(rows) => {
                expect("the inputs of a step", inputs, rows.input_size())?;
                let last = rows.features.iter().filter_map(CFeatures::last_column).max();
                if last.is_none_or(|last| last >= rows.columns.len()) {
                    return Err(Error::value(
                        "the columns of a row",
                        "those that the features read",
                        rows.columns.len(),
                    ));
                }
                let is_row_by_row = rows.rows_per_step() == 1 && rows.members.is_empty();
                if rows.forecast().is_none() && !is_row_by_row {
                    let message = "steps of several rows and the series of a panel are read in windows of a forecast";
                    return Err(Error::Unsupported(message.into()));
                }
                if let CReading::Forecast { window, .. } | CReading::Window(window) = rows.reading
                    && (window == 0 || !window.is_multiple_of(rows.rows_per_step()))
                {
                    let expected = format!("a multiple of the {} rows of a step", rows.rows_per_step());
                    return Err(Error::value("the window", expected, window));
                }
            }
        }
        let outputs = self.scaled_outputs();
        match &self.header.output {
            COutput::Numbers => Ok(()),
            COutput::Named(names) => expect("the names of the outputs", outputs, names.len()),
            COutput::Classes(classes) if outputs == 1 => expect("the classes", 2, classes.len()),
            COutput::Classes(classes) => expect("the classes", outputs, classes.len()),
            COutput::Values(values) => {
                let CInput::Rows(rows) = &self.header.input else {
                    let message = "predictions in the units of the data need inputs in these units";
                    return Err(Error::Unsupported(message.into()));
                };
                let targets = values.targets.len();
                if rows.forecast().is_some() {
                    let most = if rows.members.is_empty() { rows.columns.len() } else { 1 };
                    if targets > most {
                        return Err(Error::value("the targets of a forecast", format!("at most {most}"), targets));
                    }
                }
                let places = targets * values.horizon.max(1);
                let per = if values.around_point { 1 } else { self.forecasts(values) };
                expect("the outputs of the targets", outputs, places * per)?;
                let fits = values.shifts.iter().all(|shifts| shifts.len() == places);
                let fits = fits && values.shifts.len() == values.levels.len();
                if !(values.shifts.is_empty() || fits) {
                    return Err(Error::value("the shifts", "one for each level and output", values.shifts.len()));
                }
                Ok(())
            }
        }
    }

    /// Code with the names of this header: `@` is the prefix of a function, `@@` that of a constant.
    fn expand(&self, code: &str) -> String {
        let upper = self.name.to_ascii_uppercase();
        code.replace("@@", &format!("{upper}_")).replace('@', &format!("{}_", self.name))
    }

    fn write_code(&self, code: &str, to: &mut impl Write) -> Result<()> {
        to.write_all(self.expand(code).as_bytes()).map_err(unwritten)
    }

    /// A matrix that the model has.
    fn matrix(&self, role: Role) -> &Matrix {
        let found = self.matrices.iter().find(|matrix| matrix.is(role));
        found.unwrap_or_else(|| &self.matrices[0])
    }

    fn has_tokens(&self) -> bool {
        matches!(self.header.input, CInput::Tokens(_))
    }

    /// Whether a step in the network's units is called differently from one in those of the data.
    fn has_scaled_step(&self) -> bool {
        matches!(self.header.input, CInput::Rows(_))
    }

    /// Whether predictions have two units.
    fn has_scaled_outputs(&self) -> bool {
        matches!(self.header.output, COutput::Values(_))
    }

    fn readout(&self) -> Option<Readout> {
        self.model.head.as_ref().map(|head| head.readout)
    }

    /// The numbers that the network predicts.
    fn scaled_outputs(&self) -> usize {
        self.model.head.as_ref().map_or(self.model.recurrent.state_size(), |head| head.outputs)
    }

    /// The lengths of all products.
    fn dot_sizes(&self) -> BTreeSet<usize> {
        let read = self.matrices.iter().filter(|matrix| self.is_multiplied(matrix));
        read.map(|matrix| matrix.columns).collect()
    }

    /// Whether the rows of a matrix are multiplied; those of tokens are picked.
    fn is_multiplied(&self, matrix: &Matrix) -> bool {
        let picked = matrix.is(Role::Embedding) && !self.model.is_tied();
        let one_hot =
            matrix.is(Role::WeightIh { layer_direction: 0 }) && self.has_tokens() && self.model.embedding.is_none();
        !picked && !one_hot
    }

    fn calls_expf(&self) -> bool {
        let cell = !matches!(self.model.recurrent.cell, Cell::Rnn(activation) if activation != crate::model::Activation::Sigmoid);
        cell || self.model.head.as_ref().is_some_and(|head| {
            head.loss.takes_classes() || head.loss.is_likelihood() || head.loss == Loss::BinaryCrossEntropy
        })
    }

    /// The functions of the math library that are called.
    fn math(&self) -> Vec<&'static str> {
        use crate::model::Activation;
        let cell = self.model.recurrent.cell;
        let calls_tanhf = !matches!(cell, Cell::Rnn(activation) if activation != Activation::Tanh);
        let loss = self.model.head.as_ref().map(|head| &head.loss);
        let rows = match &self.header.input {
            CInput::Rows(rows) => Some(rows),
            _ => None,
        };
        let has_sines = rows.is_some_and(|rows| rows.features.iter().any(|of| matches!(of, CFeatures::Sines { .. })));
        let is_standard = rows.and_then(CRows::forecast).is_some_and(|(_, relative)| relative == CRelative::Standard);
        let calls = [
            ("exp", self.calls_expf()),
            ("tanh", calls_tanhf),
            ("log1p", loss.is_some_and(Loss::is_likelihood)),
            ("sqrt", is_standard || (self.has_scaled_outputs() && loss == Some(&Loss::NegativeBinomial))),
            ("sin", has_sines),
            ("cos", has_sines),
        ];
        calls.into_iter().filter(|(_, called)| *called).map(|(name, _)| name).collect()
    }

    /// The comment at the top, the hooks and the constants.
    fn write_beginning(&self, sizes: &CSizes, to: &mut impl Write) -> Result<()> {
        let mut lines =
            vec![format!("A recurrent network for C99 and C++, written by bptt {}.", env!("CARGO_PKG_VERSION"))];
        lines.extend(self.header.notes.iter().flat_map(|note| wrapped(&comment(note))));
        lines.push(String::new());
        lines.extend(sizes.lines(self.header.weights));
        lines.extend([
            String::new(),
            "Include it in one source file: each one that does has its own copy of the weights.".into(),
        ]);
        lines.extend(self.usage().into_iter().map(|line| format!("    {line}")));
        if let CInput::Rows(rows) = &self.header.input {
            lines.push(String::new());
            lines.extend(self.describe_rows(rows));
        }
        let mut code = format!("/* {} */\n", lines.join("\n   ").replace("   \n", "\n"));
        let upper = self.name.to_ascii_uppercase();
        code +=
            &format!("#ifndef BPTT_{upper}_H\n#define BPTT_{upper}_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n");
        let math = self.math();
        if !math.is_empty() {
            code += "/* The functions of the math library that are called: define these macros to bring others. */\n";
            let hooks: Vec<String> = math.iter().map(|name| format!("BPTT_{}F", name.to_ascii_uppercase())).collect();
            let missing: Vec<String> = hooks.iter().map(|hook| format!("!defined({hook})")).collect();
            code += &format!("#if {}\n#include <math.h>\n#endif\n", missing.join(" || "));
            for (name, hook) in math.iter().zip(&hooks) {
                code += &format!("#ifndef {hook}\n#define {hook} {name}f\n#endif\n");
            }
            code.push('\n');
        }
        code += &self.constants();
        to.write_all(code.as_bytes()).map_err(unwritten)
    }

    fn constants(&self) -> String {
        let mut constants: Vec<(&str, usize)> = Vec::new();
        let outputs = self.scaled_outputs();
        match &self.header.input {
            CInput::Tokens(_) => constants.push(("VOCABULARY", self.model.vocabulary())),
            CInput::Numbers | CInput::Named(_) => constants.push(("INPUTS", self.model.recurrent.input_size)),
            CInput::Rows(rows) => {
                constants.extend([("INPUTS", rows.columns.len()), ("SCALED_INPUTS", rows.input_size())]);
                if let CReading::Forecast { window, .. } | CReading::Window(window) = rows.reading {
                    constants.push(("WINDOW", window));
                }
                if rows.rows_per_step() > 1 {
                    constants.push(("ROWS_PER_STEP", rows.rows_per_step()));
                }
                if !rows.members.is_empty() {
                    constants.push(("MEMBERS", rows.members.len()));
                }
            }
        }
        match &self.header.output {
            COutput::Values(values) => {
                let (targets, horizon, per) = (values.targets.len(), values.horizon.max(1), self.forecasts(values));
                constants.extend([("OUTPUTS", targets * horizon * per), ("SCALED_OUTPUTS", outputs)]);
                constants.extend([("HORIZON", horizon), ("TARGETS", targets), ("PER_TARGET", per)]);
            }
            _ => constants.push(("OUTPUTS", outputs)),
        }
        if let COutput::Classes(classes) = &self.header.output {
            constants.push(("CLASSES", classes.len()));
        }
        let mut code: String = constants.iter().map(|(name, size)| format!("#define @@{name} {size}\n")).collect();
        if self.has_scaled_outputs() {
            code += "/* The place of an output: step, target and what is predicted of it each count from 0. */\n\
                     #define @@AT(step, target, of) (((step) * @@TARGETS + (target)) * @@PER_TARGET + (of))\n";
        }
        if self.has_scaled_step() {
            code += "\n/* The type of numbers in the units of the data. Define it as double where float is too coarse for them. */\n\
                     #ifndef @@NUMBER\n#define @@NUMBER float\n#endif\ntypedef @@NUMBER @number;\n";
        }
        self.expand(&(code + "\n"))
    }
}
