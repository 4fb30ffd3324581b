"""How a `Stepper` is called: its buffers, what torch and numpy get back, copies, and its life."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from steppers import LAYERS, assert_near, expected, make, samples, steps
from torch import Tensor

from unrolled.errors import NonFiniteError
from unrolled.nn import GRU, LSTM, Stepper
from unrolled.ops import native
from unrolled.state import leaves

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason() or "")


def advanced(stepper: Stepper[Any], xs: Tensor) -> Tensor:
    ys = []
    for x in xs:
        stepper.x[:] = x
        stepper.advance()
        ys.append(stepper.y.clone())
    return torch.stack(ys)


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("batch", [1, 13])
@pytest.mark.parametrize("name", LAYERS)
def test_an_advance_is_a_step(name: str, batch: int, level: str) -> None:
    layer, xs = make(name), samples(batch)
    with native.use_level(level):
        one, other = Stepper(layer, batch), Stepper(layer, batch)
    assert torch.equal(advanced(one, xs), steps(other, xs))


def test_the_buffers_stay_where_they_are() -> None:
    stepper = Stepper(make("lstm"), 2)
    x, y = stepper.x.numpy(), stepper.y.numpy()
    assert stepper.x.dtype is torch.float64
    assert not x.any()
    x[:] = samples(2)[0]
    stepper.advance()
    stepper.refresh()
    first = y.copy()
    assert first.any()
    stepper.advance()
    assert np.array_equal(y, stepper.y.numpy())
    assert not np.array_equal(y, first)
    with pytest.raises(RuntimeError, match="not resizable"):
        stepper.x.resize_(1000, 6)
    with pytest.raises(AttributeError):
        stepper.x = torch.zeros(2, 6)  # type: ignore[misc]


def test_a_buffer_with_nan_is_refused_and_changes_nothing() -> None:
    stepper = Stepper(make("lstm"), 2)
    stepper.x.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="x must be finite"):
        stepper.advance()
    assert not stepper.state().c.any()
    assert not stepper.y.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_fresh_tensor_is_like_any_other(dtype: torch.dtype) -> None:
    layer = make("gru after", dtype=dtype)
    y = Stepper(layer, 2).step(samples(2, dtype=dtype)[0])
    assert (y.dtype, y.shape, y.stride(), y.device.type) == (dtype, (2, 19), (19, 1), "cpu")
    assert not y.requires_grad
    assert y.data_ptr() % 64 == 0
    assert torch.equal(pickle.loads(pickle.dumps(y)), y)
    assert torch.equal(copy.deepcopy(y), y)
    y.add_(1).requires_grad_().sum().backward()
    assert torch.equal(y.grad, torch.ones_like(y))


def test_what_a_tensor_shows_when_it_is_read_is_what_is_taken() -> None:
    layer = make("gru after", dtype=torch.float32)
    x = torch.ones(1, 6)
    want = Stepper(layer).step(-x)
    negated = torch._neg_view(x)
    assert negated.is_neg()
    assert_near(Stepper(layer).step(negated.resolve_neg()), want)
    assert_near(Stepper(layer).step(negated), want)
    assert_near(Stepper(layer).step(torch.nn.Parameter(-x)), want)
    assert_near(Stepper(layer).step((-x).requires_grad_()), want)
    # A stride along one row alone says nothing.
    assert_near(Stepper(layer).step(-torch.ones(1, 12)[:, :6]), want)


WITHOUT_EXCHANGE = """
import torch
del torch.Tensor.__dlpack_c_exchange_api__
from unrolled.nn import LSTM, Stepper
layer = LSTM(6, 9).eval()
x = torch.randn(2, 6)
stepper = Stepper(layer, 2)
y = stepper.step(x)
torch.testing.assert_close(y, layer.step(x)[0])
with torch.inference_mode():
    z, state = layer.step(x, layer.initial_state(2))
torch.testing.assert_close(z, y)
for other in (x.T.contiguous().T, torch._neg_view(-x)):
    stepper.reset()
    torch.testing.assert_close(stepper.step(other), y)
for wrong in (x.double(), x[:1], x.to("meta")):
    try:
        stepper.step(wrong)
    except Exception as error:
        assert "Stepper: x must be" in str(error), error
    else:
        raise AssertionError(wrong)
"""


@pytest.mark.skipif(not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"), reason="this torch has no exchange")
def test_an_older_torch_is_asked_by_name() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_EXCHANGE], check=True, timeout=120)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda stepper: pickle.loads(pickle.dumps(stepper))])
@pytest.mark.parametrize("name", ["lstm everything", "gru after", "zoneout lstm", "stack"])
def test_a_copy_goes_on_from_the_same_state_on_its_own(name: str, copied: Any) -> None:
    layer, xs = make(name, dtype=torch.float32), samples(2, dtype=torch.float32)
    stepper = Stepper(layer, 2, "bf16", watch=False)
    steps(stepper, xs[:2])
    other = copied(stepper)
    assert (other.batch, other.weights, other.watch, other.dtype) == (2, "bf16", False, torch.float32)
    assert (other.layer is layer) == (copied is copy.copy)
    before = leaves(stepper.state())
    ys = steps(other, xs[2:])
    assert all(torch.equal(*pair) for pair in zip(leaves(stepper.state()), before, strict=True))
    assert torch.equal(steps(stepper, xs[2:]), ys)


def test_a_deep_copy_beside_its_layer_shares_the_copy() -> None:
    layer = make("lstm")
    both = copy.deepcopy({"layer": layer, "stepper": Stepper(layer, 2)})
    assert both["stepper"].layer is both["layer"]
    with torch.no_grad():
        both["layer"].weight_x.mul_(2)
    assert_near(steps(both["stepper"], samples(2)), expected(both["layer"], samples(2))[0])


def test_nothing_keeps_a_stepper_alive() -> None:
    stepper = Stepper(LSTM(3, 4))
    gone, layer = weakref.ref(stepper), weakref.ref(stepper.layer)
    compiled = stepper._native
    assert any(held is compiled for held in gc.get_objects())
    del stepper, compiled
    gc.collect()
    assert gone() is None
    assert layer() is None


def test_a_call_outlives_the_name_of_its_stepper() -> None:
    layer = GRU(3, 4)
    step = Stepper(layer).step
    gc.collect()
    with torch.no_grad():
        layer.bias.add_(1)
        torch.testing.assert_close(step(torch.ones(1, 3)), layer.step(torch.ones(1, 3))[0])
    with pytest.raises(NonFiniteError):
        step(torch.full((1, 3), float("inf")))


def test_a_pickle_holds_no_tensor_that_dies_with_it() -> None:
    # Processes that are spawned share the memory of tensors, which must outlive the pickling.
    stepper = Stepper(LSTM(3, 5), 2)
    *_, state = stepper.__reduce__()[1]
    assert isinstance(state, bytes)


CHILD = """
import os, sys, threading, time, torch
from unrolled.nn import LSTM, Stepper
stepper, x = Stepper(LSTM(32, 128), 8), torch.randn(20000, 8, 32)
running = threading.Thread(target=stepper.run, args=(x,), daemon=True)
running.start()
time.sleep(0.05)
child = os.fork()
if not child:
    torch.set_num_threads(1)
    stepper.reset()
    os._exit(0 if stepper.step(x[0]).shape == (8, 128) else 3)
until = time.monotonic() + 60
while time.monotonic() < until:
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        sys.exit(status)
    time.sleep(0.01)
os.kill(child, 9)
sys.exit("the child hangs")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_child_that_is_forked_in_the_middle_of_a_run_steps_on() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
