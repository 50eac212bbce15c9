//! Every setting of a run, by section of a configuration file.

use bptt::experiment::config::{Bytes, COUNT, LAYERS, LossConfig, SIZE, ScheduleConfig, THREADS};
use bptt::train::RunLength;

use super::setting::{Form, Setting};
use super::values::{
    ACTIVATIONS, CALENDAR, CELLS, DATES, DECIMAL, DIRECTIONS, INITS, KEEP, KERNELS, LABELS_AS, LOSSES, METHODS,
    METRICS, MISSING, ON_NAN, OPTIMIZERS, PRECISIONS, READ, READOUTS, REFITS, RELATIVES, SCALED_OVER, SCALES,
    SCHEDULES, TASKS, WEIGHED, at_least_0, batch, below_1, calendar, count, groups, names, norm, quantiles, share,
    shares, signed, single, whole,
};

/// The sections of a configuration file.
pub(crate) const SECTIONS: [&str; 12] = [
    "series",
    "text",
    "sequences",
    "classes",
    "rolls",
    "audio",
    "task",
    "run",
    "model",
    "training",
    "backtest",
    "sweep",
];

/// The settings of a section.
pub(crate) fn section(name: &str) -> Option<Vec<Setting>> {
    Some(match name {
        "series" => series(),
        "text" => text(),
        "sequences" => sequences(),
        "classes" => classes(),
        "rolls" => rolls(),
        "audio" => audio(),
        "task" => task(),
        "run" => run(),
        "model" => model(),
        "training" => training(),
        "backtest" => backtest(),
        "sweep" => sweep(),
        _ => return None,
    })
}

fn size(name: &'static str) -> Form {
    Form::new(name, "100", whole::<1, SIZE>)
}

fn steps() -> Form {
    Form::new("N", "100", count)
}

fn rate() -> Form {
    Form::new("RATE", "0.1", below_1)
}

fn columns() -> Form {
    Form::new("COLUMNS", "COLUMN", names)
}

fn calendar_fields() -> Form {
    Form::new("FIELDS", "hour,weekday", calendar).meanings(CALENDAR)
}

fn series() -> Vec<Setting> {
    [series_inputs(), series_measured()].concat()
}

/// The columns of a series, and how a network sees them.
fn series_inputs() -> Vec<Setting> {
    vec![
        Setting::positional("file", Form::file("FILE"), "CSV file with a header and the time in its first column"),
        Setting::flag("target", columns(), "Columns to forecast").default("the second of two").more(
            "Names are separated by commas. Quote a name that contains one: '\"a, b\",c'. With --panel all other \
                 columns are targets by default.",
        ),
        Setting::flag("panel", Form::switch(), "Make each target a series of its own").more(
            "One network forecasts each target from its own past. Windows are drawn over all of them, and each is \
                 scaled by its own training rows.",
        ),
        Setting::flag("features", columns(), "Columns known up to the present, or all")
            .more("They are inputs beside the target. `all` takes every other column."),
        Setting::flag("known", columns(), "Columns whose future values are known too"),
        Setting::flag("calendar", calendar_fields(), "Inputs from the times, as in hour,weekday").more(
            "The first column must have dates. The inputs are known in advance, and also beyond the end of the file. \
             Each field is two inputs, the sine and the cosine of its position in the cycle, or with a colon and \
             classes, as in weekday:classes, one input for each position.",
        ),
        Setting::flag("now", columns(), "Virtual sensor: columns of the target's own row").more(
            "The target of a row is estimated from these columns up to the same row, and nothing is forecast; its own past is \
             not read. `all` takes every other column.",
        ),
        Setting::flag("carry-state", Form::switch(), "With --now: truncated BPTT with the state carried on")
            .rare()
            .more("The rows are read from the first to the last, and not in windows."),
        Setting::flag("horizon", size("K"), "Number of rows to forecast at once").default("1"),
        Setting::flag("window", size("T"), "Number of rows in an input window").default("22"),
        Setting::flag("id", Form::text("COLUMN"), "Long form: column of the series' names")
            .more("A row for each time of each series, which may begin and end at times of their own: a panel."),
        Setting::flag("time", Form::text("COLUMN"), "Long form: column of the times").rare().default("the first"),
        Setting::flag("static", columns(), "Long form: columns that are the same for a series")
            .rare()
            .more("A number is one input; each word, or each number with NAME:classes, is an input of its own."),
        Setting::key("ids", Form::switch(), "A learned vector for each series of a panel"),
        Setting::key("drop-short", Form::switch(), "Leave out series too short for a window")
            .more("Of a panel. Without it, a series that has no training window is an error."),
        Setting::key("weigh", Form::choice("WHAT", WEIGHED), "What weighs alike in the loss: windows, series")
            .default("windows")
            .more("Of a panel whose series have different lengths."),
        Setting::flag("segment", size("ROWS"), "Number of rows in a step of the network")
            .rare()
            .default("1")
            .more("It divides --window: a window of 336 rows is 14 steps of 24."),
        Setting::flag("relative", Form::choice("WHAT", RELATIVES), "See windows from: none, last, mean, standard")
            .default("mean")
            .more(
                "The targets of a window and their forecast are measured from the window's own last value or mean, so \
                 that a level that training never saw looks like any other. The sunspots use standard.",
            ),
    ]
}

/// The parts of a series, how it is read, and what is forecast of it.
fn series_measured() -> Vec<Setting> {
    vec![
        Setting::flag("season", size("ROWS"), "Season length of the seasonal naive baseline"),
        Setting::flag("train-until", Form::text("ROW"), "Last training row, by its value in the first column")
            .more("The rows after it are for validation and test. The sunspots use 1920."),
        split("Train, validation, test").default("0.7,0.15,0.15"),
        Setting::flag("validation", proportion(), "Validation share after --train-until").default("0.4"),
        Setting::flag("test-until", Form::text("ROW"), "Last test row, with --train-until")
            .rare()
            .default("the last row")
            .more("The rows after it are not used, as if the file ended there."),
        Setting::flag("scale", scale(), "Scaling: standard, min-max, mean-absolute, none")
            .rare()
            .default("standard")
            .more(
                "Inputs and targets are scaled by the training split. Metrics are in the file's own units. mean-absolute \
                 divides the targets by their mean absolute value, for counts and others that begin at 0; features and \
                 known columns are scaled as by standard. The default is mean-absolute with --loss negative-binomial.",
            ),
        Setting::key("scale-over", Form::choice("WHAT", SCALED_OVER), "Scale the series of a panel by: series, all")
            .default("series"),
        missing(),
        decimal("Decimal mark: . or ,").default("detected"),
        dates("Date order: day-first, month-first, year-first"),
        Setting::flag(
            "loss",
            Form::new("LOSS", "squared", str::parse::<LossConfig>).meanings(LOSSES),
            "Loss, as in huber, quantile or gaussian",
        )
        .more(
            "Squared by default, and quantile with --quantiles. Parameters follow a colon, as in huber:delta=0.5. With \
             gaussian, student-t and negative-binomial the network forecasts a distribution of each value.",
        ),
        Setting::flag("quantiles", Form::new("Q,Q", "0.5", quantiles), "Quantiles to forecast")
            .default("0.1,0.5,0.9")
            .more(
                "In ascending order. Quantiles that the network crosses are sorted. With the loss of a distribution they \
                 are its quantiles.",
            ),
        Setting::flag("conformal", Form::switch(), "Ranges from the errors in the validation windows").rare().more(
            "Split conformal: each end of a range is shifted so that as many validation windows lie beyond it as it says. With \
             --quantiles alone these are what the network predicts. With another --loss they are a range around its one \
             forecast, by default 0.1,0.9.",
        ),
        input_limit(),
        predict(),
    ]
}

fn text() -> Vec<Setting> {
    vec![
        Setting::positional("file", Form::file("FILE"), "Text file in UTF-8"),
        Setting::flag("bytes", Form::switch(), "Predict bytes instead of characters"),
        Setting::flag("window", size("T"), "Number of steps in a window").default("64"),
        Setting::flag("carry-state", Form::switch(), "Truncated BPTT with the state carried on")
            .more("The text is read from beginning to end in contiguous streams, not in random windows."),
        split("Train, validation, test").default("0.9,0.1,0"),
        embedding("Embedding size per character").default("one-hot"),
        Setting::flag("tied", Form::switch(), "Share the embedding with the output layer")
            .more("The embedding then has the size of the hidden state (Press & Wolf 2017)."),
        min_count(),
        label_smoothing("Share of each target spread over all characters").default("0"),
    ]
}

fn sequences() -> Vec<Setting> {
    vec![
        Setting::positional("file", Form::file("FILE"), "Sequences: .ts, .tsv, .csv, .npy, .npz or idx").more(
            "The .ts and .tsv files are those of UEA and UCR, .csv is in long form, and idx is the format of MNIST.",
        ),
        Setting::flag("labels", Form::file("FILE"), "Labels, if they have a file of their own"),
        Setting::flag("test-file", Form::file("FILE"), "Test sequences, in the same format"),
        Setting::flag("test-labels", Form::file("FILE"), "Labels of --test-file"),
        Setting::flag("labels-as", Form::choice("WHAT", LABELS_AS), "Numeric labels are classes or values")
            .more("By default they are detected from the file, and an ambiguous file is an error."),
        Setting::flag("predict", Form::choice("AT", READOUTS), "Steps that predict: last, mean or every")
            .default("last")
            .more(
                "With `every` each step has a label: a row of a .csv, or the labels [N, T] or [N, T, O] of an .npy or .npz \
                 file. Missing labels are not learned from or measured.",
            ),
        Setting::flag("read", Form::choice("STEP", READ), "idx: a step is rows or pixels").default("rows"),
        Setting::flag("id", Form::text("COLUMN"), "CSV: column of the sequence's name").default("id"),
        Setting::flag("time", Form::text("COLUMN"), "CSV: column that orders the steps").default("time"),
        Setting::flag("label", Form::text("COLUMN"), "CSV: column of the labels").default("label"),
        split("Train, validation, test").default("0.7,0.15,0.15"),
        Setting::flag("validation", proportion(), "Validation share beside --test-file").default("0.2"),
        Setting::flag("scale", scale(), "Scaling: standard, min-max, mean-absolute, none")
            .default("none")
            .more("Each dimension is scaled by the training split."),
        missing(),
        decimal("CSV: decimal mark, . or ,").default("detected"),
        dates("CSV: day-first, month-first or year-first dates"),
        class_weights(),
        input_limit(),
        label_smoothing("Share of each target spread over all classes").default("0"),
        buckets("Number of groups of sequences of similar length").default("4"),
    ]
}

fn classes() -> Vec<Setting> {
    vec![
        Setting::positional("file", Form::folder("FOLDER"), "Folder with a text file per class")
            .more("Each line of a file is an example of its class."),
        split("Train, validation, test").default("0.8,0.1,0.1"),
        embedding("Embedding size per character").default("one-hot"),
        class_weights(),
        min_count(),
        input_limit(),
        label_smoothing("Share of each target spread over all classes").default("0"),
        buckets("Number of groups of lines of similar length").default("4"),
        predict(),
    ]
}

fn rolls() -> Vec<Setting> {
    vec![
        Setting::positional("file", Form::file("FILE"), "Piano rolls: .json, or .csv of 0 and 1")
            .more("A single piece is split in time."),
        Setting::flag("keys", Form::text("LOW-HIGH"), "Lowest and highest key").default("those that occur"),
        split("Train, validation, test").default("0.7,0.15,0.15"),
        input_limit(),
        buckets("Number of groups of pieces of similar length").default("4"),
    ]
}

fn audio() -> Vec<Setting> {
    vec![
        Setting::positional("file", Form::file("DRY"), "Sound that is read: .wav"),
        Setting::positional("wet", Form::file("WET"), "What a device made of it: .wav")
            .more("It has the rate and the length of DRY, and any number of channels. Both begin at the same time."),
        Setting::flag("window", size("T"), "Frames in a step of truncated BPTT").default("1024").more(
            "The sound is read from beginning to end in as many lanes as --batch says, with the state carried on.",
        ),
        split("Train, validation, test").default("0.8,0.1,0.1"),
        input_limit(),
    ]
}

fn task() -> Vec<Setting> {
    vec![
        Setting::positional("name", Form::choice("NAME", TASKS), "Task: adding or copy").default("adding"),
        Setting::flag("length", size("T"), "Steps of adding [default: 50], delay of copy").default("10"),
        embedding("Embedding size per symbol").default("one-hot").more("Only the copying task has symbols."),
        predict(),
    ]
}

fn run() -> Vec<Setting> {
    vec![
        Setting::flag("device", Form::text("DEVICE"), "auto, gpu, cpu or part of a GPU's name")
            .default("auto")
            .more("For example 4090. `bptt devices` lists names and indices; an index is accepted too."),
        Setting::flag("threads", Form::new("N", "1", whole::<1, THREADS>), "Number of CPU threads")
            .default("all cores")
            .more("They do not change the results."),
        Setting::flag("seed", Form::new("N", "1", signed), "Random seed")
            .default("1")
            .more("It sets the initial weights, the order of the examples, dropout and synthetic data."),
        Setting::flag("precision", Form::choice("P", PRECISIONS), "How a GPU stores z and h: f32 or f16")
            .rare()
            .default("f32")
            .more("f16 halves their memory and the reads of W_hh; everything is computed in f32."),
        Setting::key("kernel", Form::choice("KERNEL", KERNELS), "GPU kernel of the recurrent steps")
            .default("auto")
            .more("It does not change the results."),
        Setting::key("profile", Form::switch(), "Print the time of each kernel or phase at the end"),
    ]
}

fn model() -> Vec<Setting> {
    vec![
        Setting::flag("cell", Form::choice("CELL", CELLS), "Recurrent cell: rnn, lstm or gru").default("lstm"),
        Setting::flag("hidden", size("H"), "Number of hidden units")
            .default("16 to 128")
            .by_kind(|kind| ("Number of hidden units", kind.default_hidden().to_string()))
            .more("Those of a layer and direction: 16 for series, 32 for audio, 128 for text, classes and rolls, 64 otherwise."),
        Setting::flag("layers", Form::new("L", "1", whole::<1, LAYERS>), "Number of stacked layers").default("1"),
        Setting::flag("dropout", rate(), "Dropout rate between layers").default("0"),
        Setting::flag("bidirectional", Form::switch(), "Read each sequence in both directions"),
        Setting::flag("init-from", Form::path("RUN"), "Start from the weights of a run or model file")
            .more("The network, vocabulary and scalings are those of the model."),
        Setting::key("activation", Form::choice("F", ACTIVATIONS), "Activation of the rnn cell").default("tanh"),
        Setting::key("direction", Form::choice("D", DIRECTIONS), "Read forward, in reverse, or both")
            .default("forward")
            .more("--bidirectional is the same as both."),
        Setting::key("proj-size", Form::new("S", "8", whole::<1, SIZE>), "Size of the projected h of the lstm cell")
            .default("none")
            .more("It is below --hidden. PyTorch's proj_size (Sak, Senior & Beaufays 2014)."),
        Setting::key("recurrent-dropout", rate(), "Dropout rate between time steps")
            .default("0")
            .more("The same units are dropped at all steps of a sequence (Gal & Ghahramani 2016)."),
        Setting::key("init", Form::choice("INIT", INITS), "Initialization of recurrent weights").default("uniform"),
        Setting::key("forget-bias", Form::new("BIAS", "1.0", single), "Initial forget gate bias of the lstm cell")
            .more("By default it is drawn like the other biases."),
    ]
}

fn training() -> Vec<Setting> {
    vec![
        Setting::flag("batch", Form::new("B", "32", batch), "Sequences per batch, or auto")
            .default("32")
            .more("`auto` takes the largest batch that fits into --memory, or else into the device's memory."),
        Setting::flag("memory", Form::new("BYTES", "2GiB", Bytes::parse), "Memory limit, as in 2GiB")
            .default("none")
            .more("A larger batch is computed in micro-batches, with the same result. `bptt plan` estimates the memory."),
        Setting::flag("recompute", Form::switch(), "Recompute activations to save memory")
            .more("The backward pass repeats the forward pass in chunks of time. For networks that read forward only."),
        Setting::flag("epochs", steps(), "Number of epochs")
            .default("10 to 100")
            .by_kind(|kind| match kind.default_length() {
                RunLength::Epochs(epochs) => ("Number of epochs", epochs.to_string()),
                _ => ("Number of epochs, instead of --steps", String::new()),
            })
            .more("50 for series and rolls, 10 for text, 15 for classes, 100 for sequences and audio.")
            .excludes("steps"),
        Setting::flag("steps", steps(), "Number of optimizer steps, instead of --epochs")
            .by_kind(|kind| match kind.default_length() {
                RunLength::Steps(steps) => ("Number of optimizer steps", steps.to_string()),
                _ => ("Number of optimizer steps, instead of --epochs", String::new()),
            })
            .more("2000 for tasks."),
        Setting::flag("patience", steps(), "Validations without improvement before stopping")
            .more("By default a run does not stop early."),
        Setting::flag("keep", Form::choice("WEIGHTS", KEEP), "Weights to store: last or best")
            .default("last")
            .more("With --patience the default is best."),
        Setting::flag("optimizer", Form::choice("RULE", OPTIMIZERS), "sgd, momentum, nesterov, rmsprop, adam or adamw")
            .default("adam"),
        Setting::flag("lr", Form::new("RATE", "0.01", at_least_0), "Learning rate")
            .default("0.001 to 0.005")
            .by_kind(|kind| ("Learning rate", kind.default_learning_rate().to_string()))
            .more("0.005 for series, audio and tasks, 0.002 for text and classes, 0.001 for sequences and rolls."),
        Setting::flag("clip", Form::new("NORM", "1.0", norm), "Maximum gradient norm, 0: none").default("1"),
        Setting::flag("weight-decay", Form::new("DECAY", "0.1", at_least_0), "Weight decay").rare().default("0; adamw: 0.01"),
        Setting::flag("warmup", Form::new("N", "0", signed), "Steps of linear warmup").rare().default("0"),
        Setting::flag(
            "schedule",
            Form::new("SCHEDULE", "constant", str::parse::<ScheduleConfig>).meanings(SCHEDULES),
            "constant, step, exponential, cosine or plateau",
        )
        .default("constant")
        .more("Parameters follow a colon, as in step:every=100,factor=0.1."),
        Setting::key("groups", Form::new("GROUPS", "head.*:lr=10x", groups), "Tensors with settings of their own")
            .more(
                "A group is a pattern of names with frozen, or with lr and weight-decay, as in \"head.*:lr=10x,weight-decay=0\". \
                 The first that matches a tensor decides; several are a list in brackets.",
            ),
        Setting::key("ema-decay", Form::new("DECAY", "0.999", below_1), "Decay of a moving average of the weights").more(
            "The average is what is validated and stored; checkpoints keep both. By default there is none.",
        ),
        Setting::key("micro-batch", size("ROWS"), "Maximum number of sequences on the device at once").more(
            "A larger batch is computed in micro-batches, with the same result. By default as many as fit into --memory.",
        ),
        Setting::key("accumulate", steps(), "Number of batches per optimizer step")
            .default("1")
            .more("Their gradients are summed."),
        Setting::key("val-every", steps(), "Steps between validations")
            .default("an epoch")
            .more("At most 250 for text, and 100 for tasks."),
        Setting::key("flow-every", steps(), "Steps between records of ‖∂L/∂h_t‖")
            .default("never")
            .more("The norms of every step, layer and direction are written to a file and drawn."),
        Setting::key("checkpoint-every", steps(), "Steps between checkpoints").default("about a minute"),
        Setting::key("checkpoints", Form::new("N", "2", whole::<1, COUNT>), "Number of checkpoints kept").default("2"),
        Setting::key("on-nan", Form::choice("WHAT", ON_NAN), "Response to a loss or gradient that is not finite")
            .default("stop"),
        Setting::key("tensorboard", Form::switch(), "Write event files for TensorBoard into the run's folder"),
    ]
}

fn backtest() -> Vec<Setting> {
    vec![
        Setting::flag("folds", Form::new("N", "5", whole::<1, COUNT>), "Number of folds").default("5").more(
            "Each forecasts once, from its origin: the last row that it knows. The last one ends at the last row.",
        ),
        Setting::flag("stride", Form::new("ROWS", "12", whole::<1, COUNT>), "Rows between two origins")
            .default("the horizon"),
        Setting::flag("refit", Form::choice("HOW", REFITS), "Network of a fold: scratch, continue, none")
            .default("scratch"),
    ]
}

fn sweep() -> Vec<Setting> {
    let number = |name: &'static str, example: &'static str| Form::new(name, example, whole::<1, COUNT>);
    vec![
        Setting::flag("trials", number("N", "20"), "Number of trials").default("20; grid: all combinations"),
        Setting::flag("method", Form::choice("HOW", METHODS), "How trials are chosen: grid, random, tpe")
            .default("random"),
        Setting::flag("metric", Form::choice("NAME", METRICS), "What trials are ranked by, of the validation split")
            .default("val-loss")
            .more("The test split has no part in it."),
        Setting::flag("seeds", number("N", "3"), "Runs of each trial, with different seeds")
            .default("1")
            .more("Their results are averaged; their standard deviation is what a difference is compared with."),
        Setting::flag("halving", Form::new("N", "3", whole::<2, 100>), "Successive halving: keep the best 1/N").more(
            "At the end of each rung the best 1/N of the trials, by validation loss, go on from their checkpoints. With 3 \
             rungs and N = 3 these are 1/9, 1/3 and all of the steps. Without it every trial is trained to its end.",
        ),
        Setting::flag("rungs", Form::new("N", "3", whole::<2, 10>), "Number of rungs of --halving, with the last")
            .rare()
            .default("at most 3"),
        Setting::flag("round", number("N", "8"), "With --method tpe: trials drawn at once")
            .rare()
            .default("8")
            .more("From the results of all rounds before, so that the number of workers does not change what is drawn."),
        Setting::key("claim-timeout", number("SECONDS", "120"), "Seconds until the run of a silent worker is taken again")
            .default("120"),
    ]
}

fn proportion() -> Form {
    Form::new("SHARE", "0.5", share)
}

fn split(help: &'static str) -> Setting {
    Setting::flag("split", Form::new("A,B,C", "0.7,0.15,0.15", shares), help).more("The shares add up to 1.")
}

fn scale() -> Form {
    Form::choice("SCALE", SCALES)
}

fn missing() -> Setting {
    Setting::flag("missing", Form::choice("HOW", MISSING), "Missing values: error, ffill, mask").default("error")
}

fn decimal(help: &'static str) -> Setting {
    Setting::flag("decimal", Form::choice("MARK", DECIMAL), help).rare()
}

fn dates(help: &'static str) -> Setting {
    Setting::flag("dates", Form::choice("ORDER", DATES), help)
        .rare()
        .more("For dates such as 5/3/2021. By default it is detected from the rows.")
}

fn input_limit() -> Setting {
    Setting::key("input-limit", Form::new("BYTES", "1GiB", Bytes::parse), "Largest input, as in 4GiB")
        .default("1GiB")
        .more("It limits the file and what it unpacks to.")
}

fn predict() -> Setting {
    Setting::key("predict", Form::choice("AT", READOUTS), "Steps that make the prediction: last or mean")
}

fn embedding(help: &'static str) -> Setting {
    Setting::flag("embedding", size("N"), help)
}

fn min_count() -> Setting {
    Setting::key("min-count", steps(), "Minimum count of a known character").default("1")
}

fn label_smoothing(help: &'static str) -> Setting {
    Setting::key("label-smoothing", Form::new("SHARE", "0.1", below_1), help).more("Metrics are computed without it.")
}

fn class_weights() -> Setting {
    Setting::flag("class-weights", Form::new("WEIGHTS", "balanced", names), "balanced, or CLASS=WEIGHT,…")
        .default("1 each")
        .more("Weights of the classes in the loss; `balanced` is n / (k n_class). Metrics are computed without them.")
}

fn buckets(help: &'static str) -> Setting {
    Setting::key("buckets", size("N"), help).more("Batches within a group need little padding.")
}
