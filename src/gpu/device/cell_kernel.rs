//! The text of a cell's step kernels: the shaders around a cell, written for its counts, and the cell's own functions.

use crate::cells::CellDefinition;

/// The storage bindings of `step.wgsl` that not every cell has.
const W_HH: u32 = 2;
pub(super) const VECTORS: u32 = 3;
const C: u32 = 6;
const H_MASKED: u32 = 10;
const DROPOUT_PARAMS: u32 = 11;

/// Whether the step kernels of a cell use a binding; `has_vectors` if the entry point has one for b_hh and the cell's own
/// parameters, which are otherwise behind W_hh.
pub(super) fn uses(cell: &'static dyn CellDefinition, binding: u32, has_vectors: bool) -> bool {
    let (has_w_hh, has_parameters) = (cell.recurrent_gates() > 0, !cell.parameters().is_empty());
    match binding {
        W_HH => has_w_hh || (has_parameters && !has_vectors),
        VECTORS => has_w_hh || has_parameters,
        C => cell.has_cell_state(),
        H_MASKED | DROPOUT_PARAMS => has_w_hh,
        _ => true,
    }
}

/// The complete WGSL of the step kernels of a cell, whose h may be `projected`, from the shaders around it.
pub(super) fn source(cell: &'static dyn CellDefinition, projected: bool, shaders: &str) -> String {
    let (sums, gates, parameters) = (cell.sums().len(), cell.recurrent_gates(), cell.parameters().len());
    let repetitions = [
        ("each_sum", sums),
        ("each_input", cell.input_gates()),
        ("each_gate", gates),
        ("each_parameter", parameters),
        ("has_c", usize::from(cell.has_cell_state())),
        ("has_w_hh", usize::from(gates > 0)),
        ("has_parameters", usize::from(parameters > 0)),
        ("has_projection", usize::from(projected)),
        ("no_projection", usize::from(!projected)),
    ];
    let first = cell.first_recurrent();
    let counts = [("SUMS", sums), ("GATES", gates), ("FIRST", first), ("PARAMETERS", parameters)];
    let counts: String = counts.iter().map(|(name, count)| format!("const {name}: u32 = {count}u;\n")).collect();
    [&counts, &expand(shaders, &repetitions), cell.wgsl()].join("\n")
}

/// Repeats the text in braces after each `$word` as often as `repetitions` says, with the index of the repetition for `#`.
/// Other words stay, and fail to compile.
fn expand(text: &str, repetitions: &[(&str, usize)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out += before;
        rest = after;
        let (word, inner) = after.split_once('{').unwrap_or((after, ""));
        let Some((_, count)) = repetitions.iter().find(|(known, _)| *known == word) else {
            out.push('$');
            continue;
        };
        let (inner, behind) = inner.split_at(closing(inner));
        let inner = expand(inner, repetitions);
        (0..*count).for_each(|index| out += &inner.replace('#', &index.to_string()));
        rest = behind.strip_prefix('}').unwrap_or(behind);
    }
    out + rest
}

/// The position of the brace that closes one opened before `text`, or its end.
fn closing(text: &str) -> usize {
    let mut open = 1;
    let closes = |(_, letter): &(usize, char)| {
        open += i32::from(*letter == '{') - i32::from(*letter == '}');
        open == 0
    };
    text.char_indices().find(closes).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn braces_after_a_word_are_repeated_with_the_index() {
        let of = |text| expand(text, &[("each_gate", 2), ("has_c", 1), ("has_w_hh", 0)]);
        assert_eq!(of("f(a$each_gate{, w_#}) { }"), "f(a, w_0, w_1) { }");
        assert_eq!(of("$has_c{if x { $each_gate{s[#]; }}}-$has_w_hh{gone $each_gate{#}}-"), "if x { s[0]; s[1]; }--");
        assert_eq!(of("no words, { # }"), "no words, { # }");
        assert_eq!(of("$each_gat{, #}$has_c{c}"), "$each_gat{, #}c");
    }
}
