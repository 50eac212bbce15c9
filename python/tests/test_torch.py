"""Weights and outputs to and from PyTorch."""

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import bptt  # noqa: E402
from bptt.torch import from_module, load_into, to_module  # noqa: E402

MODULES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
T, B, I, H = 6, 3, 4, 5


@pytest.fixture
def x(numbers):
    return numbers.normal(size=(T, B, I)).astype(np.float32)


@pytest.mark.parametrize("cell", MODULES)
@pytest.mark.parametrize("bidirectional", (False, True))
def test_a_module_of_two_layers_becomes_a_model_and_its_state_dict_loads_strictly(cell, bidirectional, x):
    torch.manual_seed(1)
    module = MODULES[cell](I, H, 2, bidirectional=bidirectional)
    linear = torch.nn.Linear(H * (1 + bidirectional), 2)
    model, weights = from_module(module, linear, readout="every")
    trainer = bptt.Trainer(model, weights=weights, device="cpu")
    with torch.no_grad():
        expected = linear(module(torch.from_numpy(x))[0]).numpy()
    np.testing.assert_allclose(trainer.predict(x), expected, atol=1e-5)
    # And back, into modules with other weights.
    trained = trainer.state_dict()
    fresh, head = to_module(model, trained)
    for own, other in ((fresh, module), (head, linear)):
        assert list(own.state_dict()) == list(other.state_dict())
        for name, tensor in own.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name])
    with pytest.raises(RuntimeError, match="Missing key"):
        load_into({name: it for name, it in trained.items() if name != "rnn.weight_hh_l0"}, fresh)


@pytest.mark.parametrize("cell", MODULES)
def test_a_step_of_adam_is_pytorchs(cell, x, numbers):
    torch.manual_seed(2)
    module, linear = MODULES[cell](I, H), torch.nn.Linear(H, 1)
    model, weights = from_module(module, linear)
    y = numbers.normal(size=(B, 1)).astype(np.float32)
    trainer = bptt.Trainer(model, bptt.Optimizer("adam", 0.01), weights=weights, device="cpu")
    optimizer = torch.optim.Adam([*module.parameters(), *linear.parameters()], lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(linear(module(torch.from_numpy(x))[0][-1]), torch.from_numpy(y))
        loss.backward()
        optimizer.step()
        assert trainer.step(x, y) == pytest.approx(loss.item(), rel=1e-4)
    for name, tensor in module.state_dict().items():
        np.testing.assert_allclose(trainer.state_dict()[f"rnn.{name}"], tensor.numpy(), atol=2e-4)


def test_gradients_of_the_recurrent_layers_are_pytorchs(x, numbers):
    torch.manual_seed(3)
    module = torch.nn.LSTM(I, H, 2, bidirectional=True)
    model, weights = from_module(module)
    layers = bptt.Recurrent(model, weights=weights, device="cpu")
    toward = numbers.normal(size=(T, B, 2 * H)).astype(np.float32)
    tensor = torch.from_numpy(x).requires_grad_()
    (module(tensor)[0] * torch.from_numpy(toward)).sum().backward()
    layers.forward(x)
    dx, _ = layers.backward(toward)
    np.testing.assert_allclose(dx, tensor.grad.numpy(), atol=1e-5)
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(layers.gradients()[f"rnn.{name}"], parameter.grad.numpy(), atol=1e-4)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_a_projected_lstm_and_a_relu_keep_their_form(x):
    for module in (torch.nn.LSTM(I, H, proj_size=2), torch.nn.RNN(I, H, nonlinearity="relu", bias=False)):
        model, weights = from_module(module)
        with torch.no_grad():
            expected = module(torch.from_numpy(x))[0].numpy()
        layers = bptt.Recurrent(model, weights=weights, device="cpu")
        np.testing.assert_allclose(layers.forward(x)[0], expected, atol=1e-5)
        back, none = to_module(model, layers.state_dict())
        assert none is None and repr(back) == repr(module)


def test_a_state_dict_of_tensors_and_of_another_modules_names_loads(x):
    module = torch.nn.ModuleDict({"encoder": torch.nn.GRU(I, H), "fc": torch.nn.Linear(H, 1)})
    model, weights = from_module(module["encoder"], module["fc"])
    own = model.rename(module.state_dict(), from_recurrent="encoder.", from_head="fc.")
    assert own.keys() == weights.keys()
    trainer = bptt.Trainer(model, device="cpu")
    trainer.load_state_dict({name: torch.nn.Parameter(torch.from_numpy(it)) for name, it in own.items()})
    np.testing.assert_array_equal(trainer.state_dict()["head.weight"], module["fc"].weight.detach().numpy())


def test_the_weights_of_a_module_are_copies():
    module, linear = torch.nn.GRU(I, H), torch.nn.Linear(H, 1)
    _, weights = from_module(module, linear)
    before = {name: it.copy() for name, it in weights.items()}
    with torch.no_grad():
        for parameter in (*module.parameters(), *linear.parameters()):
            parameter.add_(1.0)
    for name, it in weights.items():
        np.testing.assert_array_equal(it, before[name])


def test_weights_of_bfloat16_are_read_as_float32(x):
    module, linear = torch.nn.GRU(I, H).bfloat16(), torch.nn.Linear(H, 1).bfloat16()
    model, weights = from_module(module, linear)
    assert {it.dtype for it in weights.values()} == {np.dtype("float32")}
    np.testing.assert_array_equal(weights["rnn.weight_ih_l0"], module.weight_ih_l0.detach().float().numpy())
    tensors = {f"rnn.{name}": it for name, it in module.state_dict().items()}
    tensors |= {f"head.{name}": it for name, it in linear.state_dict().items()}
    trainer = bptt.Trainer(model, weights=tensors, device="cpu")
    np.testing.assert_array_equal(trainer.state_dict()["head.weight"], weights["head.weight"])
    load_into(trainer.state_dict(), module, linear)


def test_a_tensor_of_pytorchs_graph_is_refused_with_what_to_do(x):
    trainer = bptt.Trainer(from_module(torch.nn.GRU(I, H), torch.nn.Linear(H, 1))[0], device="cpu")
    tensor, y = torch.from_numpy(x), torch.zeros(B, 1)
    assert trainer.loss(tensor, y) == trainer.loss(x, y.numpy())
    with pytest.raises(ValueError, match="x: expected a tensor outside PyTorch's graph, .*: x.detach.., got one that requires"):
        trainer.step(tensor.clone().requires_grad_(), y)
    with pytest.raises(ValueError, match="targets.detach"):
        trainer.step(tensor, y.requires_grad_())


def test_what_pytorch_lacks_is_refused():
    with pytest.raises(TypeError, match="expected an nn.LSTM, nn.GRU or nn.RNN, got Linear"):
        from_module(torch.nn.Linear(1, 1))
    with pytest.raises(ValueError, match="expected 5 inputs, got 7"):
        from_module(torch.nn.LSTM(I, H), torch.nn.Linear(7, 1))
    reverse = bptt.Model("gru", I, H, direction="reverse")
    with pytest.raises(ValueError, match="got reverse"):
        to_module(reverse, {})


def test_the_package_imports_neither_torch_nor_scikit_learn_nor_a_frame_library():
    code = "import sys, bptt; print([name for name in ('torch', 'sklearn', 'pandas', 'polars') if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


@pytest.mark.parametrize("cell", MODULES)
def test_the_readout_of_the_last_step_of_both_directions_is_both_final_states(cell, x):
    torch.manual_seed(4)
    module, linear = MODULES[cell](I, H, 2, bidirectional=True), torch.nn.Linear(2 * H, 2)
    model, weights = from_module(module, linear, readout="last")
    predicted = bptt.Trainer(model, weights=weights, device="cpu").predict(x)[0]
    with torch.no_grad():
        output, h_n = module(torch.from_numpy(x))
        h_n = h_n[0] if cell == "lstm" else h_n
        np.testing.assert_allclose(predicted, linear(torch.cat([h_n[-2], h_n[-1]], 1)).numpy(), atol=1e-5)
        assert np.abs(predicted - linear(output[-1]).numpy()).max() > 1e-3


def test_settings_of_a_head_without_a_linear_layer_are_refused_by_name():
    with pytest.raises(ValueError, match="^readout: expected an nn.Linear too"):
        from_module(torch.nn.GRU(I, H), readout="every")
    with pytest.raises(ValueError, match="^loss, delta: expected an nn.Linear too"):
        from_module(torch.nn.GRU(I, H), loss="huber", delta=1.0)
    assert from_module(torch.nn.GRU(I, H), torch.nn.Linear(H, 1))[0].head.loss == "squared-error"


def test_weights_that_no_module_has_are_refused_by_name():
    model, weights = from_module(torch.nn.GRU(I, H), torch.nn.Linear(H, 1))
    recurrent, linear = to_module(model, weights)
    for name in ("embedding.weight", "encoder.weight_ih_l0"):
        with pytest.raises(ValueError, match=f"^{name}: expected names that begin with rnn. or head."):
            load_into({**weights, name: weights["rnn.weight_ih_l0"]}, recurrent, linear)
    load_into(weights, recurrent)
