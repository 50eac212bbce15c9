//! The uniform structs of the shaders, with fields in order. A test compares them with the WGSL.

use bytemuck::{Pod, Zeroable};

/// A uniform struct.
pub(crate) trait Uniform: Pod {
    /// The name of the WGSL struct.
    const NAME: &'static str;
    /// Its fields, with their offsets in bytes.
    const FIELDS: &'static [(&'static str, usize)];
}

macro_rules! uniforms {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
            pub(crate) struct $name { $(pub(crate) $field: $type),* }

            impl Uniform for $name {
                const NAME: &'static str = stringify!($name);
                const FIELDS: &'static [(&'static str, usize)] =
                    &[$((stringify!($field), std::mem::offset_of!($name, $field))),*];
            }
        )*

        /// The name of every uniform struct, and its fields with their offsets in bytes.
        pub const UNIFORMS: &[(&str, &[(&str, usize)])] = &[$(($name::NAME, $name::FIELDS)),*];
    };
}

uniforms! {
    /// `step.wgsl`.
    Step {
        t: u32, t_step: u32, count: u32, index_in: u32, index_out: u32, batch: u32, hidden: u32, h4: u32, state4: u32,
        z4: u32, y4: u32, y_column: u32, keep: u32, product: u32, epilogue: u32, layer_direction: u32, parameter_first: u32,
        parameter_ld: u32,
    }
    /// `product.wgsl`.
    Matmul {
        m: [u32; 2], n4: [u32; 2], ldb: [u32; 2], ldc: [u32; 2], a_first: [u32; 2], b_first: [u32; 2], c_first: [u32; 2],
        b_stride: [u32; 2], c_stride: [u32; 2], lda: u32, a_stride: u32, k: u32, k_last: u32, parts: u32, bias: u32,
        accumulate: u32,
    }
    /// `transpose.wgsl`.
    Transpose { rows4: u32, columns4: u32 }
    /// `narrow.wgsl`.
    Narrow { count: u32, first: u32 }
    /// `reduce.wgsl`.
    Reduce { begin: [u32; 4], scratch: [u32; 4], stride: [u32; 4], parts: [u32; 4], to: [u32; 4], count: u32 }
    /// `column_sum.wgsl`.
    ColumnSum { rows: u32, part_rows: u32, n4: u32, ld: u32, column: u32, first: u32 }
    /// `copy.wgsl`.
    Copy {
        rows: u32, width: u32, columns: u32, ld_from: u32, from_first: u32, ld_to: u32, to_first: u32, masked: u32,
        bit: u32,
    }
    /// `dropout.wgsl`.
    Dropout {
        rows: u32, width: u32, ld_from: u32, from_first: u32, ld_to: u32, to_first: u32, bit: u32, batch: u32,
        state4: u32, layer_direction: u32, t: u32, recurrent: u32,
    }
    /// `masks.wgsl`: the dropout parameters, written at each pass. In a storage buffer rather than a uniform.
    DropoutParams {
        key_low: u32, key_high: u32, first_row: u32, threshold: u32, scale: f32, recurrent_threshold: u32,
        recurrent_scale: f32,
    }
    /// `loss_scale.wgsl`. `norm` writes it.
    LossScale { factor: f32, inverse: f32, good: u32 }
    /// `tokens.wgsl`.
    Tokens { rows: u32, n4: u32, ldz: u32, ldw: u32 }
    /// `embedding.wgsl`.
    Embedding { rows: u32, n4: u32 }
    /// `loss.wgsl`.
    Loss {
        predictions: u32, outputs: u32, ld: u32, lanes: u32, factor: f32, delta: f32, smoothing: f32, quantiles: u32,
    }
    /// `mean.wgsl`.
    Mean { steps: u32, rows: u32, n4: u32, accumulate: u32 }
    /// `gradient_norms.wgsl`.
    GradientNorms { count: u32, state4: u32, y4: u32, y_column: u32, first: u32 }
    /// `average.wgsl`.
    Average { count: u32 }
    /// `status.wgsl`, for `norm` and `update`.
    Update {
        count: u32, partials: u32, step: u32, inverse_divisor: f32, clip_norm: f32, clip_value: f32,
        known: u32, choices: u32, shrink: f32, decay: f32, momentum: f32, alpha: f32, eps: f32,
        one_minus_momentum: f32, one_minus_alpha: f32, max_skipped_updates: u32, first_partial: u32, rate_factor: f32,
        first: u32, recurrent: u32, first_recurrent: u32, rows4: u32, columns4: u32, updates: u32,
    }
    /// `status.wgsl`: the report of an update. In a storage buffer rather than a uniform.
    Status {
        loss: f32, norm: f32, scale: f32, bad_step: u32, bad_norm: u32, bad_in_row: u32, skipped: u32, rate: f32,
        root_bias2: f32, fresh: f32, average: f32,
    }
}
