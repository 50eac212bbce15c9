//! Room 2: three steps of a recurrent network with every number of its forward and its backward pass.
//!
//!   z_t = W_xh x_t + W_hh h_{t−1} + b_h,  h_t = f(z_t),  t = 1, 2, 3;   a = W_hy h_3 + b_y,  ŷ = g(a)
//!
//! The numbers are the engine's. A stack with the same weights and the identity in place of f shows z_t as its h_t. A
//! backward pass over step k alone, from ∂L/∂h_k, gives the term that step k adds to each gradient, and ∂L/∂h_{k−1}; from
//! the unit vectors it gives the rows of ∂h_k/∂h_{k−1}. The room itself multiplies only ∂L/∂h_3 = ∂L/∂a · W_hy.

use bptt::ndarray::{Array2, Array3};
use bptt::{
    Activation, Backend, Batch, Cell, Cpu, CpuEngine, EngineOptions, Error, Head, Inference, Layers, Loss, Model,
    Optimizer, OutputGradient, ParameterGroup, Parameters, Readout, Recurrent, Result, Sequence, States, Targets,
    Trainer, TrainerOptions, Training,
};
use serde::{Deserialize, Serialize};

use super::limits::{self, now};

/// T.
const STEPS: usize = 3;
/// The largest sizes.
const SIZE: usize = 2;
const INPUTS: usize = 4;
const OUTPUTS: usize = 4;
/// The largest number.
const MOST: f64 = 1e6;

/// Rows of numbers.
type Matrix = Vec<Vec<f64>>;

/// What the network predicts, and its loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossName {
    /// A number: g is the identity, L the mean of (ŷ − y)².
    Squared,
    /// Yes or no: g is the sigmoid, L binary cross-entropy.
    #[default]
    Binary,
    /// One of several classes: g is softmax, L cross-entropy.
    Classes,
}

/// The settings of the room; what is not given has the lecture's numbers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThreeStepsOptions {
    /// f; by default tanh.
    pub activation: Option<Activation>,
    /// H, 1 or 2; by default 2.
    pub size: Option<usize>,
    /// L.
    #[serde(default)]
    pub loss: LossName,
    /// x_1 to x_3, \[3, I\].
    pub x: Option<Matrix>,
    /// h_0, \[H\].
    pub h_0: Option<Vec<f64>>,
    /// \[H, I\].
    pub w_xh: Option<Matrix>,
    /// \[H, H\].
    pub w_hh: Option<Matrix>,
    /// \[H\].
    pub b_h: Option<Vec<f64>>,
    /// \[O, H\].
    pub w_hy: Option<Matrix>,
    /// \[O\].
    pub b_y: Option<Vec<f64>>,
    /// \[O\]: the target; for classes a 1 at the class and 0 elsewhere.
    pub y: Option<Vec<f64>>,
}

/// W and b.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weights {
    /// \[H, I\].
    pub w_xh: Matrix,
    /// \[H, H\].
    pub w_hh: Matrix,
    /// \[H\].
    pub b_h: Vec<f64>,
    /// \[O, H\].
    pub w_hy: Matrix,
    /// \[O\].
    pub b_y: Vec<f64>,
}

/// What step k adds to the gradients, k = 1, 2, 3.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Terms {
    /// \[3, H, H\].
    pub w_hh: Vec<Matrix>,
    /// \[3, H, I\].
    pub w_xh: Vec<Matrix>,
    /// \[3, H\].
    pub b_h: Matrix,
}

/// All numbers of a forward and a backward pass.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ThreeStepsNumbers {
    /// W and b.
    pub weights: Weights,
    /// \[3, I\].
    pub x: Matrix,
    /// h_0 to h_3, \[4, H\].
    pub h: Matrix,
    /// z_1 to z_3, \[3, H\].
    pub z: Matrix,
    /// \[O\].
    pub a: Vec<f64>,
    /// \[O\].
    pub y_hat: Vec<f64>,
    /// \[O\].
    pub y: Vec<f64>,
    /// L.
    pub loss: f64,
    /// ∂L/∂a, \[O\].
    pub da: Vec<f64>,
    /// ∂L/∂h_0 to ∂L/∂h_3, \[4, H\].
    pub dh: Matrix,
    /// ∂L/∂z_1 to ∂L/∂z_3, \[3, H\].
    pub dz: Matrix,
    /// f′(z_1) to f′(z_3), \[3, H\].
    pub slope: Matrix,
    /// ∂h_t/∂h_{t−1}, t = 1, 2, 3: \[3, H, H\].
    pub jacobian: Vec<Matrix>,
    /// The terms of the gradients.
    pub terms: Terms,
    /// The gradients, of the whole network in one backward pass.
    pub gradient: Weights,
}

/// Three steps of a network.
#[derive(Clone, Debug)]
pub struct ThreeSteps {
    activation: Activation,
    loss: LossName,
    x: Matrix,
    h_0: Vec<f64>,
    y: Vec<f64>,
    weights: Weights,
    /// Since the last number that was set.
    updates: u64,
}

impl ThreeSteps {
    /// The network of these settings.
    ///
    /// # Errors
    /// [`Error::Value`] and [`Error::Shape`] for sizes and numbers that do not fit.
    pub fn new(options: ThreeStepsOptions) -> Result<Self> {
        let size = limits::within("size", options.size.unwrap_or(SIZE), 1..=SIZE)?;
        let activation = options.activation.unwrap_or(Activation::Tanh);
        let lecture = Lecture::of(size, options.loss);
        let x = options.x.unwrap_or(lecture.x);
        let inputs = limits::within("the inputs of a step", x.first().map_or(0, Vec::len), 1..=INPUTS)?;
        let b_y = options.b_y.unwrap_or(lecture.b_y);
        let least = if options.loss == LossName::Classes { 2 } else { 1 };
        let outputs = limits::within("the outputs", b_y.len(), least..=OUTPUTS)?;
        let weights = Weights {
            w_xh: options.w_xh.unwrap_or(lecture.w_xh),
            w_hh: options.w_hh.unwrap_or(lecture.w_hh),
            b_h: options.b_h.unwrap_or(lecture.b_h),
            w_hy: options.w_hy.unwrap_or(lecture.w_hy),
            b_y,
        };
        let (h_0, y) = (options.h_0.unwrap_or(lecture.h_0), options.y.unwrap_or(lecture.y));
        for (name, matrix, shape) in [
            ("x", &x, [STEPS, inputs]),
            ("w_xh", &weights.w_xh, [size, inputs]),
            ("w_hh", &weights.w_hh, [size, size]),
            ("w_hy", &weights.w_hy, [outputs, size]),
        ] {
            check(name, matrix, shape)?;
        }
        for (name, vector, size) in
            [("h_0", &h_0, size), ("b_h", &weights.b_h, size), ("b_y", &weights.b_y, outputs), ("y", &y, outputs)]
        {
            check(name, std::slice::from_ref(vector), [1, size])?;
        }
        check_target(options.loss, &y)?;
        Ok(Self { activation, loss: options.loss, x, h_0, y, weights, updates: 0 })
    }

    /// One step of gradient descent.
    ///
    /// # Errors
    /// [`Error::NonFinite`] with the number of the update for a loss or gradient beyond all numbers, which changes
    /// nothing; [`Error::Value`] for the rate.
    pub fn update(&mut self, learning_rate: f64) -> Result<ThreeStepsNumbers> {
        let mut trainer = self.trainer()?;
        trainer.set_learning_rate(limits::learning_rate(learning_rate)?)?;
        // The trainer is new, and counts from 1.
        let update = self.updates + 1;
        let counted = |error| match error {
            Error::NonFinite { what, .. } => Error::NonFinite { step: update, what },
            other => other,
        };
        now(trainer.step(&self.batch()?)).map_err(counted)?;
        now(trainer.finish()).map_err(counted)?;
        let parameters = now(trainer.engine().parameters())?;
        let before = self.clone();
        self.weights = self.weights_of(trainer.layout(), &parameters);
        self.updates = update;
        let numbers = self.finite_numbers(update);
        if numbers.is_err() {
            *self = before;
        }
        numbers
    }

    /// All numbers, after an update that may have thrown the weights too far.
    fn finite_numbers(&self, update: u64) -> Result<ThreeStepsNumbers> {
        let numbers = self.numbers()?;
        if numbers.loss.is_finite() {
            return Ok(numbers);
        }
        Err(Error::NonFinite { step: update, what: "loss" })
    }

    /// Sets a number: of `x`, `w_xh`, `w_hh`, `w_hy`, or of `h_0`, `b_h`, `b_y` and `y`, which have one column or one row.
    ///
    /// # Errors
    /// [`Error::Value`] for another name, place or number, which changes nothing.
    pub fn set(&mut self, name: &str, row: usize, column: usize, value: f64) -> Result<ThreeStepsNumbers> {
        let value = limits::within(name, value, -MOST..=MOST)?;
        let before = self.clone();
        let Weights { w_xh, w_hh, b_h, w_hy, b_y } = &mut self.weights;
        let vector = |vector: &'_ mut Vec<f64>| vector.get_mut(row.max(column)).map(|place| *place = value);
        let matrix = |matrix: &'_ mut Matrix| matrix.get_mut(row)?.get_mut(column).map(|place| *place = value);
        let placed = match name {
            "x" => matrix(&mut self.x),
            "w_xh" => matrix(w_xh),
            "w_hh" => matrix(w_hh),
            "w_hy" => matrix(w_hy),
            "h_0" => vector(&mut self.h_0),
            "b_h" => vector(b_h),
            "b_y" => vector(b_y),
            "y" => vector(&mut self.y),
            _ => {
                let expected = "x, h_0, w_xh, w_hh, b_h, w_hy, b_y or y".into();
                return Err(Error::Value { what: "the name".into(), expected, got: name.into() });
            }
        };
        let done = match placed {
            Some(()) => check_target(self.loss, &self.y).and_then(|()| self.numbers()),
            None => {
                let got = format!("row {row}, column {column}");
                Err(Error::Value { what: format!("the place in {name}"), expected: "one that exists".into(), got })
            }
        };
        match done {
            Ok(_) => self.updates = 0,
            Err(_) => *self = before,
        }
        done
    }

    /// All numbers.
    ///
    /// # Errors
    /// None for a network that was made.
    pub fn numbers(&self) -> Result<ThreeStepsNumbers> {
        let mut trainer = self.trainer()?;
        let batch = self.batch()?;
        let engine = trainer.engine();
        let mut y_hat = now(engine.logits(&batch.sequence))?.logits;
        let a: Vec<f64> = y_hat.iter().copied().collect();
        self.loss_of().output(&mut y_hat);
        now(engine.accumulate(&batch, None))?;
        let gradients = now(engine.gradients())?;
        let loss = now(engine.loss_sum())?;
        let gradient = self.weights_of(trainer.layout(), &gradients);
        // ∂a/∂b_y is the identity.
        let da = gradient.b_y.clone();

        let mut stack = self.stack(self.activation)?;
        let output = now(stack.forward(&batch.sequence))?.output;
        let row = |t: usize| output.outer_iter().nth(t).into_iter().flatten().copied().collect::<Vec<f64>>();
        let mut h = vec![self.h_0.clone()];
        h.extend((0..STEPS).map(row));
        let mut linear = self.stack(Activation::Identity)?;
        let z: Result<Matrix> =
            (0..STEPS).map(|t| Ok(now(linear.forward(&self.step(t, &h[t])?))?.output.into_iter().collect())).collect();
        let slope = h[1..].iter().map(|h| h.iter().map(|h| self.activation.derivative(*h)).collect()).collect();

        // ∂L/∂h_3 = ∂L/∂a · W_hy; then step by step back.
        let size = self.h_0.len();
        let through = |unit: usize| da.iter().zip(&self.weights.w_hy).map(|(da, row)| da * row[unit]).sum();
        let mut dh = vec![(0..size).map(through).collect::<Vec<f64>>()];
        let (mut terms, mut dz, mut jacobian) = (Vec::new(), Vec::new(), Vec::new());
        for t in (0..STEPS).rev() {
            let step = self.step(t, &h[t])?;
            let mut back = |d_h: &[f64]| -> Result<(Vec<f64>, Vec<f64>)> {
                stack.clear_gradients();
                now(stack.forward(&step))?;
                let gradient = OutputGradient { h_n: Some(states(d_h)?), ..OutputGradient::default() };
                let entering = now(stack.backward(&gradient))?.initial.h;
                Ok((entering.into_iter().collect(), now(stack.gradients())?))
            };
            let units = (0..size).map(|unit| (0..size).map(|other| f64::from(u8::from(unit == other))).collect());
            let units: Vec<Vec<f64>> = units.collect();
            jacobian.push(units.iter().map(|unit| Ok(back(unit)?.0)).collect::<Result<Matrix>>()?);
            let (entering, gradients) = back(&dh[dh.len() - 1])?;
            let term = self.weights_of(stack.layout(), &gradients);
            // ∂z/∂b_h is the identity.
            dz.push(term.b_h.clone());
            terms.push(term);
            dh.push(entering);
        }
        [&mut dh, &mut dz].into_iter().for_each(|rows| rows.reverse());
        jacobian.reverse();
        terms.reverse();
        Ok(ThreeStepsNumbers {
            weights: self.weights.clone(),
            x: self.x.clone(),
            h,
            z: z?,
            a,
            y_hat: y_hat.into_iter().collect(),
            y: self.y.clone(),
            loss,
            da,
            dh,
            dz,
            slope,
            jacobian,
            terms: Terms {
                w_hh: terms.iter().map(|of| of.w_hh.clone()).collect(),
                w_xh: terms.iter().map(|of| of.w_xh.clone()).collect(),
                b_h: terms.iter().map(|of| of.b_h.clone()).collect(),
            },
            gradient,
        })
    }

    fn loss_of(&self) -> Loss {
        match self.loss {
            LossName::Squared => Loss::SquaredError,
            LossName::Binary => Loss::BinaryCrossEntropy,
            LossName::Classes => Loss::CrossEntropy,
        }
    }

    fn recurrent(&self, activation: Activation) -> Recurrent {
        Recurrent::new(Cell::Rnn(activation), self.x[0].len(), self.h_0.len())
    }

    /// The network with its weights. b_h is b_ih, and b_hh, whose gradient is the same, stays 0.
    fn trainer(&self) -> Result<Trainer<CpuEngine<f64>>> {
        let head = Head::new(self.y.len(), self.loss_of(), Readout::Final);
        let model = Model::new(self.recurrent(self.activation), head);
        let frozen = [ParameterGroup::new("rnn.bias_hh_l0").frozen()];
        let options = TrainerOptions::default().engine(EngineOptions::default().parameter_groups(frozen));
        let cpu = Cpu::<f64>::with_threads(1)?;
        let mut trainer = Trainer::with_options(&cpu, &model, Optimizer::sgd(0.0), 1, options)?;
        trainer.engine().set_parameters(&self.block(true))?;
        Ok(trainer)
    }

    /// The recurrent layer alone, with f or another activation.
    fn stack(&self, activation: Activation) -> Result<CpuEngine<f64>> {
        let model = Model::headless(self.recurrent(activation));
        let mut engine = Cpu::<f64>::with_threads(1)?.engine(&model, &EngineOptions::default())?;
        engine.set_parameters(&self.block(false))?;
        Ok(engine)
    }

    /// The weights in the layout's order.
    fn block(&self, head: bool) -> Vec<f64> {
        let Weights { w_xh, w_hh, b_h, w_hy, b_y } = &self.weights;
        let zero = vec![0.0; b_h.len()];
        let output = w_hy.iter().chain([b_y]).filter(|_| head);
        w_xh.iter().chain(w_hh).chain([b_h, &zero]).chain(output).flatten().copied().collect()
    }

    /// Numbers in the layout's order by name; those of the head are empty without one.
    fn weights_of(&self, layout: &bptt::Layout, block: &[f64]) -> Weights {
        let rows = |name: &str| -> Matrix {
            // With a head, names of the layers begin with `rnn.`.
            let is_it = |tensor: &&bptt::model::Tensor| tensor.name.trim_start_matches("rnn.") == name;
            let tensor = layout.tensors().iter().find(is_it);
            let of = |tensor: &bptt::model::Tensor| {
                let columns = tensor.shape.get(1).copied().unwrap_or(tensor.shape[0]);
                block[tensor.range()].chunks(columns).map(<[f64]>::to_vec).collect()
            };
            tensor.map(of).unwrap_or_default()
        };
        let row = |name: &str| rows(name).into_iter().next().unwrap_or_default();
        Weights {
            w_xh: rows("weight_ih_l0"),
            w_hh: rows("weight_hh_l0"),
            b_h: row("bias_ih_l0"),
            w_hy: rows("head.weight"),
            b_y: row("head.bias"),
        }
    }

    fn batch(&self) -> Result<Batch<f64>> {
        let inputs = self.x[0].len();
        let x = Array3::from_shape_fn((STEPS, 1, inputs), |(t, _, i)| self.x[t][i]);
        let sequence = Sequence::dense(x).initial(States { h: states(&self.h_0)?, c: None });
        let targets = match self.loss {
            LossName::Classes => {
                let class = self.y.iter().position(|y| *y == 1.0).unwrap_or_default();
                Targets::Classes(Array2::from_elem((1, 1), class as u32))
            }
            _ => Targets::Values(states(&self.y)?),
        };
        Ok(Batch::new(sequence, targets))
    }

    /// Step t, counted from 0, from h_{t−1}.
    fn step(&self, t: usize, before: &[f64]) -> Result<Sequence<f64>> {
        Ok(Sequence::dense(states(&self.x[t])?).initial(States { h: states(before)?, c: None }))
    }
}

/// \[1, 1, N\].
fn states(values: &[f64]) -> Result<Array3<f64>> {
    let shaped = Array3::from_shape_vec((1, 1, values.len()), values.to_vec());
    shaped.map_err(|error| Error::Failed(error.to_string()))
}

/// Refuses rows of another shape, and numbers that are too large.
fn check(name: &str, rows: &[Vec<f64>], shape: [usize; 2]) -> Result<()> {
    if rows.len() != shape[0] || rows.iter().any(|row| row.len() != shape[1]) {
        let got = rows.iter().map(Vec::len).collect::<Vec<_>>();
        let expected = format!("{} rows of {}", shape[0], shape[1]);
        return Err(Error::Value { what: name.into(), expected, got: format!("rows of {got:?}") });
    }
    rows.iter().flatten().try_for_each(|number| limits::within(name, *number, -MOST..=MOST).map(drop))
}

/// Refuses a target that the loss does not have.
fn check_target(loss: LossName, y: &[f64]) -> Result<()> {
    let (fits, expected) = match loss {
        LossName::Squared => (true, ""),
        LossName::Binary => (y.iter().all(|y| (0.0..=1.0).contains(y)), "numbers from 0 to 1"),
        LossName::Classes => {
            let ones = y.iter().filter(|y| **y == 1.0).count();
            let zeros = y.iter().filter(|y| **y == 0.0).count();
            (ones == 1 && ones + zeros == y.len(), "a single 1 and zeros")
        }
    };
    if fits {
        return Ok(());
    }
    Err(Error::Value { what: "y".into(), expected: expected.into(), got: format!("{y:?}") })
}

/// The numbers of the lecture's example, which f32 holds exactly.
struct Lecture {
    x: Matrix,
    h_0: Vec<f64>,
    w_xh: Matrix,
    w_hh: Matrix,
    b_h: Vec<f64>,
    w_hy: Matrix,
    b_y: Vec<f64>,
    y: Vec<f64>,
}

impl Lecture {
    fn of(size: usize, loss: LossName) -> Self {
        let (w_hy, b_y, y) = match loss {
            LossName::Classes => {
                (vec![vec![1.0, -0.5], vec![0.25, 0.75], vec![-1.25, 0.5]], vec![0.5, 0.0, -0.25], vec![0.0, 0.0, 1.0])
            }
            _ => (vec![vec![1.5, -0.5]], vec![0.25], vec![1.0]),
        };
        let whole = Self {
            x: vec![vec![0.5, -1.0], vec![1.25, 0.75], vec![-0.5, 0.25]],
            // Not zero, or the term of step 1 in ∂L/∂W_hh would vanish with it.
            h_0: vec![0.375, -0.625],
            w_xh: vec![vec![0.5, -0.25], vec![0.75, 1.0]],
            w_hh: vec![vec![0.625, -0.875], vec![0.5, 0.25]],
            b_h: vec![-0.375, 0.125],
            w_hy,
            b_y,
            y,
        };
        // With one unit, its first row and column of each.
        let cut = |matrix: Matrix| matrix.into_iter().map(|row| row[..size].to_vec()).collect::<Matrix>();
        let rows = |matrix: Matrix| matrix[..size].to_vec();
        Self {
            x: cut(whole.x),
            h_0: whole.h_0[..size].to_vec(),
            w_xh: cut(rows(whole.w_xh)),
            w_hh: cut(rows(whole.w_hh)),
            b_h: whole.b_h[..size].to_vec(),
            w_hy: cut(whole.w_hy),
            ..whole
        }
    }
}
