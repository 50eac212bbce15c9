"""Forks, interrupts and what a call does with other processes and threads."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


def python(code, folder, wait=60):
    """Runs a program of its own, which must end."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=folder, timeout=wait, capture_output=True, text=True
    )


SETUP = """
import os, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, bptt

def in_child(f):
    child = os.fork()
    if child == 0:
        try:
            f()
            code = 0
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr)
            code = 9
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

x, y = np.ones((50, 64, 3)), np.zeros((64, 1))
learns = bptt.Trainer(bptt.Model("lstm", 3, 32, bptt.Head(1)), device="cpu", threads=2)
first = learns.loss(x, y)
"""


def test_a_fork_computes_on_new_threads_with_the_same_bits(own_folder):
    told = python(
        SETUP
        + """
def child():
    assert learns.loss(x, y) == first
    learns.step(x, y)
    assert bptt.Trainer(learns.model, device="cpu", threads=2).loss(x, y) == first
    bptt.train(epochs=1, device="cpu", out="forked", progress=False)

print(in_child(child), learns.loss(x, y) == first, learns.steps())
""",
        own_folder,
    )
    assert told.stdout == "0 True 0\n", told.stderr
    assert (own_folder / "forked" / "report.html").is_file()


def test_after_a_run_on_the_cpu_the_device_is_chosen_again_and_a_child_computes_too(own_folder):
    told = python(
        SETUP
        + """
bptt.train(epochs=1, device="cpu", out="run", progress=False)
again = bptt.Trainer(learns.model, device="auto")
expected = again.loss(x, y)
is_gpu = again.device != learns.device

def child():
    if not is_gpu:
        assert again.loss(x, y) == expected
    assert bptt.Trainer(learns.model, device="auto", threads=2).loss(x, y) == first

print(in_child(child))
""",
        own_folder,
    )
    assert told.stdout == "0\n", told.stderr


def test_a_fork_while_another_thread_computes_raises_instead_of_waiting(own_folder):
    told = python(
        SETUP
        + """
import threading, time
x = np.ones((4000, 64, 3))
busy = threading.Thread(target=lambda: learns.step(x, y))
busy.start()
time.sleep(0.05)
print(busy.is_alive(), in_child(lambda: learns.steps()))
busy.join()
print(learns.steps())
""",
        own_folder,
    )
    assert told.stdout == "True 9\n1\n", told.stderr
    assert "BpttError the network cannot be used: another thread computed with it while" in told.stderr


def test_two_threads_of_a_child_may_begin_to_compute_at_once(own_folder):
    told = python(
        SETUP
        + """
import threading
sys.setswitchinterval(1e-6)
many = [bptt.Trainer(bptt.Model("rnn", 1, 1, bptt.Head(1)), device="cpu", threads=1) for _ in range(300)]

def child():
    failed = []
    for one in many:
        both = threading.Barrier(2)

        def call():
            both.wait()
            try:
                one.steps()
            except bptt.BpttError as error:
                failed.append(error)

        threads = [threading.Thread(target=call) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failed, failed[0]

print(in_child(child))
""",
        own_folder,
    )
    assert told.stdout == "0\n", told.stderr


def test_a_gpu_is_refused_after_a_fork_and_auto_takes_the_cpu(own_folder):
    told = python(
        SETUP
        + """
try:
    gpu = bptt.Trainer(learns.model, device="gpu")
    gpu.step(x, y)
    print("gpu")
except bptt.DeviceError:
    gpu = None
    print("none")

def child():
    if gpu is not None:
        try:
            gpu.loss(x, y)
        except bptt.DeviceError as error:
            assert "does not survive a fork" in str(error), error
        else:
            raise AssertionError("a GPU computed after a fork")
    try:
        bptt.Trainer(learns.model, device="gpu")
    except bptt.DeviceError as error:
        assert "does not survive a fork" in str(error), error
    else:
        raise AssertionError("a GPU opened after a fork")
    assert bptt.Trainer(learns.model, device="auto", threads=2).loss(x, y) == first

print(in_child(child))
# The child has no memory of the GPU to give back.
sys.stdout.flush()
os._exit(0)
""",
        own_folder,
    )
    assert told.stdout in ("gpu\n0\n", "none\n0\n"), told.stderr
    assert "the CPU is used: this process was forked" in told.stderr


LOADED = SETUP + """
t = np.arange(80)
series = {"t": t, "a": np.sin(t / 5)}

def train(device, out, progress=False):
    return bptt.train(series=series, target="a", epochs=2, hidden=4, device=device, out=out, progress=progress)
"""


@pytest.mark.parametrize(
    "read", ("predict()", "evaluate()", "forecast(2)", "predict(series=series)", "forecast(2, series=series)")
)
def test_after_a_fork_a_run_is_read_on_the_cpu_where_no_device_is_named(read, own_folder):
    told = python(
        LOADED
        + f"""
train("cpu", "run")
config = open("run/config.toml").read()
open("run/config.toml", "w").write(config.replace('device = "cpu"', 'device = "auto"'))
bptt.Trainer(learns.model, device="auto")
print(in_child(lambda: bptt.load("run").{read}))
# The child has no memory of the GPU to give back.
sys.stdout.flush()
os._exit(0)
""",
        own_folder,
    )
    assert told.stdout == "0\n", told.stderr
    assert "the CPU is used: this process was forked" in told.stderr


def test_after_a_fork_a_run_of_a_gpu_is_neither_read_nor_resumed_where_no_device_is_named(own_folder):
    told = python(
        LOADED
        + """
def stop(steps):
    raise RuntimeError("enough")

try:
    train("cpu", "run", progress=stop)
except RuntimeError:
    pass
bptt.Trainer(learns.model, device="auto")
config = open("run/config.toml").read()
open("run/config.toml", "w").write(config.replace('device = "cpu"', 'device = "gpu"'))
print(in_child(lambda: bptt.train(resume="run", progress=False)), in_child(lambda: bptt.load("run").predict()))
open("run/config.toml", "w").write(config)
# One that is named takes its place.
print(in_child(lambda: bptt.train(resume="run", device="cpu", progress=False)))
sys.stdout.flush()
os._exit(0)
""",
        own_folder,
    )
    assert told.stdout == "9 9\n0\n", told.stderr
    assert told.stderr.count('DeviceError device "gpu": a GPU does not survive a fork') == 2


def test_a_process_that_reads_a_run_without_a_device_has_looked_for_gpus_unless_the_run_is_of_the_cpu(own_folder):
    told = python(
        LOADED
        + """
run = train("cpu", "run")

def opens():
    try:
        bptt.Trainer(learns.model, device="gpu")
    except bptt.DeviceError as error:
        assert "does not survive a fork" not in str(error), error

# It reads on the CPU.
run.predict()
print(in_child(opens))
# Other data are read on any device.
run.predict(series=series)
print(in_child(opens))
sys.stdout.flush()
os._exit(0)
""",
        own_folder,
    )
    assert told.stdout == "0\n9\n", told.stderr


# Many short steps.
SETTINGS = dict(
    task="adding", length=4, hidden=2, batch=2, steps=1_500, val_every=25, seed=4, device="cpu", threads=1
)


@pytest.mark.parametrize("shows", ("progress=False", "progress=lambda steps: None"))
def test_an_interrupt_ends_a_run_with_a_checkpoint_from_which_it_goes_on_to_the_bit(own_folder, shows):
    code = f"""
    import sys, bptt
    print("ready", flush=True)
    try:
        bptt.train(**{SETTINGS}, out="cut", {shows})
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(3)
    """
    run = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=own_folder, stdout=subprocess.PIPE, text=True
    )
    metrics = own_folder / "cut" / "metrics.jsonl"
    until = time.monotonic() + 60
    while not (metrics.is_file() and metrics.stat().st_size > 0) and time.monotonic() < until:
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=60)
    assert (run.returncode, out) == (3, "ready\ninterrupted\n")
    assert (own_folder / "cut" / "model.safetensors").is_file()
    steps = len(metrics.read_text().splitlines())
    assert 0 < steps < 1_500
    code = """
    import bptt, json
    resumed = bptt.train(resume="cut", progress=False)
    whole = bptt.train(**%s, out="whole", progress=False)
    print(json.dumps([run.metrics["loss"].tolist() for run in (resumed, whole)]))
    """ % SETTINGS
    told = python(code, own_folder)
    resumed, whole = json.loads(told.stdout or "[[], [1]]")
    assert resumed == whole and len(whole) == 1_500, told.stderr


def test_an_exception_of_the_progress_function_ends_the_run_and_is_raised(own_folder):
    import bptt

    def stop(steps):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        bptt.train(epochs=500, device="cpu", out="cut", progress=stop)
    assert (own_folder / "cut" / "model.safetensors").is_file()


SLOW = """
import os, signal, time
import numpy as np, bptt

on = dict(device="cpu", threads=1)
# The system sends it, as a terminal does.
signal.signal(signal.SIGALRM, signal.default_int_handler)

def interrupt(after):
    signal.setitimer(signal.ITIMER_REAL, after)

def train(rows, out, progress=False, hidden=32):
    t = np.arange(rows)
    return bptt.train(series={"t": t, "a": np.sin(t / 9)}, target="a", window=60, hidden=hidden, steps=1, batch=4, out=out,
                      progress=progress, **on)

def took(call):
    begin = time.monotonic()
    try:
        call()
        told = "ended"
    except KeyboardInterrupt:
        told = "interrupted"
    return told, time.monotonic() - begin

def long_enough(call, amount, prepared=lambda amount: amount):
    '''Work of more than a second, and how long it takes: an interrupt a quarter of a second later is in the middle.'''
    while True:
        work = prepared(amount)
        told, whole = took(lambda: call(work))
        if whole > 1:
            return work, whole
        amount *= 4
"""


def test_an_interrupt_of_what_reads_a_run_is_raised_at_once(own_folder):
    told = python(
        SLOW
        + """
def interrupted(call, work, whole):
    interrupt(0.25)
    told, part = took(lambda: call(work))
    print(told, part < 0.8 * whole)

for read in (lambda run: run.predict(**on), lambda run: run.evaluate(**on)):
    interrupted(read, *long_enough(read, 300, lambda rows: train(rows, None)))
run = train(300, None, hidden=128)
forecast = lambda steps: run.forecast(steps, **on)
interrupted(forecast, *long_enough(forecast, 200))
# What was begun ends in the background, and later calls are not disturbed.
print(len(run.forecast(2, **on)))
""",
        own_folder,
        300,
    )
    assert told.stdout == "interrupted True\n" * 3 + "2\n", (told.stdout, told.stderr)


def test_an_interrupt_while_a_run_is_measured_is_raised_at_once_and_a_resumed_run_is_measured(own_folder):
    told = python(
        SLOW
        + """
rows, whole = long_enough(lambda rows: train(rows, f"whole-{rows}"), 300)
os.rename(f"whole-{rows}", "whole")
# What comes after the last step is the measuring.
told, part = took(lambda: train(rows, "cut", progress=lambda steps: interrupt(0.1)))
print(told, part < 0.9 * whole, os.path.isfile("cut/model.safetensors"), os.path.isfile("cut/summary.json"), flush=True)
os._exit(0)
""",
        own_folder,
        300,
    )
    assert told.stdout.startswith("interrupted True True"), (told.stdout, told.stderr)
    import bptt

    resumed, whole = bptt.train(resume="cut", progress=False), bptt.load("whole")
    assert resumed.evaluate(device="cpu")["lines"] == whole.evaluate(device="cpu")["lines"]
    assert resumed.summary["lines"]
