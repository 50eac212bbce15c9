//! What a network is asked for: at which steps it predicts, and by what loss it learns.

use bptt::{At, Error, Head, Loss, Model, Result};

use super::args::{LossName, ModelArgs, TrainingArgs};
use super::model_file::ModelFile;
use super::quantiles::{Quantiles, pinball};
use super::settings::{as_the_model, unsupported, words};

/// The quantiles that are forecast where none are named.
const QUANTILES: [f64; 3] = [0.1, 0.5, 0.9];

/// `natural`, the head of data as they are, which predicts where the settings or the model say. What is told at every step
/// has no choice.
///
/// # Errors
/// Where that is no choice, or the model has another.
pub(crate) fn head(natural: Head, asked: &mut ModelArgs, model: Option<&ModelFile>) -> Result<Head> {
    if let Some(at) = asked.predict.filter(|at| (*at == At::Every) != (natural.at == At::Every)) {
        let expected =
            if natural.at == At::Every { "every: each step is told" } else { "last or mean: a row is told once" };
        let got = format!("{at:?}").to_lowercase();
        return Err(Error::Value { what: "--predict (model.predict)".into(), expected: expected.into(), got });
    }
    let at = match head_of(model) {
        // The settings of a network that is there are in its file alone.
        Some(head) => as_the_model("predict", &mut asked.predict.take(), Some(head.at), natural.at)?,
        None => *asked.predict.get_or_insert(natural.at),
    };
    Ok(Head { at, ..natural })
}

/// The head of classes, two of which have one output, whose targets are smoothed instead of the loss. Smoothing is of
/// training alone: a model goes on with another.
///
/// # Errors
/// As of [`head`].
pub(crate) fn of_classes(
    natural: Head,
    asked: &mut ModelArgs,
    learning: &mut TrainingArgs,
    model: Option<&ModelFile>,
) -> Result<Head> {
    let smoothing = *learning.label_smoothing.get_or_insert(0.0);
    let loss = match natural.loss {
        Loss::CrossEntropy if smoothing > 0.0 => Loss::SmoothedCrossEntropy { smoothing },
        ref natural => natural.clone(),
    };
    head(Head { loss, ..natural }, asked, model)
}

/// The head of a series of `targets` numbers a forecast.
///
/// # Errors
/// As of [`head`], and where the settings contradict each other or the model.
pub(crate) fn of_series(
    targets: usize,
    asked: &mut ModelArgs,
    learning: &mut TrainingArgs,
    model: Option<&ModelFile>,
) -> Result<Head> {
    let loss = series_loss(learning, head_of(model).map(|head| &head.loss))?;
    head(Head::new(targets * Quantiles::of(&loss).count(), loss, At::Last), asked, model)
}

fn head_of(model: Option<&ModelFile>) -> Option<&Head> {
    model.and_then(|model| model.model.head.as_ref())
}

fn series_loss(training: &mut TrainingArgs, of_model: Option<&Loss>) -> Result<Loss> {
    let natural = match training {
        TrainingArgs { huber_delta: Some(_), .. } => LossName::Huber,
        TrainingArgs { quantiles: Some(_), .. } => LossName::Quantile,
        _ => LossName::Squared,
    };
    let name = as_the_model("loss", &mut training.loss, of_model.map(name_of), natural)?;
    for (flag, is_given, of) in [
        ("--huber-delta (training.huber-delta)", training.huber_delta.is_some(), LossName::Huber),
        ("--quantiles (training.quantiles)", training.quantiles.is_some(), LossName::Quantile),
    ] {
        if is_given && of != name {
            return Err(unsupported(format!("{flag} has no meaning for the loss {name:?}").to_lowercase()));
        }
    }
    Ok(match name {
        LossName::Squared => Loss::SquaredError,
        LossName::Absolute => Loss::AbsoluteError,
        LossName::Huber => {
            let of_model = of_model.and_then(|loss| if let Loss::Huber { delta } = loss { Some(*delta) } else { None });
            Loss::Huber { delta: as_the_model("huber-delta", &mut training.huber_delta, of_model, 1.0)? }
        }
        LossName::Quantile => {
            let of_model =
                of_model.and_then(|loss| if let Loss::Quantile { quantiles } = loss { Some(quantiles) } else { None });
            let given = &mut training.quantiles;
            let quantiles = as_the_model("quantiles", given, of_model.cloned(), QUANTILES.to_vec())?;
            if quantiles.is_empty() || !quantiles.is_sorted_by(|a, b| a < b) {
                return Err(Error::Value {
                    what: "--quantiles (training.quantiles)".into(),
                    expected: "at least one, each greater than the one before".into(),
                    got: words(&quantiles),
                });
            }
            Loss::Quantile { quantiles }
        }
    })
}

fn name_of(loss: &Loss) -> LossName {
    match loss {
        Loss::AbsoluteError => LossName::Absolute,
        Loss::Huber { .. } => LossName::Huber,
        Loss::Quantile { .. } => LossName::Quantile,
        _ => LossName::Squared,
    }
}

/// A head as it is measured, without the smoothing of its training.
pub(crate) fn plain(head: &Head) -> Head {
    match head.loss {
        Loss::SmoothedCrossEntropy { .. } => Head { loss: Loss::CrossEntropy, ..head.clone() },
        _ => head.clone(),
    }
}

/// A model as it is measured.
pub(crate) fn measured(model: &Model) -> Model {
    Model { head: model.head.as_ref().map(plain), ..model.clone() }
}

/// The loss of a forecast of one value, in place of every quantile where there are several, that is `error` below the truth.
pub(crate) fn of_error(loss: &Loss, error: f64) -> f64 {
    match loss {
        Loss::AbsoluteError => error.abs(),
        Loss::Huber { delta } if error.abs() <= *delta => error * error / 2.0,
        Loss::Huber { delta } => delta * (error.abs() - delta / 2.0),
        Loss::Quantile { .. } => Quantiles::of(loss).mean(|_, quantile| pinball(quantile, error)),
        _ => error * error,
    }
}

/// The loss in words, where it was chosen.
pub(crate) fn describe(loss: &Loss) -> Option<String> {
    match loss {
        Loss::AbsoluteError => Some("the absolute error".into()),
        Loss::Huber { delta } => Some(format!("Huber's loss, a line beyond {delta} of the scaled target")),
        Loss::Quantile { .. } => Some(format!("the quantile loss of {}", Quantiles::of(loss).words())),
        Loss::SmoothedCrossEntropy { smoothing } => Some(format!("cross-entropy with label smoothing {smoothing}")),
        Loss::SquaredError | Loss::BinaryCrossEntropy | Loss::CrossEntropy => None,
    }
}

#[cfg(test)]
mod tests {
    use bptt::ndarray::Array3;
    use bptt::{Batch, Cell, Cpu, Optimizer, Recurrent, Sequence, StateDict, Targets, Trainer};

    use super::*;

    /// The loss of a network whose outputs are all 0.
    fn of_network(loss: &Loss, target: f64) -> f64 {
        let head = Head::new(Quantiles::of(loss).count(), loss.clone(), At::Last);
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
    fn the_loss_of_a_naive_forecast_is_the_one_that_the_network_is_trained_by() {
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
    fn what_is_measured_has_no_smoothing_and_everything_else_of_the_model() {
        let recurrent = Recurrent::new(Cell::Lstm, 2, 3).layers(2).dropout(0.5);
        let model = |loss| Model::new(recurrent.clone(), Head::new(4, loss, At::Mean));
        let smoothed = model(Loss::SmoothedCrossEntropy { smoothing: 0.1 });
        assert_eq!(measured(&smoothed), model(Loss::CrossEntropy));
        let quantiles = model(Loss::Quantile { quantiles: vec![0.1, 0.9] });
        assert_eq!(measured(&quantiles), quantiles);
    }
}
