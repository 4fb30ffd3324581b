"""Residual networks over pictures, with weights that were learned elsewhere and are learned no further here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, max_pool2d

from unrolled.check import check_choice
from unrolled.errors import ModelFileError, ShapeError, listed, said_by
from unrolled.nn.reading.picture import GridNet

__all__ = ["RESNETS", "ResNet"]

RESNETS = {"resnet18": ((2, 2, 2, 2), 1), "resnet34": ((3, 4, 6, 3), 1), "resnet50": ((3, 4, 6, 3), 4)}
"""The blocks of each of the four parts, and how many times wider a block's last convolution is: 4 for three of them."""

WIDTHS = (64, 128, 256, 512)
# How the pictures looked from which the public weights were learned: red, green and blue from 0 to 1.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_EPSILON = 1e-5


class ResNet(GridNet):
    """The grid of a residual network before its mean over places, under the names of torchvision's weights.

        x = relu(norm(W 7x7, every second place)),   maxpool 3x3, every second place
        x = relu(x' + f(x)) for each block,          f: two 3x3, or 1x1, 3x3, 1x1; x' = x, or 1x1 of it where it widens

    Of three of the four parts the first block halves rows and columns, so that a grid has a 32nd of them, rounded up.
    Norms are those of the file, and nothing is learned: what is seen of a picture depends on no other one.

    name: of `RESNETS`. center, scale: of the field whose pictures it sees, for each of their channels: v = x * scale +
    center is from 0, black, to 1, white.

    Source: He et al. 2016, arXiv:1512.03385, with the stride of a block of three at its 3x3, as torchvision has it.
    """

    center: Tensor
    scale: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, name: str, center: Sequence[float], scale: Sequence[float]) -> None:
        super().__init__()
        blocks, wider = RESNETS[check_choice("ResNet", "name", name, RESNETS)]
        self.name, self.channels, self.output_size = name, len(center), WIDTHS[-1] * wider
        self.conv1, self.bn1 = _Conv(3, 64, 7, 2), _Norm(64)
        # What a part takes, and how its first block steps.
        before = (64, *(width * wider for width in WIDTHS))
        parts = [_part(*each, wider) for each in zip(before, WIDTHS, blocks, (1, 2, 2, 2), strict=False)]
        self.layer1, self.layer2, self.layer3, self.layer4 = parts
        for place, values in (("center", center), ("scale", scale)):
            self.register_buffer(place, torch.tensor(list(values)).float(), persistent=False)
        self.register_buffer("mean", torch.tensor(_MEAN), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION), persistent=False)

    def read(self, path: str | Path) -> None:
        """Take the weights of a safetensors file, with the names that torchvision gives them; fc.* is left out.

        Raises:
            ModelFileError: no such file, no safetensors, or weights of another network.
        """
        file = Path(path)
        try:
            found = load_file(file)
        except (OSError, SafetensorError) as error:
            raise ModelFileError(
                f"image_backbone: {file.name} cannot be read as safetensors ({said_by(error)}): save the weights with "
                "safetensors.torch.save_file(model.state_dict(), ...)."
            ) from error
        own = self.state_dict()
        taken = {name: value for name, value in found.items() if name in own}
        missing = [name for name in own if name not in taken]
        if missing:
            raise ModelFileError(
                f"image_backbone: {file.name} lacks {listed(missing, 4)}, expected the weights of {self.name} under "
                "torchvision's names: choose the network that it is of with image_network."
            )
        for name, value in taken.items():
            if value.shape != own[name].shape or not value.isfinite().all():
                raise ModelFileError(
                    f"image_backbone: {name} of {file.name} is {tuple(value.shape)}, expected finite numbers "
                    f"{tuple(own[name].shape)}, as {self.name} has: choose the network that it is of."
                )
        counted = "num_batches_tracked"
        extra = [name for name in found if name.startswith("layer") and name not in own and counted not in name]
        if extra:
            raise ModelFileError(
                f"image_backbone: {file.name} has {listed(extra, 3)} beyond {self.name}: choose the network that it is "
                "of with image_network."
            )
        self.load_state_dict(taken)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (n, height, width, channels) as the field encodes them to grids (n, rows, columns, output_size)."""
        if x.ndim != 4 or x.shape[3] != self.channels or not x.shape[1] * x.shape[2]:
            raise ShapeError(
                f"ResNet: pictures must be (n, height, width, {self.channels}), got {tuple(x.shape)}; give pixels of "
                "that many channels."
            )
        pixels = (x * self.scale.to(x) + self.center.to(x)).expand(*x.shape[:3], 3)
        seen = ((pixels - self.mean.to(x)) / self.deviation.to(x)).permute(0, 3, 1, 2)
        seen = max_pool2d(self.bn1(self.conv1(seen)).relu(), 3, 2, 1)
        for part in (self.layer1, self.layer2, self.layer3, self.layer4):
            seen = part(seen)
        return seen.permute(0, 2, 3, 1)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        return (height - 1 >> 5) + 1, (width - 1 >> 5) + 1


def _part(before: int, width: int, count: int, stride: int, wider: int) -> nn.Sequential:
    """Blocks one after another, of which the first steps."""
    rest = [_Residual(width * wider, width, 1, wider) for _ in range(count - 1)]
    return nn.Sequential(_Residual(before, width, stride, wider), *rest)


class _Conv(nn.Module):
    """A convolution without bias, with zeros around, at every `stride`-th place."""

    weight: Tensor

    def __init__(self, before: int, after: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(after, before, size, size))
        self.stride, self.edge = stride, size // 2

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight.to(x), None, self.stride, self.edge)


class _Norm(nn.Module):
    """Each feature by the mean and the variance of the data that the weights come from."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.ones(size) if name in ("weight", "running_var") else torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        mean, variance, gain, offset = (
            part.to(x) for part in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        return batch_norm(x, mean, variance, gain, offset, eps=_EPSILON)


class _Residual(nn.Module):
    def __init__(self, before: int, width: int, stride: int, wider: int) -> None:
        super().__init__()
        after = width * wider
        if wider == 1:
            self.conv1, self.bn1 = _Conv(before, width, 3, stride), _Norm(width)
            self.conv2, self.bn2 = _Conv(width, width, 3), _Norm(width)
        else:
            self.conv1, self.bn1 = _Conv(before, width, 1), _Norm(width)
            self.conv2, self.bn2 = _Conv(width, width, 3, stride), _Norm(width)
            self.conv3, self.bn3 = _Conv(width, after, 1), _Norm(after)
        self.wider = wider
        changes = stride > 1 or before != after
        self.downsample = nn.Sequential(_Conv(before, after, 1, stride), _Norm(after)) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        seen = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        if self.wider > 1:
            seen = self.bn3(self.conv3(seen.relu()))
        kept = x if self.downsample is None else self.downsample(x)
        y: Tensor = (seen + kept).relu()
        return y
