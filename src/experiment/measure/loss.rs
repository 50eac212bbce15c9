//! The loss for measurement, and losses in words.

use super::quantiles::{Quantiles, pinball};
use crate::{Head, Loss, Model};

/// A head for measurement, without label smoothing.
pub(crate) fn plain(head: &Head) -> Head {
    match head.loss {
        Loss::SmoothedCrossEntropy { .. } => Head { loss: Loss::CrossEntropy, ..head.clone() },
        _ => head.clone(),
    }
}

/// A model for measurement.
pub fn measured(model: &Model) -> Model {
    Model { head: model.head.as_ref().map(plain), ..model.clone() }
}

/// The loss of a forecast that is `error` below the truth. With several quantiles, the forecast stands for each of
/// them.
pub(crate) fn of_error(loss: &Loss, error: f64) -> f64 {
    match loss {
        Loss::AbsoluteError => error.abs(),
        Loss::Huber { delta } if error.abs() <= *delta => error * error / 2.0,
        Loss::Huber { delta } => delta * (error.abs() - delta / 2.0),
        Loss::Quantile { .. } => Quantiles::of(loss).mean(|_, quantile| pinball(quantile, error)),
        _ => error * error,
    }
}

/// The loss in words, if it was chosen.
pub fn describe(loss: &Loss) -> Option<String> {
    match loss {
        Loss::AbsoluteError => Some("the absolute error".into()),
        Loss::Huber { delta } => Some(format!("the Huber loss, linear beyond {delta} of the scaled target")),
        Loss::Quantile { .. } => Some(format!("the quantile loss of {}", Quantiles::of(loss).words())),
        Loss::SmoothedCrossEntropy { smoothing } => Some(format!("cross-entropy with label smoothing {smoothing}")),
        Loss::Gaussian | Loss::StudentT | Loss::NegativeBinomial => Some(format!("the {}", name(loss))),
        Loss::SquaredError | Loss::BinaryCrossEntropy | Loss::CrossEntropy => None,
    }
}

/// The name of a loss.
pub(crate) fn name(loss: &Loss) -> &'static str {
    match loss {
        Loss::SquaredError => "squared error",
        Loss::AbsoluteError => "absolute error",
        Loss::Huber { .. } => "Huber loss",
        Loss::Quantile { .. } => "quantile loss",
        Loss::Gaussian => "negative log-likelihood of a normal distribution",
        Loss::StudentT => "negative log-likelihood of Student's t distribution",
        Loss::NegativeBinomial => "negative log-likelihood of a negative binomial distribution",
        Loss::BinaryCrossEntropy => "binary cross-entropy",
        Loss::CrossEntropy => "cross-entropy",
        Loss::SmoothedCrossEntropy { .. } => "smoothed cross-entropy",
    }
}

#[cfg(test)]
mod tests {
    use crate::{Batch, Cell, Cpu, Optimizer, Readout, Recurrent, Sequence, StateDict, Targets, Trainer};
    use ndarray::Array3;

    use super::*;

    /// The loss of a network whose outputs are all 0.
    fn of_network(loss: &Loss, target: f64) -> f64 {
        let head = Head::new(Quantiles::of(loss).outputs(), loss.clone(), Readout::Final);
        let model = Model::new(Recurrent::new(Cell::Gru, 1, 1), head);
        let batch = Batch::new(
            Sequence::dense(Array3::zeros((1, 1, 1))),
            Targets::Values(Array3::from_elem((1, 1, 1), target as f32)),
        );
        pollster::block_on(async {
            let mut trainer = Trainer::new(&Cpu::new(), &model, Optimizer::sgd(0.0), 1).unwrap();
            let zeros = trainer.state_dict().await.unwrap();
            let zeros: StateDict = zeros.iter().map(|(name, array)| (name.to_owned(), array.mapv(|_| 0.0))).collect();
            trainer.load_state_dict(&zeros).unwrap();
            trainer.evaluate(&batch).await.unwrap().loss
        })
    }

    #[test]
    fn the_loss_of_a_naive_forecast_is_the_training_loss() {
        let losses = [
            Loss::SquaredError,
            Loss::AbsoluteError,
            Loss::Huber { delta: 0.5 },
            Loss::Quantile { quantiles: vec![0.1, 0.6, 0.9] },
        ];
        for loss in losses {
            for error in [-2.0, -0.25, 0.0, 0.25, 2.0] {
                let (expected, got) = (of_network(&loss, error), of_error(&loss, error));
                assert!((expected - got).abs() < 1e-6, "{loss:?} {error}: {expected} {got}");
            }
        }
    }

    #[test]
    fn measurement_drops_label_smoothing_and_nothing_else() {
        let recurrent = Recurrent::new(Cell::Lstm, 2, 3).layers(2).dropout(0.5);
        let model = |loss| Model::new(recurrent.clone(), Head::new(4, loss, Readout::MeanPool));
        let smoothed = model(Loss::SmoothedCrossEntropy { smoothing: 0.1 });
        assert_eq!(measured(&smoothed), model(Loss::CrossEntropy));
        let quantiles = model(Loss::Quantile { quantiles: vec![0.1, 0.9] });
        assert_eq!(measured(&quantiles), quantiles);
    }
}
