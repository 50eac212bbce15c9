//! A cell of one's own: the LSTM with peepholes (Gers & Schmidhuber 2000). The gates i and f also see c_{t−1}, and o sees
//! c_t, each through a vector of H weights.
//!
//! `cargo run --release --example peephole_lstm` trains it briefly and checks its gradients on the CPU and on a GPU.

use bptt::cells::{
    BackwardInput, BackwardOutput, CellFunctions, ForwardInput, ForwardOutput, Initial, Lanes, Sum, UnitParameter,
};
use bptt::experiment::gradcheck::GradientCheck;
use bptt::experiment::{DeviceOptions, OpenDevice};
use bptt::ndarray::Array3;
use bptt::{
    Batch, Cell, Cpu, Error, Head, Initialisation, Loss, Model, Optimizer, Readout, Real, Recurrent, Result, Sequence,
    Targets, Trainer,
};

/// The cell: four sums, and three parameters of its own.
pub struct PeepholeLstm;

impl CellFunctions<4, 3> for PeepholeLstm {
    const NAME: &'static str = "peephole_lstm";
    const SUMS: [Sum; 4] =
        [Sum::of_both("i", 0, 0), Sum::of_both("f", 1, 1), Sum::of_both("g", 2, 2), Sum::of_both("o", 3, 3)];
    const CELL_STATE: bool = true;
    const PARAMETERS: [UnitParameter; 3] = [
        UnitParameter { name: "weight_ci", initial: Initial::Uniform },
        UnitParameter { name: "weight_cf", initial: Initial::Uniform },
        UnitParameter { name: "weight_co", initial: Initial::Constant(0.0) },
    ];
    const FORGET_GATE: Option<usize> = Some(1);
    const WGSL: &'static str = "
        fn cell_forward(unit: ForwardInput) -> ForwardOutput {
            let i = sigmoid(unit.sums[0] + unit.parameters[0] * unit.c);
            let f = sigmoid(unit.sums[1] + unit.parameters[1] * unit.c);
            let g = tanh_(unit.sums[2]);
            let c = f * unit.c + i * g;
            let o = sigmoid(unit.sums[3] + unit.parameters[2] * c);
            return ForwardOutput(array(i, f, g, o), o * tanh_(c), c);
        }

        fn cell_backward(unit: BackwardInput) -> BackwardOutput {
            let i = unit.kept[0];
            let f = unit.kept[1];
            let g = unit.kept[2];
            let o = unit.kept[3];
            let c = f * unit.c + i * g;
            let tanh_c = tanh_(c);
            let d_o = unit.dh * tanh_c * d_sigmoid(o);
            let dc = unit.dc + unit.dh * o * d_tanh(tanh_c) + d_o * unit.parameters[2];
            let di = dc * g * d_sigmoid(i);
            let df = dc * unit.c * d_sigmoid(f);
            let dg = dc * i * d_tanh(g);
            return BackwardOutput(
                array(di, df, dg, d_o),
                vec4f(0.0),
                dc * f + di * unit.parameters[0] + df * unit.parameters[1],
                array(di * unit.c, df * unit.c, d_o * c),
            );
        }
    ";

    #[inline(always)]
    fn forward<R: Real, const N: usize>(unit: ForwardInput<R, N, 4, 3>) -> ForwardOutput<R, N, 4> {
        let ([i, f, g, o], [ci, cf, co]) = (unit.sums, unit.parameters);
        let (i, f, g) = ((i + ci * unit.c).sigmoid(), (f + cf * unit.c).sigmoid(), g.tanh());
        let c = f * unit.c + i * g;
        let o = (o + co * c).sigmoid();
        ForwardOutput { kept: [i, f, g, o], h: o * c.tanh(), c }
    }

    #[inline(always)]
    fn backward<R: Real, const N: usize>(unit: BackwardInput<R, N, 4, 3>) -> BackwardOutput<R, N, 4, 3> {
        let one = Lanes::one();
        let ([i, f, g, o], [ci, cf, co]) = (unit.kept, unit.parameters);
        let c = f * unit.c + i * g;
        let tanh_c = c.tanh();
        let d_o = unit.dh * tanh_c * o * (one - o);
        let dc = unit.dc + unit.dh * o * (one - tanh_c * tanh_c) + d_o * co;
        let di = dc * g * i * (one - i);
        let df = dc * unit.c * f * (one - f);
        let dg = dc * i * (one - g * g);
        BackwardOutput {
            sums: [di, df, dg, d_o],
            dh: Lanes::zero(),
            dc: dc * f + di * ci + df * cf,
            parameters: [di * unit.c, df * unit.c, d_o * c],
        }
    }
}

/// Two layers in two directions with the cell, and a head of one number a step.
fn model() -> Result<Model> {
    let recurrent = Recurrent::new(Cell::custom(PeepholeLstm)?, 2, 6).layers(2).bidirectional(true);
    Ok(Model::new(recurrent, Head::new(1, Loss::SquaredError, Readout::PerStep)))
}

/// Values, some of them marked; the target at every step is the value that was marked last.
fn batch(steps: usize, rows: usize) -> Batch {
    let mut state = 1u32;
    let mut uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / u32::MAX as f32
    };
    let mut x = Array3::from_shape_simple_fn((steps, rows, 2), || uniform() - 0.5);
    let mut marked = Array3::zeros((steps, rows, 1));
    for row in 0..rows {
        for t in 0..steps {
            let is_marked = t == 0 || x[[t, row, 1]] > 0.25;
            x[[t, row, 1]] = f32::from(is_marked);
            marked[[t, row, 0]] = if is_marked { x[[t, row, 0]] } else { marked[[t - 1, row, 0]] };
        }
    }
    Batch::new(Sequence::dense(x), Targets::Values(marked))
}

/// Trains for some steps. Returns the first and the last loss.
///
/// # Errors
/// Where memory runs out or a loss is not finite.
pub async fn train(steps: usize) -> Result<(f64, f64)> {
    let batch = batch(20, 32);
    let mut trainer = Trainer::new(&Cpu::new(), &model()?, Optimizer::adam(2e-2), 1)?;
    trainer.step(&batch).await?;
    let first = trainer.loss().await?.unwrap_or(f64::NAN);
    for _ in 1..steps {
        trainer.step(&batch).await?;
    }
    Ok((first, trainer.loss().await?.unwrap_or(f64::NAN)))
}

/// Compares every gradient on a device, `cpu` or `gpu`, with f64, and f64 with central differences. Returns the device and
/// the number of gradients.
///
/// # Errors
/// Where one is off.
pub async fn check(device: &str) -> Result<(String, usize)> {
    let device = OpenDevice::open(&DeviceOptions { name: device.into(), ..DeviceOptions::default() }).await?;
    let model = model()?;
    let parameters = &Initialisation::default().draw(&model, 1)?;
    let check = GradientCheck { model: &model, parameters, steps: 7, rows: 5, elements: 16, seed: 1 };
    let checked = check.run(&device).await?;
    match checked.failure() {
        Some(message) => Err(Error::Failed(message)),
        None => Ok((device.describe(), checked.gradients.len())),
    }
}

fn main() -> Result<()> {
    bptt::block_on(async {
        let (first, last) = train(200).await?;
        println!("loss {first:.4}, after 200 steps {last:.4}");
        for name in ["cpu", "gpu"] {
            match check(name).await {
                Ok((device, gradients)) => {
                    println!("{device}: {gradients} gradients are those of f64, and of central differences");
                }
                Err(error @ Error::NoDevice(_)) => println!("not checked: {error}"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })
}
