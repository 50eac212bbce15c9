//! The example of lecture notes on BPTT, three steps long: by hand in f64, term by term, and held against the engine.
//!
//!   z_t = W_xh x_t + b_ih + W_hh h_{t−1} + b_hh,  h_t = f(z_t),  t = 1, 2, 3;   a = W_hy h_3 + b_y,  ŷ = g(a)
//!
//! with one output at the end. L depends on W_hh by three ways, one for each step that uses it:
//!
//!   ∂L/∂W_hh = Σ_{k=1..3} ∂L/∂h_3 · ∂h_3/∂h_k · ∂⁺h_k/∂W_hh
//!
//! where ∂⁺ holds h_{k−1} fixed: directly (k = 3), through h_2 (k = 2), and through h_2 and h_1 (k = 1). Gradients are
//! row vectors, so ∂L/∂h_{t−1} = dz_t · W_hh, and ∂L/∂W_hh gets dz_kᵀ h_{k−1} from step k.

use crate::common;
use bptt::{
    Activation, Backend, Batch, Cell, Cpu, EngineOptions, Head, Inference, InputGradient, Layers, Layout, Loss, Model,
    Optimizer, OutputGradient, Parameters, Readout, Real, Recurrent, Sequence, StatefulRows, States, Targets, Trainer,
    Training,
};
use std::ops::Range;

use bptt::ndarray::{Array1, Array2, Array3, s};
use pollster::block_on;

type RealOf<B> = <<B as Backend>::Engine as Parameters>::Real;
/// Two inputs and two hidden units: enough that W_hh has an order of its indices to get wrong.
type V = [f64; 2];
type M = [V; 2];

// Numbers that f32 represents, so that every path starts from the same ones.
const X: [V; 3] = [[0.5, -1.0], [1.25, 0.75], [-0.5, 0.25]];
// Not zero, or the contribution of k = 1 to ∂L/∂W_hh would vanish with it.
const H_0: V = [0.375, -0.625];
const W_XH: M = [[0.5, -0.25], [0.75, 1.0]];
const W_HH: M = [[0.625, -0.875], [0.5, 0.25]];
const B_IH: V = [0.125, -0.25];
const B_HH: V = [-0.5, 0.375];
const ACTIVATIONS: [Activation; 4] = [Activation::Tanh, Activation::Sigmoid, Activation::Relu, Activation::Identity];

/// W_hy, b_y, loss and target: once a sigmoid with binary cross-entropy, once a softmax with cross-entropy.
struct Output {
    loss: Loss,
    w_hy: &'static [V],
    b_y: &'static [f64],
    /// y, or for the softmax the class as a vector with a single 1.
    y: &'static [f64],
}

static OUTPUTS: [Output; 2] = [
    Output { loss: Loss::BinaryCrossEntropy, w_hy: &[[1.5, -0.5]], b_y: &[0.25], y: &[1.0] },
    Output {
        loss: Loss::CrossEntropy,
        w_hy: &[[1.0, -0.5], [0.25, 0.75], [-1.25, 0.5]],
        b_y: &[0.5, 0.0, -0.25],
        y: &[0.0, 0.0, 1.0],
    },
];

fn f(activation: Activation, z: f64) -> f64 {
    match activation {
        Activation::Tanh => z.tanh(),
        Activation::Relu => z.max(0.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-z).exp()),
        Activation::Identity => z,
        other => panic!("the lecture has no {other:?}"),
    }
}

/// f'(z), from z itself: that the engine takes it from h is thereby tested too.
fn slope(activation: Activation, z: f64) -> f64 {
    match activation {
        Activation::Tanh => 1.0 / z.cosh().powi(2),
        Activation::Relu => f64::from(z > 0.0),
        Activation::Sigmoid => (-z).exp() / (1.0 + (-z).exp()).powi(2),
        Activation::Identity => 1.0,
        other => panic!("the lecture has no {other:?}"),
    }
}

/// M v, a column.
fn apply(m: M, v: V) -> V {
    m.map(|row| row[0] * v[0] + row[1] * v[1])
}

/// d M, a row.
fn pull_back(d: &[f64], m: &[V]) -> V {
    [0, 1].map(|j| d.iter().zip(m).map(|(d, row)| d * row[j]).sum())
}

/// dᵀ v: the gradient of a matrix, [rows of d, columns of v].
fn outer(d: &[f64], v: V) -> Vec<f64> {
    d.iter().flat_map(|d| v.map(|v| d * v)).collect()
}

fn times(a: V, b: V) -> V {
    [a[0] * b[0], a[1] * b[1]]
}

fn sum<'a>(terms: impl IntoIterator<Item = &'a Vec<f64>>) -> Vec<f64> {
    let mut terms = terms.into_iter().cloned();
    let first = terms.next().unwrap();
    terms.fold(first, |sum, term| sum.iter().zip(&term).map(|(a, b)| a + b).collect())
}

/// What step k adds to the gradients of the parameters that it uses.
struct Contribution {
    w_xh: Vec<f64>,
    w_hh: Vec<f64>,
    b: Vec<f64>,
}

impl Contribution {
    fn new(dz: V, x: V, h_before: V) -> Self {
        Self { w_xh: outer(&dz, x), w_hh: outer(&dz, h_before), b: dz.to_vec() }
    }
}

/// The example worked out.
struct ByHand {
    /// h_0 to h_3.
    h: [V; 4],
    loss: f64,
    /// f'(z_1) to f'(z_3).
    slopes: [V; 3],
    /// ∂L/∂h_0 to ∂L/∂h_3, each through all that comes after it.
    dh: [V; 4],
    /// The contributions of k = 1, 2, 3.
    contributions: [Contribution; 3],
    dw_hy: Vec<f64>,
    db_y: Vec<f64>,
}

fn by_hand(activation: Activation, output: &Output) -> ByHand {
    let f = |z: V| z.map(|z| f(activation, z));
    let slope = |z: V| z.map(|z| slope(activation, z));
    let z = |x: V, h_before: V| {
        let (from_x, from_h) = (apply(W_XH, x), apply(W_HH, h_before));
        [0, 1].map(|i| from_x[i] + B_IH[i] + from_h[i] + B_HH[i])
    };
    let [x_1, x_2, x_3] = X;

    // Forward.
    let h_0 = H_0;
    let z_1 = z(x_1, h_0);
    let h_1 = f(z_1);
    let z_2 = z(x_2, h_1);
    let h_2 = f(z_2);
    let z_3 = z(x_3, h_2);
    let h_3 = f(z_3);
    let a: Vec<f64> =
        output.w_hy.iter().zip(output.b_y).map(|(row, b)| row[0] * h_3[0] + row[1] * h_3[1] + b).collect();

    // ∂L/∂a = ∂L/∂ŷ · ∂ŷ/∂a, not yet shortened to ŷ − y.
    let (loss, da) = match output.loss {
        Loss::BinaryCrossEntropy => {
            let (y, y_hat) = (output.y[0], 1.0 / (1.0 + (-a[0]).exp()));
            let loss = -(y * y_hat.ln() + (1.0 - y) * (1.0 - y_hat).ln());
            let dl_dy_hat = -y / y_hat + (1.0 - y) / (1.0 - y_hat);
            let dy_hat_da = y_hat * (1.0 - y_hat);
            (loss, vec![dl_dy_hat * dy_hat_da])
        }
        _ => {
            let normalizer: f64 = a.iter().map(|a| a.exp()).sum();
            let y_hat: Vec<f64> = a.iter().map(|a| a.exp() / normalizer).collect();
            let loss = -output.y.iter().zip(&y_hat).map(|(y, y_hat)| y * y_hat.ln()).sum::<f64>();
            let dl_dy_hat: Vec<f64> = output.y.iter().zip(&y_hat).map(|(y, y_hat)| -y / y_hat).collect();
            // ∂ŷ_j/∂a_i = ŷ_j ([i = j] − ŷ_i).
            let dy_hat_da = |j: usize, i: usize| y_hat[j] * (f64::from(i == j) - y_hat[i]);
            let da = (0..a.len()).map(|i| (0..a.len()).map(|j| dl_dy_hat[j] * dy_hat_da(j, i)).sum());
            (loss, da.collect())
        }
    };

    // k = 3: the last step's own use of the weights.
    let dh_3 = pull_back(&da, output.w_hy);
    let dz_3 = times(dh_3, slope(z_3));
    let direct = Contribution::new(dz_3, x_3, h_2);
    // k = 2: through h_2, by ∂h_3/∂h_2 = diag(f'(z_3)) W_hh.
    let dh_2 = pull_back(&dz_3, &W_HH);
    let dz_2 = times(dh_2, slope(z_2));
    let through_h_2 = Contribution::new(dz_2, x_2, h_1);
    // k = 1: through h_2 and h_1, by ∂h_3/∂h_1 = diag(f'(z_3)) W_hh diag(f'(z_2)) W_hh.
    let dh_1 = pull_back(&dz_2, &W_HH);
    let dz_1 = times(dh_1, slope(z_1));
    let through_h_1 = Contribution::new(dz_1, x_1, h_0);
    let dh_0 = pull_back(&dz_1, &W_HH);

    ByHand {
        h: [h_0, h_1, h_2, h_3],
        slopes: [slope(z_1), slope(z_2), slope(z_3)],
        loss,
        dh: [dh_0, dh_1, dh_2, dh_3],
        contributions: [through_h_1, through_h_2, direct],
        dw_hy: outer(&da, h_3),
        db_y: da,
    }
}

/// Numbers of a path against those by hand.
#[track_caller]
fn assert_close<'a, R: Real>(
    what: &str,
    got: impl IntoIterator<Item = &'a R>,
    expected: &[f64],
    relative: f64,
    floor: f64,
) {
    let got = got.into_iter().map(|value| value.as_f64());
    let expected = Array1::from_iter(expected.iter().copied());
    common::assert_close(what, &Array1::from_iter(got).into_dyn(), &expected.into_dyn(), relative, floor);
}

fn cases() -> impl Iterator<Item = (Activation, &'static Output)> {
    ACTIVATIONS.into_iter().flat_map(|activation| OUTPUTS.iter().map(move |output| (activation, output)))
}

fn recurrent(activation: Activation) -> Recurrent {
    Recurrent::new(Cell::Rnn(activation), 2, 2)
}

fn model(activation: Activation, output: &Output) -> Model {
    Model::new(recurrent(activation), Head::new(output.y.len(), output.loss.clone(), Readout::Final))
}

fn reals<R: Real>(values: impl IntoIterator<Item = f64>) -> Vec<R> {
    values.into_iter().map(R::from_f64).collect()
}

/// \[1, 1, 2\]: a step of x, or a state.
fn one<R: Real>(v: V) -> Array3<R> {
    Array3::from_shape_vec((1, 1, 2), reals(v)).unwrap()
}

/// Some of the steps, counted from 0.
fn steps<R: Real>(range: Range<usize>) -> Sequence<R> {
    let first = range.start;
    Sequence::dense(Array3::from_shape_fn((range.len(), 1, 2), |(t, _, i)| R::from_f64(X[first + t][i])))
}

/// All three steps from h_0.
fn whole<R: Real>() -> Sequence<R> {
    steps(0..3).initial(States { h: one(H_0), c: None })
}

fn batch(sequence: Sequence, output: &Output) -> Batch {
    let targets = match output.loss {
        Loss::CrossEntropy => {
            let class = output.y.iter().position(|y| *y == 1.0).unwrap();
            Targets::Classes(Array2::from_elem((1, 1), class as u32))
        }
        _ => Targets::Values(Array3::from_elem((1, 1, 1), output.y[0] as f32)),
    };
    Batch::new(sequence, targets)
}

/// The weights of the stack in PyTorch's order: weight_ih, weight_hh, bias_ih, bias_hh.
fn stack_weights() -> impl Iterator<Item = f64> {
    W_XH.into_iter().chain(W_HH).chain([B_IH, B_HH]).flatten()
}

/// An engine for the stack alone.
fn stack<B: Backend>(backend: &B, activation: Activation) -> B::Engine {
    let mut engine = backend.engine(&Model::headless(recurrent(activation)), &EngineOptions::default()).unwrap();
    engine.set_parameters(&reals(stack_weights())).unwrap();
    engine
}

/// An engine for the stack with its head.
fn network<B: Backend>(backend: &B, activation: Activation, output: &Output) -> B::Engine {
    let rule = Some(Optimizer::sgd(0.0).kind);
    let options = EngineOptions::default().optimizer(rule).input_gradient(true);
    let mut engine = backend.engine(&model(activation, output), &options).unwrap();
    let head = output.w_hy.iter().flatten().chain(output.b_y).copied();
    engine.set_parameters(&reals(stack_weights().chain(head))).unwrap();
    engine
}

/// The sums of contributions as the engine orders them, with the head's gradient behind where it is told.
fn gradients<'a>(contributions: impl IntoIterator<Item = &'a Contribution>, head: Option<&ByHand>) -> Vec<f64> {
    let terms: Vec<_> = contributions.into_iter().collect();
    let w_xh = sum(terms.iter().map(|term| &term.w_xh));
    let w_hh = sum(terms.iter().map(|term| &term.w_hh));
    // z holds b_ih + b_hh, so each of the two gets the gradient of b_h.
    let b = sum(terms.iter().map(|term| &term.b));
    let head = head.map(|by_hand| [by_hand.dw_hy.clone(), by_hand.db_y.clone()]);
    [w_xh, w_hh, b.clone(), b].into_iter().chain(head.into_iter().flatten()).flatten().collect()
}

fn the_gradient_is_the_sum_of_the_three_contributions<B: Backend>(backend: &B, relative: f64, floor: f64) {
    for (activation, output) in cases() {
        let case = format!("{activation:?}, {:?}", output.loss);
        let hand = by_hand(activation, output);
        let mut engine = network(backend, activation, output);
        let batch = batch(whole(), output);
        block_on(engine.accumulate(&batch, None)).unwrap();
        let got = block_on(engine.gradients()).unwrap();
        let expected = gradients(&hand.contributions, Some(&hand));
        for tensor in Layout::new(&model(activation, output)).tensors() {
            let what = format!("{case}: {}", tensor.name);
            assert_close(&what, &got[tensor.range()], &expected[tensor.range()], relative, floor);
        }
        let dh_0 = block_on(engine.input_gradient()).unwrap().initial.h;
        assert_close(&format!("{case}: dh_0"), &dh_0, &hand.dh[0], relative, floor);
        let loss = block_on(engine.evaluate(&batch)).unwrap().loss_sum;
        assert_close(&format!("{case}: loss"), &[loss], &[hand.loss], relative, floor);
    }
}

fn each_contribution_equals_a_run_of_one_step<B: Backend>(backend: &B, relative: f64, floor: f64) {
    for (activation, output) in cases() {
        let case = format!("{activation:?}, {:?}", output.loss);
        let hand = by_hand(activation, output);
        let mut engine = stack(backend, activation);
        let h: Array3<RealOf<B>> = block_on(engine.forward(&whole())).unwrap().output;
        for t in 1..=3 {
            let h_t = h.slice(s![t - 1, 0, ..]);
            assert_close(&format!("{case}: h_{t}"), h_t, &hand.h[t], relative, floor);
        }
        // Backwards, each run's dh_0 being the next one's d_h_n: ∂L/∂h_3 comes from the head, the rest from the engine.
        let mut dh_k: Array3<RealOf<B>> = one(hand.dh[3]);
        for k in [3, 2, 1] {
            let h_before = match k {
                1 => one(H_0),
                _ => h.slice(s![k - 2..k - 1, .., ..]).to_owned(),
            };
            engine.clear_gradients();
            let step = Sequence::dense(one(X[k - 1])).initial(States { h: h_before, c: None });
            block_on(engine.forward(&step)).unwrap();
            let gradient = OutputGradient { h_n: Some(dh_k), ..OutputGradient::default() };
            let InputGradient { initial, .. } = block_on(engine.backward(&gradient)).unwrap();
            let got = block_on(engine.gradients()).unwrap();
            let expected = gradients([&hand.contributions[k - 1]], None);
            assert_close(&format!("{case}: the contribution of k = {k}"), &got, &expected, relative, floor);
            dh_k = initial.h;
            assert_close(&format!("{case}: dh_{}", k - 1), &dh_k, &hand.dh[k - 1], relative, floor);
        }
    }
}

/// Truncated BPTT: the state is carried into the window, and no gradient is carried out of it.
fn a_window_of_n_steps_keeps_the_last_n_contributions<B: Backend>(backend: &B, relative: f64, floor: f64) {
    let carry = Some(StatefulRows { first_row: 0, rows: 1 });
    for (activation, output) in cases() {
        let hand = by_hand(activation, output);
        for n in [1, 2] {
            let what = format!("{activation:?}, {:?}: the last {n}", output.loss);
            let before = 3 - n;
            let mut engine = network(backend, activation, output);
            let entering = batch(steps(0..before).initial(States { h: one(H_0), c: None }), output);
            block_on(engine.accumulate(&entering, carry)).unwrap();
            engine.clear_gradients();
            block_on(engine.accumulate(&batch(steps(before..3), output), carry)).unwrap();
            let got = block_on(engine.gradients()).unwrap();
            let expected = gradients(&hand.contributions[before..], Some(&hand));
            assert_close(&what, &got, &expected, relative, floor);
            let leaving = block_on(engine.states()).unwrap().unwrap();
            assert_close(&format!("{what}: h_3"), &leaving.h, &hand.h[3], relative, floor);
        }
    }
}

/// The factors of the chain one by one: ∂h_t/∂h_{t−1} = diag(f'(z_t)) W_hh, and ∂h_3/∂h_0 is their product. Row i of a
/// Jacobian is the dh_0 that comes of d_h_n = e_i.
fn the_jacobian_across_three_steps_is_the_product_of_theirs<B: Backend>(backend: &B, relative: f64, floor: f64) {
    for activation in ACTIVATIONS {
        let hand = by_hand(activation, &OUTPUTS[0]);
        let mut engine = stack(backend, activation);
        let mut jacobian = |range: Range<usize>| -> M {
            let h_before: Array3<RealOf<B>> = one(hand.h[range.start]);
            let sequence = steps(range).initial(States { h: h_before, c: None });
            [[1.0, 0.0], [0.0, 1.0]].map(|e_i| {
                block_on(engine.forward(&sequence)).unwrap();
                let gradient = OutputGradient { h_n: Some(one(e_i)), ..OutputGradient::default() };
                let dh_0 = block_on(engine.backward(&gradient)).unwrap().initial.h;
                [dh_0[[0, 0, 0]].as_f64(), dh_0[[0, 0, 1]].as_f64()]
            })
        };
        let mut product = [[1.0, 0.0], [0.0, 1.0]];
        for t in [3, 2, 1] {
            let factor = hand.slopes[t - 1].map(|slope| [slope; 2]);
            let factor = [0, 1].map(|i| times(factor[i], W_HH[i]));
            let what = format!("{activation:?}: ∂h_{t}/∂h_{}", t - 1);
            assert_close(&what, jacobian(t - 1..t).as_flattened(), factor.as_flattened(), relative, floor);
            product = product.map(|row| pull_back(&row, &factor));
        }
        let what = format!("{activation:?}: ∂h_3/∂h_0");
        assert_close(&what, jacobian(0..3).as_flattened(), product.as_flattened(), relative, floor);
    }
}

/// Where the notes begin: with T = 1 and f(z) = z the network is linear regression, y = 3·x − 0.5, whose minimum is
/// known.
fn gradient_descent_finds_the_slope_and_intercept_of_a_line<B: Backend>(backend: &B, tolerance: f64) {
    let head = Head::new(1, Loss::SquaredError, Readout::PerStep);
    let model = Model::new(Recurrent::new(Cell::Rnn(Activation::Identity), 1, 1), head);
    let mut trainer = Trainer::new(backend, &model, Optimizer::sgd(0.05), 3).unwrap();
    let x = Array3::from_shape_fn((1, 21, 1), |(_, row, _)| row as f32 / 10.0 - 1.0);
    let batch = Batch::new(Sequence::dense(x.clone()), Targets::Values(x.mapv(|x| 3.0 * x - 0.5)));
    for _ in 0..1000 {
        block_on(trainer.step(&batch)).unwrap();
    }
    let mut at = |value: f32| {
        let x = Sequence::dense(Array3::from_elem((1, 1, 1), value));
        block_on(trainer.predict(&x)).unwrap().y[[0, 0, 0]].as_f64()
    };
    let (intercept, slope) = (at(0.0), at(1.0) - at(0.0));
    let close = (slope - 3.0).abs() < tolerance && (intercept + 0.5).abs() < tolerance;
    assert!(close, "slope {slope}, intercept {intercept}");
}

/// Few operations on numbers of order 1 lie behind each number: a few units of f64, 1.1e-16 each.
const F64: (f64, f64) = (1e-14, 0.1);
/// The same count of f32's units, 6e-8 each.
const F32: (f64, f64) = (4e-6, 0.1);

fn cpu_f64() -> Cpu<f64> {
    Cpu::with_threads(1).unwrap()
}

#[test]
fn the_gradient_is_the_sum_of_the_three_contributions_in_f64() {
    the_gradient_is_the_sum_of_the_three_contributions(&cpu_f64(), F64.0, F64.1);
}

#[test]
fn the_gradient_is_the_sum_of_the_three_contributions_in_f32() {
    the_gradient_is_the_sum_of_the_three_contributions(&Cpu::new(), F32.0, F32.1);
}

#[test]
fn each_contribution_equals_a_run_of_one_step_in_f64() {
    each_contribution_equals_a_run_of_one_step(&cpu_f64(), F64.0, F64.1);
}

#[test]
fn each_contribution_equals_a_run_of_one_step_in_f32() {
    each_contribution_equals_a_run_of_one_step(&Cpu::new(), F32.0, F32.1);
}

#[test]
fn a_window_of_n_steps_keeps_the_last_n_contributions_in_f64() {
    a_window_of_n_steps_keeps_the_last_n_contributions(&cpu_f64(), F64.0, F64.1);
}

#[test]
fn a_window_of_n_steps_keeps_the_last_n_contributions_in_f32() {
    a_window_of_n_steps_keeps_the_last_n_contributions(&Cpu::new(), F32.0, F32.1);
}

#[test]
fn the_jacobian_across_three_steps_is_the_product_of_theirs_in_f64() {
    the_jacobian_across_three_steps_is_the_product_of_theirs(&cpu_f64(), F64.0, F64.1);
}

#[test]
fn the_jacobian_across_three_steps_is_the_product_of_theirs_in_f32() {
    the_jacobian_across_three_steps_is_the_product_of_theirs(&Cpu::new(), F32.0, F32.1);
}

#[test]
fn contributions_their_sum_and_the_jacobians_are_right_on_the_gpu() {
    let Some(gpu) = common::gpu::gpu() else { return };
    the_gradient_is_the_sum_of_the_three_contributions(&gpu, F32.0, F32.1);
    each_contribution_equals_a_run_of_one_step(&gpu, F32.0, F32.1);
    a_window_of_n_steps_keeps_the_last_n_contributions(&gpu, F32.0, F32.1);
    the_jacobian_across_three_steps_is_the_product_of_theirs(&gpu, F32.0, F32.1);
}

#[test]
fn gradient_descent_finds_the_slope_and_intercept_of_a_line_in_f64() {
    gradient_descent_finds_the_slope_and_intercept_of_a_line(&cpu_f64(), 1e-6);
}

#[test]
fn gradient_descent_finds_the_slope_and_intercept_of_a_line_on_the_gpu() {
    common::gpu::gpu().iter().for_each(|gpu| gradient_descent_finds_the_slope_and_intercept_of_a_line(gpu, 1e-5));
}
