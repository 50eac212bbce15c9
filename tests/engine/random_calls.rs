//! Calls at random, in any order and for any configuration: the CPU backend and the GPU backend refuse the same ones, in the same
//! words, and agree on what they answer.
//!
//! BPTT_CALLS tells how many rows of calls of either kind, in place of the few of every run, or which of them:
//! `BPTT_CALLS=3000 cargo test --release --test engine random_calls`, `BPTT_CALLS=41..42`.

use bptt::{
    Backend, Batch, Cell, Cpu, DropoutKey, Embedding, Engine, EngineOptions, Error, FlatBlock, Input, InputGradient,
    Loss, Model, Optimizer, OptimizerKind, OptimizerStep, OutputGradient, ParameterGroup, Parameters, Real,
    RecurrentKernel, Reduction, Result, Sequence, SkippedUpdates, StatefulRows, States, StepReport, Targets, Trainer,
    TrainerOptions,
};
use std::fmt::Debug;
use std::ops::Range;

use crate::common::gpu::gpu;
use crate::common::{CELLS, Case, Named, PLACES, fill, losses, wide};
use bptt::ndarray::{Array1, Array2, Array3, ArrayD, Axis, IxDyn, s};
use bptt::train::TrainerState;
use pollster::block_on;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What is drawn of, a stream for each row of calls.
pub(crate) struct Dice(pub(crate) ChaCha8Rng);

impl Dice {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// What is wrong with a sequence or a batch, or only looks so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    Width,
    LengthsCount,
    LengthOfZero,
    LengthBeyondT,
    Token,
    ResetsShape,
    InitialRows,
    CellState,
    NoRows,
    DenseForTokens,
    TargetsShape,
    OtherTargets,
    Target,
    WeightBelowZero,
    WeightOfNaN,
    WeightsShape,
    /// Anything at padding, and as the target of what weighs nothing: all of it is to be ignored.
    Padding,
    /// x that is not a number: nothing is refused, but what comes of it is not finite.
    Poison,
}

/// Faults of any sequence.
pub(crate) const SEQUENCE_FAULTS: [Fault; 9] = [
    Fault::Width,
    Fault::LengthsCount,
    Fault::LengthOfZero,
    Fault::LengthBeyondT,
    Fault::Token,
    Fault::ResetsShape,
    Fault::InitialRows,
    Fault::CellState,
    Fault::NoRows,
];

/// Faults of the targets and weights of a batch.
pub(crate) const BATCH_FAULTS: [Fault; 6] = [
    Fault::TargetsShape,
    Fault::OtherTargets,
    Fault::Target,
    Fault::WeightBelowZero,
    Fault::WeightOfNaN,
    Fault::WeightsShape,
];

/// Data for a call: those of a case, with a fault.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) case: Case,
    pub(crate) fault: Option<Fault>,
}

impl Data {
    fn draw(case: &Case, dice: &mut Dice) -> Self {
        let case = Case {
            steps: 1 + dice.below(7),
            rows: 1 + dice.below(5),
            ragged: dice.one_in(2),
            resets: dice.one_in(4),
            initial: dice.one_in(3),
            weights: dice.one_in(2),
            scale: dice.of(&[0.25, 0.5, 1.0]),
            ..case.clone()
        };
        let can_poison = !case.tokens && case.cell != CELLS[1];
        let fault = match dice.below(24) {
            0..3 => Some(dice.of(&[&SEQUENCE_FAULTS[..], &[Fault::DenseForTokens], &BATCH_FAULTS].concat())),
            3..10 => Some(Fault::Padding),
            10 if can_poison => Some(Fault::Poison),
            _ => None,
        };
        Self { case, fault }
    }

    pub(crate) fn sequence<R: Real>(&self) -> Sequence<R> {
        let mut sequence: Sequence<R> = self.case.sequence();
        let (steps, rows) = sequence.shape();
        let number = |value: f64| R::from_f64(value);
        let recurrent = self.case.recurrent();
        match self.fault {
            Some(Fault::Width) => sequence.input = Input::Dense(fill((steps, rows, self.case.inputs + 1), 1)),
            Some(Fault::LengthsCount) => sequence.lengths = Some(vec![1; rows + 1]),
            Some(Fault::LengthOfZero) => sequence.lengths = Some(vec![0; rows]),
            Some(Fault::LengthBeyondT) => sequence.lengths = Some(vec![steps + 1; rows]),
            Some(Fault::Token) => sequence.input = Input::Tokens(Array2::from_elem((steps, rows), 1000)),
            Some(Fault::ResetsShape) => sequence.resets = Some(Array2::from_elem((steps + 1, rows), false)),
            Some(Fault::InitialRows) => sequence.initial = Some(States::zeros(&recurrent, rows + 1)),
            Some(Fault::CellState) => {
                let mut states = States::zeros(&recurrent, rows);
                states.c = if states.c.is_some() { None } else { Some(states.h.clone()) };
                sequence.initial = Some(states);
            }
            Some(Fault::NoRows) => sequence = sequence.rows(0..0),
            Some(Fault::DenseForTokens) => sequence.input = Input::Dense(fill((steps, rows, self.case.inputs), 1)),
            Some(Fault::Padding) => {
                let ends: Vec<_> = (0..rows).map(|row| sequence.length(row)).collect();
                for (row, t) in (0..rows).flat_map(|row| (ends[row]..steps).map(move |t| (row, t))) {
                    match &mut sequence.input {
                        Input::Dense(x) => x.slice_mut(s![t, row, ..]).fill(number(f64::NAN)),
                        Input::Tokens(tokens) => tokens[[t, row]] = u32::MAX,
                        _ => unreachable!("the crate has no third kind"),
                    }
                    if let Some(resets) = &mut sequence.resets {
                        resets[[t, row]] = true;
                    }
                }
            }
            Some(Fault::Poison) => {
                if let Input::Dense(x) = &mut sequence.input {
                    x.slice_mut(s![0, 0, ..]).fill(number(f64::NAN));
                }
            }
            _ => {}
        }
        sequence
    }

    pub(crate) fn batch(&self) -> Batch {
        let mut batch = self.case.batch();
        batch.sequence = self.sequence();
        let (predictions, rows) = (self.case.predictions(), self.case.rows);
        let whole = Array2::from_elem((predictions, rows), 1.0f32);
        match self.fault {
            Some(Fault::NoRows) => {
                let sequence = batch.sequence;
                batch = self.case.batch().rows(0..0);
                batch.sequence = sequence;
            }
            Some(Fault::TargetsShape) => match &mut batch.targets {
                Targets::Values(values) => *values = Array3::zeros((predictions + 1, rows, values.dim().2)),
                Targets::Classes(classes) => *classes = Array2::zeros((predictions, rows + 1)),
                _ => unreachable!("the crate has no third kind"),
            },
            Some(Fault::OtherTargets) => {
                batch.targets = match batch.targets {
                    Targets::Values(values) => Targets::Classes(Array2::zeros((predictions, values.dim().1))),
                    Targets::Classes(_) => Targets::Values(Array3::zeros((predictions, rows, self.case.outputs))),
                    _ => unreachable!("the crate has no third kind"),
                }
            }
            Some(Fault::Target) => match &mut batch.targets {
                Targets::Values(values) => values.fill(f32::NAN),
                Targets::Classes(classes) => classes.fill(1000),
                _ => unreachable!("the crate has no third kind"),
            },
            Some(Fault::WeightBelowZero) => batch.weights = Some(whole.mapv(|_| -1.0)),
            Some(Fault::WeightOfNaN) => batch.weights = Some(whole.mapv(|_| f32::NAN)),
            Some(Fault::WeightsShape) => batch.weights = Some(Array2::ones((predictions + 1, rows))),
            Some(Fault::Padding) => {
                let mut weights = batch.weights.take().unwrap_or(whole);
                for ((p, row), weight) in weights.indexed_iter_mut() {
                    let padding = predictions > 1 && p >= batch.sequence.length(row);
                    if padding {
                        *weight = [f32::NAN, -1.0, f32::INFINITY][(p + row) % 3];
                    }
                    if padding || *weight == 0.0 {
                        match &mut batch.targets {
                            Targets::Values(values) => values.slice_mut(s![p, row, ..]).fill(f32::NAN),
                            Targets::Classes(classes) => classes[[p, row]] = u32::MAX,
                            _ => unreachable!("the crate has no third kind"),
                        }
                    }
                }
                batch.weights = Some(weights);
            }
            _ => {}
        }
        batch
    }

    fn gradient<R: Real>(&self, parts: usize) -> OutputGradient<R> {
        let mut gradient: OutputGradient<R> = self.case.output_gradient();
        if parts & 1 == 0 {
            gradient.output = None;
        }
        if parts & 2 == 0 {
            gradient.h_n = None;
        }
        if parts & 4 == 0 {
            gradient.c_n = None;
        }
        if let (Some(output), Some(Fault::Padding)) = (&mut gradient.output, self.fault) {
            let sequence: Sequence<R> = self.case.sequence();
            for row in 0..self.case.rows {
                output.slice_mut(s![sequence.length(row).., row, ..]).fill(R::from_f64(f64::NAN));
            }
        }
        gradient
    }
}

/// A case of any kind, whose steps, rows and what they hold are drawn anew for each call.
pub(crate) fn draw_case(dice: &mut Dice) -> Case {
    let layers = 1 + dice.below(3);
    let case = Case {
        layers,
        bidirectional: dice.one_in(3),
        reverse: dice.one_in(4),
        bias: !dice.one_in(5),
        at: dice.of(&PLACES),
        reduction: dice.of(&[Reduction::Mean, Reduction::Mean, Reduction::Sum, Reduction::SumOverOutputs]),
        tokens: dice.one_in(4),
        dropout: (if layers > 1 && dice.one_in(4) { 0.3 } else { 0.0 }, if dice.one_in(4) { 0.4 } else { 0.0 }),
        ..Case::new(dice.of(&CELLS))
    };
    let case =
        case.sizes([4, 3, 1 + dice.below(5), 1 + dice.below(6), 2 + dice.below(3)]).with_loss(dice.of(&losses()[..]));
    let is_projected = case.cell == Cell::Lstm && case.hidden > 1 && dice.one_in(2);
    let proj_size = is_projected.then(|| 1 + dice.below(case.hidden - 1));
    let case = Case { proj_size, ..case };
    match dice.below(8) {
        0 => case.embedded(5),
        1 => case.tied(7),
        _ => case,
    }
}

/// The model of a case, which in some is none.
fn draw_model(case: &Case, dice: &mut Dice) -> Model {
    let mut model = if dice.one_in(8) { case.headless() } else { case.model() };
    match dice.below(40) {
        0 => model.recurrent.hidden_size = 0,
        1 => model.recurrent.layers = 0,
        2 => model.recurrent.recurrent_dropout = 1.5,
        3 => model.embedding = Some(Embedding::new(0)),
        4 => model.head.iter_mut().for_each(|head| head.outputs = 0),
        5 => model.head.iter_mut().for_each(|head| head.loss = Loss::Huber { delta: -1.0 }),
        _ => {}
    }
    model
}

fn draw_optimizer(dice: &mut Dice) -> Optimizer {
    // An ε from which on no rounding error becomes a whole step.
    let eps = 0.1;
    let rules = [
        OptimizerKind::Sgd { momentum: 0.0, dampening: 0.0, nesterov: false },
        OptimizerKind::Sgd { momentum: 0.9, dampening: 0.0, nesterov: true },
        OptimizerKind::RmsProp { alpha: 0.9, eps, momentum: 0.5, centered: false },
        OptimizerKind::Adam { beta1: 0.9, beta2: 0.99, eps },
        OptimizerKind::AdamW { beta1: 0.9, beta2: 0.99, eps },
    ];
    let mut optimizer = Optimizer::new(dice.of(&rules), 0.02);
    optimizer.clip_norm = dice.one_in(3).then_some(0.5);
    optimizer.weight_decay = dice.of(&[0.0, 0.01]);
    optimizer
}

fn draw_options(case: &Case, dice: &mut Dice) -> EngineOptions {
    // The kernel of whole sequences, of which only the GPU backend knows, refuses a projection.
    let whole = if case.proj_size.is_none() { RecurrentKernel::Sequence } else { RecurrentKernel::Auto };
    EngineOptions::default()
        .chunk(if dice.one_in(3) { Some(dice.below(4)) } else { None })
        .recompute(dice.one_in(4))
        .kernel(dice.of(&[RecurrentKernel::Auto, RecurrentKernel::Step, whole]))
        .input_gradient(dice.one_in(2))
        .max_skipped_updates(dice.below(3) as u32)
        .parameter_groups(draw_groups(dice))
        .ema_decay(if dice.one_in(20) { Some(1.0) } else { dice.of(&[None, None, Some(0.0), Some(0.75)]) })
}

/// Mostly none; some fit no tensor of some models.
fn draw_groups(dice: &mut Dice) -> Vec<ParameterGroup> {
    let all = [
        ParameterGroup::new("*bias*").weight_decay(0.0),
        ParameterGroup::new("rnn.*").learning_rate_factor(0.5),
        ParameterGroup::new("*_l0").frozen(),
        ParameterGroup::new("head.*").learning_rate_factor(2.0).weight_decay(0.125),
        ParameterGroup::new("embedding.weight").frozen(),
    ];
    let count = dice.of(&[0, 0, 0, 1, 1, 2]);
    (0..count).map(|_| dice.of(&all)).collect()
}

/// What a call answers, by name.
type Answer = Result<Named, String>;

fn numbers(name: &str, numbers: impl IntoIterator<Item = f64>) -> Named {
    vec![(name.into(), Array1::from_iter(numbers).into_dyn())]
}

fn text(name: impl Into<String>) -> Named {
    vec![(name.into(), ArrayD::zeros(IxDyn(&[])))]
}

fn block<R: Real>(name: &str, values: &[R]) -> Named {
    numbers(name, values.iter().map(|value| value.as_f64()))
}

fn states<R: Real>(states: &States<R>) -> Named {
    let mut named = vec![("h".into(), wide(&states.h))];
    named.extend(states.c.as_ref().map(|c| ("c".into(), wide(c))));
    named
}

fn input_gradient<R: Real>(gradient: &InputGradient<R>) -> Named {
    let mut named = states(&gradient.initial);
    named.extend(gradient.x.as_ref().map(|x| ("dx".into(), wide(x))));
    named
}

fn report(report: &StepReport) -> Named {
    let StepReport { step, loss, norm, skipped, .. } = *report;
    let mut named = text(format!("step {step}, {skipped}"));
    named.extend(numbers("loss", [loss]));
    named.extend(numbers("norm", [norm]));
    named
}

/// Whether two answers are the same but for rounding; otherwise what differs.
fn differs(got: &Answer, want: &Answer) -> Option<String> {
    let (got, want) = match (got, want) {
        (Err(got), Err(want)) if got == want => return None,
        (Ok(got), Ok(want)) => (got, want),
        (got, want) => return Some(format!("{} where the CPU backend says {}", brief(got), brief(want))),
    };
    let shapes = |named: &Named| named.iter().map(|(name, of)| (name.clone(), of.shape().to_vec())).collect::<Vec<_>>();
    if shapes(got) != shapes(want) {
        return Some(format!("{:?} where the CPU backend says {:?}", shapes(got), shapes(want)));
    }
    got.iter().zip(want).find_map(|((name, got), (_, want))| {
        let bad = |array: &ArrayD<f64>| array.iter().any(|value| !value.is_finite());
        if bad(got) || bad(want) {
            return (bad(got) != bad(want)).then(|| format!("{name}: {got} where the CPU backend says {want}"));
        }
        // Relative to what is largest, of which the others may be differences.
        let scale = want.iter().fold(0.01f64, |scale, value| scale.max(value.abs()));
        let error = got.iter().zip(want).fold(0.0f64, |error, (got, want)| error.max((got - want).abs()));
        (error > 2e-3 * scale).then(|| format!("{name}: off by {error:e} of {scale:e}: {got} and {want}"))
    })
}

fn brief(answer: &Answer) -> String {
    match answer {
        Ok(named) => format!("Ok({:?})", named.iter().map(|(name, _)| name).collect::<Vec<_>>()),
        Err(error) => format!("Err({error:?})"),
    }
}

/// Runs the rows of calls: those of every run, or those told.
fn rows_of_calls(few: usize, row: impl Fn(usize)) {
    let told = std::env::var("BPTT_CALLS").ok();
    let range: Range<usize> = match told.as_deref().map(|told| told.split_once("..").ok_or(told)) {
        None => 0..few,
        Some(Ok((first, end))) => first.parse().unwrap()..end.parse().unwrap(),
        Some(Err(count)) => 0..count.parse().unwrap(),
    };
    range.for_each(row);
}

/// What led there, for who reads of a failure.
#[track_caller]
fn assert_same(number: usize, made: &dyn Debug, trail: &[String], got: &Answer, want: &Answer) {
    if let Some(what) = differs(got, want) {
        panic!("row {number} of {made:?}\nafter {}\nthe GPU backend says {what}", trail.join("\n      "));
    }
}

// Engines.

#[derive(Clone, Debug)]
enum Call {
    Forward(Data),
    Backward(Data, usize),
    Accumulate(Data, Option<StatefulRows>),
    InputGradient,
    Gradients,
    ClearGradients,
    OptimizerStep(OptimizerStep),
    Report,
    Unreported,
    Skipped,
    MayUpdate,
    Restart(u32),
    Logits(Data),
    Evaluate(Data),
    States,
    SetStates(Option<Data>),
    Parameters,
    /// Those of so many, scaled.
    SetParameters(usize, f64),
    Slots,
    SetSlots(usize, usize, f64),
    SetMasks(Option<DropoutKey>),
    SetFlow(bool),
    Flow,
    Averaged,
    Exchange,
    Copy(FlatBlock, FlatBlock),
}

impl Call {
    fn draw(case: &Case, made_for: Optimizer, layout: usize, dice: &mut Dice) -> Self {
        match dice.below(38) {
            0..4 => Self::Forward(Data::draw(case, dice)),
            4..8 => {
                let data = Data::draw(case, dice);
                Self::Backward(data, dice.below(8))
            }
            8..14 => {
                let data = Data::draw(case, dice);
                let carry = StatefulRows { first_row: dice.below(3), rows: dice.below(8) };
                let fits = StatefulRows { first_row: 0, rows: data.case.rows };
                let carry = dice.of(&[None, None, Some(fits), Some(carry)]);
                Self::Accumulate(data, carry)
            }
            14 | 15 => Self::InputGradient,
            16 | 17 => Self::Gradients,
            18 => Self::ClearGradients,
            19..22 => {
                let step = if dice.one_in(12) { 0 } else { 1 + dice.below(5) as u64 };
                let mut optimizer = if dice.one_in(12) { draw_optimizer(dice) } else { made_for };
                if dice.one_in(12) {
                    optimizer.learning_rate = -1.0;
                }
                Self::OptimizerStep(OptimizerStep::new(optimizer, step, dice.of(&[1.0, 3.0, 3.0, 8.5, 0.0])))
            }
            22 | 23 => Self::Report,
            24 => dice.of(&[Self::Unreported, Self::Skipped, Self::MayUpdate]),
            25 => Self::Restart(dice.below(4) as u32),
            26 => Self::Logits(Data::draw(case, dice)),
            27 | 28 => Self::Evaluate(Data::draw(case, dice)),
            29 => Self::States,
            30 => {
                let data = Data::draw(case, dice);
                Self::SetStates((!dice.one_in(3)).then_some(data))
            }
            31 => Self::Parameters,
            32 => {
                let length = if dice.one_in(3) { layout + 1 } else { layout };
                Self::SetParameters(length, dice.of(&[0.5, 1.0]))
            }
            33 => {
                let optimizer_state = made_for.kind.state_blocks() + usize::from(dice.one_in(4));
                let length = if dice.one_in(4) { layout + 1 } else { layout };
                dice.of(&[Self::Slots, Self::SetSlots(optimizer_state, length, 0.01)])
            }
            34 => {
                let masks =
                    DropoutKey { seed: 13, step: 1 + dice.below(3) as u64, first_row: dice.of(&[0, 2, 1 << 40]) };
                Self::SetMasks((!dice.one_in(3)).then_some(masks))
            }
            35 => {
                let on = dice.one_in(2);
                dice.of(&[Self::SetFlow(on), Self::Flow])
            }
            36 => Self::Averaged,
            _ => {
                let blocks = [FlatBlock::Parameters, FlatBlock::AveragedParameters, FlatBlock::OptimizerState(0)];
                let copy = Self::Copy(dice.of(&blocks), dice.of(&blocks[..2]));
                dice.of(&[Self::Exchange, copy])
            }
        }
    }

    fn apply<E: Engine>(&self, engine: &mut E) -> Result<Named> {
        let done = |()| text("done");
        let some = |count: usize, factor: f64| -> Vec<E::Real> {
            fill::<E::Real, _>(count, 3).iter().map(|value| E::Real::from_f64(value.as_f64() * factor)).collect()
        };
        match self {
            Self::Forward(data) => block_on(engine.forward(&data.sequence())).map(|output| {
                let mut named = states(&output.states);
                named.push(("output".into(), wide(&output.output)));
                named
            }),
            Self::Backward(data, parts) => {
                block_on(engine.backward(&data.gradient(*parts))).map(|it| input_gradient(&it))
            }
            Self::Accumulate(data, carry) => block_on(engine.accumulate(&data.batch(), *carry)).map(done),
            Self::InputGradient => block_on(engine.input_gradient()).map(|gradient| input_gradient(&gradient)),
            Self::Gradients => block_on(engine.gradients()).map(|values| block("gradients", &values)),
            Self::ClearGradients => {
                engine.clear_gradients();
                Ok(text("cleared"))
            }
            Self::OptimizerStep(update) => block_on(engine.update(update)).map(done),
            Self::Report => block_on(engine.report()).map(|it| it.map_or_else(|| text("no report"), |it| report(&it))),
            Self::Unreported => Ok(text(format!("unreported {}", engine.unreported()))),
            Self::Skipped => block_on(engine.skipped()).map(|skipped| text(format!("{skipped:?}"))),
            Self::MayUpdate => engine.may_update().map(done),
            Self::Restart(skipped) => {
                engine.restart(SkippedUpdates { in_row: *skipped, ..SkippedUpdates::default() }).map(done)
            }
            Self::Logits(data) => block_on(engine.logits(&data.sequence::<f32>())).map(|logits| {
                let mut named = states(&logits.states);
                named.push(("logits".into(), wide(&logits.logits)));
                named
            }),
            Self::Evaluate(data) => block_on(engine.evaluate(&data.batch())).map(|evaluation| {
                let mut named = states(&evaluation.states);
                named.extend(numbers("loss", [evaluation.loss_sum]));
                named
            }),
            Self::States => {
                block_on(engine.states()).map(|all| all.map_or_else(|| text("no states"), |all| states(&all)))
            }
            Self::SetStates(None) => engine.set_states(None).map(done),
            Self::SetStates(Some(data)) => {
                let mut given = data.case.states(2);
                match data.fault {
                    Some(Fault::CellState) => {
                        given.c = if given.c.is_some() { None } else { Some(given.h.clone()) };
                    }
                    Some(Fault::NoRows) => given.h = given.h.slice_axis(Axis(1), (0..0).into()).to_owned(),
                    Some(Fault::Width) => given.h = given.h.slice_axis(Axis(2), (1..).into()).to_owned(),
                    _ => {}
                }
                engine.set_states(Some(&given)).map(done)
            }
            Self::Parameters => block_on(engine.parameters()).map(|values| block("parameters", &values)),
            Self::SetParameters(count, factor) => engine.set_parameters(&some(*count, *factor)).map(done),
            Self::Slots => block_on(engine.optimizer_state())
                .map(|optimizer_state| optimizer_state.iter().flat_map(|it| block("slot", it)).collect()),
            Self::SetSlots(count, length, factor) => {
                // A mean of squares is at least 0.
                let slot: Vec<E::Real> =
                    some(*length, *factor).iter().map(|value| E::Real::from_f64(value.as_f64().abs())).collect();
                engine.set_optimizer_state(&vec![slot; *count]).map(done)
            }
            Self::SetMasks(masks) => {
                engine.set_dropout(*masks);
                Ok(text("set"))
            }
            Self::SetFlow(on) => {
                engine.set_hidden_gradient_norms(*on);
                Ok(text("set"))
            }
            Self::Flow => {
                block_on(engine.hidden_gradient_norms()).map(|flow| vec![("norms".into(), flow.norms.into_dyn())])
            }
            Self::Averaged => {
                let mut values = Vec::new();
                let read = block_on(engine.read_block(FlatBlock::AveragedParameters, &mut values));
                read.map(|()| block("averaged", &values))
            }
            Self::Exchange => engine.exchange_average().map(|()| text(format!("exchanged {}", engine.is_exchanged()))),
            Self::Copy(from, to) => engine.copy_block(*from, *to).map(done),
        }
    }
}

fn answer(result: Result<Named>) -> Answer {
    result.map_err(|error: Error| error.to_string())
}

#[test]
fn engines_of_both_backends_refuse_the_same_calls_in_the_same_words_and_agree_on_the_others() {
    let Some(gpu) = gpu() else { return };
    rows_of_calls(35, |number| {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(number as u64));
        let case = draw_case(&mut dice);
        let model = draw_model(&case, &mut dice);
        let optimizer = draw_optimizer(&mut dice);
        let mut options = draw_options(&case, &mut dice);
        options.optimizer = (!dice.one_in(8)).then_some(optimizer.kind);
        let made = (case.to_string(), &model, &options);
        let (cpu, gpu) = (Cpu::<f32>::default().engine(&model, &options), gpu.engine(&model, &options));
        let (mut cpu, mut gpu) = match (cpu, gpu) {
            (Ok(cpu), Ok(gpu)) => (cpu, gpu),
            (cpu, gpu) => {
                let answer = |error: Option<Error>| error.map_or(Ok(Vec::new()), |error| Err(error.to_string()));
                return assert_same(number, &made, &[], &answer(gpu.err()), &answer(cpu.err()));
            }
        };
        let begin = case.parameters(&model);
        cpu.set_parameters(&begin).unwrap();
        gpu.set_parameters(&begin).unwrap();
        let mut trail = Vec::new();
        let mut last: Option<Data> = None;
        for _ in 0..30 {
            let mut call = Call::draw(&case, optimizer, begin.len(), &mut dice);
            // Most gradients are to fit the pass that they go back through.
            if let (Call::Backward(data, _), Some(last), false) = (&mut call, &last, dice.one_in(5)) {
                *data = last.clone();
            }
            if let Call::Forward(data) = &call {
                last = Some(data.clone());
            }
            let (got, want) = (answer(call.apply(&mut gpu)), answer(call.apply(&mut cpu)));
            trail.push(format!("{call:?} -> {}", brief(&want)));
            assert_same(number, &made, &trail, &got, &want);
        }
    });
}

// Trainers.

#[derive(Clone, Debug)]
enum Turn {
    Step(Data),
    Accumulate(Data),
    OptimizerStep,
    Finish,
    Loss,
    Evaluate(Data),
    /// The same with the average.
    EvaluateAverage(Data),
    Predict(Data),
    Logits(Data),
    StateDict,
    LoadStateDict(bool),
    /// Keeps the state for a later restore.
    State,
    Restore,
    Gradients,
    InputGradient,
    SetFlow(bool),
    Flow,
    States,
    ResetState,
    SetLearningRate(f64),
    ClearGradients,
}

impl Turn {
    fn draw(case: &Case, dice: &mut Dice) -> Self {
        let data = Data::draw(case, dice);
        match dice.below(30) {
            0..7 => Self::Step(data),
            7..10 => Self::Accumulate(data),
            10 | 11 => Self::OptimizerStep,
            12 => Self::Finish,
            13 => Self::Loss,
            14 | 15 => Self::Evaluate(data),
            16 => Self::Predict(data),
            17 => Self::Logits(data),
            18 => Self::StateDict,
            19 => Self::LoadStateDict(dice.one_in(3)),
            20 | 21 => Self::State,
            22 => Self::Restore,
            23 => Self::Gradients,
            24 => Self::InputGradient,
            25 => {
                let on = dice.one_in(2);
                dice.of(&[Self::SetFlow(on), Self::Flow])
            }
            26 => Self::States,
            27 => Self::ResetState,
            28 => Self::EvaluateAverage(data),
            _ => dice.of(&[Self::SetLearningRate(0.01), Self::SetLearningRate(f64::NAN), Self::ClearGradients]),
        }
    }
}

/// A trainer, what it reported since the last time that all were asked for, and the state that was kept.
struct Told<E: Engine> {
    trainer: Trainer<E>,
    reports: Vec<StepReport>,
    kept: Option<TrainerState<E::Real>>,
}

impl<E: Engine<Real = f32>> Told<E> {
    fn hear(&mut self, reports: impl IntoIterator<Item = StepReport>) -> Named {
        self.reports.extend(reports);
        text("stepped")
    }

    fn apply(&mut self, turn: &Turn) -> Result<Named> {
        let done = |()| text("done");
        let dict = |dict: bptt::StateDict| -> Named {
            dict.iter().map(|(name, array)| (name.to_string(), wide(array))).collect()
        };
        let trainer = &mut self.trainer;
        match turn {
            Turn::Step(data) => block_on(trainer.step(&data.batch())).map(|report| self.hear(report)),
            Turn::Accumulate(data) => block_on(trainer.accumulate(&data.batch())).map(done),
            Turn::OptimizerStep => block_on(trainer.update()).map(|report| self.hear(report)),
            Turn::Finish => {
                let rest = block_on(trainer.finish())?;
                self.hear(rest);
                Ok(self.reports.drain(..).flat_map(|it| report(&it)).collect())
            }
            Turn::Loss => {
                let loss = block_on(trainer.loss())?;
                self.reports.clear();
                Ok(loss.map_or_else(|| text("no loss"), |loss| numbers("loss", [loss])))
            }
            Turn::Evaluate(data) => block_on(trainer.evaluate(&data.batch())).map(|evaluation| {
                let mut named = states(&evaluation.states);
                named.extend(numbers("loss", [evaluation.loss]));
                named
            }),
            Turn::EvaluateAverage(data) => {
                let mut averaged = trainer.averaged()?;
                let evaluation = block_on(averaged.evaluate(&data.batch()))?;
                let mut named = numbers("loss", [evaluation.loss]);
                named.extend(dict(block_on(averaged.state_dict())?));
                Ok(named)
            }
            Turn::Predict(data) => block_on(trainer.predict(&data.sequence::<f32>())).map(|prediction| {
                let mut named = states(&prediction.states);
                named.push(("y".into(), wide(&prediction.y)));
                named
            }),
            Turn::Logits(data) => block_on(trainer.logits(&data.sequence::<f32>())).map(|logits| {
                let mut named = states(&logits.states);
                named.push(("logits".into(), wide(&logits.logits)));
                named
            }),
            Turn::StateDict => block_on(trainer.state_dict()).map(dict),
            Turn::LoadStateDict(wrong) => {
                let all = block_on(trainer.state_dict())?;
                let other = wrong.then(|| ("other".to_string(), ArrayD::zeros(IxDyn(&[2]))));
                let all = all.iter().map(|(name, array)| (name.to_string(), array.clone())).chain(other).collect();
                trainer.load_state_dict(&all).map(done)
            }
            Turn::State => {
                let state = block_on(trainer.state())?;
                let mut named = text(format!("step {}, {:?}", state.step, state.skipped));
                named.extend(block("parameters", &state.parameters));
                named.extend(state.averaged.iter().flat_map(|averaged| block("averaged", averaged)));
                named.extend(state.optimizer_state.iter().flat_map(|slot| block("slot", slot)));
                named.extend(state.carried.iter().flat_map(states));
                self.kept = Some(state);
                Ok(named)
            }
            Turn::Restore => match &self.kept {
                Some(state) => {
                    trainer.restore(state)?;
                    self.reports.clear();
                    Ok(text("restored"))
                }
                None => Ok(text("nothing kept")),
            },
            Turn::Gradients => block_on(trainer.gradients()).map(dict),
            Turn::InputGradient => block_on(trainer.input_gradient()).map(|gradient| input_gradient(&gradient)),
            Turn::SetFlow(on) => {
                trainer.set_hidden_gradient_norms(*on);
                Ok(text("set"))
            }
            Turn::Flow => trainer.hidden_gradient_norms().map(|flow| vec![("norms".into(), flow.norms.into_dyn())]),
            Turn::States => {
                block_on(trainer.states()).map(|all| all.map_or_else(|| text("no states"), |all| states(&all)))
            }
            Turn::ResetState => trainer.reset_state().map(done),
            Turn::SetLearningRate(rate) => trainer.set_learning_rate(*rate).map(done),
            Turn::ClearGradients => {
                trainer.engine().clear_gradients();
                Ok(text("cleared"))
            }
        }
    }

    /// The answer, from when on reports are as late on either backend as they can be.
    fn finish(&mut self) -> Answer {
        self.reports.clear();
        answer(block_on(self.trainer.finish()).map(|_| text("finished")))
    }
}

#[test]
fn trainers_of_both_backends_refuse_the_same_calls_in_the_same_words_and_agree_on_the_others() {
    let Some(gpu) = gpu() else { return };
    rows_of_calls(35, |number| {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(1 << 32 | number as u64));
        let case = draw_case(&mut dice);
        let model = draw_model(&case, &mut dice);
        let mut optimizer = draw_optimizer(&mut dice);
        if dice.one_in(30) {
            optimizer.clip_norm = Some(0.0);
        }
        let options = TrainerOptions::default()
            .micro_batch(dice.of(&[None, None, Some(1), Some(2), Some(3), Some(0)]))
            .carry_state(dice.one_in(3))
            .in_flight(dice.below(4).max(usize::from(!dice.one_in(8))))
            .engine(draw_options(&case, &mut dice));
        let made = (case.to_string(), &model, optimizer, &options);
        let cpu = Trainer::with_options(&Cpu::<f32>::default(), &model, optimizer, 1, options.clone());
        let gpu = Trainer::with_options(&gpu, &model, optimizer, 1, options.clone());
        let (cpu, gpu) = match (cpu, gpu) {
            (Ok(cpu), Ok(gpu)) => (cpu, gpu),
            (cpu, gpu) => {
                let answer = |error: Option<Error>| error.map_or(Ok(Vec::new()), |error| Err(error.to_string()));
                return assert_same(number, &made, &[], &answer(gpu.err()), &answer(cpu.err()));
            }
        };
        let mut cpu = Told { trainer: cpu, reports: Vec::new(), kept: None };
        let mut gpu = Told { trainer: gpu, reports: Vec::new(), kept: None };
        let mut trail = Vec::new();
        for _ in 0..25 {
            let turn = Turn::draw(&case, &mut dice);
            let (mut got, mut want) = (answer(gpu.apply(&turn)), answer(cpu.apply(&turn)));
            // The step that ended updating is told when its report comes, which is not the same call on either backend.
            let told = |answer: &Answer| answer.as_ref().is_err_and(|error| error.contains("is not finite"));
            if told(&got) != told(&want) {
                (got, want) = (gpu.finish(), cpu.finish());
                assert!(told(&got), "row {number}: {}", brief(&got));
            }
            if told(&got) {
                gpu.reports.clear();
                cpu.reports.clear();
            }
            trail.push(format!("{turn:?} -> {}", brief(&want)));
            assert_same(number, &made, &trail, &got, &want);
            assert_eq!(gpu.trainer.steps(), cpu.trainer.steps(), "row {number}");
        }
        let (got, want) = (gpu.finish(), cpu.finish());
        assert_same(number, &made, &trail, &got, &want);
    });
}
