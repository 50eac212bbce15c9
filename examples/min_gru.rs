//! A cell of one's own without W_hh: the minGRU (Feng et al. 2024, *Were RNNs All We Needed?*). Its gate and its candidate
//! see x alone: z = σ(W_z x + b_z), h̃ = W_h x + b_h; h_t = (1 − z) ∘ h_{t−1} + z ∘ h̃.
//!
//! `cargo run --release --example min_gru` trains it briefly and checks its gradients on the CPU and on a GPU.

use bptt::cells::{
    BackwardInput, BackwardOutput, CellFunctions, ForwardInput, ForwardOutput, Lanes, Sum, UnitParameter,
};
use bptt::experiment::gradcheck::GradientCheck;
use bptt::experiment::{DeviceOptions, OpenDevice};
use bptt::ndarray::Array3;
use bptt::{
    Batch, Cell, Cpu, Error, Head, Initialisation, Loss, Model, Optimizer, Readout, Real, Recurrent, Result, Sequence,
    Targets, Trainer,
};

/// The cell: two sums, of x only.
pub struct MinGru;

impl CellFunctions<2> for MinGru {
    const NAME: &'static str = "min_gru";
    const SUMS: [Sum; 2] = [Sum::of_input("z", 0), Sum::of_input("h", 1)];
    const CELL_STATE: bool = false;
    const PARAMETERS: [UnitParameter; 0] = [];
    const WGSL: &'static str = "
        fn cell_forward(unit: ForwardInput) -> ForwardOutput {
            let z = sigmoid(unit.sums[0]);
            let candidate = unit.sums[1];
            return ForwardOutput(array(z, candidate), (1.0 - z) * unit.h + z * candidate);
        }

        fn cell_backward(unit: BackwardInput) -> BackwardOutput {
            let z = unit.kept[0];
            let candidate = unit.kept[1];
            let dz = unit.dh * (candidate - unit.h) * d_sigmoid(z);
            return BackwardOutput(array(dz, unit.dh * z), unit.dh * (1.0 - z));
        }
    ";

    #[inline(always)]
    fn forward<R: Real, const N: usize>(unit: ForwardInput<R, N, 2>) -> ForwardOutput<R, N, 2> {
        let [z, candidate] = unit.sums;
        let z = z.sigmoid();
        let h = (Lanes::one() - z) * unit.h + z * candidate;
        ForwardOutput { kept: [z, candidate], h, c: Lanes::zero() }
    }

    #[inline(always)]
    fn backward<R: Real, const N: usize>(unit: BackwardInput<R, N, 2>) -> BackwardOutput<R, N, 2> {
        let one = Lanes::one();
        let ([z, candidate], dh) = (unit.kept, unit.dh);
        let dz = dh * (candidate - unit.h) * z * (one - z);
        BackwardOutput { sums: [dz, dh * z], dh: dh * (one - z), dc: Lanes::zero(), parameters: [] }
    }
}

/// Two layers in two directions with the cell, and a head of one number a step.
fn model() -> Result<Model> {
    let recurrent = Recurrent::new(Cell::custom(MinGru)?, 2, 6).layers(2).bidirectional(true);
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
