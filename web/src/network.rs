//! A network with its trainer, on either device.

use bptt::data::Batches;
use bptt::ndarray::{Array2, Array3};
use bptt::{
    Batch, Compilation, CpuEngine, Error, GpuEngine, Head, HiddenGradientNorms, Inspection, Layers, Layout, Model,
    Optimizer, Result, SavedModel, Sequence, Session, StateDict, StepReport, Trainer, TrainerOptions, Training,
};

use super::device::{AnyBackend, Device};
use super::limits::Progress;

/// A network with its trainer.
pub struct Network {
    trainer: AnyTrainer,
    /// The kernels of the device that were compiled before this room needed any.
    compiled_before: Option<usize>,
}

enum AnyTrainer {
    Cpu(Box<Trainer<CpuEngine<f32>>>),
    Gpu(Box<Trainer<GpuEngine>>),
}

/// The same expression for either trainer.
macro_rules! with_trainer {
    ($network:expr, $trainer:ident => $body:expr) => {
        match &mut $network.trainer {
            AnyTrainer::Cpu($trainer) => $body,
            AnyTrainer::Gpu($trainer) => $body,
        }
    };
}

/// The loss and the gradient of a batch, without an update.
pub struct BatchGradient {
    /// The mean loss.
    pub loss: f64,
    /// The norm of the whole gradient, before clipping.
    pub gradient_norm: f64,
    /// ‖∂L/∂h_t‖, \[L·D, T\].
    pub norms: HiddenGradientNorms,
}

impl Network {
    /// A network whose weights are drawn from `seed`.
    ///
    /// # Errors
    /// Those of [`Trainer::with_options`].
    pub fn new(
        device: &Device,
        model: &Model,
        optimizer: Optimizer,
        seed: u64,
        options: TrainerOptions,
    ) -> Result<Self> {
        let trainer = match &device.backend {
            AnyBackend::Cpu(backend) => {
                AnyTrainer::Cpu(Box::new(Trainer::with_options(backend, model, optimizer, seed, options)?))
            }
            AnyBackend::Gpu(backend) => {
                AnyTrainer::Gpu(Box::new(Trainer::with_options(backend, model, optimizer, seed, options)?))
            }
        };
        Ok(Self { trainer, compiled_before: None })
    }

    /// A network with the weights of a file, which is not to be trained.
    ///
    /// # Errors
    /// Those of [`SavedModel::trainer`].
    pub fn from_saved(device: &Device, saved: &SavedModel) -> Result<Self> {
        let (optimizer, options) = (Optimizer::sgd(0.0), TrainerOptions::default());
        let trainer = match &device.backend {
            AnyBackend::Cpu(backend) => AnyTrainer::Cpu(Box::new(saved.trainer(backend, optimizer, 0, options)?)),
            AnyBackend::Gpu(backend) => AnyTrainer::Gpu(Box::new(saved.trainer(backend, optimizer, 0, options)?)),
        };
        Ok(Self { trainer, compiled_before: None })
    }

    /// The form of the network.
    pub fn model(&self) -> &Model {
        match &self.trainer {
            AnyTrainer::Cpu(trainer) => trainer.model(),
            AnyTrainer::Gpu(trainer) => trainer.model(),
        }
    }

    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        Layout::new(self.model()).len()
    }

    /// The number of steps so far.
    pub fn steps(&self) -> u64 {
        match &self.trainer {
            AnyTrainer::Cpu(trainer) => trainer.steps(),
            AnyTrainer::Gpu(trainer) => trainer.steps(),
        }
    }

    /// Compiles one more of the kernels that steps over batches like this one need, with those of ‖∂L/∂h_t‖ if `norms`.
    ///
    /// # Errors
    /// Those of [`Inspection::compile`].
    pub async fn compile(&mut self, batch: &Batch, norms: bool) -> Result<Progress> {
        let compilation: Compilation = with_trainer!(self, trainer => {
            let engine = trainer.engine();
            engine.set_hidden_gradient_norms(norms);
            let compilation = engine.compile(batch).await;
            engine.set_hidden_gradient_norms(false);
            compilation?
        });
        // The first call has compiled one, if there was one to compile.
        let Compilation { compiled, kernels, .. } = compilation;
        let before = *self.compiled_before.get_or_insert(compiled.saturating_sub(1));
        Ok(Progress { done: compiled.saturating_sub(before), total: kernels.saturating_sub(before) })
    }

    /// Takes steps over the batches that follow, and waits for their reports, oldest first.
    ///
    /// # Errors
    /// Those of the batches and of [`Trainer::step`].
    pub async fn train(&mut self, batches: &dyn Batches, steps: usize) -> Result<Vec<StepReport>> {
        with_trainer!(self, trainer => {
            let mut reports = Vec::new();
            for _ in 0..steps {
                let batch = batches.batch(trainer.steps())?;
                reports.extend(trainer.step(&batch).await?);
            }
            reports.extend(trainer.finish().await?);
            Ok(reports)
        })
    }

    /// The loss and the gradients of a batch, without an update.
    ///
    /// # Errors
    /// Those of [`Training::accumulate`].
    pub async fn examine(&mut self, batch: &Batch) -> Result<BatchGradient> {
        with_trainer!(self, trainer => {
            let engine = trainer.engine();
            engine.clear_gradients();
            engine.set_dropout(None);
            engine.set_hidden_gradient_norms(true);
            let accumulated = engine.accumulate(batch, None).await;
            engine.set_hidden_gradient_norms(false);
            accumulated?;
            let norms = engine.hidden_gradient_norms().await?;
            let gradients = engine.gradients().await?;
            let loss = engine.loss_sum().await?;
            engine.clear_gradients();
            let divisor = head(trainer.model())?.divisor(batch.total_weight())?;
            let squares: f64 = gradients.iter().map(|value| f64::from(*value).powi(2)).sum();
            Ok(BatchGradient {
                loss: loss / divisor,
                gradient_norm: squares.sqrt() / divisor,
                norms: HiddenGradientNorms { norms: norms.norms / divisor },
            })
        })
    }

    /// The mean loss of a batch.
    ///
    /// # Errors
    /// Those of [`Trainer::evaluate`].
    pub async fn evaluate(&mut self, batch: &Batch) -> Result<f64> {
        with_trainer!(self, trainer => Ok(trainer.evaluate(batch).await?.loss))
    }

    /// The logits of each prediction, \[P, B, O\].
    ///
    /// # Errors
    /// Those of [`Trainer::logits`].
    pub async fn logits(&mut self, sequence: &Sequence) -> Result<Array3<f32>> {
        with_trainer!(self, trainer => Ok(trainer.logits(sequence).await?.logits))
    }

    /// ŷ of each example, \[P, O\], `rows` at a time.
    ///
    /// # Errors
    /// Those of [`bptt::train::predict`].
    pub async fn predict(&mut self, examples: &dyn bptt::data::Examples, rows: usize) -> Result<Vec<Array2<f32>>> {
        with_trainer!(self, trainer => bptt::train::predict(trainer, examples, rows).await)
    }

    /// Draws tokens after a prompt: `next` gets the logits of each step and returns the next token, or `None` to end.
    ///
    /// # Errors
    /// Those of `next` and of [`Session::step`].
    pub async fn stream(&mut self, prompt: &[u32], mut next: impl FnMut(&[f32]) -> Result<Option<u32>>) -> Result<()> {
        with_trainer!(self, trainer => {
            let mut session: Session<_> = trainer.session(1)?;
            let mut tokens = Array2::from_shape_fn((prompt.len(), 1), |(t, _)| prompt[t]);
            loop {
                let logits = session.step(&Sequence::tokens(tokens)).await?;
                let last: Vec<f32> = logits.outer_iter().next_back().iter().flat_map(|step| step.iter().copied()).collect();
                match next(&last)? {
                    Some(token) => tokens = Array2::from_elem((1, 1), token),
                    None => return Ok(()),
                }
            }
        })
    }

    /// The weights by name.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn state_dict(&mut self) -> Result<StateDict> {
        with_trainer!(self, trainer => trainer.state_dict().await)
    }

    /// The model with its weights, to be stored.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn saved_model(&mut self) -> Result<SavedModel> {
        with_trainer!(self, trainer => trainer.saved_model().await)
    }

    /// Sets the learning rate of later steps.
    ///
    /// # Errors
    /// Those of [`Trainer::set_learning_rate`].
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        with_trainer!(self, trainer => trainer.set_learning_rate(rate))
    }

    /// Sets the largest norm of the gradient of later steps.
    ///
    /// # Errors
    /// Those of [`Trainer::set_clip_norm`].
    pub fn set_clip_norm(&mut self, norm: Option<f64>) -> Result<()> {
        with_trainer!(self, trainer => trainer.set_clip_norm(norm))
    }
}

/// The head of a network.
///
/// # Errors
/// [`Error::Unsupported`] for recurrent layers alone.
pub fn head(model: &Model) -> Result<&Head> {
    model.head.as_ref().ok_or_else(|| Error::Unsupported("this model has no head, and so no predictions".into()))
}

/// The mean loss of steps.
pub fn mean_loss(reports: &[StepReport]) -> f64 {
    reports.iter().map(|report| report.loss).sum::<f64>() / reports.len() as f64
}

/// The factor that clipping to `clip` scales a gradient of this norm by, as in PyTorch.
pub fn clip_factor(norm: f64, clip: Option<f64>) -> f64 {
    clip.map_or(1.0, |clip| (clip / (norm + 1e-6)).min(1.0))
}
