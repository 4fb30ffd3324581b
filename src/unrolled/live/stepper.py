"""Live steps with weights and state that stay in the compiled kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast, final

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.check import check_choice, check_size, fitting_state
from unrolled.errors import DtypeError, KernelError, NonFiniteError, OptionError, ShapeError
from unrolled.live.binding import (
    DONE,
    NOT_FINITE,
    STORED,
    TYPES,
    WEIGHTS_CHANGED,
    WRONG_BUFFER,
    Binding,
    addresses,
    bind,
)
from unrolled.nn.recurrent import Recurrent
from unrolled.ops import native
from unrolled.ops.native.calls import address, called, dense
from unrolled.state import from_bytes, leaves, map_state, to_bytes

__all__ = ["Stepper"]

S = TypeVar("S")
V = TypeVar("V", np.ndarray, Tensor)

Rows = Sequence[int] | np.ndarray | Tensor
"""Numbers of streams."""

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


@final
class Stepper(Generic[S]):
    """Independent streams of one layer, stepped from Python at little cost: `layer.step` with bound weights and state.

        stepper.step(x_t) = y_t          as y_t, state = layer.step(x_t, state)

    The layer is used as in evaluation (`Zoneout` takes its rates, a `Stack` drops nothing), and no gradient flows.
    Weights are packed once. A change of them is seen at the next step, which packs them anew and goes on from the state
    it has: in-place changes (an optimiser, `load_state_dict`), another Parameter in the place, another memory. A write
    that torch does not count, as through `parameter.data` or numpy, needs `refresh`.

    layer: any Recurrent on the CPU, float32 or float64, whose step is made of what programs have: all cells and blocks
    of `unrolled.nn`, wrappers and stacks of them, and your own. Its `advance`, or `project` and `recur`, is recorded:
    run once on values without numbers, and then compared. What cannot be recorded is refused with the line of the file:
    Python that decides by a value, an op without an instruction, random numbers, modules with hooks. Codes for an
    embedding come as numbers in x; one that the table lacks gives NaN. One without parameters is taken as float32.
    batch: how many streams. weights: how the weight matrices are stored; "float32" takes them as they are (float64 in a
    layer of that dtype); "bf16" and "int8" (one scale an output row) take a half and a quarter of the memory, lose
    accuracy, and need a layer in float32. Sums, biases, gates and state keep the layer's dtype. watch: False leaves out
    the look at the weights, about 0.1 us for each parameter and step; then every change of them needs `refresh`.

    Numpy arrays in give numpy arrays, torch tensors give tensors: freshly made, contiguous, in the layer's dtype. x may
    lie in any layout (a slice `xs[:, t]`, transposed, turned over), which is copied where it must be, and must be
    finite. `advance` steps between two buffers of the Stepper, `x` and `y`, and is the cheapest. One thread at
    a time should use a Stepper; several Steppers run at once, long calls without the GIL. Ctrl-C ends the wait for a
    long `run`, which the next call then waits for. A copy or a pickle holds the layer and the state, also on its way to
    a process that is spawned; copy.copy shares the layer. A child that is forked while another thread is in `run` has
    a state that lies somewhere in that run: reset it there.

    Raises OptionError, NotStreamable, ShapeError, DtypeError, NonFiniteError, and KernelError where there are no
    compiled kernels.

    >>> from unrolled.nn import LSTM
    >>> stepper = Stepper(LSTM(3, 5), batch=2)
    >>> stepper.step(torch.zeros(2, 3)).shape, stepper.run(np.zeros((7, 2, 3), np.float32)).shape
    (torch.Size([2, 5]), (7, 2, 5))
    >>> stepper.state().c.shape
    torch.Size([2, 5])
    """

    def __init__(self, layer: Recurrent[S], batch: int = 1, weights: str = "float32", *, watch: bool = True) -> None:
        if not native.available():
            raise KernelError(
                f"Stepper: needs the compiled kernels, which cannot run: {native.reason()}. Use layer.step()."
            )
        self.batch = check_size("Stepper", "batch", batch)
        self.weights = check_choice("Stepper", "weights", weights, STORED)
        self.watch = watch
        self.layer = layer
        first = next((one for one in (*layer.parameters(), *layer.buffers()) if one.is_floating_point()), None)
        self.dtype: torch.dtype = torch.float32 if first is None else first.dtype
        self._numpy = _NUMPY.get(self.dtype)
        self._shape = (self.batch, layer.output_size)
        self._check_room()
        self._like_y = torch.empty(self._shape, dtype=self.dtype)
        binding = self._bind()
        self._native = native.compiled().Stepper(binding.layers, binding.watched, native.threads)
        self._like = layer.initial_state(self.batch, device="meta", dtype=self.dtype)
        self._work = self.batch * sum(one.numel() for one in (*layer.parameters(), self._like_y[0]))
        # Memory of numpy, whose size no call can change: the compiled step keeps its address.
        self._from = np.zeros((self.batch, layer.input_size), self._numpy)
        self._to = np.zeros(self._shape, self._numpy)
        self._x, self._y = torch.from_numpy(self._from), torch.from_numpy(self._to)
        self._native.share(self._from, self._to)
        self._native.fall_back(self.step, self.advance)
        # The compiled calls hide the methods of this class, which they call wherever something is out of the ordinary.
        vars(self).update(step=self._native.step, advance=self._native.advance)
        self.reset()

    def step(self, x: V, rows: Rows | None = None) -> V:
        """The next step of every stream: x (batch, input_size) -> y (batch, output_size).

        rows: the streams that advance, by number, no two alike; x and y hold one row for each of them, in their order,
        and all other streams keep their state. It takes as long as a step of all.
        """
        if rows is not None:
            return self._step_some(x, self._row_numbers(rows))
        if type(x) is np.ndarray:
            y: Any = np.empty(self._shape, self._numpy)
            answer = self._native.step_buffers(x, y, 1, native.threads(), False)
        else:
            wanted = (self.batch, self.layer.input_size)
            y, answer = self._run_tensor(x, wanted, self._shape, 1, native.threads())
        return cast(V, y) if answer == DONE else self._resolve(answer, x, self.step)

    @property
    def x(self) -> Tensor:
        """Where `advance` reads from: (batch, input_size); write into it, or into the array `stepper.x.numpy()`."""
        return self._x

    @property
    def y(self) -> Tensor:
        """Where `advance` writes to: (batch, output_size); the next one writes over it."""
        return self._y

    def advance(self) -> None:
        """The next step of every stream, from the buffer `x` to the buffer `y`: the cheapest step, nothing is made.

        >>> from unrolled.nn import GRU
        >>> stepper = Stepper(GRU(3, 5))
        >>> x, y = stepper.x.numpy(), stepper.y.numpy()
        >>> x[:] = [[0.1, 0.2, 0.3]]
        >>> stepper.advance()
        >>> y.shape
        (1, 5)
        """
        answer = self._native.step_buffers(self._from, self._to, 1, native.threads(), False)
        if answer != DONE:
            self._resolve(answer, self._from, lambda _: cast(Any, self.advance()))

    def run(self, xs: V) -> V:
        """Many steps in one call: xs (time, batch, input_size) -> ys (time, batch, output_size); time may be 0."""
        time = xs.shape[0] if isinstance(xs, np.ndarray | Tensor) and xs.ndim else 0
        shape = (time, *self._shape)
        if type(xs) is np.ndarray:
            ys: Any = np.empty(shape, self._numpy)
            given = (xs, ys, time, native.threads(), True)
            answer = called(self._native.step_buffers, *given, work=time * self._work, alive=self)
        else:
            wanted = (time, self.batch, self.layer.input_size)
            ys, answer = self._run_tensor(xs, wanted, shape, time, native.threads())
        return cast(V, ys) if answer == DONE else self._resolve(answer, xs, self.run)

    def state(self, rows: Rows | None = None) -> S:
        """A copy of the state of all streams, or of those numbered: the layer's own, every leaf (rows, ...)."""
        numbers = self._row_numbers(rows)
        like = self._like_of(len(numbers))
        state = map_state(lambda leaf: torch.empty(leaf.shape, dtype=leaf.dtype), like)
        self._native.move(True, addresses(state), numbers.data_ptr(), len(numbers))
        return state

    def load_state(self, state: S, rows: Rows | None = None) -> None:
        """Go on from `state`, as `state()` or the layer gives it, in all streams or in those numbered; it is copied."""
        numbers = self._row_numbers(rows)
        fitting = fitting_state("Stepper", state, self._like_of(len(numbers)), torch.empty(0, dtype=self.dtype))
        in_order = map_state(lambda leaf: dense(leaf.detach()), fitting)
        self._native.move(False, addresses(in_order), numbers.data_ptr(), len(numbers))

    def reset(self, rows: Rows | None = None) -> None:
        """Back to the layer's initial state. rows: the streams to reset, by number; None means all of them."""
        numbers = self._row_numbers(rows)
        with torch.no_grad():
            state = self.layer.initial_state(len(numbers), dtype=self.dtype)
        in_order = map_state(dense, state)
        self._native.move(False, addresses(in_order), numbers.data_ptr(), len(numbers))

    def refresh(self) -> None:
        """Pack the layer's weights anew; the state stays. Raises `ShapeError` where the layer has another state now."""
        self._check_layer()
        binding, state = self._bind(), self.state()
        self._native.pack(binding.layers, binding.watched)
        self.load_state(state)

    def __reduce__(self) -> tuple[Any, ...]:
        # As bytes: tensors made for this call alone would not outlive it, as those that processes share must.
        return _remake, (self.layer, self.batch, self.weights, self.watch, to_bytes(self.state()))

    def _check_layer(self) -> None:
        """Raise where the layer has become another one than the memory here was made for."""
        layer = self.layer
        like = layer.initial_state(self.batch, device="meta", dtype=self.dtype)
        now, then = (map_state(lambda leaf: leaf.shape, one) for one in (like, self._like))
        if now != then or (layer.input_size, layer.output_size) != (self._from.shape[1], self._shape[1]):
            raise ShapeError("Stepper: the layer has other sizes or another state now; make a new Stepper.")

    def _check_room(self) -> None:
        """Raise where so many streams cannot be held."""
        state = sum(leaf.numel() for leaf in leaves(self.layer.initial_state(1, device="meta", dtype=self.dtype)))
        numbers = self.batch * (self.layer.input_size + self.layer.output_size + state)
        need, most = numbers * self.dtype.itemsize / 1e9, native.memory() / 1e9
        if need > most:
            raise OptionError(
                f"Stepper: {self.batch:,} streams need at least {need:,.1f} GB, and this machine has {most:,.1f} GB; "
                "take fewer streams."
            )

    def _bind(self) -> Binding:
        binding = bind(self.layer, self.batch, self.dtype, self.weights)
        return binding if self.watch else binding._replace(watched=[])

    def _run_tensor(
        self, x: Any, wanted: tuple[int, ...], shape: tuple[int, ...], time: int, threads: int
    ) -> tuple[Tensor | None, int]:
        kind = type(x) is Tensor or type(x) is nn.Parameter
        if not kind or x.dtype is not self.dtype or x.shape != wanted or not x.is_cpu:
            return None, WRONG_BUFFER
        if x.layout is not torch.strided or not x.is_contiguous() or x.is_neg():
            return None, WRONG_BUFFER
        # Like a tensor that is there: torch makes that in half the time.
        y = torch.empty_like(self._like_y) if shape is self._shape else torch.empty(shape, dtype=self.dtype)
        given = (address(x), address(y), time, threads)
        return y, called(self._native.step_at, *given, work=time * self._work, alive=(self, x, y))

    def _step_some(self, x: V, rows: Tensor) -> V:
        """A step of all streams, after which those that are not asked for have their old state again."""
        if len(set(rows.tolist())) != len(rows):
            raise ShapeError(f"Stepper: rows must name every stream once, got {rows.tolist()}; make two steps.")
        given = torch.from_numpy(np.ascontiguousarray(x)) if isinstance(x, np.ndarray) else x
        wanted = (len(rows), self.layer.input_size)
        if not isinstance(given, Tensor) or given.dtype != self.dtype or tuple(given.shape) != wanted:
            self._refuse(x, wanted)
        whole = torch.zeros(self.batch, self.layer.input_size, dtype=self.dtype)
        whole[rows] = given.detach()
        rest = torch.ones(self.batch, dtype=torch.bool).index_fill(0, rows, False).nonzero().flatten()
        kept = self.state(rest)
        y = self.step(whole)[rows]
        self.load_state(kept, rest)
        return y.numpy() if isinstance(x, np.ndarray) else y

    def _like_of(self, rows: int) -> S:
        if rows == self.batch:
            return self._like
        return map_state(lambda leaf: leaf.new_empty(rows, *leaf.shape[1:]), self._like)

    def _resolve(self, answer: int, x: V, again: Callable[[V], V]) -> V:
        if answer == WEIGHTS_CHANGED:
            self.refresh()
            return again(x)
        if answer == NOT_FINITE:
            raise NonFiniteError("Stepper: x must be finite, got NaN or infinity; fill missing values before a step.")
        self._refuse(x, (self.batch, self.layer.input_size), many=again == self.run)
        return again(_dense(x))

    def _refuse(self, x: object, inner: tuple[int, int], *, many: bool = False) -> None:
        """Raise for an x that is no array or tensor of this shape and dtype."""
        name = str(self.dtype).removeprefix("torch.")
        shape = f"{'(time, ' if many else '('}{inner[0]}, {inner[1]})"
        expected = f"Stepper: x must be a numpy array or CPU tensor of {name} and shape {shape}"
        if type(x) is not np.ndarray and type(x) is not Tensor and type(x) is not nn.Parameter:
            raise DtypeError(
                f"{expected}, got {type(x).__name__}; convert it with numpy.asarray() or torch.as_tensor()."
            )
        if x.dtype not in (self.dtype, np.dtype(cast(Any, self._numpy))):
            raise DtypeError(f"{expected}, got {x.dtype}; convert it to {name}.")
        if isinstance(x, Tensor) and not x.is_cpu:
            raise ShapeError(f"{expected}, got one on {x.device}; call x.cpu().")
        if isinstance(x, Tensor) and x.layout is not torch.strided:
            raise ShapeError(f"{expected}, got a tensor that is {x.layout}; call x.to_dense().")
        if tuple(x.shape[-2:]) != inner or x.ndim != (3 if many else 2):
            raise ShapeError(f"{expected}, got the shape {tuple(x.shape)}; give one row for each stream.")

    def _row_numbers(self, rows: Any) -> Tensor:
        if rows is None:
            return torch.arange(self.batch)
        numbers = torch.as_tensor(rows)
        if numbers.dtype in (torch.bool, *TYPES, torch.float16, torch.bfloat16) and numbers.numel():
            raise DtypeError(f"Stepper: rows must be the numbers of streams, got {numbers.dtype}; give integers.")
        numbers = numbers.to("cpu", torch.long).contiguous()
        if numbers.ndim != 1 or not all(0 <= row < self.batch for row in numbers.tolist()):
            raise ShapeError(f"Stepper: rows must be a list of numbers from 0 to {self.batch - 1}, got {rows}.")
        return numbers


def _dense(x: V) -> V:
    """The same numbers in the layout that the compiled step reads."""
    if type(x) is np.ndarray:
        return np.ascontiguousarray(x)
    if isinstance(x, Tensor) and x.layout is torch.strided:
        return dense(x.detach())
    return x


def _remake(layer: Recurrent[S], batch: int, weights: str, watch: bool, state: bytes) -> Stepper[S]:
    """A Stepper as it was before it was copied or pickled; its buffers are empty."""
    stepper = Stepper(layer, batch, weights, watch=watch)
    stepper.load_state(from_bytes(state, stepper.state()))
    return stepper
