//! Prints hidden gradient norms as charts, tables and JSON.

use bptt::experiment::files::new_file;
use bptt::experiment::gradient_flow::{GradientFlow, LayerFlow, short_factor};
use bptt::format::{path_text, short};
use bptt::plot::Drawing;
use bptt::train::GradientDecay;
use serde_json::{Value, json};

use super::args::FlowArgs;
use super::chart::{chart, mark, width};
use crate::cli::exit::Failure;
use crate::cli::terminal::printed::{columns, heading, print_json, print_line};

/// The text below the picture.
pub(crate) const DESCRIPTION: &str = "\
    The gradient goes back through time as the arrow shows. A straight line that falls loses the same factor at every \
    step: what lies beyond it can hardly be learned. Where a line stays level, the network can learn from its first steps.";

/// In words, without logarithms.
fn describe(factor: GradientDecay) -> String {
    let steps = |share| factor.steps_until(share).map(short_steps);
    let words = match (steps(0.01), steps(10.0)) {
        (Some(steps), _) => format!(", 1 % is left after {steps}"),
        (_, Some(steps)) => format!(", grows ×10 every {steps}"),
        _ => String::new(),
    };
    format!("×{} per step{words}", short_factor(factor.factor))
}

fn short_steps(steps: f64) -> String {
    match steps {
        steps if steps < 10.0 => format!("{steps:.1} steps"),
        steps => format!("{} steps", bptt::format::grouped(steps.round() as u64)),
    }
}

/// One line per (layer, direction), each starting with its mark, from `first` on.
fn table(flow: &GradientFlow, first: usize, alone: bool) -> Vec<String> {
    let layer = |(index, of): (usize, &LayerFlow)| {
        let name = match (alone, flow.layers.len()) {
            (true, _) => of.name.clone(),
            (false, 1) => flow.name.clone(),
            _ => format!("{} {}", flow.name, of.name),
        };
        let from_end = match &of.norms[..] {
            [first, .., last] => format!("from {last:.1e} at t = {} to {first:.1e} at t = 0", of.norms.len() - 1),
            norms => norms.iter().map(|norm| format!("{norm:.1e} at t = 0")).collect(),
        };
        let radii = of.radii.iter().map(|(gate, radius)| match *gate {
            "" => format!("ρ(W_hh) {}", short(*radius)),
            gate => format!("ρ_{gate} {}", short(*radius)),
        });
        let radii = radii.collect::<Vec<_>>().join(", ");
        let derivative = of.mean_derivative.map(|mean| format!(", mean f′ {}", short(mean))).unwrap_or_default();
        let words = of.factor.map(describe).into_iter().chain([from_end, format!("{radii}{derivative}")]);
        let begin = format!("{} {name:<12}", mark(first + index));
        let line = |(index, words)| format!("{:14}{words}", if index == 0 { begin.as_str() } else { "" });
        words.enumerate().map(line).collect::<Vec<_>>()
    };
    flow.layers.iter().enumerate().flat_map(layer).collect()
}

pub(crate) fn to_json(flow: &GradientFlow) -> Value {
    let layers = flow.layers.iter().map(|of| {
        let factor = of.factor.map(|factor| {
            json!({
                "a_step": factor.factor, "over_steps": factor.steps,
                "steps_to_1_percent": factor.steps_until(0.01), "steps_to_10_times": factor.steps_until(10.0),
            })
        });
        let radii: serde_json::Map<String, Value> = of
            .radii
            .iter()
            .map(|(gate, radius)| match *gate {
                "" => ("weight_hh".to_owned(), json!(radius)),
                gate => (gate.to_owned(), json!(radius)),
            })
            .collect();
        json!({
            "name": of.name, "norms": of.norms, "factor": factor, "spectral_radius": radii,
            "mean_derivative": of.mean_derivative,
        })
    });
    json!({
        "name": flow.name, "loss": flow.loss, "gradient_norm": flow.gradient_norm,
        "clipped_by": flow.clip_factor, "stacks": layers.collect::<Vec<_>>(),
    })
}

/// Prints the norms and writes the picture. Each entry has a name and its own chart.
pub(crate) fn report(
    args: &FlowArgs,
    facts: &[(&str, String)],
    parts: &[(String, Vec<&GradientFlow>)],
    picture: &Drawing,
    json: Value,
) -> Result<(), Failure> {
    if let Some(path) = &args.out {
        new_file::write(path, picture.file().as_bytes())?;
    }
    if args.json {
        print_json(json);
    }
    if args.json || args.show.quiet {
        return Ok(());
    }
    facts.iter().for_each(|(name, text)| print_line(heading(name, text)));
    for (name, networks) in parts {
        print_line("");
        let name = if name.is_empty() { String::new() } else { format!(", {name}") };
        print_line(format!("‖∂L/∂h‖ over the steps, against time{name}"));
        let lines: Vec<&[f64]> =
            networks.iter().flat_map(|network| &network.layers).map(|layer| layer.norms.as_slice()).collect();
        chart(&lines, width(columns())).iter().for_each(print_line);
        print_line("");
        let mut first = 0;
        for network in networks {
            table(network, first, networks.len() == 1).iter().for_each(print_line);
            first += network.layers.len();
        }
        for network in networks.iter().filter(|network| network.clip_factor < 1.0) {
            let GradientFlow { name, gradient_norm, clip_factor, .. } = network;
            let (norm, clipped) = (short(*gradient_norm), short(*clip_factor));
            print_line(format!(
                "{name}: the gradient's norm is {norm}; clipping makes it, and every ‖∂L/∂h‖, ×{clipped}"
            ));
        }
    }
    if let Some(path) = &args.out {
        print_line("");
        print_line(heading("picture", &path_text(path)));
    }
    Ok(())
}
