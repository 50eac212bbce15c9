"""Networks on NumPy arrays, against the cells written out in NumPy."""

import copy
import inspect
import pickle
import threading

import numpy as np
import pytest
from reference import forward, slope

import bptt

CELLS = ("lstm", "gru", "rnn")
T, B, I, H = 5, 4, 3, 6


def layers(cell, **settings):
    return bptt.Recurrent(bptt.Model(cell, I, H, **settings), device="cpu", dtype="float64", seed=3)


def close(a, b, tolerance=1e-12):
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("direction", ("forward", "both"))
def test_two_layers_forward_are_those_of_numpy_with_lengths_and_initial_states(cell, direction, numbers):
    network = layers(cell, layers=2, direction=direction)
    x, lengths = numbers.normal(size=(T, B, I)), [5, 1, 3, 4]
    states = 4 if direction == "both" else 2
    h0, c0 = numbers.normal(size=(2, states, B, H))
    initial = (h0, c0) if cell == "lstm" else h0
    output, (h, c) = network.forward(x, lengths=lengths, initial=initial)
    expected, h_n, c_n = forward(cell, network.state_dict(), x, lengths, h0, c0)
    close(output, expected)
    close(h, h_n)
    if cell == "lstm":
        close(c, c_n)
    else:
        assert c is None


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_backward_are_the_slopes_of_numpys_forward(cell, numbers):
    network = layers(cell, direction="both")
    x, lengths, toward = numbers.normal(size=(T, B, I)), [5, 2, 3, 5], numbers.normal(size=(T, B, 2 * H))
    h0 = numbers.normal(size=(2, B, H))
    initial = (h0, np.zeros_like(h0)) if cell == "lstm" else h0
    network.forward(x, lengths=lengths, initial=initial)
    dx, (dh, _) = network.backward(toward)
    gradients, weights = network.gradients(), network.state_dict()

    def loss(x=x, h0=h0, **changed):
        return float((forward(cell, {**weights, **changed}, x, lengths, h0)[0] * toward).sum())

    for name, gradient in gradients.items():
        at = tuple(numbers.integers(0, size) for size in gradient.shape)
        close(gradient[at], slope(lambda own: loss(**{name: own}), weights[name], at), 1e-7)
    for at in ((0, 0, 0), (4, 1, 2), (2, 2, 1)):
        close(dx[at], slope(lambda own: loss(x=own), x, at), 1e-7)
    close(dh[1, 2, 3], slope(lambda own: loss(h0=own), h0, (1, 2, 3)), 1e-7)


def test_rows_first_are_the_same_numbers_in_another_order(numbers):
    network, x = layers("gru"), numbers.normal(size=(T, B, I))
    output, _ = network.forward(x)
    swapped, _ = network.forward(x.swapaxes(0, 1), batch_first=True)
    np.testing.assert_array_equal(swapped, output.swapaxes(0, 1))
    d_output = numbers.normal(size=(B, T, H))
    dx, _ = network.backward(d_output, batch_first=True)
    network.forward(x)
    np.testing.assert_array_equal(network.backward(d_output.swapaxes(0, 1))[0], dx.swapaxes(0, 1))


def test_a_view_with_strides_and_a_list_read_as_the_same_array(numbers):
    network, wide = layers("lstm"), numbers.normal(size=(2 * T, B, I))
    expected = network.forward(np.ascontiguousarray(wide[::2]))[0]
    np.testing.assert_array_equal(network.forward(wide[::2])[0], expected)
    np.testing.assert_array_equal(network.forward(np.asfortranarray(wide[::2]))[0], expected)
    np.testing.assert_array_equal(network.forward(wide[::2].tolist())[0], expected)


def trainer(head, cell="lstm", optimizer=None, **settings):
    return bptt.Trainer(
        bptt.Model(cell, I, H, head), optimizer or bptt.Optimizer("sgd", 0.1), device="cpu", dtype="float64", **settings
    )


def test_a_step_of_gradient_descent_subtracts_the_gradient_of_the_weighted_loss(numbers):
    learns = trainer(bptt.Head(2, "squared-error", readout="every"))
    x, y = numbers.normal(size=(T, B, I)), numbers.normal(size=(T, B, 2))
    weights = numbers.uniform(size=(T, B))
    before = learns.state_dict()

    def loss(changed):
        h = forward("lstm", changed, x)[0]
        error = h @ changed["head.weight"].T + changed["head.bias"] - y
        return float(((error**2).mean(axis=2) * weights).sum() / weights.sum())

    close(learns.loss(x, y, weights=weights), loss(before))
    close(learns.step(x, y, weights=weights), loss(before))
    gradients, after = learns.gradients(), learns.state_dict()
    for name, gradient in gradients.items():
        close(after[name], before[name] - 0.1 * gradient)
        at = tuple(numbers.integers(0, size) for size in gradient.shape)
        close(gradient[at], slope(lambda own: loss({**before, name: own}), before[name], at), 1e-7)
    assert learns.steps() == 1


def test_classes_at_the_last_step_have_numpys_cross_entropy_and_softmax(numbers):
    learns = trainer(bptt.Head(3, "cross-entropy"), "gru")
    x, classes, lengths = numbers.normal(size=(T, B, I)), np.array([0, 2, 1, 1]), np.array([5, 2, 1, 4])
    weights = learns.state_dict()
    _, h, _ = forward("gru", weights, x, lengths)
    logits = h[-1] @ weights["head.weight"].T + weights["head.bias"]
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    close(learns.predict(x, lengths=lengths)[0], softmax)
    close(learns.loss(x, classes, lengths=lengths), -np.log(softmax[np.arange(B), classes]).mean())
    # The axis of predictions may be given.
    assert learns.loss(x, classes[None], lengths=lengths) == learns.loss(x, classes, lengths=lengths)


def test_batches_accumulated_are_one_step_with_all_rows(numbers):
    x, y = numbers.normal(size=(T, B, I)), numbers.normal(size=(B, 1))
    whole, parts = trainer(bptt.Head(1)), trainer(bptt.Head(1))
    whole.step(x, y)
    for rows in (slice(0, 1), slice(1, B)):
        parts.accumulate(x[:, rows], y[rows])
    parts.update()
    for name, weight in whole.state_dict().items():
        close(parts.state_dict()[name], weight)


def test_flow_is_the_norm_of_the_gradient_that_reaches_each_step(numbers):
    learns = trainer(bptt.Head(1), "rnn")
    x, y = numbers.normal(size=(T, B, I)), numbers.normal(size=(B, 1))
    weights = learns.state_dict()
    norms = learns.flow(x, y)
    _, h, _ = forward("rnn", weights, x)
    dh = 2 * (h[-1] @ weights["head.weight"].T + weights["head.bias"] - y) @ weights["head.weight"] / B
    output = forward("rnn", weights, x)[0]
    expected = []
    for t in reversed(range(T)):
        expected.append(np.linalg.norm(dh))
        dh = dh * (1 - output[t] ** 2) @ weights["rnn.weight_hh_l0"]
    assert norms.shape == (1, T)
    close(norms[0], expected[::-1])


def test_the_input_gradient_of_a_step_is_the_slope_of_its_loss(numbers):
    learns = trainer(bptt.Head(1), input_gradient=True)
    x, y = numbers.normal(size=(T, B, I)), numbers.normal(size=(B, 1))
    learns.accumulate(x, y)
    dx, (dh, dc) = learns.input_gradient()
    close(dx[1, 2, 0], slope(lambda own: learns.loss(own, y), x, (1, 2, 0)), 1e-7)
    assert dh.shape == dc.shape == (1, B, H)


def test_tokens_select_the_rows_of_an_embedding(numbers):
    model = bptt.Model("gru", I, H, bptt.Head(7, "cross-entropy", readout="every"), vocabulary=7)
    learns = bptt.Trainer(model, device="cpu", dtype="float64")
    tokens = numbers.integers(0, 7, size=(T, B))
    weights = learns.state_dict()
    h = forward("gru", weights, weights["embedding.weight"][tokens])[0]
    logits = h @ weights["head.weight"].T + weights["head.bias"]
    close(learns.predict(tokens), np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True))
    with pytest.raises(ValueError, match="token ids at .0, 0.: expected a whole number of at least 0"):
        learns.predict(tokens - 7)


def test_training_lowers_the_loss_and_equal_seeds_give_equal_bits(numbers):
    x, y = numbers.normal(size=(T, 16, I)), numbers.normal(size=(16, 1))

    def trained(threads):
        model = bptt.Model("lstm", I, H, bptt.Head(1))
        learns = bptt.Trainer(model, bptt.Optimizer("adam", 0.02), device="cpu", threads=threads, seed=5)
        return [learns.step(x, y) for _ in range(50)]

    losses = trained(2)
    assert losses[-1] < 0.3 * losses[0]
    assert trained(1) == losses


def test_a_file_keeps_the_model_and_its_weights(own_folder, numbers):
    learns = trainer(bptt.Head(1, "huber", delta=0.5))
    learns.save(own_folder / "a.safetensors")
    model, weights = bptt.Model.load(own_folder / "a.safetensors")
    assert model == learns.model
    assert bptt.Model.from_json(model.to_json()) == model
    again = bptt.Trainer(model, device="cpu", weights=weights, dtype="float64")
    for name, weight in learns.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], weight.astype(np.float32))


def test_errors_have_the_librarys_words(own_folder):
    learns = trainer(bptt.Head(1))
    with pytest.raises(ValueError, match=r"^x: expected shape \[5, 4, 3\], got \[5, 4, 2\]$"):
        learns.predict(np.zeros((T, B, 2)))
    with pytest.raises(ValueError, match="x: expected an array of 3 axes, got shape .5."):
        learns.predict(np.zeros(5))
    with pytest.raises(ValueError, match="x: expected an array of numbers, got dtype"):
        learns.predict(np.full((T, B, I), "a"))
    with pytest.raises(ValueError, match="hidden_size: expected a whole number from 1 to 16777216, got 0"):
        bptt.Model("lstm", 1, 0)
    with pytest.raises(ValueError, match="cell: expected lstm, gru or rnn, got lstn"):
        bptt.Cell("lstn")
    with pytest.raises(ValueError, match="^loss: expected squared-error, absolute-error, .* or smoothed-cross-entropy, got \"no\"$"):
        bptt.Head(1, "no")
    with pytest.raises(ValueError, match="the state dict does not fit the model:\n  missing: "):
        learns.load_state_dict({})
    with pytest.raises(ValueError, match=r"lengths\[1\]: expected a whole number of at least 1, below 2\^32, got -2"):
        learns.predict(np.zeros((T, 2, I)), lengths=[1, -2])
    with pytest.raises(bptt.NonFinite, match="step 1: the loss is not finite"):
        learns.step(np.full((T, B, I), np.inf), np.zeros((B, 1)))
    with pytest.raises(FileNotFoundError, match="missing.safetensors"):
        bptt.Model.load(own_folder / "missing.safetensors")
    assert issubclass(bptt.DeviceLost, bptt.DeviceError) and issubclass(bptt.DeviceError, bptt.BpttError)
    with pytest.raises(bptt.DeviceError, match="no GPU: "):
        bptt.Trainer(bptt.Model("lstm", 1, 1, bptt.Head(1)), device="no such device")


@pytest.mark.parametrize(
    ("lengths", "words"),
    (
        ([2.7, 3.9, 4, 5], "expected an array of whole numbers .*, got dtype float64"),
        ([float("nan"), 3, 4, 5], "expected an array of whole numbers .*, got dtype float64"),
        ([True, True, True, True], "expected an array of whole numbers, got dtype bool"),
        ([5, 0, 4, 5], r"\[1\]: expected a whole number of at least 1, below 2\^32, got 0"),
        (np.array([5, 2**64 - 1, 4, 5], dtype=np.uint64), r"\[1\]: expected .*, got 18446744073709551615"),
    ),
)
def test_lengths_are_whole_numbers_and_nothing_is_cut_off_to_one(lengths, words):
    with pytest.raises(ValueError, match=f"lengths.*{words}"):
        trainer(bptt.Head(1)).predict(np.zeros((T, B, I)), lengths=lengths)


def test_after_a_loss_that_is_not_finite_a_trainer_goes_on_from_the_weights_before_it(numbers):
    x, y = numbers.normal(size=(T, B, I)), numbers.normal(size=(B, 1))
    learns, other = trainer(bptt.Head(1)), trainer(bptt.Head(1))
    for bad in (np.inf, np.nan):
        assert learns.step(x, y) == other.step(x, y)
        with pytest.raises(bptt.NonFinite, match="the loss is not finite"):
            learns.step(np.full((T, B, I), bad), y)
        learns.accumulate(np.full((T, B, I), bad), y)
        with pytest.raises(bptt.NonFinite, match="the loss is not finite"):
            learns.update()
        with pytest.raises(ValueError, match="x: expected shape"):
            learns.step(x[:, :, :1], y)
    assert learns.step(x, y) == other.step(x, y)
    for name, weight in other.state_dict().items():
        np.testing.assert_array_equal(learns.state_dict()[name], weight)


def test_max_skipped_updates_returns_losses_that_are_not_finite_and_then_raises(numbers):
    x, y = numbers.normal(size=(T, B, I)), numbers.normal(size=(B, 1))
    learns, bad = trainer(bptt.Head(1), max_skipped_updates=2), np.full((T, B, I), np.nan)
    for _ in range(2):
        assert np.isnan(learns.step(bad, y)) and np.isnan(learns.step(bad, y))
        with pytest.raises(bptt.NonFinite):
            learns.step(bad, y)
    assert np.isfinite(learns.step(x, y))


def test_targets_may_leave_out_the_axis_of_one_value_and_rows_come_first_in_them_too(numbers):
    x, y = numbers.normal(size=(T, B, I)), numbers.normal(size=(T, B, 1))
    last, every = trainer(bptt.Head(1)), trainer(bptt.Head(1, readout="every"))
    two, classes = trainer(bptt.Head(2)), trainer(bptt.Head(3, "cross-entropy"))
    quantiles = trainer(bptt.Head(2, "quantile", quantiles=[0.1, 0.9]))
    for learns in (last, quantiles):
        loss = learns.loss(x, y[:1])
        assert loss == learns.loss(x, y[0]) == learns.loss(x, y[0, :, 0])
        rows = x.swapaxes(0, 1)
        assert loss == learns.loss(rows, y[:1].swapaxes(0, 1), batch_first=True)
        assert loss == learns.loss(rows, y[0], batch_first=True) == learns.loss(rows, y[0, :, 0], batch_first=True)
    assert every.loss(x, y) == every.loss(x, y[:, :, 0])
    assert every.loss(x, y) == every.loss(rows, y[:, :, 0].T, batch_first=True)
    # What `predict` returns are targets.
    for learns in (last, every, two):
        predicted = learns.predict(rows, batch_first=True)
        assert predicted.shape[0] == B and learns.loss(rows, predicted, batch_first=True) < 1e-20
    own, weights = np.array([0, 2, 1, 1]), np.array([1.0, 2.0, 0.0, 1.0])
    expected = classes.loss(x, own, weights=weights)
    assert expected == classes.loss(rows, own[:, None], weights=weights[:, None], batch_first=True)
    with pytest.raises(ValueError, match=r"targets: expected an array of 3 axes, got shape \[4\]"):
        two.loss(x, y[0, :, 0])


def test_a_list_of_h_and_c_is_what_their_tuple_is_and_a_list_of_numbers_is_h(numbers):
    x, h, c = numbers.normal(size=(T, B, I)), numbers.normal(size=(2, B, H)), numbers.normal(size=(2, B, H))
    network = layers("lstm", layers=2)
    expected = network.forward(x, initial=(h, c))[0]
    np.testing.assert_array_equal(network.forward(x, initial=[h, c])[0], expected)
    network = layers("gru", layers=2)
    expected = network.forward(x, initial=h)[0]
    for initial in (h.tolist(), (h,), [h], [h, None]):
        np.testing.assert_array_equal(network.forward(x, initial=initial)[0], expected)


def test_what_has_another_form_is_told_what_to_do():
    with pytest.raises(ValueError, match=r"x: expected \[T, B, I\] of numbers \(x\[:, :, None\] if I is 1\), or token ids"):
        trainer(bptt.Head(1)).predict(np.zeros((T, B)))
    with pytest.raises(ValueError, match=r"classes: expected an array of whole numbers \(.astype\(int\) of"):
        trainer(bptt.Head(3, "cross-entropy")).loss(np.zeros((T, B, I)), np.array([0.0, 1.0, 2.0, 1.0]))


@pytest.mark.parametrize("rule", ("adam", "adamw"))
def test_a_rule_without_momentum_refuses_it(rule):
    with pytest.raises(ValueError, match=f"momentum: expected None: only sgd and rmsprop have it, got 0.9 for {rule}"):
        bptt.Optimizer(rule, momentum=0.9)


FORMS = (
    bptt.Cell("gru"),
    bptt.Cell("rnn", "relu"),
    bptt.Head(3, "cross-entropy", readout="every"),
    bptt.Head(2, "huber", delta=0.3, reduction="sum"),
    bptt.Head(2, "quantile", quantiles=[0.1, 0.9], readout="mean"),
    bptt.Head(4, "smoothed-cross-entropy", smoothing=0.1),
    bptt.Model("lstm", I, H),
    bptt.Model("lstm", I, H, bptt.Head(1), layers=2, direction="both", dropout=0.1, recurrent_dropout=0.3, proj_size=2),
    bptt.Model(bptt.Cell("rnn", "relu"), I, H, bias=False, vocabulary=9),
    bptt.Model("gru", H, H, bptt.Head(9, "cross-entropy"), vocabulary=9, tied=True),
    bptt.Optimizer(),
    bptt.Optimizer("adamw", 0.1, weight_decay=0.0, clip_norm=1.0),
    bptt.Optimizer("sgd", 1 / 3, momentum=0.9, nesterov=True, weight_decay=1e-4, clip_value=0.5),
    bptt.Optimizer("rmsprop", momentum=0.5),
)


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_a_form_is_what_its_repr_its_pickle_and_its_copy_make_and_has_a_hash(form):
    names = {name: getattr(bptt, name) for name in ("Cell", "Head", "Model", "Optimizer")}
    pickles = [pickle.loads(pickle.dumps(form, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for again in (eval(repr(form), names), copy.copy(form), copy.deepcopy(form), *pickles):
        assert again == form and hash(again) == hash(form) and repr(again) == repr(form)
    assert {each: place for place, each in enumerate(FORMS)}[form] == FORMS.index(form)


def test_forms_show_what_their_constructors_take():
    kinds = (bptt.Cell, bptt.Head, bptt.Model, bptt.Optimizer)
    for kind in kinds:
        for name in inspect.signature(kind).parameters:
            assert any(hasattr(form, name) for form in FORMS if isinstance(form, kind)), f"{kind.__name__}.{name}"
    head, model, optimizer = FORMS[4], FORMS[7], FORMS[12]
    assert (head.loss, head.readout, head.reduction, head.quantiles) == ("quantile", "mean", "mean", [0.1, 0.9])
    assert (head.delta, head.smoothing, FORMS[3].delta, FORMS[5].smoothing) == (None, None, 0.3, 0.1)
    assert (model.direction, model.bias, model.dropout, model.recurrent_dropout) == ("both", True, 0.1, 0.3)
    assert (model.proj_size, model.vocabulary, model.tied, FORMS[9].tied, FORMS[9].vocabulary) == (2, None, False, True, 9)
    assert (optimizer.rule, optimizer.momentum, optimizer.nesterov) == ("sgd", 0.9, True)
    assert (optimizer.weight_decay, optimizer.clip_norm, optimizer.clip_value) == (1e-4, None, 0.5)
    assert repr(head) == "Head(2, 'quantile', readout='mean', quantiles=[0.1, 0.9])"


HEADED = bptt.Model("lstm", 1, 2, bptt.Head(1))
MOST = 16777216


@pytest.mark.parametrize(
    ("make", "words"),
    (
        (lambda: bptt.Model("lstm", 1, 0), f"hidden_size: expected a whole number from 1 to {MOST}, got 0"),
        (lambda: bptt.Model("lstm", -1, 2), f"input_size: expected a whole number from 1 to {MOST}, got -1"),
        (lambda: bptt.Model("lstm", 1, 10**50), f"hidden_size: expected a whole number from 1 to {MOST}, got 1"),
        (lambda: bptt.Model("lstm", 1, 2, layers=0), "layers: expected a whole number from 1 to .*, got 0"),
        (lambda: bptt.Model("lstm", 1, 2, layers=2, dropout=1.0), "dropout: expected .*, got 1"),
        (lambda: bptt.Model("lstm", 1, 2, layers=2, dropout=float("nan")), "dropout: expected .*, got NaN"),
        (lambda: bptt.Model("lstm", 1, 2, recurrent_dropout=-0.1), "recurrent_dropout: expected .*, got -0.1"),
        (lambda: bptt.Model("lstm", 1, 2, proj_size=-2), f"proj_size: expected a whole number from 1 to {MOST}, got -2"),
        (lambda: bptt.Model("gru", 1, 2, vocabulary=0), f"vocabulary: expected a whole number from 1 to {MOST}, got 0"),
        (lambda: bptt.Head(0), f"outputs: expected a whole number from 1 to {MOST}, got 0"),
        (lambda: bptt.Head(1, "huber", delta=-1.0), "delta.*: expected .*, got -1"),
        (lambda: bptt.Head(2, "quantile", quantiles=[0.1, 1.5]), "quantile.*: expected .*, got .*1.5"),
        (lambda: bptt.Optimizer("adam", -1.0), "learning_rate: expected .*, got -1"),
        (lambda: bptt.Optimizer("adam", float("inf")), "learning_rate: expected .*, got inf"),
        (lambda: bptt.Optimizer(weight_decay=-1.0), "weight_decay: expected .*, got -1"),
        (lambda: bptt.Optimizer("sgd", momentum=-1.0), "momentum: expected .*, got -1"),
        (lambda: bptt.Optimizer(clip_norm=-1.0), "clip_norm: expected .*, got -1"),
        (lambda: bptt.Optimizer(clip_value=float("nan")), "clip_value: expected .*, got NaN"),
        (lambda: bptt.Trainer(HEADED, seed=-1), "seed: expected a whole number from 0 to .*, got -1"),
        (lambda: bptt.Trainer(HEADED, threads=0), "threads: expected a whole number from 1 to 1024, got 0"),
        (lambda: bptt.Trainer(HEADED, threads=10**6), "threads: expected a whole number from 1 to 1024, got 1000000"),
        (lambda: bptt.Trainer(HEADED, micro_batch=0), f"micro_batch: expected a whole number from 1 to {MOST}, got 0"),
        (lambda: bptt.Trainer(HEADED, memory=0), "memory: expected a whole number from 1 to .*, got 0"),
        (lambda: bptt.Trainer(HEADED, ema_decay=1.0), "ema_decay: expected a number from 0 to below 1, got 1"),
        (lambda: bptt.Trainer(HEADED, max_skipped_updates=-1), "max_skipped_updates: expected .*, got -1"),
        (lambda: bptt.Trainer(HEADED, device="cpu", dtype="float16"), "dtype: expected float32 or float64, got float16"),
        (lambda: bptt.Trainer(HEADED, device="cpu").set_learning_rate(-1.0), "learning.rate: expected .*, got -1"),
        (lambda: bptt.Recurrent(HEADED, seed=2**64), "seed: expected a whole number from 0 to .*, got 18446744073709551616"),
        (lambda: bptt.Recurrent(HEADED, threads=-1), "threads: expected a whole number from 1 to 1024, got -1"),
    ),
)
def test_a_number_out_of_its_range_is_refused_by_its_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_whole_numbers_of_numpy_are_whole_numbers_and_halves_are_not():
    assert bptt.Model("lstm", np.int64(3), np.uint8(4)).hidden_size == 4
    with pytest.raises(TypeError, match="hidden_size"):
        bptt.Model("lstm", 3, 4.0)


def test_threads_compute_at_the_same_time_and_each_network_has_one_call_at_a_time(numbers):
    x, y = numbers.normal(size=(60, 32, I)), numbers.normal(size=(32, 1))
    shared = bptt.Trainer(bptt.Model("lstm", I, H, bptt.Head(1)), device="cpu")
    turns, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            turns[0] += 1

    counting = threading.Thread(target=count)
    workers = [threading.Thread(target=lambda: [shared.step(x, y) for _ in range(25)]) for _ in range(4)]
    counting.start()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    stop.set()
    counting.join()
    assert shared.steps() == 100
    assert turns[0] > 100


def test_a_result_outlives_the_network_that_made_it(numbers):
    x = numbers.normal(size=(T, B, I))
    network = layers("lstm")
    output, _ = network.forward(x)
    kept = output.copy()
    del network
    for _ in range(20):
        layers("lstm").forward(x)
    np.testing.assert_array_equal(output, kept)
    output[0] = 1  # It is the caller's own.


def test_ten_thousand_steps_take_no_more_memory(numbers):
    x, y = numbers.normal(size=(4, 2, 1)), numbers.normal(size=(2, 1))
    learns = bptt.Trainer(bptt.Model("gru", 1, 2, bptt.Head(1)), device="cpu", threads=1)

    def resident():
        with open("/proc/self/statm") as pages:
            return int(pages.read().split()[1]) * 4096

    try:
        resident()
    except OSError:
        pytest.skip("the system does not tell the memory of a process")
    for _ in range(2_000):
        learns.step(x, y)
    before = resident()
    for _ in range(10_000):
        learns.step(x, y)
    assert resident() - before < 2 << 20


def packed(array):
    """The same numbers as a field of records without padding: neither aligned nor with strides of whole numbers."""
    array = np.asarray(array)
    records = np.zeros(array.shape, dtype=[("flag", "u1"), ("value", array.dtype)])
    records["value"] = array
    return records["value"]


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
@pytest.mark.parametrize("batch_first", (False, True))
def test_fields_of_packed_records_read_as_the_numbers_that_they_have(dtype, batch_first, numbers):
    network = bptt.Trainer(bptt.Model("gru", I, H, bptt.Head(3, "cross-entropy")), device="cpu", dtype=np.dtype(dtype).name)
    x = numbers.normal(size=(B, T, I) if batch_first else (T, B, I)).astype(dtype)
    classes, lengths, weights = np.array([0, 2, 1, 1]), np.array([5, 2, 1, 4]), np.array([1.0, 2, 3, 4], dtype=dtype)
    expected = network.loss(x, classes, lengths=lengths, weights=weights, batch_first=batch_first)
    for given in (packed(x), packed(x)[:, ::-1][:, ::-1]):
        assert not given.flags.aligned
        read = network.loss(
            given, packed(classes), lengths=packed(lengths), weights=packed(weights), batch_first=batch_first
        )
        assert read == expected
    weights = {name: packed(it) for name, it in network.state_dict().items()}
    np.testing.assert_array_equal(bptt.Trainer(network.model, weights=weights, device="cpu", dtype=np.dtype(dtype).name)
                                  .predict(x, batch_first=batch_first), network.predict(x, batch_first=batch_first))


def test_strides_of_no_whole_numbers_and_token_ids_of_records_read_as_what_they_are(numbers):
    network = layers("gru")
    x = numbers.normal(size=(T, B, I))
    # Each number begins 12 bytes after the one before.
    odd = np.ndarray(x.shape, np.float64, np.zeros(12 * x.size + 8, np.uint8), strides=(12 * B * I, 12 * I, 12))
    odd[...] = x
    np.testing.assert_array_equal(network.forward(odd)[0], network.forward(x)[0])
    embeds = bptt.Trainer(bptt.Model("gru", I, H, bptt.Head(1), vocabulary=9), device="cpu")
    tokens = numbers.integers(0, 9, size=(T, B)).astype(np.int32)
    np.testing.assert_array_equal(embeds.predict(packed(tokens)), embeds.predict(tokens))


@pytest.mark.parametrize("carry_state", (False, True))
def test_flow_has_no_effect_on_later_steps(carry_state, numbers):
    x, y = numbers.normal(size=(3, T, B, I)), numbers.normal(size=(3, B, 1))
    plain, measured = (trainer(bptt.Head(1), carry_state=carry_state) for _ in range(2))
    for step in range(3):
        first = measured.flow(x[step], y[step])
        np.testing.assert_array_equal(measured.flow(x[step], y[step]), first)
        measured.flow(x[0], y[0])
        assert measured.step(x[step], y[step]) == plain.step(x[step], y[step])
    for name, weight in plain.state_dict().items():
        np.testing.assert_array_equal(measured.state_dict()[name], weight)


def test_flow_is_refused_between_accumulate_and_update(numbers):
    learns, (x, y) = trainer(bptt.Head(1)), (numbers.normal(size=(T, B, I)), numbers.normal(size=(B, 1)))
    plain = trainer(bptt.Head(1))
    learns.accumulate(x, y)
    with pytest.raises(ValueError, match="between two steps: a batch was accumulated since the last update"):
        learns.flow(x, y)
    # What was accumulated is still there.
    assert learns.update() == plain.step(x, y)


def test_masked_values_are_refused_with_what_to_do_and_an_array_without_them_is_read(numbers):
    learns, (x, y) = trainer(bptt.Head(1)), (numbers.normal(size=(T, B, I)), numbers.normal(size=(B, 1)))
    masked = np.ma.masked_array(x, mask=False)
    assert learns.loss(masked, y) == learns.loss(x, y)
    masked[2, 1, 0] = np.ma.masked
    with pytest.raises(ValueError, match=r"^x: expected an array without masked values \(.filled.* weights= of 0 .*MaskedArray"):
        learns.step(masked, y)
    with pytest.raises(ValueError, match="^lengths: expected an array without masked values"):
        learns.loss(x, y, lengths=np.ma.masked_array([5, 2, 1, 4], mask=[0, 0, 0, 1]))
    with pytest.raises(ValueError, match="^targets: expected an array without masked values"):
        learns.loss(x, np.ma.masked_greater(y, y.min()))


def test_weights_in_double_precision_stay_so_in_a_file_and_under_other_names(own_folder, numbers):
    learns = trainer(bptt.Head(1))
    learns.step(numbers.normal(size=(T, B, I)), numbers.normal(size=(B, 1)))
    weights, model = learns.state_dict(), learns.model
    assert any((it != it.astype(np.float32)).any() for it in weights.values())
    learns.save("of_trainer.safetensors")
    model.save("of_model.safetensors", weights)
    renamed = model.rename(weights, "lstm.", "fc.")
    loaded = [bptt.Model.load(f"of_{name}.safetensors")[1] for name in ("trainer", "model")]
    for again in (*loaded, model.rename(renamed, from_recurrent="lstm.", from_head="fc.")):
        assert again.keys() == weights.keys()
        for name, weight in weights.items():
            assert again[name].dtype == np.float64
            np.testing.assert_array_equal(again[name], weight)
    # In single precision as before.
    model.save("single.safetensors", {name: it.astype(np.float32) for name, it in weights.items()})
    assert {it.dtype for it in bptt.Model.load("single.safetensors")[1].values()} == {np.dtype(np.float32)}
    with pytest.raises(FileNotFoundError, match="none.safetensors"):
        bptt.Model.load("none.safetensors")
