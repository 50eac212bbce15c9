//! Names, characters and classes in a header.

use super::Plan;
use super::arrays::put;
use super::data::{CInput, COutput, CReading, CTokens};
use super::names::{float, string};
use crate::error::Result;
use std::io::Write;

impl Plan<'_> {
    /// A table of texts: `NAME_WHAT[]`.
    fn table(&self, what: &str, comment: &str, texts: &[String]) -> String {
        let mut code = String::new();
        let mut entries = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let (value, is_list) = string(text);
            if is_list {
                let name = format!("@{what}_{index}");
                code += &self.expand(&format!("static const char {name}[] = "));
                code += &format!("{value};\n");
                entries.push(self.expand(&name));
            } else {
                entries.push(value);
            }
        }
        code += &self.expand(&format!("/* {comment} */\nstatic const char *const @{what}[{}] = {{\n", texts.len()));
        code + &entries.iter().map(|entry| format!("    {entry},\n")).collect::<String>() + "};\n\n"
    }

    /// The names of columns, keys, quantiles and classes, and the class of an output.
    pub(super) fn names(&self) -> String {
        let mut code = String::new();
        let inputs = match &self.header.input {
            CInput::Named(names) => names.clone(),
            CInput::Rows(rows) => rows.columns.iter().map(|column| column.name.clone()).collect(),
            CInput::Numbers | CInput::Tokens(_) => Vec::new(),
        };
        if !inputs.is_empty() {
            code += &self.table("input_names", "What each number of a row is.", &inputs);
        }
        if let CInput::Rows(rows) = &self.header.input
            && !rows.members.is_empty()
        {
            let names: Vec<String> = rows.members.iter().map(|member| member.name.clone()).collect();
            code += &self.table("member_names", "The series.", &names);
        }
        match &self.header.output {
            COutput::Numbers => {}
            COutput::Named(names) => code += &self.table("output_names", "What each output is of.", names),
            COutput::Values(values) => {
                let names: Vec<String> = values.targets.iter().map(|target| target.name.clone()).collect();
                code += &self.table("target_names", "The targets.", &names);
                if !values.levels.is_empty() {
                    let levels: Vec<String> = values.levels.iter().map(|level| float(*level as f32)).collect();
                    code += &self.expand(&format!(
                        "/* The quantiles of a target. */\nstatic const float @levels[{}] = {{ {} }};\n\n",
                        levels.len(),
                        levels.join(", ")
                    ));
                }
            }
            COutput::Classes(classes) => {
                code += &self.table("class_names", "The classes.", classes);
                code += &self.expand(&self.class());
            }
        }
        code
    }

    /// The number of the most probable class.
    fn class(&self) -> String {
        let body = match self.scaled_outputs() {
            1 => "    return y[0] > 0.5f ? 1 : 0;\n".to_owned(),
            outputs => format!(
                "    size_t o, most = 0;\n    for (o = 1; o < {outputs}; ++o) {{\n        \
                 most = y[o] > y[most] ? o : most;\n    }}\n    return most;\n"
            ),
        };
        format!(
            "/* The number of the most probable class of an output: its place in @class_names. */\n\
             static inline size_t @class(const float *y)\n{{\n{body}}}\n\n"
        )
    }

    /// Tokens from characters and back.
    ///
    /// # Errors
    /// [`crate::Error::Io`], without a file name, if `to` fails.
    pub(super) fn write_tokens(&self, to: &mut impl Write) -> Result<()> {
        let CInput::Tokens(tokens) = &self.header.input else { return Ok(()) };
        let code = match tokens {
            CTokens::Ids => return Ok(()),
            CTokens::Bytes => "\
/* A token is a byte: the token at a place of a text, which moves on by one. */
static inline size_t @read(const char **text)
{
    return (size_t)(unsigned char)*(*text)++;
}

"
            .to_owned(),
            CTokens::Characters(characters) => {
                let points = characters.iter().map(|character| (*character as u32).to_string());
                let name = self.expand("@characters");
                let count = characters.len();
                put(to, "uint32_t", &name, count, "The code points of the tokens, ascending.", points)?;
                characters_code(count)
            }
        };
        self.write_code(&code, to)
    }

    /// How the functions are to be called, as lines of a comment.
    pub(super) fn usage(&self) -> Vec<String> {
        let mut lines = vec![self.expand("@state state; @reset(&state);")];
        let kind = if self.has_scaled_outputs() { "@number" } else { "float" };
        lines.push(self.expand(&format!("{kind} y[@@OUTPUTS];")));
        let call = match &self.header.input {
            CInput::Tokens(CTokens::Ids) => "@step(&state, token, y);",
            CInput::Tokens(_) => "@step(&state, @read(&text), y);   for each character",
            CInput::Numbers | CInput::Named(_) => "@step(&state, x, y);   for each step x of @@INPUTS numbers",
            CInput::Rows(rows) => match rows.reading {
                CReading::Stream => "@step(&state, row, y);   for each row of @@INPUTS numbers",
                CReading::Window(_) => "@predict(&state, rows, count, y);   count rows of @@INPUTS numbers",
                CReading::Forecast { .. } if rows.members.is_empty() => {
                    "@forecast(&state, window, y);   @@WINDOW rows of @@INPUTS numbers"
                }
                CReading::Forecast { .. } => {
                    "@forecast(&state, member, window, y);   @@WINDOW rows of @@INPUTS numbers"
                }
            },
        };
        lines.push(self.expand(call));
        lines
    }
}

/// The functions of a vocabulary of characters.
fn characters_code(count: usize) -> String {
    format!(
        "
/* The token of a character, given as its code point; {count} for one that is unknown. */
static inline size_t @token(uint32_t character)
{{
    size_t low = 0, high = {count};
    while (low < high) {{
        const size_t middle = low + (high - low) / 2;
        if (@characters[middle] < character) {{
            low = middle + 1;
        }} else {{
            high = middle;
        }}
    }}
    return low < {count} && @characters[low] == character ? low : {count};
}}

/* The code point of a token; U+FFFD for the unknown one. */
static inline uint32_t @character(size_t token)
{{
    return token < {count} ? @characters[token] : 0xfffdu;
}}

/* The token of the next character of a text in UTF-8, past which the pointer moves. Do not call it at the end of the
   text. A byte that begins no character is an unknown one. */
static inline size_t @read(const char **text)
{{
    const unsigned char *const bytes = (const unsigned char *)*text;
    uint32_t character = bytes[0];
    size_t more = 0, j;
    if (character >= 0xf0u && character < 0xf8u) {{
        more = 3;
        character &= 0x07u;
    }} else if (character >= 0xe0u && character < 0xf0u) {{
        more = 2;
        character &= 0x0fu;
    }} else if (character >= 0xc0u && character < 0xe0u) {{
        more = 1;
        character &= 0x1fu;
    }} else if (character >= 0x80u) {{
        character = 0xfffdu;
    }}
    *text += 1;
    for (j = 1; j <= more; ++j) {{
        if ((bytes[j] & 0xc0u) != 0x80u) {{
            return {count};
        }}
        character = (character << 6) | (uint32_t)(bytes[j] & 0x3fu);
        *text += 1;
    }}
    return @token(character);
}}

/* Writes a token as UTF-8 into at most four bytes, and returns how many these are. */
static inline size_t @write(size_t token, char *text)
{{
    const uint32_t character = @character(token);
    const size_t bytes = character < 0x80u ? 1 : character < 0x800u ? 2 : character < 0x10000u ? 3 : 4;
    size_t j;
    if (bytes == 1) {{
        text[0] = (char)character;
        return 1;
    }}
    for (j = bytes - 1; j > 0; --j) {{
        text[j] = (char)(unsigned char)(0x80u | ((character >> (6 * (bytes - 1 - j))) & 0x3fu));
    }}
    text[0] = (char)(unsigned char)((0xf00u >> bytes & 0xffu) | (character >> (6 * (bytes - 1))));
    return bytes;
}}

"
    )
}
