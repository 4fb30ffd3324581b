"""Residual networks with weights from elsewhere: as torchvision gives them where it is installed, and as torch's own
modules put together give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from unrolled.errors import ModelFileError, OptionError, ShapeError
from unrolled.nn import ResNet

CENTER, SCALE = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


class Block(nn.Module):
    """A residual block of torch's modules under torchvision's names."""

    def __init__(self, before: int, width: int, stride: int, wide: bool) -> None:
        super().__init__()
        after = 4 * width if wide else width
        first, second = (1, stride) if wide else (stride, 1)
        self.conv1 = nn.Conv2d(before, width, 1 if wide else 3, first, 0 if wide else 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, second, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.wide = wide
        if wide:
            self.conv3, self.bn3 = nn.Conv2d(width, after, 1, bias=False), nn.BatchNorm2d(after)
        if stride > 1 or before != after:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        else:
            self.downsample = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        y = self.bn3(self.conv3(y.relu())) if self.wide else y
        return (y + self.downsample(x)).relu()


class Model(nn.Module):
    """A residual network of torch's modules under torchvision's names."""

    def __init__(self, counts: tuple[int, ...], wide: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        before = 64
        for number, (count, width) in enumerate(zip(counts, (64, 128, 256, 512), strict=True)):
            blocks = []
            for place in range(count):
                blocks.append(Block(before, width, 2 if number and not place else 1, wide))
                before = 4 * width if wide else width
            setattr(self, f"layer{number + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(before, 10)

    def grid(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        for part in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = part(x)
        return x


def stirred(model: Any) -> Any:
    """A model with weights and statistics of its own."""
    torch.manual_seed(0)
    for name, value in model.state_dict().items():
        if "running_var" in name:
            value.copy_(torch.rand(value.shape) + 0.5)
        elif "running_mean" in name or (value.ndim == 1 and value.is_floating_point()):
            value.copy_(torch.randn(value.shape) * 0.1 + ("weight" in name))
    return model.eval()


def expected(model: Any, x: Tensor, grid: Any) -> Tensor:
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = (x * torch.tensor(SCALE) + torch.tensor(CENTER) - mean) / deviation
    with torch.no_grad():
        found: Tensor = grid(pixels.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return found


CASES = [("resnet18", (2, 2, 2, 2), False), ("resnet34", (3, 4, 6, 3), False), ("resnet50", (3, 4, 6, 3), True)]


@pytest.mark.parametrize(("name", "counts", "wide"), CASES)
def test_the_grid_is_that_of_torchs_modules(name: str, counts: tuple[int, ...], wide: bool, tmp_path: Path) -> None:
    model = stirred(Model(counts, wide))
    save_file({key: value.clone() for key, value in model.state_dict().items()}, tmp_path / "a.safetensors")
    made = ResNet(name, CENTER, SCALE)
    made.read(tmp_path / "a.safetensors")
    x = torch.randn(2, 40, 33, 3)
    got, wanted = made(x), expected(model, x, model.grid)
    assert got.shape == (2, *made.grid(40, 33), made.output_size)
    # Sums of some thousand float32 products in another order, layer upon layer.
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))
    torch.testing.assert_close(made.train()(x[:1])[0], got[0], rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))
    assert not list(made.parameters())


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_grid_is_torchvisions(name: str, tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    model = stirred(getattr(torchvision.models, name)(weights=None))
    save_file({key: value.clone() for key, value in model.state_dict().items()}, tmp_path / "a.safetensors")
    made = ResNet(name, CENTER, SCALE)
    made.read(tmp_path / "a.safetensors")
    whole = nn.Sequential(*list(model.children())[:-2])
    x = torch.randn(2, 64, 64, 3)
    wanted = expected(model, x, whole)
    torch.testing.assert_close(made(x), wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def test_grey_is_shown_as_three_equal_colours() -> None:
    grey, colours = ResNet("resnet18", (0.5,), (0.2,)), ResNet("resnet18", (0.5,) * 3, (0.2,) * 3)
    for made in (grey, colours):
        torch.manual_seed(0)
        for value in made.state_dict().values():
            value.copy_(torch.randn(value.shape).abs() * 0.05)
    x = torch.randn(1, 8, 8, 1)
    torch.testing.assert_close(grey(x), colours(x.expand(-1, -1, -1, 3)))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    weights = {key: value.clone() for key, value in Model((2, 2, 2, 2), False).state_dict().items()}
    save_file(weights, tmp_path / "18.safetensors")
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    save_file({**weights, "conv1.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "shape.safetensors")
    save_file({**weights, "layer1.2.conv1.weight": torch.zeros(1)}, tmp_path / "more.safetensors")
    (tmp_path / "pickle.pth").write_bytes(b"\x80\x02}q\x00.")
    for name, file, said in (
        ("resnet34", "18", "lacks layer1.2.conv1.weight"), ("resnet50", "18", "lacks layer1.0.conv3.weight"),
        ("resnet18", "other", "lacks conv1.weight"), ("resnet18", "more", r"beyond resnet18"),
        ("resnet18", "shape", r"conv1.weight of shape.safetensors is \(64, 3, 3, 3\), expected finite numbers"),
    ):  # fmt: skip
        with pytest.raises(ModelFileError, match=said):
            ResNet(name, CENTER, SCALE).read(tmp_path / f"{file}.safetensors")
    for missing in ("pickle.pth", "none.safetensors"):
        with pytest.raises(ModelFileError, match=rf"{missing} cannot be read as safetensors"):
            ResNet("resnet18", CENTER, SCALE).read(tmp_path / missing)


def test_other_names_and_shapes_are_refused() -> None:
    with pytest.raises(OptionError, match="name must be one of resnet18, resnet34, resnet50, got 'resnet19'"):
        ResNet("resnet19", CENTER, SCALE)
    with pytest.raises(ShapeError, match=r"pictures must be \(n, height, width, 3\)"):
        ResNet("resnet18", CENTER, SCALE)(torch.zeros(1, 8, 8, 1))
