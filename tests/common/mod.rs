//! What the tests of every path share: a table of cases, data that are the same everywhere, and runners that take any
//! backend and name what comes out of it.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands, as it should")]

use bptt::{
    Activation, Backend, Batch, Cell, Direction, DropoutKey, Embedding, Engine, EngineOptions, Head, Inference,
    Initialisation, Input, InputGradient, Layers, Layout, Loss, Model, Optimizer, OptimizerStep, OutputGradient,
    Parameters, Readout, Real, Recurrent, Reduction, Sequence, States, Targets, Training,
};
pub mod c;
pub mod continued;
pub mod fixtures;
pub mod gpu;
pub mod onnx;
#[cfg(feature = "cli")]
pub mod program;
pub mod sound;

use std::fmt;

use bptt::ndarray::{Array, Array2, ArrayD, Dimension, IxDyn, s};
use pollster::block_on;

/// Arrays by name, in the order in which they were made.
pub type Named = Vec<(String, ArrayD<f64>)>;

pub const CELLS: [Cell; 6] = [
    Cell::Rnn(Activation::Tanh),
    Cell::Rnn(Activation::Relu),
    Cell::Rnn(Activation::Sigmoid),
    Cell::Rnn(Activation::Identity),
    Cell::Lstm,
    Cell::Gru,
];

pub const PLACES: [Readout; 3] = [Readout::PerStep, Readout::Final, Readout::MeanPool];

pub fn losses() -> [Loss; 10] {
    [
        Loss::SquaredError,
        Loss::BinaryCrossEntropy,
        Loss::CrossEntropy,
        Loss::AbsoluteError,
        // Targets lie in ±1, so that distances do on both sides of it.
        Loss::Huber { delta: 0.5 },
        Loss::Quantile { quantiles: vec![0.125, 0.5, 0.75] },
        Loss::SmoothedCrossEntropy { smoothing: 0.25 },
        Loss::Gaussian,
        Loss::StudentT,
        Loss::NegativeBinomial,
    ]
}

/// A model, and a batch for it.
#[derive(Clone, Debug)]
pub struct Case {
    pub cell: Cell,
    pub layers: usize,
    pub bidirectional: bool,
    /// In reverse alone.
    pub reverse: bool,
    pub bias: bool,
    /// Rows of different lengths.
    pub ragged: bool,
    /// Sequences that start anew within a row.
    pub resets: bool,
    /// Token ids in place of x.
    pub tokens: bool,
    /// What they stand for: a vector of I numbers each.
    pub embedding: Option<Embedding>,
    /// Predictions of different weight, some of weight 0.
    pub weights: bool,
    /// h_0 and c_0 other than zero.
    pub initial: bool,
    pub loss: Loss,
    pub at: Readout,
    pub reduction: Reduction,
    /// T.
    pub steps: usize,
    /// B.
    pub rows: usize,
    /// I.
    pub inputs: usize,
    /// H.
    pub hidden: usize,
    /// The size that h is projected to.
    pub proj_size: Option<usize>,
    /// O.
    pub outputs: usize,
    /// Factor of x.
    pub scale: f64,
    /// The rates of dropout between layers and of recurrent dropout.
    pub dropout: (f64, f64),
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cell {
            Cell::Rnn(activation) => write!(f, "rnn {activation:?}")?,
            cell => write!(f, "{}", cell.name())?,
        }
        write!(f, " {:?} {:?}", self.loss, self.at)?;
        let (t, b, i, h, o) = (self.steps, self.rows, self.inputs, self.hidden, self.outputs);
        write!(f, " T{t} B{b} I{i} H{h} O{o} L{}", self.layers)?;
        self.proj_size.map_or(Ok(()), |size| write!(f, " projected to {size}"))?;
        let flags = [
            (self.bidirectional, "bidirectional"),
            (self.reverse, "reverse"),
            (!self.bias, "without bias"),
            (self.ragged, "ragged"),
            (self.resets, "resets"),
            (self.tokens, "tokens"),
            (self.embedding.as_ref().is_some_and(|embedding| !embedding.tied), "embedding"),
            (self.embedding.as_ref().is_some_and(|embedding| embedding.tied), "tied embedding"),
            (self.weights, "weights"),
            (self.initial, "initial"),
            (self.reduction == Reduction::Sum, "sum"),
            (self.reduction == Reduction::SumOverOutputs, "sum over outputs"),
        ];
        flags.iter().filter(|(set, _)| *set).try_for_each(|(_, name)| write!(f, ", {name}"))?;
        match self.dropout {
            (0.0, 0.0) => Ok(()),
            (between, recurrent) => write!(f, ", dropout {between} recurrent {recurrent}"),
        }
    }
}

impl Case {
    /// The smallest case of interest, of one layer and one direction.
    pub fn new(cell: Cell) -> Self {
        Self {
            cell,
            layers: 1,
            bidirectional: false,
            reverse: false,
            bias: true,
            ragged: false,
            resets: false,
            tokens: false,
            embedding: None,
            weights: false,
            initial: true,
            loss: Loss::SquaredError,
            at: Readout::PerStep,
            reduction: Reduction::Mean,
            steps: 4,
            rows: 3,
            inputs: 2,
            hidden: 3,
            proj_size: None,
            outputs: 2,
            scale: 1.0,
            dropout: (0.0, 0.0),
        }
    }

    /// With other sizes T, B, I, H, O.
    pub fn sizes(self, [steps, rows, inputs, hidden, outputs]: [usize; 5]) -> Self {
        Self { steps, rows, inputs, hidden, outputs, ..self }
    }

    /// With h projected to `size` numbers.
    pub fn projected(self, size: usize) -> Self {
        Self { proj_size: Some(size), ..self }
    }

    /// With a loss, and as many outputs more as make up whole targets.
    pub fn with_loss(self, loss: Loss) -> Self {
        Self { outputs: self.outputs.next_multiple_of(loss.outputs_per_target()), loss, ..self }
    }

    /// With a vector of I numbers for each of `vocabulary` tokens.
    pub fn embedded(self, vocabulary: usize) -> Self {
        Self { tokens: true, embedding: Some(Embedding::new(vocabulary)), ..self }
    }

    /// With vectors for each of `vocabulary` tokens that predict the next one too.
    pub fn tied(self, vocabulary: usize) -> Self {
        let (inputs, outputs, loss) = (self.recurrent().output_size(), vocabulary, Loss::CrossEntropy);
        Self { tokens: true, embedding: Some(Embedding::tied(vocabulary)), inputs, outputs, loss, ..self }
    }

    pub fn direction(&self) -> Direction {
        match (self.bidirectional, self.reverse) {
            (false, false) => Direction::Forward,
            (false, true) => Direction::Reverse,
            (true, _) => Direction::Both,
        }
    }

    pub fn recurrent(&self) -> Recurrent {
        Recurrent::new(self.cell, self.inputs, self.hidden)
            .proj_size(self.proj_size)
            .layers(self.layers)
            .direction(self.direction())
            .bias(self.bias)
            .dropout(self.dropout.0)
            .recurrent_dropout(self.dropout.1)
    }

    pub fn model(&self) -> Model {
        let head = Head::new(self.outputs, self.loss.clone(), self.at).reduction(self.reduction);
        Model::new(self.recurrent(), head).embedding(self.embedding.clone())
    }

    pub fn is_tied(&self) -> bool {
        self.embedding.as_ref().is_some_and(|embedding| embedding.tied)
    }

    pub fn headless(&self) -> Model {
        // Only a head can be tied to.
        let embedding = self.embedding.as_ref().map(|embedding| Embedding::new(embedding.vocabulary));
        Model::headless(self.recurrent()).embedding(embedding)
    }

    /// P.
    pub fn predictions(&self) -> usize {
        if self.at == Readout::PerStep { self.steps } else { 1 }
    }

    /// From T down to 1 over the rows, over and over.
    pub fn lengths(&self) -> Option<Vec<usize>> {
        self.ragged.then(|| (0..self.rows).map(|row| self.steps - (row * 2) % self.steps).collect())
    }

    pub fn states<R: Real>(&self, seed: u64) -> States<R> {
        let shape = |size| (self.recurrent().num_layer_directions(), self.rows, size);
        let c = self.cell.has_cell_state().then(|| fill(shape(self.hidden), seed + 1));
        States { h: fill(shape(self.recurrent().state_size()), seed), c }
    }

    pub fn sequence<R: Real>(&self) -> Sequence<R> {
        let (t, b) = (self.steps, self.rows);
        let input = if self.tokens {
            Input::Tokens(Array2::from_shape_fn((t, b), |(t, row)| {
                choice(7, t * b + row, self.headless().vocabulary())
            }))
        } else {
            let factor = R::from_f64(self.scale);
            Input::Dense(fill((t, b, self.inputs), 1).mapv_into(|x: R| x * factor))
        };
        Sequence {
            input,
            lengths: self.lengths(),
            resets: self.resets.then(|| Array2::from_shape_fn((t, b), |(t, row)| choice(8, t * b + row, 3) == 0)),
            initial: self.initial.then(|| self.states(2)),
        }
    }

    pub fn batch(&self) -> Batch {
        let (p, b) = (self.predictions(), self.rows);
        let values = || fill((p, b, self.model().head.unwrap().target_size()), 4);
        let targets = match self.loss {
            Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. } => {
                Targets::Classes(Array2::from_shape_fn((p, b), |(p, row)| choice(9, p * b + row, self.outputs)))
            }
            Loss::BinaryCrossEntropy => Targets::Values(values().mapv_into(|y: f32| 0.5 + 0.5 * y)),
            // Counts from 0 to 3, each with a unit from 0.5 to 2.5.
            Loss::NegativeBinomial => {
                let mut values = values();
                values.slice_mut(s![.., .., ..;2]).mapv_inplace(|y: f32| (2.0 + 2.0 * y).floor());
                values.slice_mut(s![.., .., 1..;2]).mapv_inplace(|unit| (1.25 * (unit + 1.0)).max(0.5));
                Targets::Values(values)
            }
            _ => Targets::Values(values()),
        };
        let weight = |(p, row): (usize, usize)| [1.0, 0.5, 0.0, 2.0][choice(10, p * b + row + 1, 4) as usize];
        // One weight stays above 0 wherever the lengths end.
        let weight = |(p, row)| if (p, row) == (0, 0) { 1.0 } else { weight((p, row)) };
        let weights = self.weights.then(|| Array2::from_shape_fn((p, b), weight));
        Batch { sequence: self.sequence(), targets, weights }
    }

    /// The parameters of `model` as they begin, in the type of a path.
    pub fn parameters<R: Real>(&self, model: &Model) -> Vec<R> {
        Initialisation::default().draw(model, 5).unwrap().into_iter().map(|w| R::from_f64(f64::from(w))).collect()
    }

    /// A random gradient of what the stack puts out.
    pub fn output_gradient<R: Real>(&self) -> OutputGradient<R> {
        let width = self.recurrent().output_size();
        let states: States<R> = self.states(12);
        OutputGradient { output: Some(fill((self.steps, self.rows, width), 11)), h_n: Some(states.h), c_n: states.c }
    }
}

/// Sebastiano Vigna's SplitMix64 at `index` of the stream `seed`.
fn random(seed: u64, index: usize) -> u64 {
    let mut z = (seed << 32).wrapping_add(index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `below`.
pub fn choice(seed: u64, index: usize, below: usize) -> u32 {
    (random(seed, index) % below as u64) as u32
}

/// Multiples of 2⁻¹⁷ in ±1: exact in f32, and so is a finite difference's step between them.
pub fn fill<R: Real, D: Dimension>(shape: impl bptt::ndarray::ShapeBuilder<Dim = D>, seed: u64) -> Array<R, D> {
    let mut index = 0;
    Array::from_shape_simple_fn(shape, || {
        index += 1;
        R::from_f64(((random(seed, index) >> 46) as f64 - 131_072.0) / 131_072.0)
    })
}

/// Any array in f64.
pub fn wide<R: Real, D: Dimension>(array: &Array<R, D>) -> ArrayD<f64> {
    array.mapv(|value| value.as_f64()).into_dyn()
}

/// A flat block by the names of the layout.
pub fn by_name<R: Real>(layout: &Layout, block: &[R], prefix: &str) -> Named {
    let named = layout.tensors().iter().map(|tensor| {
        let values = block[tensor.range()].iter().map(|value| value.as_f64()).collect();
        (format!("{prefix}{}", tensor.name), ArrayD::from_shape_vec(IxDyn(&tensor.shape), values).unwrap())
    });
    named.collect()
}

/// The gradient sums of an engine by name.
pub fn gradients<E: Engine>(engine: &mut E) -> Named {
    let sums = block_on(engine.gradients()).unwrap();
    by_name(engine.layout(), &sums, "d ")
}

fn push_states<R: Real>(named: &mut Named, states: &States<R>, prefix: &str, suffix: &str) {
    named.push((format!("{prefix}h_{suffix}"), wide(&states.h)));
    named.extend(states.c.as_ref().map(|c| (format!("{prefix}c_{suffix}"), wide(c))));
}

fn push_input_gradient<R: Real>(named: &mut Named, gradient: &InputGradient<R>) {
    named.extend(gradient.x.as_ref().map(|x| ("dx".into(), wide(x))));
    push_states(named, &gradient.initial, "d", "0");
}

/// The masks of a training step: those of some row on, as of a part of a larger batch.
pub fn masks(step: u64) -> Option<DropoutKey> {
    Some(DropoutKey { seed: 13, step, first_row: 2 })
}

/// The stack alone: output, h_n, c_n, and for a random gradient of these every named gradient, dx, dh_0, dc_0.
pub fn raw<B: Backend>(backend: &B, case: &Case, chunk: Option<usize>) -> Named {
    let model = case.headless();
    let options = EngineOptions::default().chunk(chunk).input_gradient(true);
    let mut engine = backend.engine(&model, &options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    engine.set_dropout(masks(1));
    let output = block_on(engine.forward(&case.sequence())).unwrap();
    let mut named = vec![("output".into(), wide(&output.output))];
    push_states(&mut named, &output.states, "", "n");
    let gradient = block_on(engine.backward(&case.output_gradient())).unwrap();
    named.extend(gradients(&mut engine));
    push_input_gradient(&mut named, &gradient);
    named
}

/// Through the head: loss, logits, every named gradient, dx, dh_0, dc_0, and the parameters after `steps` updates.
pub fn trained<B: Backend>(backend: &B, case: &Case, chunk: Option<usize>, optimizer: Optimizer, steps: u64) -> Named {
    let model = case.model();
    let options = EngineOptions::default().optimizer(optimizer.kind).chunk(chunk).input_gradient(true);
    let mut engine = backend.engine(&model, &options).unwrap();
    engine.set_parameters(&case.parameters(&model)).unwrap();
    let batch = case.batch();
    let mut named = vec![
        ("logits".into(), wide(&block_on(engine.logits(&batch.sequence)).unwrap().logits)),
        ("loss".into(), ArrayD::from_elem(IxDyn(&[]), block_on(engine.evaluate(&batch)).unwrap().loss_sum)),
    ];
    for step in 1..=steps.max(1) {
        engine.clear_gradients();
        engine.set_dropout(masks(step));
        block_on(engine.accumulate(&batch, None)).unwrap();
        if step == 1 {
            named.extend(gradients(&mut engine));
            push_input_gradient(&mut named, &block_on(engine.input_gradient()).unwrap());
        }
        if step <= steps {
            let divisor = if case.reduction == Reduction::Sum { 1.0 } else { batch.total_weight() };
            block_on(engine.update(&OptimizerStep::new(optimizer, step, divisor))).unwrap();
            let report = block_on(engine.report()).unwrap().unwrap();
            named.push((format!("loss of step {step}"), ArrayD::from_elem(IxDyn(&[]), report.loss)));
            named.push((format!("norm of step {step}"), ArrayD::from_elem(IxDyn(&[]), report.norm)));
        }
    }
    let parameters = block_on(engine.parameters()).unwrap();
    named.extend(by_name(engine.layout(), &parameters, ""));
    named
}

/// Fails where |got − want| is over relative · max(|want|, floor) anywhere, and reports the worst element. `floor` is the
/// size below which an element's own magnitude says nothing about its rounding.
#[track_caller]
pub fn assert_close(name: &str, got: &ArrayD<f64>, want: &ArrayD<f64>, relative: f64, floor: f64) {
    assert_eq!(got.shape(), want.shape(), "{name}: shape");
    let excess = |got: f64, want: f64| {
        let error = (got - want).abs() / want.abs().max(floor);
        // Equal bits cover infinities; a NaN on either side alone is the worst there is.
        if got.to_bits() == want.to_bits() || got == want {
            0.0
        } else if error.is_nan() {
            f64::INFINITY
        } else {
            error
        }
    };
    let errors = got.indexed_iter().zip(want).map(|((index, got), want)| (excess(*got, *want), index, *got, *want));
    let Some((error, index, got, want)) = errors.max_by(|a, b| a.0.total_cmp(&b.0)) else { return };
    assert!(
        error <= relative,
        "{name}: worst at {index:?}: got {got:e}, want {want:e}, relative error {error:e} over {relative:e} (floor {floor:e})"
    );
}

/// [`assert_close`] of everything that two runs named.
#[track_caller]
pub fn assert_all_close(case: &Case, got: &Named, want: &Named, relative: f64, floor: f64) {
    let names = |named: &Named| named.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(got), names(want), "{case}");
    for ((name, got), (_, want)) in got.iter().zip(want) {
        assert_close(&format!("{case}: {name}"), got, want, relative, floor);
    }
}

/// Fails where any bit differs, NaN included.
#[track_caller]
pub fn assert_same_bits(case: &Case, got: &Named, want: &Named) {
    assert_eq!(got.len(), want.len(), "{case}");
    for ((name, got), (_, want)) in got.iter().zip(want) {
        assert_eq!(got.shape(), want.shape(), "{case}: {name}");
        let differs = got.indexed_iter().zip(want).find(|((_, got), want)| got.to_bits() != want.to_bits());
        assert!(differs.is_none(), "{case}: {name}: {differs:?}");
    }
}

/// The cases that every path is held to: the cells, over directions, layers, ragged rows, heads and sizes that do not
/// divide evenly.
pub fn table() -> Vec<Case> {
    let mut cases = Vec::new();
    let losses = losses();
    let (losses, likelihoods) = losses.split_at(7);
    for (index, cell) in CELLS.into_iter().enumerate() {
        let case = Case::new(cell);
        for (bidirectional, layers) in [(false, 1), (true, 2)] {
            for ragged in [false, true] {
                let loss = losses[cases.len() % losses.len()].clone();
                let at = PLACES[cases.len() % PLACES.len()];
                let varied = Case { bidirectional, layers, ragged, at, weights: ragged, ..case.clone() };
                cases.push(varied.sizes([7, 5, 3, 17, 5]).with_loss(loss));
            }
        }
        cases.push(
            Case { tokens: true, ragged: true, loss: Loss::CrossEntropy, ..case.clone() }.sizes([9, 17, 13, 33, 13]),
        );
        let embedded = Case { ragged: true, bidirectional: true, layers: 2, ..case.clone() }.sizes([9, 17, 6, 5, 3]);
        cases.push(Case { dropout: (0.3, 0.4), ..embedded.clone() }.embedded(13));
        cases.push(Case { weights: true, ..embedded }.tied(13));
        cases.push(Case { resets: true, ragged: true, bidirectional: true, ..case.clone() }.sizes([8, 9, 4, 16, 2]));
        cases.push(Case { bias: false, reduction: Reduction::Sum, ..case.clone() }.sizes([3, 2, 1, 64, 1]));
        let keys = Case { loss: Loss::BinaryCrossEntropy, reduction: Reduction::SumOverOutputs, ..case.clone() };
        cases.push(keys.sizes([3, 2, 1, 5, 4]));
        cases.push(case.clone().sizes([1, 1, 1, 1, 1]));
        // Dropout of both kinds and of each, at sizes of which 4 and 8 are no divisors.
        let dropped = Case { layers: 3, bidirectional: true, ragged: true, dropout: (0.3, 0.4), ..case.clone() };
        cases.push(dropped.clone().sizes([7, 13, 3, 17, 3]));
        cases.push(Case { resets: true, bidirectional: false, ..dropped.clone() }.sizes([9, 33, 4, 6, 2]));
        cases.push(Case { layers: 2, dropout: (0.5, 0.0), tokens: true, ..dropped.clone() }.sizes([4, 5, 3, 5, 2]));
        cases.push(Case { layers: 1, dropout: (0.0, 0.5), at: Readout::Final, ..dropped }.sizes([4, 5, 3, 5, 2]));
        cases.push(Case { ragged: true, ..case.clone() }.sizes([20, 33, 17, 65, 5]));
        if index != 1 && index != 3 {
            // relu and the identity have no bound, and would only grow.
            cases.push(Case { scale: 100.0, at: Readout::Final, ..case.clone() }.sizes([5, 4, 3, 8, 2]));
            cases.push(case.sizes([3, 8, 130, 130, 3]));
        }
    }
    cases.extend(pairwise([6, 5, 3, 9, 3]));
    // Behind the others, whose losses follow from their places.
    for case in CELLS.map(Case::new) {
        let reverse = Case { reverse: true, ragged: true, layers: 2, ..case }.sizes([7, 5, 3, 6, 3]);
        cases.extend(PLACES.map(|at| Case { at, weights: true, ..reverse.clone() }));
        cases.push(Case { resets: true, dropout: (0.3, 0.4), ..reverse.clone() }.sizes([9, 33, 4, 6, 2]));
        cases.push(reverse.embedded(13));
    }
    for (index, cell) in CELLS.into_iter().enumerate() {
        for loss in likelihoods {
            let case = Case { bidirectional: true, ragged: true, weights: true, ..Case::new(cell) };
            let case = Case { layers: 2, at: PLACES[index % PLACES.len()], ..case };
            cases.push(case.sizes([7, 5, 3, 17, 5]).with_loss(loss.clone()));
        }
    }
    cases.extend(projected());
    cases
}

/// LSTMs whose h is projected, over everything that reads its size: directions, layers, heads, both kinds of dropout,
/// resets, tied vectors, and sizes on both sides of whole vec4.
pub fn projected() -> Vec<Case> {
    let case = Case::new(Cell::Lstm);
    let stacked = Case { layers: 2, bidirectional: true, ragged: true, weights: true, ..case.clone() };
    let sized = |case: &Case, sizes, proj_size| case.clone().sizes(sizes).projected(proj_size);
    let mut cases = vec![
        case.clone().projected(1),
        sized(&case, [7, 5, 3, 17, 5], 16),
        sized(&stacked, [7, 5, 3, 17, 5], 6),
        Case { at: Readout::Final, ..sized(&stacked, [5, 33, 4, 12, 2], 5) },
        Case { at: Readout::MeanPool, tokens: true, ..sized(&stacked, [6, 9, 5, 65, 3], 7) },
        Case { resets: true, dropout: (0.3, 0.4), ..sized(&stacked, [8, 13, 4, 9, 2], 3) },
        Case { bidirectional: false, resets: true, dropout: (0.0, 0.4), ..sized(&stacked, [9, 6, 4, 6, 2], 5) },
        Case { bias: false, initial: false, dropout: (0.3, 0.0), ..sized(&stacked, [5, 4, 2, 8, 3], 4) },
        sized(&stacked, [9, 17, 6, 5, 3], 2).tied(13),
        Case { bidirectional: false, reverse: true, resets: true, ..sized(&stacked, [6, 5, 3, 9, 2], 5) },
    ];
    let of_pairs = pairwise([6, 5, 3, 9, 3]).into_iter().step_by(3);
    cases.extend(of_pairs.map(|of_pair| Case { cell: Cell::Lstm, ..of_pair }.projected(5)));
    cases
}

/// 49 cases of the sizes T, B, I, H, O in which any two choices occur together, where the full cross would be too many.
/// Of the losses it has the first seven.
///
/// Over the field of 7 elements the rows (a, b) with the columns a + k·b and b are an orthogonal array: in any two of the
/// 8 columns every pair of elements stands once (Bose and Bush 1952). A column is a choice, or two of few.
pub fn pairwise(sizes: [usize; 5]) -> Vec<Case> {
    let losses = losses();
    let rows = (0..49).map(|row| {
        let (a, b) = (row / 7, row % 7);
        let column = |k: usize| if k < 7 { (a + k * b) % 7 } else { b };
        let choices = |k: usize, firsts: usize, seconds: usize| {
            let pair = column(k) % (firsts * seconds);
            (pair % firsts, pair / firsts)
        };
        let (layers, direction) = choices(0, 3, 2);
        let (place, ragged) = choices(1, 3, 2);
        let (reduction, weights) = choices(2, 3, 2);
        let (input, resets) = choices(3, 3, 2);
        let (no_bias, initial) = choices(4, 2, 2);
        let (between, recurrent) = choices(5, 2, 2);
        // Between the layers of one there is nothing to drop.
        let between = [0.0, 0.3][if layers == 0 { 0 } else { between }];
        let case = Case {
            layers: layers + 1,
            bidirectional: direction == 1,
            at: PLACES[place],
            ragged: ragged == 1,
            reduction: [Reduction::Mean, Reduction::Sum, Reduction::SumOverOutputs][reduction],
            weights: weights == 1,
            tokens: input == 1,
            resets: resets == 1,
            bias: no_bias == 0,
            initial: initial == 1,
            dropout: (between, [0.0, 0.4][recurrent]),
            ..Case::new(CELLS[column(7) % CELLS.len()])
        };
        let case = case.sizes(sizes).with_loss(losses[column(6)].clone());
        if input == 2 { case.embedded(5) } else { case }
    });
    rows.collect()
}
