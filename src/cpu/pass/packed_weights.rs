//! The parameters as the passes read them: packed weights and summed biases. Updated once after each parameter change.

use std::ops::Range;

use super::mapped_model::MappedModel;
use crate::allocate;
use crate::cells::SumSpan;
use crate::cpu::gemm::packed::PackedB;
use crate::cpu::parallel::threads::Threads;
use crate::error::Result;
use crate::real::Real;

/// All packed weights of a network.
#[derive(Debug)]
pub(crate) struct PackedWeights<R> {
    /// Those of each (layer, direction), ordered as in [`plans`], then the head's.
    forms: Vec<PackedForm<R>>,
    /// The number of those of a (layer, direction).
    of_layer: usize,
    /// \[kept\] for each (layer, direction): the initial value of the kept numbers, b_ih + b_hh, but separate where the
    /// reset gate is between them. Then b_y of a head.
    biases: Vec<Vec<R>>,
    stale_biases: bool,
}

/// A weight packed for one of its products.
#[derive(Debug)]
struct PackedForm<R> {
    panels: PackedB<R>,
    /// The range of the weight in the parameters.
    weight: Range<usize>,
    /// For each run of the weight's rows: its first row there, its first row or column here, and its length.
    runs: Vec<[usize; 3]>,
    /// The index of the bias that its products start from.
    bias: Option<usize>,
    /// Whether it is for the backward pass, in which the weight's rows are rows of the right operand rather than
    /// columns.
    backward: bool,
    stale: bool,
}

/// The plan of a packed weight.
struct FormPlan {
    k: usize,
    n: usize,
    weight: Range<usize>,
    runs: Vec<[usize; 3]>,
    bias: Option<usize>,
    backward: bool,
}

/// All packed weights of a network, and the length of each bias.
fn plans(model: &MappedModel) -> (Vec<FormPlan>, Vec<usize>) {
    let (cell, hidden) = (model.cell, model.hidden());
    let mut plans = Vec::new();
    let mut add = |weight: &Range<usize>, columns: usize, runs: &[[usize; 3]], bias: Option<usize>| {
        for backward in [false, true] {
            let rows = weight.len() / columns;
            let (k, n) = if backward { (rows, columns) } else { (columns, rows) };
            let (weight, runs, bias) = (weight.clone(), runs.to_vec(), bias.filter(|_| !backward));
            plans.push(FormPlan { k, n, weight, runs, bias, backward });
        }
    };
    let run = |span: &SumSpan, first: usize| [span.block * hidden, (span.sum - first) * hidden, span.count * hidden];
    for (index, layer_direction) in model.layer_directions.iter().enumerate() {
        let input: Vec<_> = cell.input_spans().map(|span| run(&span, 0)).collect();
        let recurrent = cell.recurrent_span();
        add(&layer_direction.weight_ih, layer_direction.input, &input, Some(index));
        add(&layer_direction.weight_hh, model.state_size(), &[run(&recurrent, recurrent.sum)], None);
        if !layer_direction.weight_hr.is_empty() {
            add(&layer_direction.weight_hr, hidden, &[[0, 0, model.state_size()]], None);
        }
    }
    let mut biases = vec![model.kept(); model.layer_directions.len()];
    if let (Some(head), Some((weight, _))) = (&model.head, &model.head_weights) {
        add(weight, model.recurrent.output_size(), &[[0, 0, head.outputs]], Some(biases.len()));
        biases.push(head.outputs);
    }
    (plans, biases)
}

/// The number of elements in all packed weights.
pub(crate) fn numbers<R: Real>(model: &MappedModel) -> usize {
    let (plans, biases) = plans(model);
    plans.iter().map(|plan| PackedB::<R>::numbers(plan.k, plan.n)).sum::<usize>() + biases.iter().sum::<usize>()
}

impl<R: Real> PackedWeights<R> {
    /// Zeros, to be refreshed.
    pub(crate) fn new(model: &MappedModel) -> Result<Self> {
        let (plans, biases) = plans(model);
        let form = |FormPlan { k, n, weight, runs, bias, backward }| {
            Ok(PackedForm { panels: PackedB::try_new(k, n)?, weight, runs, bias, backward, stale: true })
        };
        Ok(Self {
            of_layer: if model.projected() > 0 { 6 } else { 4 },
            forms: plans.into_iter().map(form).collect::<Result<_>>()?,
            biases: biases.into_iter().map(|len| allocate::zeros(len, "the biases")).collect::<Result<_>>()?,
            stale_biases: true,
        })
    }

    /// To be called after each change of the parameters.
    pub(crate) fn parameters_changed(&mut self) {
        self.forms.iter_mut().for_each(|form| form.stale = true);
        self.stale_biases = true;
    }

    /// Updates the packed weights of forward or, with `backward`, backward passes.
    pub(crate) fn refresh(&mut self, threads: &Threads, model: &MappedModel, parameters: &[R], backward: bool) {
        if std::mem::take(&mut self.stale_biases) {
            for (bias, layer_direction) in self.biases.iter_mut().zip(&model.layer_directions) {
                let values = |range: &Option<Range<usize>>| range.clone().map(|range| &parameters[range]);
                sum_biases(model, bias, values(&layer_direction.bias_ih), values(&layer_direction.bias_hh));
            }
            if let (Some((_, place)), Some(bias)) = (&model.head_weights, self.biases.last_mut()) {
                bias.copy_from_slice(&parameters[place.clone()]);
            }
        }
        let biases = &self.biases;
        if self.forms.iter().any(|form| form.is_due(backward)) {
            threads.each(&mut self.forms[..], |form: &mut [PackedForm<R>]| {
                if form[0].is_due(backward) {
                    form[0].refresh(threads, parameters, biases);
                }
            });
        }
    }

    /// W_ihᵀ, \[input, ·\], with columns in the order of the kept gates and the bias. Each row belongs to one token.
    pub(crate) fn input(&self, layer_direction: usize) -> &PackedB<R> {
        &self.forms[self.of_layer * layer_direction].panels
    }

    /// W_ih, \[·, input\], with rows in that order.
    pub(crate) fn input_back(&self, layer_direction: usize) -> &PackedB<R> {
        &self.forms[self.of_layer * layer_direction + 1].panels
    }

    /// W_hhᵀ, \[S, G·H\].
    pub(crate) fn hidden(&self, layer_direction: usize) -> &PackedB<R> {
        &self.forms[self.of_layer * layer_direction + 2].panels
    }

    /// W_hh, \[G·H, S\].
    pub(crate) fn hidden_back(&self, layer_direction: usize) -> &PackedB<R> {
        &self.forms[self.of_layer * layer_direction + 3].panels
    }

    /// W_hrᵀ, \[H, S\], of a network that projects h.
    pub(crate) fn projection(&self, layer_direction: usize) -> &PackedB<R> {
        &self.forms[self.of_layer * layer_direction + 4].panels
    }

    /// W_hr, \[S, H\], of a network that projects h.
    pub(crate) fn projection_back(&self, layer_direction: usize) -> &PackedB<R> {
        &self.forms[self.of_layer * layer_direction + 5].panels
    }

    /// W_hyᵀ, \[D·S, O\], with b_y, and W_hy, \[O, D·S\], of a network with a head.
    pub(crate) fn head(&self) -> Option<(&PackedB<R>, &PackedB<R>)> {
        match self.forms.chunks_exact(self.of_layer).remainder() {
            [forward, back] => Some((&forward.panels, &back.panels)),
            _ => None,
        }
    }

    /// The initial value of a row's kept numbers.
    pub(crate) fn bias(&self, layer_direction: usize) -> &[R] {
        &self.biases[layer_direction]
    }

    /// The total number of elements.
    pub(crate) fn len(&self) -> usize {
        self.forms.iter().map(|form| form.panels.len()).sum::<usize>() + self.biases.iter().map(Vec::len).sum::<usize>()
    }
}

impl<R: Real> PackedForm<R> {
    fn is_due(&self, backward: bool) -> bool {
        self.stale && !self.weight.is_empty() && (backward || !self.backward)
    }

    fn refresh(&mut self, threads: &Threads, parameters: &[R], biases: &[Vec<R>]) {
        let (weight, runs, backward) = (&parameters[self.weight.clone()], &self.runs, self.backward);
        let (k, n) = self.panels.shape();
        let columns = if backward { n } else { k };
        threads.each(self.panels.all_mut(), |mut panels| {
            for [from, to, rows] in runs {
                let rows = &weight[from * columns..][..rows * columns];
                if backward { panels.set_rows(*to, rows) } else { panels.set_columns(*to, rows) }
            }
        });
        if let Some(bias) = self.bias {
            self.panels.set_bias(&biases[bias]);
        }
        self.stale = false;
    }
}

fn sum_biases<R: Real>(model: &MappedModel, sum: &mut [R], bias_ih: Option<&[R]>, bias_hh: Option<&[R]>) {
    let (cell, hidden) = (model.cell, model.hidden());
    sum.fill(R::zero());
    let mut add = |span: &SumSpan, bias: Option<&[R]>| {
        let Some(bias) = bias else { return };
        let to = &mut sum[span.sum * hidden..][..span.count * hidden];
        to.iter_mut().zip(&bias[span.block * hidden..]).for_each(|(to, from)| *to += *from);
    };
    cell.input_spans().for_each(|span| add(&span, bias_ih));
    add(&cell.recurrent_span(), bias_hh);
}
