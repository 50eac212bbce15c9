//! All gradients of a batch on a backend, and in f64 by central differences of the loss.

use ndarray::{Array2, ArrayD, IxDyn};

use crate::{
    Backend, Batch, Cpu, DropoutKey, Engine, EngineOptions, Error, Input, Inspection, Layers, Model, Optimizer,
    OptimizerStep, Parameters, Real, Result, Training,
};

/// The gradients of Σ w·loss.
pub(crate) struct Gradients {
    pub(crate) loss: f64,
    /// Gradients of all parameters by name, then dx if x is dense, dh_0 and the LSTM's dc_0.
    pub(crate) arrays: Vec<(String, ArrayD<f64>)>,
    /// ‖∂L/∂h_t‖, \[L·D, T\].
    pub(crate) hidden_norms: Array2<f64>,
}

/// The model, parameters and batch of the gradients.
pub(crate) struct Subject<'a> {
    pub(crate) model: &'a Model,
    /// In the order of the layout.
    pub(crate) parameters: &'a [f32],
    pub(crate) batch: &'a Batch,
    pub(crate) masks: DropoutKey,
}

impl Subject<'_> {
    fn engine<B: Backend>(&self, backend: &B, options: EngineOptions) -> Result<B::Engine> {
        let options = options.optimizer(Optimizer::sgd(0.0).kind).input_gradient(true);
        let mut engine = backend.engine(self.model, &options)?;
        set_parameters(&mut engine, &self.wide_parameters())?;
        Ok(engine)
    }

    fn wide_parameters(&self) -> Vec<f64> {
        self.parameters.iter().copied().map(f64::from).collect()
    }

    /// The gradients as a backend computes them with the kernel and the precision of these options.
    pub(crate) async fn analytic<B: Backend>(&self, backend: &B, options: EngineOptions) -> Result<Gradients> {
        let mut engine = self.engine(backend, options)?;
        engine.set_hidden_gradient_norms(true);
        engine.set_dropout(Some(self.masks));
        engine.accumulate(self.batch, None).await?;
        let hidden_norms = engine.hidden_gradient_norms().await?.norms;
        let block = engine.gradients().await?;
        let wide = |values: &[<B::Engine as Parameters>::Real]| values.iter().map(|value| value.as_f64()).collect();
        let mut arrays = Vec::new();
        for tensor in engine.layout().tensors() {
            arrays.push((tensor.name.clone(), array(&tensor.shape, wide(&block[tensor.range()]))?));
        }
        let input = engine.input_gradient().await?;
        let states = [Some(("dh_0", &input.initial.h)), input.initial.c.as_ref().map(|c| ("dc_0", c))];
        for (name, values) in input.x.as_ref().map(|x| ("dx", x)).into_iter().chain(states.into_iter().flatten()) {
            arrays.push((name.into(), values.mapv(|value| value.as_f64()).into_dyn()));
        }
        Ok(Gradients { loss: loss(&mut engine).await?, arrays, hidden_norms })
    }

    /// The gradients by central differences in f64, (L(w + s) − L(w − s)) / 2s, of at most `most` elements per array,
    /// evenly spread; the others are NaN. The truncation error is of the order of s² = 6e-11, the rounding error of the
    /// order of 1e-16·L / s = 1e-11·L. ‖∂L/∂h_t‖ is not included.
    pub(crate) async fn differences(&self, most: usize, names: &[(String, ArrayD<f64>)]) -> Result<Vec<ArrayD<f64>>> {
        let mut engine = self.engine(&Cpu::<f64>::with_threads(1)?, EngineOptions::default())?;
        let mut block = self.wide_parameters();
        let ranges: Vec<_> = engine.layout().tensors().iter().map(|tensor| tensor.range()).collect();
        let mut differences = Vec::new();
        for (index, (name, array)) in names.iter().enumerate() {
            let mut found = ArrayD::from_elem(array.raw_dim(), f64::NAN);
            let stride = array.len().div_ceil(most).max(1);
            for (place, value) in found.iter_mut().enumerate().step_by(stride) {
                let mut sides = [0.0; 2];
                for (side, by) in sides.iter_mut().zip([STEP, -STEP]) {
                    *side = match ranges.get(index) {
                        Some(range) => {
                            let at = range.start + place;
                            let kept = block[at];
                            block[at] += by;
                            set_parameters(&mut engine, &block)?;
                            block[at] = kept;
                            self.loss(&mut engine, self.batch).await?
                        }
                        None => {
                            set_parameters(&mut engine, &block)?;
                            self.loss(&mut engine, &nudged(self.batch, name, place, by as f32)).await?
                        }
                    };
                }
                *value = (sides[0] - sides[1]) / (2.0 * STEP);
            }
            differences.push(found);
        }
        Ok(differences)
    }

    /// Σ w·loss through the masks; an evaluation would drop nothing.
    async fn loss<E: Engine>(&self, engine: &mut E, batch: &Batch) -> Result<f64> {
        engine.set_dropout(Some(self.masks));
        engine.accumulate(batch, None).await?;
        loss(engine).await
    }
}

/// Sums with multiples of it in ±1 are exact, in f32 too.
pub(crate) const STEP: f64 = 1.0 / 131_072.0;

/// The accumulated loss, from an update that changes nothing.
async fn loss<E: Engine>(engine: &mut E) -> Result<f64> {
    engine.update(&OptimizerStep::new(Optimizer::sgd(0.0), 1, 1.0)).await?;
    let report = engine.report().await?;
    report.map(|report| report.loss).ok_or_else(|| Error::Failed("an update without a report".into()))
}

fn set_parameters<E: Engine>(engine: &mut E, block: &[f64]) -> Result<()> {
    engine.set_parameters(&block.iter().map(|value| E::Real::from_f64(*value)).collect::<Vec<_>>())
}

/// The batch with one number of x, h_0 or c_0 changed.
fn nudged(batch: &Batch, name: &str, place: usize, by: f32) -> Batch {
    let mut batch = batch.clone();
    let array = match (name, &mut batch.sequence.input, &mut batch.sequence.initial) {
        ("dx", Input::Dense(x), _) => Some(x),
        ("dh_0", _, Some(states)) => Some(&mut states.h),
        ("dc_0", _, Some(states)) => states.c.as_mut(),
        _ => None,
    };
    if let Some(value) = array.and_then(|array| array.iter_mut().nth(place)) {
        *value += by;
    }
    batch
}

fn array(shape: &[usize], values: Vec<f64>) -> Result<ArrayD<f64>> {
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|error| Error::Unsupported(error.to_string()))
}
