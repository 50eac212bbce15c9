//! The examples below each command's long help.

pub(crate) const PROGRAM: &str = "\
Examples:
  bptt train                                    learn the bundled sunspot numbers
  bptt train text shakespeare.txt             learn a text, character by character
  bptt sample runs/shakespeare-1 --prime 'ROMEO:'
  bptt train series sales.csv --target units --horizon 7
  bptt forecast runs/sales-1
  bptt train sequences X_TRAIN.ts --test-file X_TEST.ts
  bptt predict runs/X-1 new.ts

`bptt COMMAND --help` explains every flag of a command, `-h` in short.";

pub(crate) const PLAN: &str = "\
Examples:
  bptt plan text input.txt --hidden 1024
  bptt plan task adding --length 20000 --hidden 256 --batch 16 --recompute
  bptt plan text input.txt --batch auto --memory 2GiB
  bptt plan runs/input-1 --device gpu --json";

pub(crate) const TRAIN: &str = "\
Examples:
  bptt train                                    the bundled sunspot numbers
  bptt train text input.txt --cell gru --steps 2000
  bptt train text input.txt --carry-state     truncated BPTT over contiguous lanes
  bptt train series ETTh1.csv --target OT --features all --horizon 24
  bptt train series co2.csv --missing ffill --train-until 19951230
  bptt train series sales.csv --target units --horizon 7 --quantiles 0.1,0.5,0.9
  bptt train sequences X_TRAIN.ts --test-file X_TEST.ts --bidirectional
  bptt train sequences X.ts --set sequences.label-smoothing=0.1
  bptt train classes names/ --schedule cosine --patience 10
  bptt train rolls chorales.json
  bptt train task adding --length 100
  bptt train task adding --length 20000 --batch 16 --recompute --memory 512MiB
  bptt train --config runs/sunspots-1/config.toml --seed 2
  bptt train text more.txt --init-from runs/input-1 --lr 0.0005
  bptt train --resume runs/input-1              a run that was stopped or killed, to its end
  bptt train --resume runs/input-1 --steps 4000  to 4,000 steps, as a new run

Ctrl-C, or SIGTERM, ends a run after the steps under way and a validation that is due, and keeps what was learned: its exit
code is then 130, or 143. A second one ends it at once. Either way --resume goes on with it.

Where standard error is no terminal, lines on it tell how far training is: step, epoch, the mean loss since the line before,
the last validation loss, the pace, and the time left. --log-every and --quiet change how many.";

pub(crate) const EVAL: &str = "\
Examples:
  bptt eval runs/sunspots-1                     its own validation and test parts
  bptt eval runs/sales-1 newer.csv              what follows the rows that it was trained on
  bptt eval runs/X-1 other.ts --json";

pub(crate) const PREDICT: &str = "\
Examples:
  bptt predict runs/X-1 new.ts --out labels.csv
  bptt predict runs/sunspots-1 | head";

pub(crate) const FORECAST: &str = "\
Examples:
  bptt forecast runs/sunspots-1 --rows 11       the eleven years after the last
  bptt forecast runs/sales-1 newer.csv --out next.csv --svg next.svg
  bptt forecast runs/sales-1 --json

Beyond the model's horizon it goes on from its own forecasts, of several quantiles from the middle one, and their range is
too narrow: a model with as long a --horizon tells it better. Columns known beforehand have their future in the file: rows
after the last one with a target.";

pub(crate) const SAMPLE: &str = "\
Examples:
  bptt sample runs/shakespeare-1 --prime 'ROMEO:' --length 1000
  bptt sample runs/shakespeare-1 --temperature 0.5 --top-p 0.9 --seed 7
  bptt sample model.safetensors | less";

pub(crate) const EXPORT: &str = "\
Examples:
  bptt export runs/sunspots-1 sunspots.onnx
  bptt export runs/sunspots-1 weights.safetensors --names lstm,fc

The ONNX file reads what the network does, numbers scaled and characters as ids. Its metadata hold, as JSON, under
`bptt_interface` what each input and output is in order (column, scaling, lead, class, step, quantile), and under `bptt` the
description of model.safetensors. All inputs are needed; h_0 and c_0 are zeros where a sequence begins.";

pub(crate) const GRADCHECK: &str = "\
Examples:
  bptt gradcheck --layers 2 --bidirectional --dropout 0.2 --device gpu
  bptt gradcheck runs/adding-1 --device gpu     the network and weights of a run

Random rows of different lengths, from random states, go through the network with dropout on. Exit code 1 where a gradient is
off by more than rounding: the message names it.";

pub(crate) const FLOW: &str = "\
Examples:
  bptt flow runs/adding-1                       the network of a run, on its own validation part
  bptt flow task adding --length 100 --steps 2000 --out flow.svg
  bptt flow --compare runs/adding-1 runs/adding-2 --json

With a prediction at every step, the gradient is that of each row's last one alone, unless --whole-loss says otherwise: a loss
at step t would hide what comes back to it.";

pub(crate) const BENCH: &str = "\
Examples:
  bptt bench --cell lstm --size M >> before.jsonl
  bptt bench --cell lstm --size M --compare before.jsonl
  bptt bench --cell lstm --size M --profile     where the time goes, kernel by kernel
  bptt bench --cell lstm --size M --sweep 16..8192 --memory 4GiB --svg x.svg
  bptt bench --basics --device gpu              matrix products, and what a dispatch costs

The lines of JSON go to standard output and all other words to standard error. scripts/gpu-table measures a GPU as a whole.";
