//! The parameters as one flat block with named tensors, in PyTorch's names, shapes and gate order.

use std::ops::Range;

use ndarray::{ArrayD, IxDyn};

use super::config::Model;
use super::prefixes::StateDictPrefixes;
use super::state_dict::StateDict;
use crate::error::{Error, Result};
use crate::real::Real;

/// The role of a parameter. `layer_direction` is layer · D + direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The embedding, \[V, I\]. If tied, also W_hy.
    Embedding,
    /// W_ih, \[G·H, I\], above the first layer \[G·H, D·S\].
    WeightIh {
        /// (layer, direction).
        layer_direction: usize,
    },
    /// W_hh, \[G·H, S\].
    WeightHh {
        /// (layer, direction).
        layer_direction: usize,
    },
    /// W_hr, \[S, H\], of a projected h.
    WeightHr {
        /// (layer, direction).
        layer_direction: usize,
    },
    /// The bias added to W_ih x, \[G·H\].
    BiasIh {
        /// (layer, direction).
        layer_direction: usize,
    },
    /// The bias added to W_hh h, \[G·H\].
    BiasHh {
        /// (layer, direction).
        layer_direction: usize,
    },
    /// A parameter of the cell's own, \[H\], such as a peephole.
    CellParameter {
        /// (layer, direction).
        layer_direction: usize,
        /// The index among the cell's own parameters.
        index: usize,
    },
    /// W_hy, \[O, D·S\].
    HeadWeight,
    /// b_y, \[O\].
    HeadBias,
}

/// The name, shape and position of a parameter in the flat block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// PyTorch's name, with the prefix from [`StateDictPrefixes`].
    pub name: String,
    /// One or two axis sizes, row major.
    pub shape: Vec<usize>,
    /// The index of the first element in the block.
    pub offset: usize,
    /// The role of the parameter.
    pub role: Role,
}

impl Tensor {
    /// The number of elements.
    #[allow(clippy::len_without_is_empty, reason = "a parameter is never empty: sizes of zero are refused")]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The range of its elements in the block.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// The position of each parameter of a model in the flat block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<Tensor>,
    len: usize,
    /// The second name of a tied embedding, under which it is the head's weight.
    tied: Option<String>,
}

impl Layout {
    /// The layout of `model`, in the order of PyTorch's `named_parameters`, with this crate's default names
    /// (those of [`StateDictPrefixes::default`]).
    pub fn new(model: &Model) -> Self {
        Self::with_names(model, &StateDictPrefixes::default())
    }

    /// The same layout with other name prefixes.
    pub fn with_names(model: &Model, names: &StateDictPrefixes) -> Self {
        let tied = model.is_tied().then(|| format!("{}weight", names.head));
        let mut layout = Self { tensors: Vec::new(), len: 0, tied };
        let r = &model.recurrent;
        if let Some(embedding) = &model.embedding {
            let shape = vec![embedding.vocabulary, r.input_size];
            layout.push(format!("{}weight", names.embedding), shape, Role::Embedding);
        }
        let h = r.hidden_size;
        let (input, recurrent) = (r.cell.input_gates() * h, r.cell.recurrent_gates() * h);
        for layer_direction in 0..r.num_layer_directions() {
            let (layer, suffix) = (layer_direction / r.directions(), r.suffix(layer_direction));
            let mut push = |stem, shape, role| layout.push(format!("{}{stem}_{suffix}", names.recurrent), shape, role);
            push("weight_ih", vec![input, r.layer_input_size(layer)], Role::WeightIh { layer_direction });
            if recurrent > 0 {
                push("weight_hh", vec![recurrent, r.state_size()], Role::WeightHh { layer_direction });
            }
            if r.bias {
                push("bias_ih", vec![input], Role::BiasIh { layer_direction });
            }
            if r.bias && recurrent > 0 {
                push("bias_hh", vec![recurrent], Role::BiasHh { layer_direction });
            }
            if let Some(size) = r.proj_size {
                push("weight_hr", vec![size, h], Role::WeightHr { layer_direction });
            }
            for (index, parameter) in r.cell.definition().parameters().iter().enumerate() {
                push(parameter.name, vec![h], Role::CellParameter { layer_direction, index });
            }
        }
        if let Some(head) = &model.head {
            if !model.is_tied() {
                layout.push(format!("{}weight", names.head), vec![head.outputs, r.output_size()], Role::HeadWeight);
            }
            layout.push(format!("{}bias", names.head), vec![head.outputs], Role::HeadBias);
        }
        layout
    }

    fn push(&mut self, name: String, shape: Vec<usize>, role: Role) {
        let tensor = Tensor { name, shape, offset: self.len, role };
        self.len += tensor.len();
        self.tensors.push(tensor);
    }

    /// The tensors in block order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensors, as ranges of them, whose gradients a backward pass completes together, in its order: those of the head,
    /// then those of the layers from the top one down. The embedding belongs to the first layer.
    pub(crate) fn backward_order(&self, directions: usize) -> Vec<Range<usize>> {
        let layer = |tensor: &Tensor| match tensor.role {
            Role::Embedding => Some(0),
            Role::WeightIh { layer_direction }
            | Role::WeightHh { layer_direction }
            | Role::WeightHr { layer_direction }
            | Role::BiasIh { layer_direction }
            | Role::BiasHh { layer_direction }
            | Role::CellParameter { layer_direction, .. } => Some(layer_direction / directions),
            Role::HeadWeight | Role::HeadBias => None,
        };
        let parts = self.tensors.chunk_by(|a, b| layer(a) == layer(b));
        let mut ranges: Vec<Range<usize>> = parts
            .scan(0, |first, part| {
                *first += part.len();
                Some(*first - part.len()..*first)
            })
            .collect();
        ranges.reverse();
        ranges
    }

    /// The number of parameters.
    #[allow(clippy::len_without_is_empty, reason = "a model always has parameters")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The tensor with a role. `None` if the model has no such tensor (no bias, no head). For a tied head weight this
    /// is the embedding.
    pub fn find(&self, role: Role) -> Option<&Tensor> {
        let role = if role == Role::HeadWeight && self.tied.is_some() { Role::Embedding } else { role };
        self.tensors.iter().find(|tensor| tensor.role == role)
    }

    /// The index in [`tensors`](Self::tensors) of the tensor with a name. A tied embedding also has that of the head's
    /// weight. To go by a role instead: the name of [`find`](Self::find).
    ///
    /// # Errors
    /// [`Error::Value`] lists the names that the layout has.
    pub fn index_of(&self, name: &str) -> Result<usize> {
        let named = self.named();
        named.iter().find(|(own, _)| *own == name).map(|(_, tensor)| *tensor).ok_or_else(|| {
            let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
            Error::value("the name of a tensor", format!("one of {}", names.join(", ")), name)
        })
    }

    /// The second name of a tied embedding, with its tensor.
    fn tied_tensor(&self) -> Option<(&str, &Tensor)> {
        self.tied.as_deref().zip(self.find(Role::Embedding))
    }

    /// Copies a flat block into named tensors. A tied embedding appears under both names, as in PyTorch's
    /// `state_dict()`.
    ///
    /// # Panics
    /// If the block is shorter than [`len`](Self::len), as for a slice.
    pub fn to_state_dict<R: Real>(&self, block: &[R]) -> StateDict<R> {
        let array = |tensor: &Tensor| {
            let values = block[tensor.range()].to_vec();
            ArrayD::from_shape_vec(IxDyn(&tensor.shape), values).expect("the layout's own shape")
        };
        let own = self.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor));
        own.chain(self.tied_tensor()).map(|(name, tensor)| (name.to_owned(), array(tensor))).collect()
    }

    /// Gathers a state dict into a flat block. Name prefixes added by `DataParallel` (`module.`) and `torch.compile`
    /// (`_orig_mod.`) are ignored unless this layout's names contain them. A tied embedding may appear under either
    /// name, or under both with equal values.
    ///
    /// # Errors
    /// [`Error::StateDict`] lists every missing or unexpected tensor, every shape mismatch, and tied tensors that
    /// differ.
    pub fn to_block<R: Real>(&self, dict: &StateDict<R>) -> Result<Vec<R>> {
        let mut block = Vec::with_capacity(self.len);
        self.arrays(dict)?.into_iter().for_each(|array| block.extend(array));
        Ok(block)
    }

    /// Checks a state dict as [`to_block`](Self::to_block) does, without copying.
    ///
    /// # Errors
    /// Same as [`to_block`](Self::to_block).
    pub fn check<R: Real>(&self, dict: &StateDict<R>) -> Result<()> {
        self.arrays(dict).map(|_| ())
    }

    /// The arrays of a state dict, checked as in [`to_block`](Self::to_block), one for each of
    /// [`tensors`](Self::tensors).
    pub(crate) fn arrays<'a, R: Real>(&self, dict: &'a StateDict<R>) -> Result<Vec<&'a ArrayD<R>>> {
        let views = dict.views();
        let dict = views.unwrapped(self.tensors.iter().map(|tensor| tensor.name.as_str())).unwrap_or(views);
        let tied_tensor = self.tied_tensor();
        let first = tied_tensor.and_then(|(_, vectors)| dict.get(&vectors.name));
        let second = tied_tensor.and_then(|(name, _)| dict.get(name));
        let own = self.tensors.iter().filter(|tensor| {
            let elsewhere = tensor.role == Role::Embedding && first.is_none() && second.is_some();
            !elsewhere
        });
        let own = own.map(|tensor| (tensor.name.as_str(), tensor));
        let expected = own.chain(tied_tensor.filter(|_| second.is_some()));
        dict.check(expected.map(|(name, tensor)| (name, tensor.shape.as_slice())))?;
        if let (Some((name, vectors)), Some(first), Some(second)) = (tied_tensor, first, second)
            && first.iter().zip(second).any(|(a, b)| a.as_f64().to_bits() != b.as_f64().to_bits())
        {
            return Err(Error::StateDict(vec![format!("different: {} and {name}, which are tied", vectors.name)]));
        }
        let array = |tensor: &Tensor| dict.get(&tensor.name).or(second.filter(|_| tensor.role == Role::Embedding));
        Ok(self.tensors.iter().filter_map(array).collect())
    }

    /// The names in [`to_state_dict`](Self::to_state_dict), in order, each with the index of its tensor.
    pub(crate) fn named(&self) -> Vec<(&str, usize)> {
        let own = self.tensors.iter().map(|tensor| tensor.name.as_str()).zip(0..);
        let embedding = || self.tensors.iter().position(|tensor| tensor.role == Role::Embedding);
        let tied = self.tied.as_deref().and_then(|name| Some((name, embedding()?)));
        let mut named: Vec<(&str, usize)> = own.chain(tied).collect();
        named.sort_unstable();
        named
    }
}
