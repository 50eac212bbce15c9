//! The examples below each command's long help.

pub(crate) const PROGRAM: &str = "\
Examples:
  bptt train                            train on the bundled sunspot numbers
  bptt train text shakespeare.txt       train on a text, character by character
  bptt sample runs/shakespeare-1 --prime 'ROMEO:'
  bptt train series sales.csv --target units --horizon 7
  bptt forecast runs/sales-1
  bptt train sequences X_TRAIN.ts --test-file X_TEST.ts
  bptt predict runs/X-1 new.ts

`bptt COMMAND -h` lists the flags of a command, and `--help` explains them.";

pub(crate) const BACKTEST: &str = "\
Examples:
  bptt backtest air.csv --horizon 12 --season 12 --folds 12 --stride 4 --out b
  bptt backtest sales.csv --target units --horizon 7 --quantiles 0.1,0.5,0.9
  bptt backtest shops.csv --id shop --horizon 7 --refit continue
  bptt backtest --config runs/sales-1/backtest.toml --refit none
  bptt backtest --resume b                      continue one that was stopped

The last fold ends at the last row, and the origin of each is a stride before that of the next. Each is forecast once, by a
network that knows the rows up to its origin: the runs in FOLDER/fold-01, FOLDER/fold-02 and so on are as `bptt train series`
writes them with --train-until, --validation and --test-until.

Ctrl-C or SIGTERM ends it after the steps under way. --resume, or the same command again, goes on there: finished folds are not
trained again, and the one under way continues from its checkpoint.";

pub(crate) const SWEEP: &str = "\
Examples:
  bptt sweep sweep.toml --out s                 the trials of [sweep] in sweep.toml
  bptt sweep sweep.toml --trials 24 --halving 3 --seeds 3 --jobs 4
  bptt sweep --worker s                         help with it, or go on after a stop

sweep.toml is a configuration file with two more tables, as in examples/sweep.toml:

  [series]
  file = \"air.csv\"

  [sweep]
  trials = 24
  halving = 3

  [sweep.space]
  training.lr = { log-uniform = [1e-4, 1e-1] }
  model.hidden = [16, 32, 64]
  model.layers = { integers = [1, 2] }
  model.dropout = { range = [0, 0.5], step = 0.1 }
  training.weight-decay = { uniform = [0, 0.1] }

Each trial's runs are ordinary runs in FOLDER/trial-001/seed-1 and so on. Which settings a trial has follows from the file and its
seed (run.seed), however often the sweep is stopped and whoever works on it. Ctrl-C or SIGTERM ends it after the steps under way;
the same command, or --worker, goes on there. Nothing is trained twice.";

pub(crate) const PLAN: &str = "\
Examples:
  bptt plan text input.txt --hidden 1024
  bptt plan task adding --length 20000 --hidden 256 --batch 16 --recompute
  bptt plan text input.txt --batch auto --memory 2GiB
  bptt plan runs/input-1 --device gpu --json
  bptt plan runs/input-1 --ranks 8 --bandwidth 10Gbit --latency 20us";

pub(crate) const TRAIN: &str = "\
Examples:
  bptt train                                    on the bundled sunspot numbers
  bptt train text input.txt --cell gru --steps 2000
  bptt train text input.txt --carry-state       truncated BPTT
  bptt train series ETTh1.csv --target OT --features all --horizon 24
  bptt train series ETTh1.csv --panel --window 336 --segment 24 --relative last
  bptt train series shops.csv --id shop         long form, a row for each time of each shop
  bptt train series co2.csv --missing ffill --train-until 19951230
  bptt train series sales.csv --target units --horizon 7 --quantiles 0.1,0.5,0.9
  bptt train sequences X_TRAIN.ts --test-file X_TEST.ts --bidirectional
  bptt train sequences X.ts --set sequences.label-smoothing=0.1
  bptt train classes names/ --schedule cosine --patience 10
  bptt train series engine.csv --target torque --now rpm,throttle    a virtual sensor
  bptt train rolls chorales.json
  bptt train audio dry.wav wet.wav              an amplifier or effect
  bptt train task adding --length 100
  bptt train task adding --length 20000 --batch 16 --recompute --memory 512MiB
  bptt train --config runs/sunspots-1/config.toml --seed 2
  bptt train text more.txt --init-from runs/input-1 --lr 0.0005
  bptt train --resume runs/input-1              continue a run that was stopped
  bptt train --resume runs/input-1 --steps 4000  extend it to 4,000 steps

Ctrl-C or SIGTERM ends a run after the steps under way and keeps what was learned. The exit code is then 130 or 143. A second
one ends it at once. --resume continues it in either case.

If standard error is not a terminal, lines of progress go to it: step, epoch, mean loss since the line before, last validation
loss, pace and time left. --log-every and --quiet change how many.";

pub(crate) const EVAL: &str = "\
Examples:
  bptt eval runs/sunspots-1                     its own validation and test splits
  bptt eval runs/sales-1 newer.csv              rows after those it was trained on
  bptt eval runs/X-1 other.ts --json";

pub(crate) const PREDICT: &str = "\
Examples:
  bptt predict runs/X-1 new.ts --out labels.csv
  bptt predict runs/sunspots-1 | head";

pub(crate) const APPLY: &str = "\
Examples:
  bptt apply runs/dry-1 guitar.wav --out amplified.wav
  bptt apply runs/dry-1 guitar.wav --out amplified.wav --bits float

The sound is streamed through the network from a state of zero, with memory for a few thousand frames: a file may have any
length. It must have the rate and the channels that the network was trained with.";

pub(crate) const FORECAST: &str = "\
Examples:
  bptt forecast runs/sunspots-1 --rows 11       the eleven years after the last
  bptt forecast runs/sales-1 newer.csv --out next.csv --svg next.svg
  bptt forecast runs/sales-1 --json

Beyond the model's horizon, forecasts start from earlier forecasts (of several quantiles, the middle one), and their range is
too narrow. A model trained with a longer --horizon is better then. Columns known beforehand need their future in the file, in
rows after the last one with a target.";

pub(crate) const SAMPLE: &str = "\
Examples:
  bptt sample runs/shakespeare-1 --prime 'ROMEO:' --length 1000
  bptt sample runs/shakespeare-1 --temperature 0.5 --top-p 0.9 --seed 7
  bptt sample model.safetensors | less";

pub(crate) const STREAM: &str = "\
Examples:
  tail -f pump.csv | bptt stream runs/pump-1
  mosquitto_sub -t sensor | bptt stream runs/pump-1 --json
  cat lines.txt | bptt stream runs/names-1 > classes.csv
  bptt stream runs/sunspots-1 --profile < data/sunspots.csv > forecasts.csv

A line has the columns that the network reads, which `reads` names at the start: in that order, separated by a comma, a
semicolon, a tab, a vertical bar or blanks; or in any order below a first line with their names; or as JSON, an array or an
object. A blank line ends a sequence: the next begins from zero. Of texts, each character is read as it comes; of lines with
classes and of lines of keys, a blank one is empty. The first column of a prediction is the number of its line or character.

A series is forecast after each row as `bptt forecast` forecasts it, from as many rows as the window has. --profile prints how
long a line took, from its end to its prediction.";

pub(crate) const EXPORT: &str = "\
Examples:
  bptt export runs/sunspots-1 sunspots.onnx
  bptt export runs/sunspots-1 step.onnx --step   one step, for streams
  bptt export runs/sunspots-1 model.h --weights int8
  bptt export runs/dry-1 amp.json --to rtneural
  bptt export runs/sunspots-1 weights.safetensors --names lstm,fc

A header of C takes and returns numbers in the units of the data, characters and classes; docs/export.md lists its functions.

The ONNX model takes what the network reads: scaled numbers, or ids of characters. Its metadata contain JSON. `bptt_interface`
describes each input and output in order (column, scaling, lead, class, step, quantile), and `bptt` is the description of
model.safetensors. All inputs are needed. h_0 and c_0 are zeros at the start of a sequence.";

pub(crate) const GRADCHECK: &str = "\
Examples:
  bptt gradcheck --layers 2 --bidirectional --dropout 0.2 --device gpu
  bptt gradcheck runs/adding-1 --device gpu     the network and weights of a run

The data are random rows of different lengths with random initial states, and dropout is on. If a gradient is off by more than
rounding, the exit code is 1 and the message names it.";

pub(crate) const FLOW: &str = "\
Examples:
  bptt flow runs/adding-1                       a run on its validation split
  bptt flow task adding --length 100 --steps 2000 --out flow.svg
  bptt flow --compare runs/adding-1 runs/adding-2 --json

If the network predicts at every step, the gradient is that of the last step's loss alone: a loss at step t would hide what
comes back to it from later steps. --whole-loss takes the loss of every step.";

pub(crate) const BENCH: &str = "\
Examples:
  bptt bench --cell lstm --size M >> before.jsonl
  bptt bench --cell lstm --size M --compare before.jsonl
  bptt bench --cell lstm --size M --profile     where the time goes, kernel by kernel
  bptt bench --cell lstm --size M --sweep 16..8192 --memory 4GiB --svg x.svg
  bptt bench --basics --device gpu              matrix products, and what a dispatch costs

Lines of JSON go to standard output, all other text to standard error. scripts/gpu-table measures a whole GPU.";
