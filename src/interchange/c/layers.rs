//! The code of the recurrent layers.

use super::Plan;
use super::arrays::Matrix;
use super::data::CInput;
use super::rounding::WeightFormat;
use crate::model::{Activation, Cell, Readout, Role};

impl Plan<'_> {
    /// The product of a row of a matrix with a vector.
    pub(super) fn product(&self, matrix: &Matrix, row: &str, vector: &str) -> String {
        let (symbol, columns) = (&matrix.symbol, matrix.columns);
        let scale =
            if self.header.weights == WeightFormat::Int8 { format!("@{symbol}_scale[{row}] * ") } else { "".into() };
        format!("{scale}@dot_{columns}(&@{symbol}[({row}) * {columns}], {vector})")
    }

    /// A single weight as a float.
    pub(super) fn weight(&self, matrix: &Matrix, row: &str, column: &str) -> String {
        let (symbol, columns) = (&matrix.symbol, matrix.columns);
        let stored = format!("@{symbol}[({row}) * {columns} + ({column})]");
        match self.header.weights {
            WeightFormat::F32 => stored,
            WeightFormat::F16 => format!("@half({stored})"),
            WeightFormat::Int8 => format!("@{symbol}_scale[{row}] * (float){stored}"),
        }
    }

    /// The functions that all layers share.
    pub(super) fn arithmetic(&self) -> String {
        let mut code = String::new();
        if self.header.weights == WeightFormat::F16 {
            code += "\
/* A number of IEEE half precision, of which the bits are given. 2^112 is between the exponents of both types. */
static inline float @half(uint16_t bits)
{
    union { uint32_t bits; float value; } of;
    of.bits = ((uint32_t)(bits & 0x8000u) << 16) | ((uint32_t)(bits & 0x7fffu) << 13);
    return of.value * 5.192296858534828e33f;
}

";
        }
        if self.calls_expf() {
            code += "\
static inline float @sigmoid(float z)
{
    return 1.0f / (1.0f + BPTT_EXPF(-z));
}

";
        }
        self.dot_sizes().into_iter().for_each(|columns| code += &self.dot(columns));
        code
    }

    /// The product of two vectors of `columns` numbers, in as many sums as the loop is unrolled by.
    fn dot(&self, columns: usize) -> String {
        let (kind, of) = match self.header.weights {
            WeightFormat::F32 => ("float", ["", ""]),
            WeightFormat::F16 => ("uint16_t", ["@half(", ")"]),
            WeightFormat::Int8 => ("int8_t", ["(float)", ""]),
        };
        let term = |place: String| format!("{}w[{place}]{} * x[{place}]", of[0], of[1]);
        let by = self.header.unroll;
        let whole = columns / by * by;
        let mut code = format!("static inline float @dot_{columns}(const {kind} *w, const float *x)\n{{\n");
        // A rest that fits into one turn has no loop.
        let rest: Vec<String> = (whole..columns).map(|place| term(place.to_string())).collect();
        if whole == 0 {
            code += &format!("    return {};\n}}\n\n", rest.join(" + "));
            return code;
        }
        let sums: Vec<String> = (0..by).map(|index| format!("s{index}")).collect();
        let begin: Vec<String> = sums.iter().map(|sum| format!("{sum} = 0.0f")).collect();
        code += &format!("    float {};\n    size_t j;\n", begin.join(", "));
        code += &format!("    for (j = 0; j < {whole}; j += {by}) {{\n");
        for (index, sum) in sums.iter().enumerate() {
            let place = if index == 0 { "j".to_owned() } else { format!("j + {index}") };
            code += &format!("        {sum} += {};\n", term(place));
        }
        let all = if rest.is_empty() { paired(&sums) } else { format!("{} + ({})", paired(&sums), rest.join(" + ")) };
        code + &format!("    }}\n    return {all};\n}}\n\n")
    }

    /// The layers, each with its sums, and what takes a step of all of them.
    pub(super) fn layers(&self) -> String {
        let layers = self.model.recurrent.layers;
        (0..layers).map(|layer| self.sums(layer) + &self.layer(layer)).collect::<String>() + &self.advance()
    }

    /// Whether a layer reads a token in place of numbers.
    fn reads_token(&self, layer: usize) -> bool {
        layer == 0 && self.has_tokens() && self.model.embedding.is_none()
    }

    /// The two sums of a layer: row by row of W_ih with the input, and of W_hh with h.
    fn sums(&self, layer: usize) -> String {
        let r = &self.model.recurrent;
        let ih = self.matrix(Role::WeightIh { layer_direction: layer });
        let hh = self.matrix(Role::WeightHh { layer_direction: layer });
        let bias = if r.bias { format!("@b_l{layer}[row] + ") } else { String::new() };
        let (parameter, product) = if self.reads_token(layer) {
            let weight = self.weight(ih, "token", "row");
            ("size_t token", format!("(token < {} ? {weight} : 0.0f)", ih.rows))
        } else {
            ("const float *x", self.product(ih, "row", "x"))
        };
        format!(
            "static inline float @ih_l{layer}({parameter}, size_t row)\n{{\n    return {bias}{product};\n}}\n\n\
             static inline float @hh_l{layer}(const float *h, size_t row)\n{{\n    return {};\n}}\n\n",
            self.product(hh, "row", "h")
        )
    }

    /// One step of a layer. Its h is written when all of the old one has been read.
    fn layer(&self, layer: usize) -> String {
        let r = &self.model.recurrent;
        let (hidden, size, cell) = (r.hidden_size, r.state_size(), r.cell.name());
        let inputs = r.layer_input_size(layer);
        let [parameter, x] = if self.reads_token(layer) { ["size_t token", "token"] } else { ["const float *x", "x"] };
        let sum = |gate: usize| {
            let row = if gate == 0 { "u".to_owned() } else { format!("{} + u", gate * hidden) };
            [format!("@ih_l{layer}({x}, {row})"), format!("@hh_l{layer}(h, {row})")]
        };
        let both = |gate: usize| sum(gate).join(" + ");
        let body = match r.cell {
            Cell::Lstm => format!(
                "        const float i = @sigmoid({});
        const float f = @sigmoid({});
        const float g = BPTT_TANHF({});
        const float o = @sigmoid({});
        state->c_l{layer}[u] = f * state->c_l{layer}[u] + i * g;
        m[u] = o * BPTT_TANHF(state->c_l{layer}[u]);
",
                both(0),
                both(1),
                both(2),
                both(3)
            ),
            Cell::Gru => {
                let [of_x, of_h] = sum(2);
                let bias = if r.bias { format!("@b_hn_l{layer}[u] + ") } else { String::new() };
                format!(
                    "        const float r = @sigmoid({});
        const float z = @sigmoid({});
        const float n = BPTT_TANHF({of_x} + r * ({bias}{of_h}));
        m[u] = (1.0f - z) * n + z * h[u];
",
                    both(0),
                    both(1)
                )
            }
            Cell::Rnn(activation) => {
                let value = match activation {
                    Activation::Tanh => "BPTT_TANHF(z)",
                    Activation::Relu => "z < 0.0f ? 0.0f : z",
                    Activation::Sigmoid => "@sigmoid(z)",
                    Activation::Identity => "z",
                };
                format!("        const float z = {};\n        m[u] = {value};\n", both(0))
            }
            // Refused before.
            Cell::Custom(_) => String::new(),
        };
        let write = match r.proj_size {
            None => "m[u]".to_owned(),
            Some(_) => self.product(self.matrix(Role::WeightHr { layer_direction: layer }), "u", "m"),
        };
        format!(
            "\
/* Layer {layer}: {cell}, {inputs} to {size}. */
static inline void @layer_l{layer}(@state *state, {parameter})
{{
    float *const h = state->h_l{layer};
    float m[{hidden}];
    size_t u;
    for (u = 0; u < {hidden}; ++u) {{
{body}    }}
    for (u = 0; u < {size}; ++u) {{
        h[u] = {write};
    }}
}}

"
        )
    }

    /// A step of all layers.
    fn advance(&self) -> String {
        let r = &self.model.recurrent;
        let (parameter, mut body) = match (&self.header.input, &self.model.embedding) {
            (CInput::Tokens(_), None) => ("size_t token", "    @layer_l0(state, token);\n".to_owned()),
            (CInput::Tokens(_), Some(embedding)) => {
                let vectors = self.matrix(Role::Embedding);
                let weight = self.weight(vectors, "token", "j");
                let (inputs, last) = (r.input_size, embedding.vocabulary - 1);
                let body = format!(
                    "    float x[{inputs}];\n    size_t j;\n    if (token > {last}) {{\n        token = {last};\n    }}\n    \
                     for (j = 0; j < {inputs}; ++j) {{\n        x[j] = {weight};\n    }}\n    @layer_l0(state, x);\n"
                );
                ("size_t token", body)
            }
            _ => ("const float *x", "    @layer_l0(state, x);\n".to_owned()),
        };
        for layer in 1..r.layers {
            body += &format!("    @layer_l{layer}(state, state->h_l{});\n", layer - 1);
        }
        if self.readout() == Some(Readout::MeanPool) {
            let (last, size) = (r.layers - 1, r.state_size());
            let names_j = body.contains("size_t j;");
            if !names_j {
                body = format!("    size_t j;\n{body}");
            }
            // A sum in f32 stops growing after some millions of steps.
            body += &format!(
                "    if (state->steps < UINT32_MAX) {{\n        ++state->steps;\n    }}\n    \
                 for (j = 0; j < {size}; ++j) {{\n        \
                 state->mean[j] += (state->h_l{last}[j] - state->mean[j]) / (float)state->steps;\n    }}\n"
            );
        }
        let what = match self.header.input {
            CInput::Tokens(_) => "a token",
            CInput::Rows(_) => "a step in the network's units, @@SCALED_INPUTS numbers,",
            CInput::Numbers | CInput::Named(_) => "a step of @@INPUTS numbers",
        };
        format!(
            "/* Reads {what} without computing an output. */\n\
             static inline void @advance(@state *state, {parameter})\n{{\n{body}}}\n\n"
        )
    }
}

/// A sum of terms in pairs.
fn paired(terms: &[String]) -> String {
    match terms {
        [] => "0.0f".into(),
        [one] => one.clone(),
        _ => {
            let (first, second) = terms.split_at(terms.len().div_ceil(2));
            let part = |terms: &[String]| match terms {
                [one] => one.clone(),
                _ => format!("({})", paired(terms)),
            };
            format!("{} + {}", part(first), part(second))
        }
    }
}
