//! Text of shaders that is repeated for the sizes of a kernel.

/// The text in braces after `$word` stands `count` times, with the number of the repetition for `index`.
pub(super) struct Repetition {
    pub(super) word: &'static str,
    pub(super) index: char,
    pub(super) count: usize,
}

/// Expands all repetitions, inner ones first. Other words stay, and fail to compile.
pub(super) fn expand(text: &str, repetitions: &[Repetition]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out += before;
        rest = after;
        let (word, inner) = after.split_once('{').unwrap_or((after, ""));
        let Some(Repetition { index, count, .. }) = repetitions.iter().find(|repetition| repetition.word == word)
        else {
            out.push('$');
            continue;
        };
        let (inner, behind) = inner.split_at(closing(inner));
        let inner = expand(inner, repetitions);
        (0..*count).for_each(|number| out += &inner.replace(*index, &number.to_string()));
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
    use super::{Repetition, expand};

    #[test]
    fn braces_after_a_word_are_repeated_with_the_index() {
        let repetition = |word, index, count| Repetition { word, index, count };
        let repetitions = [
            repetition("each_gate", '#', 2),
            repetition("each_row", '?', 2),
            repetition("has_c", '#', 1),
            repetition("has_w_hh", '#', 0),
        ];
        let of = |text| expand(text, &repetitions);
        assert_eq!(of("f(a$each_gate{, w_#}) { }"), "f(a, w_0, w_1) { }");
        assert_eq!(of("$has_c{if x { $each_gate{s[#]; }}}-$has_w_hh{gone $each_gate{#}}-"), "if x { s[0]; s[1]; }--");
        assert_eq!(of("$each_row{$each_gate{s_?_# }}"), "s_0_0 s_0_1 s_1_0 s_1_1 ");
        assert_eq!(of("no words, { # }"), "no words, { # }");
        assert_eq!(of("$each_gat{, #}$has_c{c}"), "$each_gat{, #}c");
    }
}
