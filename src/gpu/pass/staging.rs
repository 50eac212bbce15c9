//! The host inputs of a pass in the device's layout: x, flags, tokens, targets, weights, states.

use half::f16;
use ndarray::{Array2, Array3, Axis};

use crate::batch::{Batch, Input, Sequence, Targets};
use crate::gpu::record::{ALIVE, keep};
use crate::model::Model;
use crate::model::plan::{Chunk, Predictions, SequencePlan, Span, vec4s};
use crate::real::Real;

/// Rows of `array`'s last two axes in a range of its first axis, each padded to whole vec4; zero where not `alive`.
pub(crate) fn pack<S: Real>(
    array: &Array3<S>,
    range: std::ops::Range<usize>,
    parts: usize,
    alive: impl Fn(usize, usize) -> bool,
    packed: &mut Vec<f32>,
) {
    let (_, rows, columns) = array.dim();
    let part = columns / parts;
    let width = 4 * vec4s(part);
    packed.clear();
    packed.resize(range.len() * rows * parts * width, 0.0);
    for (n, i) in range.enumerate() {
        for row in (0..rows).filter(|row| alive(i, *row)) {
            let from = array.index_axis(Axis(0), i);
            let from = from.row(row);
            for p in 0..parts {
                let at = ((n * rows + row) * parts + p) * width;
                let target = &mut packed[at..at + part];
                let narrow = |(to, from): (&mut f32, &S)| *to = from.as_f64() as f32;
                match from.as_slice() {
                    Some(from) => target.iter_mut().zip(&from[p * part..]).for_each(narrow),
                    None => target.iter_mut().zip(from.iter().skip(p * part)).for_each(narrow),
                }
            }
        }
    }
}

/// The inverse: rows of `parts` parts of `part` numbers each, from whole vec4.
pub(crate) fn unpack(packed: &[f32], part: usize, parts: usize) -> impl Iterator<Item = f32> {
    let width = 4 * vec4s(part);
    packed
        .chunks_exact(parts * width)
        .flat_map(move |row| row.chunks_exact(width).flat_map(move |numbers| numbers[..part].iter().copied()))
}

/// Rounds packed numbers to halves, two in a word.
pub(crate) fn to_halves(numbers: &[f32]) -> Vec<u32> {
    let word = |[low, high]: &[f32; 2]| {
        let bits = [low, high].map(|number| u32::from(f16::from_f32(*number).to_bits()));
        bits[0] | bits[1] << 16
    };
    numbers.as_chunks().0.iter().map(word).collect()
}

/// The inverse, of words that were read as numbers.
pub(crate) fn of_halves(words: &[f32]) -> impl Iterator<Item = f32> {
    words.iter().flat_map(|word| {
        let bits = word.to_bits();
        [bits as u16, (bits >> 16) as u16].map(|bits| f16::from_bits(bits).to_f32())
    })
}

/// The part of the host inputs that a pass reads.
#[derive(Clone, Copy)]
pub(crate) enum HostInputs<'a, S> {
    /// That of a forward pass alone.
    Forward,
    /// Also that of a backward pass from the caller's gradient.
    Backward,
    /// Also which predictions are padding, for a loss of the caller.
    Custom,
    /// All, with the targets and weights of a batch.
    Batch(&'a Batch<S>),
}

/// The host inputs of a chunk: flags, tokens, the rows' weights in a mean over time, and for a batch the targets and
/// weights of its predictions. `words` ends with the last one that is read.
pub(crate) fn host_inputs<S: Real>(
    model: &Model,
    plan: &SequencePlan,
    index: usize,
    sequence: &Sequence<S>,
    inputs: HostInputs<'_, S>,
    words: &mut Vec<u32>,
) {
    let chunk = &plan.chunks[index];
    let shares = |run: &Predictions| run.shares.filter(|_| run.chunk == index);
    let all = plan.tensors[chunk.host_inputs.0].bytes;
    let end = match inputs {
        HostInputs::Forward => {
            let ids = chunk.tokens.map(|[ids, ..]| ids);
            let read = [chunk.flags].into_iter().chain(ids).chain(plan.predictions.iter().filter_map(shares));
            read.map(|span| span.offset + span.bytes).max().unwrap_or(all)
        }
        HostInputs::Backward | HostInputs::Custom | HostInputs::Batch(_) => all,
    };
    words.clear();
    words.resize(end as usize / 4, 0);
    let flags = window(words, chunk.flags);
    for (i, flag) in flags.iter_mut().enumerate() {
        let (t, row) = (chunk.steps.start + i / plan.rows, i % plan.rows);
        let kept = |direction| if sequence.keeps(direction, t, row) { keep(direction) } else { 0 };
        *flag = if t < sequence.length(row) { ALIVE } else { 0 } | kept(0) | kept(1);
    }
    if let (Some([ids, starts, order]), Input::Tokens(tokens)) = (chunk.tokens, &sequence.input) {
        let living = living_tokens(chunk, plan.rows, sequence, tokens);
        living.clone().for_each(|(i, token)| window(words, ids)[i] = token);
        if !matches!(inputs, HostInputs::Forward) {
            sort_tokens(living, [starts, order], model.vocabulary(), words);
        }
    }
    for shares in plan.predictions.iter().filter_map(shares) {
        let of = |row| 1.0 / sequence.length(row) as f32;
        window(words, shares).iter_mut().enumerate().for_each(|(row, word)| *word = of(row).to_bits());
    }
    let predictions = model.head.as_ref().map_or(0, |head| head.predictions(sequence.shape().0));
    let weight = |p, row| match inputs {
        HostInputs::Batch(batch) => batch.weight(p, row).as_f64() as f32,
        _ if sequence.is_padding(predictions, p, row) => 0.0,
        _ => 1.0,
    };
    if matches!(inputs, HostInputs::Forward | HostInputs::Backward) {
        return;
    }
    for run in plan.predictions.iter().filter(|run| run.chunk == index) {
        let p = |i: usize| (run.first + i / plan.rows, i % plan.rows);
        let weights = window(words, run.weights);
        weights.iter_mut().enumerate().for_each(|(i, word)| {
            let (p, row) = p(i);
            *word = weight(p, row).to_bits();
        });
        let HostInputs::Batch(batch) = inputs else { continue };
        let levels = model.head.as_ref().map_or(&[][..], |head| head.loss.quantiles());
        let words = window(words, run.targets);
        let (targets, quantiles) = words.split_at_mut(words.len() - 2 * levels.len());
        let shares = levels.iter().copied().chain(levels.iter().map(|level| 1.0 - level));
        quantiles.iter_mut().zip(shares).for_each(|(word, share)| *word = (share as f32).to_bits());
        match &batch.targets {
            Targets::Classes(classes) => targets.iter_mut().enumerate().for_each(|(i, word)| {
                let (p, row) = p(i);
                // The class of a prediction of weight 0 may be any number and must not reach the device.
                *word = if batch.weight(p, row) > S::zero() { classes[[p, row]] } else { 0 };
            }),
            Targets::Values(values) => {
                let size = values.dim().2;
                targets.iter_mut().enumerate().for_each(|(i, word)| {
                    let (p, row) = p(i / size);
                    let value =
                        if batch.weight(p, row) > S::zero() { values[[p, row, i % size]].as_f64() } else { 0.0 };
                    *word = (value as f32).to_bits();
                });
            }
        }
    }
}

/// The chunk's rows, without padding, with their tokens.
fn living_tokens<'a, S: Real>(
    chunk: &Chunk,
    rows: usize,
    sequence: &'a Sequence<S>,
    tokens: &'a Array2<u32>,
) -> impl Iterator<Item = (usize, u32)> + Clone + use<'a, S> {
    let first = chunk.steps.start;
    (0..chunk.steps.len() * rows)
        .map(move |i| (i, first + i / rows, i % rows))
        .filter(|(_, t, row)| *t < sequence.length(*row))
        .map(|(i, t, row)| (i, tokens[[t, row]]))
}

/// The rows sorted by token: a stable counting sort, so that sums have a fixed order.
fn sort_tokens(
    living: impl Iterator<Item = (usize, u32)> + Clone,
    [starts, order]: [Span; 2],
    vocabulary: usize,
    words: &mut [u32],
) {
    let mut counts = vec![0u32; vocabulary + 1];
    living.clone().for_each(|(_, token)| counts[token as usize + 1] += 1);
    for token in 0..vocabulary {
        counts[token + 1] += counts[token];
    }
    window(words, starts).copy_from_slice(&counts);
    let order = window(words, order);
    for (i, token) in living {
        let place = &mut counts[token as usize];
        order[*place as usize] = i as u32;
        *place += 1;
    }
}

fn window(words: &mut [u32], span: Span) -> &mut [u32] {
    let first = span.offset as usize / 4;
    &mut words[first..first + span.bytes as usize / 4]
}
