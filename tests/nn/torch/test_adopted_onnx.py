"""Adopted models through torch.onnx.export with a free number of rows and steps."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unrolled import adopt
from unrolled.errors import OptionError
from unrolled.nn import GRU, MLSTM, Recurrent

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

# torch deprecates the exporter that traces; the other one needs a package that is not here.
pytestmark = pytest.mark.filterwarnings(
    *(f"ignore::{kind}" for kind in ("DeprecationWarning", "UserWarning", "torch.jit.TracerWarning"))
)
AXES = {"x": {0: "rows", 1: "steps"}}


def exported(module: nn.Module) -> Any:
    """The module as a session of onnxruntime, from an example of two rows and five steps."""
    file = io.BytesIO()
    torch.onnx.export(
        module, (torch.ones(2, 5, 3),), file, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=AXES
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}, {"bias": False}])
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_an_adopted_model_runs_for_every_length(kind: Any, options: dict[str, Any], first: bool) -> None:
    torch.manual_seed(0)
    module = adopt(nn.Sequential(kind(3, 5, batch_first=first, **options))).eval()
    before = torch.get_rng_state()
    session = exported(module)
    assert torch.equal(before, torch.get_rng_state())
    for shape in ((2, 5), (4, 9), (1, 1)):
        x = torch.randn(*shape, 3)
        y = torch.from_numpy(session.run(None, {"x": x.numpy()})[0])
        torch.testing.assert_close(y, module(x)[0].detach(), atol=1e-5, rtol=0)


class Holder(nn.Module):
    """A module of a user's that holds a layer of ours."""

    def __init__(self, layer: Recurrent[Any], *, steps: bool) -> None:
        super().__init__()
        self.layer, self.steps = layer, steps

    def forward(self, x: Tensor) -> Tensor:
        return self.layer.step(x[:, 0])[0] if self.steps else self.layer(x)[0]


@pytest.mark.parametrize("layer", [GRU(3, 4), MLSTM(3, 4, heads=2)], ids=["gru", "mlstm"])
def test_a_layer_of_ours_is_refused_in_words_but_for_its_step(layer: Recurrent[Any]) -> None:
    with pytest.raises(OptionError, match=r"give it unrolled\.nn\.to_torch\(layer\)"):
        exported(Holder(layer, steps=False))
    x = torch.randn(4, 7, 3)
    (y,) = exported(Holder(layer, steps=True)).run(None, {"x": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(y), layer.step(x[:, 0])[0].detach(), atol=1e-5, rtol=0)
