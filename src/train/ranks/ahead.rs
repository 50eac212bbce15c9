//! Sums over ranks that begin before a backward pass has ended: those of the upper layers, while it computes the gradients of
//! the layers below.

use std::ops::Range;

use crate::communicator::{Ranks, SumsAhead};
use crate::engine::{Engine, numbers_of};
use crate::error::Result;
use crate::optim::OptimizerStep;
use crate::train::trainer::Trainer;

impl<E: Engine> Trainer<E> {
    /// Whether sums over ranks begin before an update with this Σ w: where it pays, the update will not be refused, and nothing
    /// else is exchanged before it. Of a single layer too little is left to compute, and copying the gradients takes longer.
    pub(in crate::train) fn sums_begin_early(&self, weight: f64) -> bool {
        let model = self.engine.model();
        let pays = |ranks: &Ranks| model.recurrent.layers > 1 && ranks.communicator().crosses_machines();
        let Some(head) = model.head.as_ref().filter(|_| self.ranks.as_ref().is_some_and(pays)) else { return false };
        let asked_for_more = self.takes_gradient_norms || self.options.engine.input_gradient;
        let accepted = |divisor| {
            let update = OptimizerStep::new(self.optimizer, self.step + 1, divisor);
            self.engine.may_update().and_then(|()| self.engine.check_update(&update))
        };
        !asked_for_more && head.divisor(weight).and_then(accepted).is_ok()
    }

    /// Begins them. `None` if no thread can be had, as in a browser: they then follow the pass.
    pub(in crate::train) fn begin_sums_ahead(&self) -> Result<Option<SumsAhead<E::Real>>> {
        let Some(ranks) = self.ranks.clone() else { return Ok(None) };
        let with_numbers =
            |tensors: Range<usize>| numbers_of(self.engine.layout(), &tensors).map(|numbers| (tensors, numbers));
        let series = self.series_of_sums()?.into_iter().map(with_numbers).collect::<Result<_>>()?;
        Ok(SumsAhead::begin(ranks, series).ok())
    }

    /// Ends sums that have begun for an update that will not come. Their error is that of a rank that is told elsewhere.
    pub(in crate::train) fn end_sums_ahead(&mut self) {
        let _ = self.sums_ahead.take().map(SumsAhead::finish);
    }
}
