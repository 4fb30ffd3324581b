"""The only door to Accelerate: device, mixed precision, and sums over the processes of one run.

The module is not wrapped in DistributedDataParallel. DDP averages over processes, needs the same number of forward
passes in each, and hooks `forward`; here gradients of *sums* are added over processes and divided by the global count,
once for each optimiser step, which is exact for ragged shares, empty shares and truncated BPTT alike.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.state import AcceleratorState  # type: ignore[import-untyped]
from accelerate.utils import GradientAccumulationPlugin, broadcast  # type: ignore[import-untyped]
from torch import Tensor, nn

from unrolled.errors import OptionError, SaveError
from unrolled.state import map_state
from unrolled.train.options import TrainOptions

if torch.distributed.is_available():
    # The optimiser imports this in its first step. Its default arguments take hold of the process group if there is one
    # by then, so that the group's threads would outlive destroy_process_group and abort the process at its end.
    import torch.distributed.nn.functional

__all__ = ["Processes"]

B = TypeVar("B")

# Tensors from files or numpy may start anywhere; matrix kernels round differently by alignment, so a resumed run would
# not repeat bit for bit. Memory from torch's own allocator is always aligned this far.
ALIGNMENT = 64


class Processes:
    """The processes of one run; of one alone every sum is the value itself.

    index, count: this process among all. device: where the module and batches go. wide: dtype for sums.
    """

    def __init__(self, options: TrainOptions) -> None:
        precision = "no" if options.precision == "full" else options.precision
        # Accelerate keeps one global state; two runs of one session may ask for different precision or device.
        earlier = AcceleratorState._shared_state
        wanted = {"_mixed_precision": precision, "_cpu": options.device == "cpu"}
        if earlier and any(earlier.get(name) != value for name, value in wanted.items()):
            AcceleratorState._reset_state(torch.distributed.is_available() and not torch.distributed.is_initialized())
        self._accelerator: Any = Accelerator(
            cpu=options.device == "cpu",
            mixed_precision=precision,
            # Given as a plug-in so that no environment variable of a launcher divides the loss.
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        )
        self.index: int = self._accelerator.process_index
        self.count: int = self._accelerator.num_processes
        self.device: torch.device = self._accelerator.device
        if self.count > 1:
            # Threads of the group that are still there when the interpreter ends abort the process, now and then.
            atexit.unregister(_leave_group)
            atexit.register(_leave_group)
        self.wide = torch.float32 if self.device.type == "mps" else torch.float64
        if options.precision == "fp16" and self._accelerator.scaler is None:
            raise OptionError("fit: precision='fp16' needs a GPU, this run is on the CPU; use 'bf16' or 'full'.")

    @property
    def first(self) -> bool:
        """True for the one process that writes files and reports."""
        return self.index == 0

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """The loss scaler of fp16; None otherwise."""
        scaler: torch.amp.GradScaler | None = self._accelerator.scaler
        return scaler

    def adopt(self, module: nn.Module) -> None:
        """Move the module to the device and give every process the weights of the first."""
        module.to(self.device)
        if self.count > 1:
            with torch.no_grad():
                for tensor in module.state_dict().values():
                    tensor.copy_(broadcast(tensor.detach().clone(), from_process=0))

    def prepare(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimiser, behind Accelerate's loss scaling where there is one."""
        if self.scaler is None:
            return optimizer
        scaling: torch.optim.Optimizer = self._accelerator.prepare_optimizer(optimizer)
        return scaling

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision for a forward pass."""
        context: AbstractContextManager[object] = self._accelerator.autocast()
        return context

    def backward(self, total: Tensor) -> None:
        """Add the gradient of `total`, scaled under fp16."""
        if self.scaler is None:
            # Accelerate looks for an optional package on the disk in each call.
            torch.autograd.backward(total)
        else:
            self._accelerator.backward(total)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the scale of fp16 off the gradients."""
        self._accelerator.unscale_gradients(optimizer)

    def place(self, batch: B) -> B:
        """The batch on the device, in aligned memory."""
        return map_state(self._place, batch)

    def _place(self, leaf: Tensor) -> Tensor:
        moved = leaf.to(self.device, non_blocking=True)
        return moved.clone() if moved.device.type == "cpu" and moved.data_ptr() % ALIGNMENT else moved

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.count == 1:
            return values
        total: Tensor = self._accelerator.reduce(values, reduction="sum")
        return total

    def largest(self, value: int) -> int:
        """The largest of the processes' values."""
        if self.count == 1:
            return value
        return int(self._accelerator.gather(torch.tensor([value], device=self.device)).max())

    def from_first(self, value: float) -> float:
        """The value that the first process has."""
        if self.count == 1:
            return value
        return float(broadcast(torch.tensor([value], device=self.device, dtype=self.wide), from_process=0))

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """What the first process cannot write ends all of them: the others would wait for it without an end."""
        problem: SaveError | None = None
        try:
            yield
        except SaveError as error:
            problem = error
        if self.from_first(float(problem is not None)):
            raise problem or SaveError("fit: the first process could not write its run folder; see its message.")

    def gather_bytes(self, data: bytes) -> list[bytes]:
        """The bytes of every process, in order, for all of them."""
        if self.count == 1:
            return [data]
        mine = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(self.device)
        sizes = self._accelerator.gather(torch.tensor([len(data)], device=self.device)).tolist()
        padded = torch.zeros(max(sizes), dtype=torch.uint8, device=self.device)
        padded[: len(data)] = mine
        everything = self._accelerator.gather(padded[None]).cpu()
        return [everything[i, :size].numpy().tobytes() for i, size in enumerate(sizes)]

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Add the gradients over all processes in place; a parameter no process has used keeps None."""
        if self.count == 1:
            return
        used = torch.tensor([p.grad is not None for p in parameters], device=self.device, dtype=torch.int32)
        wanted = [p for p, n in zip(parameters, self.sum(used).tolist(), strict=True) if n]
        for dtype in sorted({p.dtype for p in wanted}, key=str):
            same = [p for p in wanted if p.dtype == dtype]
            parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in same]
            flat = self.sum(torch.cat([part.flatten() for part in parts]))
            for p, part in zip(same, torch.split(flat, [p.numel() for p in same]), strict=True):
                p.grad = part.view_as(p).clone()


def _leave_group() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
