//! Arrays whose rows are shared out over ranks.

use ndarray::{Array3, s};

use crate::batch::{InputGradient, States};
use crate::communicator::{AGREED, Ranks};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::gradient_norms::HiddenGradientNorms;
use crate::real::Real;
use crate::train::trainer::Trainer;

impl<E: Engine> Trainer<E> {
    /// The carried states of all rows, each from the rank that computes it.
    pub(in crate::train) async fn carried_states(&mut self) -> Result<Option<States<E::Real>>> {
        let local = self.engine.states().await;
        let Some(ranks) = self.ranks.clone() else { return local };
        let rows_of = |states: &States<E::Real>| states.h.dim().1;
        let states = self.agreed(local)?;
        // A rank without rows may have no states. Those that have some have as many rows.
        let own = states.as_ref().map_or(0, rows_of) as u64;
        let all = ranks.gather(&own.to_le_bytes())?;
        let rows = all.iter().filter_map(|rows| rows.first_chunk()).map(|rows| u64::from_le_bytes(*rows)).max();
        let Some(rows) = rows.filter(|rows| *rows > 0) else { return Ok(None) };
        let mut states = states.unwrap_or_else(|| States::zeros(&self.engine.model().recurrent, rows as usize));
        gather_rows(&ranks, states.arrays_mut().collect())?;
        Ok(Some(states))
    }

    /// Puts together arrays \[·, rows, ·\] of which every rank has its rows. Follows an agreement.
    pub(in crate::train) fn join_rows(&self, arrays: Vec<&mut Array3<E::Real>>) -> Result<()> {
        self.ranks.as_ref().map_or(Ok(()), |ranks| gather_rows(ranks, arrays))
    }

    /// After a batch: puts together what it leaves besides gradient sums, if it was asked for. `norms` are those of the
    /// rank's rows.
    pub(in crate::train) fn join_batch(
        &mut self,
        (steps, rows): (usize, usize),
        norms: Option<HiddenGradientNorms>,
    ) -> Result<()> {
        let Some(ranks) = self.ranks.clone() else { return Ok(()) };
        if self.takes_gradient_norms {
            ranks.agree(Ok([0.0; AGREED]))?;
            let layer_directions = self.engine.model().recurrent.num_layer_directions();
            for numbers in ranks.gather_numbers(norms.iter().flat_map(|of_rows| of_rows.norms.iter().copied()))? {
                // A rank without rows has none.
                if !numbers.is_empty() {
                    let norms = ndarray::Array2::from_shape_vec((layer_directions, steps), numbers).map_err(unfit)?;
                    self.add_norms(HiddenGradientNorms { norms })?;
                }
            }
        }
        if self.options.engine.input_gradient {
            let mut whole = self.input_gradient.take();
            let known = whole.as_ref().is_some_and(|gradient| gradient.x.is_some());
            let [with_x, ..] = ranks.agree(Ok([f64::from(u8::from(known)), 0.0, 0.0]))?;
            let recurrent = &self.engine.model().recurrent;
            let of_all = whole.get_or_insert_with(|| InputGradient {
                x: (with_x > 0.0).then(|| Array3::default((steps, rows, recurrent.input_size))),
                initial: States::zeros(recurrent, rows),
            });
            let InputGradient { x, initial } = of_all;
            gather_rows(&ranks, x.iter_mut().chain(initial.arrays_mut()).collect())?;
            self.input_gradient = whole;
        }
        Ok(())
    }
}

/// Fills the rows of arrays \[·, rows, ·\] that other ranks have, bit by bit.
fn gather_rows<R: Real>(ranks: &Ranks, arrays: Vec<&mut Array3<R>>) -> Result<()> {
    let own = |array: &Array3<R>| ranks.own(array.dim().1);
    let numbers: Vec<R> = arrays.iter().flat_map(|array| array.slice(s![.., own(array), ..]).to_owned()).collect();
    let all = ranks.gather_numbers(numbers.into_iter())?;
    let mut rest: Vec<&[R]> = all.iter().map(Vec::as_slice).collect();
    for array in arrays {
        let rows = array.dim().1;
        for (rank, rest) in rest.iter_mut().enumerate() {
            let mut to = array.slice_mut(s![.., ranks.of(rows, rank), ..]);
            let (now, later) = rest.split_at_checked(to.len()).ok_or_else(|| unfit(format!("rank {rank}")))?;
            to.iter_mut().zip(now).for_each(|(to, number)| *to = *number);
            *rest = later;
        }
    }
    Ok(())
}

fn unfit(what: impl std::fmt::Display) -> Error {
    Error::Failed(format!("the rows of the ranks do not fit each other: {what}"))
}
