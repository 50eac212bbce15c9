//! The code between rows of the data and the numbers of a network.

use super::Plan;
use super::data::{CColumn, CFeatures, CInput, COutput, CReading, CRelative, CRows, CValues};
use super::names::{comment, float, number};

/// The least deviation of a window, in units of the column, as [`crate::data::RelativeTo::Standard`] has it: √1e-5.
const LEAST_DEVIATION: f64 = 0.003_162_277_660_168_379_5;

impl CRows {
    /// The number of inputs of a row.
    pub(super) fn row_size(&self) -> usize {
        self.features.iter().map(CFeatures::size).sum()
    }

    /// The rows of a step.
    pub(super) fn rows_per_step(&self) -> usize {
        self.segment.max(1)
    }

    /// The number of inputs of a step.
    pub(super) fn input_size(&self) -> usize {
        self.rows_per_step() * self.row_size() + if self.ids { self.members.len() } else { 0 }
    }

    /// The window of a forecast.
    pub(super) fn forecast(&self) -> Option<(usize, CRelative)> {
        match self.reading {
            CReading::Forecast { window, relative } => Some((window, relative)),
            CReading::Stream | CReading::Window(_) => None,
        }
    }

    /// Whether a row alone can be scaled, so that it can be a step.
    pub(super) fn can_step(&self) -> bool {
        let is_alone = self.rows_per_step() == 1 && self.members.is_empty();
        is_alone && self.forecast().is_none_or(|(_, relative)| relative == CRelative::None)
    }
}

impl CFeatures {
    fn size(&self) -> usize {
        match self {
            Self::Values { columns, .. } => columns.len(),
            Self::Masks { columns, .. } => columns.len(),
            Self::Sines { .. } => 2,
            Self::Classes { positions, .. } => *positions,
        }
    }

    /// The last column that it reads.
    pub(super) fn last_column(&self) -> Option<usize> {
        match self {
            Self::Values { columns, .. } => columns.clone().max(),
            Self::Masks { columns, .. } => columns.iter().copied().max(),
            Self::Sines { column, cycle } => Some(column + usize::from(cycle.is_none())),
            Self::Classes { column, .. } => Some(*column),
        }
    }

    /// What writes it to x from `at` on.
    fn code(&self, at: usize) -> String {
        match self {
            Self::Values { columns, missing } => {
                let (first, count) = (columns.start, columns.len());
                let scaled = "(float)((v - offset[column]) / unit[column])";
                let value = if *missing { format!("v == v ? {scaled} : 0.0f") } else { scaled.to_owned() };
                format!(
                    "    for (i = 0; i < {count}; ++i) {{\n        const size_t column = {first} + i;\n        \
                     const @number v = row[column];\n        x[{at} + i] = {value};\n    }}\n"
                )
            }
            Self::Masks { columns, missing } => {
                let [present, absent] = if *missing == 0 { ["1.0f", "0.0f"] } else { ["0.0f", "1.0f"] };
                let line = |(index, column): (usize, &usize)| {
                    format!("    x[{}] = row[{column}] == row[{column}] ? {present} : {absent};\n", at + index)
                };
                columns.iter().enumerate().map(line).collect()
            }
            Self::Sines { column, cycle } => {
                let cycle = cycle.map_or_else(|| format!("(float)row[{}]", column + 1), |cycle| format!("{cycle}.0f"));
                let angle = format!("6.28318531f * (float)row[{column}] / {cycle}");
                format!("    x[{at}] = BPTT_SINF({angle});\n    x[{}] = BPTT_COSF({angle});\n", at + 1)
            }
            Self::Classes { column, positions } => format!(
                "    for (i = 0; i < {positions}; ++i) {{\n        \
                 x[{at} + i] = row[{column}] == (@number)i ? 1.0f : 0.0f;\n    }}\n"
            ),
        }
    }
}

impl Plan<'_> {
    /// The scalings, and what encodes a row and decodes predictions.
    pub(super) fn rows(&self) -> String {
        let CInput::Rows(rows) = &self.header.input else { return String::new() };
        let mut code = self.scalings("", "the columns of a row", &rows.columns);
        if !rows.members.is_empty() {
            code += &self.scalings("member_", "the series", &rows.members);
        }
        let mut at = 0;
        let mut body = String::new();
        for features in &rows.features {
            body += &features.code(at);
            at += features.size();
        }
        let counts = if body.contains("for (i") { "    size_t i;\n" } else { "" };
        let scaled = body.contains("offset[");
        let unused = if scaled { "" } else { "    (void)offset;\n    (void)unit;\n" };
        code += &format!(
            "/* A row in the network's units, {at} numbers, with these scalings of its columns. */\n\
             static inline void @encode(const @number *row, const @number *offset, const @number *unit, float *x)\n\
             {{\n{counts}{unused}{body}}}\n\n"
        );
        if let COutput::Values(values) = &self.header.output {
            if rows.forecast().is_none() {
                code += &self.scalings("y_", "the targets", &values.targets);
            }
            code += &self.decode(values);
        }
        code + &self.predictions(rows)
    }

    /// Tables of offsets and units.
    fn scalings(&self, what: &str, of: &str, columns: &[CColumn]) -> String {
        let table = |name: &str, of: fn(&CColumn) -> f64| {
            let lines: Vec<String> =
                columns.iter().map(|column| format!("    {}", number(self.name, of(column)))).collect();
            format!("static const @number @{what}{name}[{}] = {{\n{}\n}};\n", columns.len(), lines.join(",\n"))
        };
        let tables = table("offset", |column| column.offset) + &table("unit", |column| column.unit);
        format!("/* How {of} are scaled: (value - offset) / unit is what the network reads. */\n{tables}\n")
    }

    /// From outputs to predictions in the units of the data.
    fn decode(&self, values: &CValues) -> String {
        let targets = values.targets.len();
        let places = targets * values.horizon.max(1);
        let per = self.forecasts(values);
        let likelihood = self.links();
        let mut tables = String::new();
        if !values.shifts.is_empty() {
            let all: Vec<String> = values.shifts.iter().flatten().map(|shift| number(self.name, *shift)).collect();
            tables += &format!(
                "/* What is added to each quantile of each target and step, in units of the window. */\n\
                 static const @number @shifts[{}] = {{\n    {}\n}};\n\n",
                all.len(),
                all.join(",\n    ")
            );
        }
        let sorts = per > 1 && likelihood == 0 && !values.around_point;
        if sorts {
            tables += &format!(
                "/* Sorts the quantiles of a target, which may cross. */\nstatic inline void @sort(@number *of)\n{{\n    \
                 size_t i, j;\n    for (i = 1; i < {per}; ++i) {{\n        const @number value = of[i];\n        \
                 for (j = i; j > 0 && of[j - 1] > value; --j) {{\n            of[j] = of[j - 1];\n        }}\n        \
                 of[j] = value;\n    }}\n}}\n\n"
            );
        }
        let body = self.decoded(values, per, likelihood, sorts, places);
        format!(
            "{tables}/* Predictions in the units of the data, @@OUTPUTS numbers, with these scalings of the targets. */\n\
             static inline void @decode(const float *scaled, const @number *offset, const @number *unit, @number *y)\n\
             {{\n    size_t k;\n    for (k = 0; k < {places}; ++k) {{\n        const size_t q = k % {targets};\n{body}    \
             }}\n}}\n\n"
        )
    }

    /// One target at one step.
    fn decoded(&self, values: &CValues, per: usize, likelihood: usize, sorts: bool, places: usize) -> String {
        let unscaled = |of: &str| format!("(@number)scaled[{of}] * unit[q] + offset[q]");
        if likelihood > 0 {
            let at = |index: usize| format!("k * {per} + {index}");
            return match (&self.model.head.as_ref().map(|head| &head.loss), likelihood) {
                (Some(crate::model::Loss::NegativeBinomial), _) => format!(
                    "        y[{}] = (@number)scaled[{}] * unit[q];\n        \
                     y[{}] = (@number)scaled[{}] / (@number)BPTT_SQRTF((float)unit[q]);\n        (void)offset;\n",
                    at(0),
                    at(0),
                    at(1),
                    at(1)
                ),
                (_, links) => {
                    let mut lines = format!("        y[{}] = {};\n", at(0), unscaled(&at(0)));
                    lines += &format!("        y[{}] = (@number)scaled[{}] * unit[q];\n", at(1), at(1));
                    if links > 2 {
                        lines += &format!("        y[{}] = (@number)scaled[{}];\n", at(2), at(2));
                    }
                    lines
                }
            };
        }
        if per == 1 && values.shifts.is_empty() {
            return format!("        y[k] = {};\n", unscaled("k"));
        }
        let from = if values.around_point { "k".to_owned() } else { format!("k * {per} + f") };
        let line = |inner: String| format!("        for (f = 0; f < {per}; ++f) {{\n            {inner}\n        }}\n");
        let mut lines = String::from("        size_t f;\n");
        lines += &line(format!("y[k * {per} + f] = {};", unscaled(&from)));
        let sort = format!("        @sort(&y[k * {per}]);\n");
        if sorts {
            lines += &sort;
        }
        if !values.shifts.is_empty() {
            lines += &line(format!("y[k * {per} + f] += @shifts[f * {places} + k] * unit[q];"));
            if sorts {
                lines += &sort;
            }
        }
        lines
    }

    /// A step, an estimate from a window, or a forecast, in the units of the data.
    fn predictions(&self, rows: &CRows) -> String {
        let (columns, inputs) = (rows.columns.len(), rows.input_size());
        let values = matches!(self.header.output, COutput::Values(_));
        let kind = if values { "@number" } else { "float" };
        let outputs = self.scaled_outputs();
        let [offset, unit] = if rows.forecast().is_some() { ["@offset", "@unit"] } else { ["@y_offset", "@y_unit"] };
        let finish = |offset: &str, unit: &str| {
            if values {
                format!("    @output(state, scaled);\n    @decode(scaled, {offset}, {unit}, y);\n")
            } else {
                "    @output(state, y);\n".into()
            }
        };
        let scaled = if values { format!("    float scaled[{outputs}];\n") } else { String::new() };
        let mut code = String::new();
        if rows.can_step() {
            code += &format!(
                "/* A step: a row of @@INPUTS numbers in, @@OUTPUTS numbers out, in the units of the data. */\n\
                 static inline void @step(@state *state, const @number *row, {kind} *y)\n{{\n    float x[{inputs}];\n\
                 {scaled}    @encode(row, @offset, @unit, x);\n    @advance(state, x);\n{}}}\n\n",
                finish(offset, unit)
            );
        }
        if let CReading::Window(window) = rows.reading {
            code += &format!(
                "/* What the program predicts of the last of these rows, of @@INPUTS numbers each, one after the other: the\n   \
                 last {window} of a series, or all that there are. Begins with a reset. */\n\
                 static inline void @predict(@state *state, const @number *rows, size_t count, {kind} *y)\n{{\n    \
                 float x[{inputs}];\n{scaled}    size_t t;\n    @reset(state);\n    \
                 for (t = 0; t < count; ++t) {{\n        @encode(&rows[t * {columns}], @offset, @unit, x);\n        \
                 @advance(state, x);\n    }}\n{}}}\n\n",
                finish(offset, unit)
            );
        }
        match rows.forecast() {
            Some((window, relative)) => {
                code + &self.forecast(rows, window, relative, &finish("offset", "unit"), &scaled)
            }
            None => code,
        }
    }

    fn forecast(&self, rows: &CRows, window: usize, relative: CRelative, finish: &str, scaled: &str) -> String {
        let (columns, inputs, segment) = (rows.columns.len(), rows.input_size(), rows.rows_per_step());
        let (steps, row_size) = (window / segment, rows.row_size());
        let mut code = self.relate(rows, window, relative);
        let [member, of_member] = if rows.members.is_empty() {
            ["", ""]
        } else {
            ["size_t member, ", "    offset[0] = @member_offset[member];\n    unit[0] = @member_unit[member];\n"]
        };
        let relate = if relative == CRelative::None { "" } else { "    @relate(window, offset, unit);\n" };
        let mut ids = String::new();
        if rows.ids {
            let (members, at) = (rows.members.len(), segment * row_size);
            ids = format!(
                "        for (r = 0; r < {members}; ++r) {{\n            x[{at} + r] = r == member ? 1.0f : 0.0f;\n        }}\n"
            );
        }
        let of = if rows.members.is_empty() { "" } else { ", of the series with this number, below @@MEMBERS" };
        code += &format!(
            "/* The forecast from a window{of}: @@WINDOW rows of @@INPUTS numbers each, the oldest first and one after the\n   \
             other. Begins with a reset. */\n\
             static inline void @forecast(@state *state, {member}const @number *window, {} *y)\n{{\n    \
             @number offset[{columns}], unit[{columns}];\n    float x[{inputs}];\n{scaled}    size_t t, r;\n    \
             for (t = 0; t < {columns}; ++t) {{\n        offset[t] = @offset[t];\n        unit[t] = @unit[t];\n    }}\n\
             {of_member}{relate}    @reset(state);\n    for (t = 0; t < {steps}; ++t) {{\n        \
             for (r = 0; r < {segment}; ++r) {{\n            \
             @encode(&window[(t * {segment} + r) * {columns}], offset, unit, &x[r * {row_size}]);\n        }}\n{ids}        \
             @advance(state, x);\n    }}\n{finish}}}\n\n",
            if matches!(self.header.output, COutput::Values(_)) { "@number" } else { "float" },
        );
        code
    }

    /// The scalings of the targets of a window.
    fn relate(&self, rows: &CRows, window: usize, relative: CRelative) -> String {
        let columns = rows.columns.len();
        let targets = match &self.header.output {
            COutput::Values(values) => values.targets.len(),
            _ => 1,
        };
        let least = float(LEAST_DEVIATION as f32);
        let body = match relative {
            CRelative::None => return String::new(),
            CRelative::Last => format!(
                "        for (r = 0; r < {window}; ++r) {{\n            const @number v = window[r * {columns} + q];\n            \
                 if (v == v) {{\n                offset[q] = v;\n            }}\n        }}\n"
            ),
            CRelative::Mean | CRelative::Standard => {
                let each = |what: &str| {
                    format!(
                        "        for (r = 0; r < {window}; ++r) {{\n            \
                         const @number v = window[r * {columns} + q];\n            if (v == v) {{\n                \
                         {what}\n            }}\n        }}\n"
                    )
                };
                let of_window = relative == CRelative::Standard;
                let [more, first] = if of_window {
                    [
                        ", squares = 0, first = 0;\n        int varies = 0",
                        "first = n == 0 ? v : first;\n                varies = varies || v != first;\n                ",
                    ]
                } else {
                    ["", ""]
                };
                let mut body = format!("        @number sum = 0, rest = 0, mean, n = 0{more};\n");
                body += &each(&format!("{first}sum += v;\n                n += 1;"));
                body += "        if (n == 0) {\n            continue;\n        }\n        mean = sum / n;\n";
                // What rounding took from the sum of large values.
                body += &each("rest += v - mean;");
                body += "        mean += rest / n;\n        offset[q] = mean;\n";
                if of_window {
                    body += &each("squares += (v - mean) / unit[q] * ((v - mean) / unit[q]);");
                    body += &format!(
                        "        unit[q] *= varies ? (@number)BPTT_SQRTF((float)(squares / n) + {least} * {least}) : \
                         (@number){least};\n"
                    );
                }
                body
            }
        };
        let kind = match relative {
            CRelative::Last => "their last value there",
            CRelative::Mean => "their mean there",
            _ => "their mean there, in units of their deviation",
        };
        format!(
            "/* What a window is seen from: of each target {kind}. */\n\
             static inline void @relate(const @number *window, @number *offset, @number *unit)\n{{\n    size_t q, r;\n    \
             for (q = 0; q < {targets}; ++q) {{\n{body}    }}\n{}}}\n\n",
            if relative == CRelative::Standard { "" } else { "    (void)unit;\n" }
        )
    }

    /// The numbers that stand for a target at a step, in the units of the data.
    pub(super) fn forecasts(&self, values: &CValues) -> usize {
        self.links().max(values.levels.len()).max(1)
    }

    /// The parameters of the distribution that is predicted of each target; 0 without one.
    fn links(&self) -> usize {
        self.model.head.as_ref().map_or(0, |head| head.loss.links().len())
    }

    /// Columns and what the network reads of them, as lines of a comment.
    pub(super) fn describe_rows(&self, rows: &CRows) -> Vec<String> {
        let line = |(index, column): (usize, &CColumn)| format!("  [{index}] {}", comment(&column.name));
        let mut lines = vec!["A row has these numbers, in the units of the data:".to_owned()];
        lines.extend(rows.columns.iter().enumerate().map(line));
        let missing = rows.features.iter().filter_map(|features| match features {
            CFeatures::Masks { columns, .. } => Some(columns.iter().map(|column| format!("[{column}]"))),
            _ => None,
        });
        let missing: Vec<String> = missing.flatten().collect();
        if missing.len() == rows.columns.len() {
            lines.push("NaN stands for a missing value.".into());
        } else if !missing.is_empty() {
            lines.push(format!("NaN stands for a missing value in {}; the others must have one.", missing.join(", ")));
        }
        lines
    }
}
