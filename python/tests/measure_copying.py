"""Measures the share of a training step that copying its inputs takes: `python tests/measure_copying.py`.

A call copies its inputs before anything else. One whose lengths are invalid returns right after that, so it takes as long as
the copies and what surrounds them, the exception included.
"""

import time

import numpy as np

import bptt

SIZES = ((16, 32, 32, 64), (64, 128, 128, 256), (256, 256, 8, 16), (1, 32, 8, 32))


def least(call, seconds=2.0):
    """The shortest of many calls, in microseconds."""
    times, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 3:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return 1e6 * min(times)


def main():
    numbers = np.random.default_rng(1)
    print("| B | T | I | H | dtype | order | step, µs | copying, µs | share |\n|---|---|---|---|---|---|---|---|---|")
    for rows, steps, inputs, hidden in SIZES:
        trainer = bptt.Trainer(bptt.Model("lstm", inputs, hidden, bptt.Head(1)), device="cpu", threads=1)
        y = numbers.normal(size=(rows, 1)).astype(np.float32)
        for dtype, batch_first in ((np.float32, False), (np.float64, True)):
            shape = (rows, steps, inputs) if batch_first else (steps, rows, inputs)
            x, wrong = numbers.normal(size=shape).astype(dtype), [steps + 1] * rows

            def step():
                trainer.step(x, y, batch_first=batch_first)

            def copy():
                try:
                    trainer.step(x, y, lengths=wrong, batch_first=batch_first)
                except ValueError:
                    return
                raise AssertionError("lengths beyond T were accepted")

            whole, copied = least(step), least(copy)
            order = "[B, T, I]" if batch_first else "[T, B, I]"
            sizes = f"| {rows} | {steps} | {inputs} | {hidden} | {np.dtype(dtype)} | {order} "
            print(f"{sizes}| {whole:,.0f} | {copied:,.1f} | {100 * copied / whole:.2f} % |", flush=True)


if __name__ == "__main__":
    main()
