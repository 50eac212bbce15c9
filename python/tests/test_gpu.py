"""The GPU computes what the CPU computes, to the precision of f32."""

import os

import numpy as np
import pytest

import bptt

T, B, I, H = 7, 5, 3, 6


@pytest.fixture(autouse=True, scope="module")
def gpu():
    """Skips where there is no GPU, unless the environment says that there is one."""
    try:
        return bptt.Recurrent(bptt.Model("lstm", 1, 1), device="gpu").device
    except bptt.DeviceError as error:
        if os.environ.get("BPTT_REQUIRE_GPU"):
            raise
        pytest.skip(str(error))


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("cell", ("lstm", "gru", "rnn"))
@pytest.mark.parametrize("direction", ("forward", "both"))
def test_layers_of_a_gpu_are_those_of_the_cpu_forward_and_backward(cell, direction, numbers):
    model = bptt.Model(cell, I, H, layers=2, direction=direction)
    x, lengths = numbers.normal(size=(T, B, I)), [7, 1, 3, 7, 5]
    states, width = (4, 2 * H) if direction == "both" else (2, H)
    h0, c0 = numbers.normal(size=(2, states, B, H))
    initial, toward = (h0, c0) if cell == "lstm" else h0, numbers.normal(size=(T, B, width))
    results = []
    for device in ("gpu", "cpu"):
        layers = bptt.Recurrent(model, device=device, seed=5)
        output, (h, c) = layers.forward(x, lengths=lengths, initial=initial)
        dx, (dh, dc) = layers.backward(toward)
        tensors = [output, h, c, dx, dh, dc, *layers.gradients().values()]
        results.append([tensor for tensor in tensors if tensor is not None])
    assert len(results[0]) == len(results[1]) >= 12
    for of_gpu, of_cpu in zip(*results):
        assert of_gpu.dtype == np.float32
        close(of_gpu, of_cpu)


@pytest.mark.parametrize("cell", ("lstm", "gru", "rnn"))
def test_steps_of_a_gpu_are_those_of_the_cpu(cell, numbers):
    model = bptt.Model(cell, I, H, bptt.Head(2, "squared-error", readout="every"), layers=2)
    x, y = numbers.normal(size=(T, B, I)), numbers.normal(size=(T, B, 2))
    given = dict(weights=numbers.uniform(size=(T, B)), lengths=[7, 1, 3, 7, 5])
    of = {
        device: bptt.Trainer(model, bptt.Optimizer("adam", 1e-2, clip_norm=1.0), device=device, input_gradient=True)
        for device in ("gpu", "cpu")
    }
    for name, weight in of["gpu"].state_dict().items():
        np.testing.assert_array_equal(weight, of["cpu"].state_dict()[name])
    for _ in range(5):
        first, second = (trainer.step(x, y, **given) for trainer in of.values())
        assert first == pytest.approx(second, rel=1e-4)
    for name in ("gradients", "state_dict"):
        tensors, expected = (getattr(trainer, name)() for trainer in of.values())
        assert list(tensors) == list(expected)
        for key, tensor in tensors.items():
            close(tensor, expected[key])
    close(*(trainer.predict(x, lengths=given["lengths"]) for trainer in of.values()))
    for trainer in of.values():
        trainer.accumulate(x, y, **given)
    close(*(trainer.input_gradient()[0] for trainer in of.values()))
    for trainer in of.values():
        trainer.update()
    close(*(trainer.flow(x, y, **given) for trainer in of.values()))
    assert of["gpu"].device != of["cpu"].device


def test_a_run_on_a_gpu_measures_what_a_run_on_the_cpu_does(own_folder):
    settings = dict(epochs=3, seed=2, progress=False)
    of_gpu, of_cpu = (bptt.train(device=device, out=device, **settings) for device in ("gpu", "cpu"))
    np.testing.assert_allclose(of_gpu.metrics["loss"], of_cpu.metrics["loss"], rtol=1e-3)
    np.testing.assert_allclose(
        of_gpu.forecast(3, device="gpu")["SUNACTIVITY"], of_cpu.forecast(3, device="cpu")["SUNACTIVITY"], rtol=1e-2
    )


def test_a_gpu_computes_in_single_precision_alone():
    with pytest.raises(ValueError, match="dtype: expected float32 on a GPU, which computes in no other, got float64"):
        bptt.Trainer(bptt.Model("lstm", I, H, bptt.Head(1)), device="gpu", dtype="float64")
