//! The code of the state and of the head.

use super::Plan;
use super::data::{CInput, COutput};
use crate::model::likelihood::Link;
use crate::model::{Head, Loss, Readout, Role};

impl Plan<'_> {
    /// The struct of the state, and what sets it to zero.
    pub(super) fn state(&self) -> String {
        let r = &self.model.recurrent;
        let (mut fields, mut zeros) = (String::new(), String::new());
        let mut put = |name: String, size: usize| {
            fields += &format!("    float {name}[{size}];\n");
            zeros += &format!("    for (j = 0; j < {size}; ++j) {{\n        state->{name}[j] = 0.0f;\n    }}\n");
        };
        for layer in 0..r.layers {
            put(format!("h_l{layer}"), r.state_size());
            if r.cell.has_cell_state() {
                put(format!("c_l{layer}"), r.hidden_size);
            }
        }
        if self.readout() == Some(Readout::MeanPool) {
            put("mean".into(), r.state_size());
            fields += "    uint32_t steps;\n";
            zeros += "    state->steps = 0u;\n";
        }
        format!(
            "/* What the network keeps from step to step. Copy it to keep it. */\ntypedef struct {{\n{fields}}} @state;\n\n\
             /* Starts a sequence. */\nstatic inline void @reset(@state *state)\n{{\n    size_t j;\n{zeros}}}\n\n"
        )
    }

    /// The predictions from a state, and a step with its prediction.
    pub(super) fn head(&self) -> String {
        let last = format!("state->h_l{}", self.model.recurrent.layers - 1);
        let size = self.model.recurrent.state_size();
        let body = match &self.model.head {
            None => {
                format!("    size_t o;\n    for (o = 0; o < {size}; ++o) {{\n        y[o] = {last}[o];\n    }}\n")
            }
            Some(head) => self.predict(head, &last),
        };
        let (parameter, input) = if self.has_tokens() { ("size_t token", "token") } else { ("const float *x", "x") };
        let name = if self.has_scaled_step() { "step_scaled" } else { "step" };
        let scaled = if self.has_scaled_outputs() { "@@SCALED_OUTPUTS" } else { "@@OUTPUTS" };
        let units = if self.has_scaled_step() { " in the network's units" } else { "" };
        let input_size = match self.header.input {
            CInput::Tokens(_) => "a token".to_owned(),
            CInput::Rows(_) => "@@SCALED_INPUTS numbers".to_owned(),
            CInput::Numbers | CInput::Named(_) => "@@INPUTS numbers".to_owned(),
        };
        let is = self.describe_output();
        format!(
            "/* The output{units} after the steps so far, {scaled} numbers: {is}. */\n\
             static inline void @output(const @state *state, float *y)\n{{\n{body}}}\n\n\
             /* A step{units}: {input_size} in, {scaled} numbers out. */\n\
             static inline void @{name}(@state *state, {parameter}, float *y)\n{{\n    @advance(state, {input});\n    \
             @output(state, y);\n}}\n\n"
        )
    }

    /// What the network's outputs are.
    fn describe_output(&self) -> &'static str {
        let Some(head) = &self.model.head else { return "h of the last layer" };
        match (&head.loss, &self.header.output) {
            (Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. }, _) => "probabilities that add up to 1",
            (Loss::BinaryCrossEntropy, COutput::Classes(_)) => "the probability of the second class",
            (Loss::BinaryCrossEntropy, _) => "a probability each",
            (Loss::Quantile { .. }, _) => "the quantiles of each target in succession, which may cross",
            (Loss::Gaussian, _) => "mean and deviation of each target in succession",
            (Loss::StudentT, _) => "location, scale and degrees of freedom of each target in succession",
            (Loss::NegativeBinomial, _) => {
                "mean and dispersion of each target in succession, for a unit of 1; the variance is mean + dispersion * mean^2"
            }
            (Loss::SquaredError | Loss::AbsoluteError | Loss::Huber { .. }, _) => "values",
        }
    }

    fn predict(&self, head: &Head, last: &str) -> String {
        let outputs = head.outputs;
        let weight = self.matrix(if self.model.is_tied() { Role::Embedding } else { Role::HeadWeight });
        let mut body = String::from("    size_t o;\n");
        let features = if head.readout == Readout::MeanPool { "state->mean" } else { last };
        let product = self.product(weight, "o", features);
        body += &format!("    for (o = 0; o < {outputs}; ++o) {{\n        y[o] = @b_y[o] + {product};\n    }}\n");
        body + &output_function(head)
    }

    /// The functions that the output functions call.
    pub(super) fn output_helpers(&self) -> String {
        if !self.model.head.as_ref().is_some_and(|head| head.loss.is_likelihood()) {
            return String::new();
        }
        "\
static inline float @softplus(float a)
{
    return (a < 0.0f ? 0.0f : a) + BPTT_LOG1PF(BPTT_EXPF(a < 0.0f ? a : -a));
}

"
        .into()
    }
}

/// y = g(a), in place.
fn output_function(head: &Head) -> String {
    let outputs = head.outputs;
    match &head.loss {
        Loss::SquaredError | Loss::AbsoluteError | Loss::Huber { .. } | Loss::Quantile { .. } => String::new(),
        Loss::BinaryCrossEntropy => {
            format!("    for (o = 0; o < {outputs}; ++o) {{\n        y[o] = @sigmoid(y[o]);\n    }}\n")
        }
        Loss::CrossEntropy | Loss::SmoothedCrossEntropy { .. } => format!(
            "    {{\n        float most = y[0], sum = 0.0f;\n        \
             for (o = 1; o < {outputs}; ++o) {{\n            most = y[o] > most ? y[o] : most;\n        }}\n        \
             for (o = 0; o < {outputs}; ++o) {{\n            y[o] = BPTT_EXPF(y[o] - most);\n            sum += y[o];\n        \
             }}\n        for (o = 0; o < {outputs}; ++o) {{\n            y[o] /= sum;\n        }}\n    }}\n"
        ),
        Loss::Gaussian | Loss::StudentT | Loss::NegativeBinomial => {
            let links = head.loss.links();
            let of = |(index, link): (usize, &Link)| match link {
                Link::Identity => None,
                Link::Softplus { least } => {
                    let place = if index == 0 { "o".to_owned() } else { format!("o + {index}") };
                    let least = super::names::float(*least as f32);
                    Some(format!("        y[{place}] = @softplus(y[{place}]) + {least};\n"))
                }
            };
            let lines: String = links.iter().enumerate().filter_map(of).collect();
            format!("    for (o = 0; o < {outputs}; o += {}) {{\n{lines}    }}\n", links.len())
        }
    }
}
