"""The door to the gated C++ kernels: layouts and lengths that are taken, what is refused in words, who may call."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from unrolled import ops
from unrolled.errors import KernelError
from unrolled.nn import GRU, LSTM, RNN, SLSTM, Cell, MinGRU, MinLSTM
from unrolled.ops import native
from unrolled.ops.native.calls import LONG, called

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason() or "")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the compiled functions that were called, in order."""
    module, names = native.compiled(), []

    class Spy:
        def __getattr__(self, name: str) -> Any:
            found = getattr(module, name)
            if not callable(found):
                return found
            return lambda *given: (names.append(name), found(*given))[1]

    monkeypatch.setattr(native, "compiled", Spy)
    return names


def with_kernel(layer: Cell[Any], kernel: str) -> Cell[Any]:
    layer.kernel = kernel  # type: ignore[assignment]
    return layer


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, list], ids=lambda t: str(t).split(".")[-1]
)
def test_lengths_of_every_kind_are_taken(dtype: Any, calls: list[str]) -> None:
    torch.manual_seed(0)
    numbers, x = [4, 0, 1, 3], torch.randn(4, 4, 3)
    lengths = numbers if dtype is list else torch.tensor(numbers, dtype=dtype)
    layer = RNN(3, 5)
    y, state = with_kernel(layer, "cpp")(x, lengths=lengths)
    assert calls == ["gated_forward"]
    expected, final = with_kernel(layer, "reference")(x, lengths=lengths)
    torch.testing.assert_close((y, state.h), (expected, final.h))
    assert torch.equal(y[1], torch.zeros(4, 5))


def plain_lstm(batch: int = 3, time: int = 4, width: int = 5) -> list[Any]:
    """Arguments of the op `lstm` without options."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    tensors = [draw(batch, time, 4 * width), draw(batch, width), draw(batch, width), draw(4 * width, width)]
    return [*tensors, *[None] * (len(ops.find("lstm").tensors) - 4), False, 0.0, 0.0, False]


def place(argument: str) -> int:
    return ops.find("lstm").tensors.index(argument)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda t: t.mT.contiguous().mT,
    "last dimension first": lambda t: t.movedim(-1, 0).contiguous().movedim(0, -1),
    "backwards and forwards": lambda t: t.flip(0).contiguous().flip(0),
    "with an offset": lambda t: torch.cat([t[:1], t])[1:],
    "cut out of a wider one": lambda t: torch.cat([t, t], -1)[..., : t.shape[-1]],
    "negated twice": lambda t: torch._neg_view(-t),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tensors_of_any_layout_are_read_in_order(layout: str) -> None:
    arguments = plain_lstm()
    expected = ops.find("lstm")(*arguments, kernel="cpp")
    for position in range(4):
        changed = [LAYOUTS[layout](a) if i == position else a for i, a in enumerate(arguments)]
        for got, want in zip(ops.find("lstm")(*changed, kernel="cpp"), expected, strict=True):
            assert torch.equal(got, want)
            assert got.is_contiguous()


def test_rows_that_are_one_row_expanded_are_read_in_order() -> None:
    arguments = plain_lstm()
    for position in (1, 2):
        arguments[position] = arguments[position][:1].expand(3, -1)
    for got, want in zip(
        ops.find("lstm")(*arguments, kernel="cpp"), ops.find("lstm")(*arguments, kernel="reference"), strict=True
    ):
        torch.testing.assert_close(got, want)


WRONG: dict[str, tuple[str, Any, str]] = {
    "half": ("x", lambda t: t.half(), "x is torch.float16, it runs on float32 and float64"),
    "mixed": ("weight_h", lambda t: t.float(), "weight_h is torch.float32, expected torch.float64"),
    "meta": ("x", lambda t: t.to("meta"), "x is on meta, it runs on the CPU"),
    "sparse": ("weight_h", lambda t: t.to_sparse(), "weight_h is torch.sparse_coo, expected torch.strided"),
    "flat": ("x", lambda t: t[0], r"x has the shape \(4, 20\), expected \(3, time, 20\), none of them 0"),
    "no rows": ("x", lambda t: t[:0], r"x has the shape \(0, 4, 20\), expected \(3, 4, 20\)"),
    "no third": ("x", lambda t: t[..., :18], r"x has the shape \(3, 4, 18\)"),
    "h0": ("h0", lambda t: t[:2], r"h0 has the shape \(2, 5\), expected \(3, 5\)"),
    "h0 flat": ("h0", lambda t: t[0], r"h0 has the shape \(5,\), expected \(3, 5\)"),
    "c0": ("c0", lambda t: t[:, :4], r"c0 has the shape \(3, 4\), expected \(3, 5\)"),
    "weight": ("weight_h", lambda t: t.T, r"weight_h has the shape \(5, 20\), expected \(20, 5\)"),
    "long": ("lengths", torch.tensor([4, 5, 0]), "lengths lie outside 0 to 4"),
    "negative": ("lengths", torch.tensor([4, -1, 0]), "lengths lie outside 0 to 4"),
    "narrow": ("lengths", torch.tensor([4, 1, 0], dtype=torch.int32), "lengths is torch.int32, expected torch.int64"),
    "few": ("lengths", torch.tensor([4, 1]), r"lengths has the shape \(2,\), expected \(3,\)"),
    "bytes": ("reset", torch.zeros(3, 4, dtype=torch.uint8), "reset is torch.uint8, expected torch.bool"),
    "no start": ("reset", torch.zeros(3, 4, dtype=torch.bool), "reset and the start it returns to must come together"),
    "no reset": ("start_h", torch.zeros(1, 5).double(), "reset and the start it returns to must come together"),
    "mask": ("mask_h", torch.ones(3, 5).double(), r"mask_h has the shape \(3, 5\), expected \(3, 4, 5\)"),
    "zone": ("zone_c", torch.ones(3, 4, 5).double(), "zone_c is torch.float64, expected torch.bool"),
    "peephole": ("peephole", torch.ones(4, 5).double(), r"peephole has the shape \(4, 5\), expected \(3, 5\)"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_it_cannot_run_is_refused_in_one_sentence(fault: str) -> None:
    argument, wrong, reason = WRONG[fault]
    arguments = plain_lstm()
    arguments[place(argument)] = wrong(arguments[place(argument)]) if callable(wrong) else wrong
    with pytest.raises(
        KernelError, match=f"^lstm: kernel 'cpp' refuses: .*{reason}.*\\. kernel='auto' would"
    ) as caught:
        ops.find("lstm")(*arguments, kernel="cpp")
    assert "\n" not in str(caught.value)
    assert ops.find("lstm").choose("auto", *arguments).name == "reference"


def test_a_start_without_dimensions_is_refused_too() -> None:
    arguments = plain_lstm()
    arguments[place("reset")] = torch.zeros(3, 4, dtype=torch.bool)
    arguments[place("start_h")] = torch.tensor(0.0).double()
    arguments[place("start_c")] = torch.zeros(3, 5).double()
    with pytest.raises(KernelError, match=r"start_h has the shape \(\), expected \(3, 5\)"):
        ops.find("lstm")(*arguments, kernel="cpp")


def test_half_precision_goes_to_the_reference_by_itself(calls: list[str]) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        layer = LSTM(3, 5).to(dtype)
        y, _ = layer(torch.randn(2, 4, 3, dtype=dtype))
        assert y.dtype == dtype
    assert calls == []


def test_vmap_goes_to_the_reference_and_is_refused_by_name() -> None:
    arguments = plain_lstm()
    stacked = torch.stack([arguments[0], 2 * arguments[0]])
    mapped = torch.vmap(lambda gates: ops.find("lstm")(gates, *arguments[1:])[0])(stacked)
    torch.testing.assert_close(mapped[0], ops.find("lstm")(*arguments)[0])
    with pytest.raises(KernelError, match=r"kernel 'cpp' refuses: .*torch.func"):
        torch.vmap(lambda gates: ops.find("lstm")(gates, *arguments[1:], kernel="cpp")[0])(stacked)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own forward mode
def test_forward_mode_goes_to_the_reference_by_itself() -> None:
    arguments = plain_lstm()
    with forward_ad.dual_level():
        arguments[0] = forward_ad.make_dual(arguments[0], torch.ones_like(arguments[0]))
        y = ops.find("lstm")(*arguments)[0]
        assert forward_ad.unpack_dual(y).tangent is not None
        with pytest.raises(KernelError, match=r"kernel 'cpp' refuses: .*forward"):
            ops.find("lstm")(*arguments, kernel="cpp")


@pytest.mark.parametrize("wanted", ["x", "weight_x"])
def test_a_second_derivative_is_an_error_and_never_silently_wrong(wanted: str) -> None:
    layer = LSTM(3, 5, kernel="cpp").double()
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
    target = x if wanted == "x" else layer.weight_x
    with pytest.raises(KernelError, match="use kernel='reference'"):
        torch.autograd.grad(slope.square().sum(), target)
    (slope,) = torch.autograd.grad(with_kernel(layer, "reference")(x)[0].square().sum(), x, create_graph=True)
    assert torch.isfinite(torch.autograd.grad(slope.square().sum(), target)[0]).all()


def test_many_gradients_at_once_are_refused_in_words() -> None:
    layer, x = RNN(3, 5, kernel="cpp"), torch.randn(2, 4, 3, requires_grad=True)
    y, _ = layer(x)
    with pytest.raises(KernelError, match="use kernel='reference'"):
        torch.autograd.grad(y, x, torch.randn(3, *y.shape), is_grads_batched=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit says so of itself
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_old_style_tracing_goes_to_the_reference_by_itself() -> None:
    layer = GRU(3, 5).requires_grad_(False)
    traced = torch.jit.trace(lambda x: layer(x)[0], torch.randn(2, 4, 3), check_trace=False)
    x = torch.randn(2, 4, 3)
    torch.testing.assert_close(traced(x), layer(x)[0])
    with pytest.raises(KernelError, match=r"kernel 'cpp' refuses: .*torch\.jit\.trace"):
        torch.jit.trace(lambda x: with_kernel(layer, "cpp")(x)[0], x, check_trace=False)


def test_who_watches_every_operation_sees_the_operator() -> None:
    layer, x = GRU(3, 5, kernel="cpp"), torch.randn(2, 4, 3)

    def run(x: Tensor) -> Tensor:
        return layer.run(layer.project(x), layer.initial_state(2), None, None)[0]

    with torch.no_grad():
        graph = make_fx(run)(x)
        assert sum("unrolled.gru" in str(node.target) for node in graph.graph.nodes) == 1
        torch.testing.assert_close(graph(2 * x), run(2 * x))


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_one_compiled_graph_runs_the_kernel(kind: Callable[..., Cell[Any]], calls: list[str]) -> None:
    torch.manual_seed(0)
    layer, x = kind(3, 5, kernel="cpp"), torch.randn(3, 6, 3)
    lengths = torch.tensor([6, 2, 4])
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    y, _ = compiled(x, lengths=lengths)
    y.sum().backward()
    torch.compiler.reset()
    assert calls == ["gated_forward", "gated_backward"]
    found = {name: weight.grad for name, weight in layer.named_parameters()}
    layer.zero_grad()
    expected, _ = with_kernel(layer, "reference")(x, lengths=lengths)
    expected.sum().backward()
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(found, {name: weight.grad for name, weight in layer.named_parameters()})


def test_nothing_is_worked_out_for_gradients_that_nobody_needs(calls: list[str]) -> None:
    layer, x = LSTM(3, 5, kernel="cpp"), torch.randn(2, 4, 3)
    for parameter in layer.parameters():
        parameter.requires_grad_(False)
    y, _ = layer(x)
    assert not y.requires_grad
    layer.bias.requires_grad_()  # type: ignore[union-attr]
    layer(x)[0].sum().backward()
    assert calls == ["gated_forward", "gated_forward", "gated_backward"]
    assert layer.weight_h.grad is None
    assert layer.bias is not None
    assert layer.bias.grad is not None


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM, MinGRU, MinLSTM, SLSTM])
def test_lengths_that_change_after_the_forward_pass_change_no_gradient(kind: Any) -> None:
    torch.manual_seed(0)
    layer, x = kind(3, 8), torch.randn(2, 5, 3, requires_grad=True)

    def gradient(later: int) -> Tensor:
        counts = np.array([4, 2])
        y, _ = layer(x, lengths=torch.from_numpy(counts))
        counts[:] = later
        return torch.autograd.grad(y.sum(), x)[0]

    want = gradient(0)
    for later in (5, 10**12, -(10**12)):
        assert torch.equal(gradient(later), want)


@pytest.mark.parametrize("later", [10**12, -(10**12)])
def test_wild_lengths_of_an_op_never_reach_other_memory(later: int) -> None:
    x, h0, c0, weight_h = plain_lstm()[:4]
    counts = np.array([4, 2, 1])
    x = x.requires_grad_()
    y, *_ = ops.lstm(x, h0, c0, weight_h, lengths=torch.from_numpy(counts), kernel="cpp")
    counts[:] = later
    assert torch.autograd.grad(y.sum(), x)[0].shape == x.shape


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_a_tensor_whose_memory_is_gone_is_refused(kind: Any) -> None:
    layer, x = kind(3, 8), torch.randn(2, 5, 3)
    y, _ = layer(x.requires_grad_())
    for weight in layer.parameters():
        weight.untyped_storage().resize_(0)
    x.untyped_storage().resize_(0)
    with pytest.raises(KernelError, match="has lost its memory"):
        y.sum().backward()


def test_ctrl_c_ends_the_wait_for_a_long_call() -> None:
    pressed = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    began = time.monotonic()
    # A shell lets what it starts in the background ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pressed.start()
        with pytest.raises(KeyboardInterrupt):
            called(time.sleep, 5, work=LONG, alive=None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("error", [ValueError, KeyError, SystemError, SystemExit])
def test_a_long_call_says_what_went_wrong_in_it(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("as it is")

    with pytest.raises(error, match="as it is"):
        called(fail, work=LONG, alive=None)


@pytest.mark.parametrize("kind", [LSTM, MinGRU])
def test_a_long_call_gives_the_same_bits(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, x = kind(3, 8), torch.randn(2, 5, 3, requires_grad=True)

    def both() -> tuple[Tensor, Tensor]:
        y, _ = layer(x)
        return y.detach(), torch.autograd.grad(y.sum(), x)[0]

    want = both()
    monkeypatch.setattr("unrolled.ops.native.calls.LONG", 0)
    assert all(torch.equal(a, b) for a, b in zip(both(), want, strict=True))
