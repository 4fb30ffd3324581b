"""`adopt`: the adapter takes what the torch module takes and returns what it returns, in float64 to 1e-12."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

import unrolled
from unrolled.errors import DtypeError, OptionError, ShapeError
from unrolled.nn.torch.adopt import Adopted, AdoptedCell, adopt

CLOSE = {"rtol": 0.0, "atol": 1e-12}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "rnn": (nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (nn.LSTM, {}),
    "lstm-proj": (nn.LSTM, {"proj_size": 2}),
    "gru": (nn.GRU, {}),
}
LAYOUTS = list(itertools.product((1, 3), (False, True), (False, True)))


def pair(kind: str, layers: int = 1, both: bool = False, batch_first: bool = False) -> tuple[Any, Any]:
    torch.manual_seed(3)
    make, options = KINDS[kind]
    shape = {"num_layers": layers, "bidirectional": both, "batch_first": batch_first}
    module = make(4, 5, **shape, dtype=torch.float64, **options)
    return module, adopt(copy.deepcopy(module))


def random_hx(module: Any, *batch: int) -> Any:
    count = module.num_layers * (2 if module.bidirectional else 1)
    h = torch.randn(count, *batch, module.proj_size or module.hidden_size, dtype=torch.float64)
    return (h, torch.randn(count, *batch, 5, dtype=torch.float64)) if module.mode == "LSTM" else h


def tensors(result: Any) -> Iterator[Tensor]:
    if isinstance(result, Tensor):
        yield result
    else:
        for part in result:
            if part is not None:
                yield from tensors(part)


def assert_same(module: Any, adopted: Any, *arguments: Any) -> None:
    expected, came = module(*arguments), adopted(*arguments)
    assert [type(part) for part in came] == [type(part) for part in expected]
    for mine, theirs in zip(tensors(came), tensors(expected), strict=True):
        torch.testing.assert_close(mine, theirs, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "both", "batch_first"), LAYOUTS)
@pytest.mark.parametrize("given", [False, True], ids=["no-hx", "hx"])
def test_every_input_layout_gives_the_same(kind: str, layers: int, both: bool, batch_first: bool, given: bool) -> None:
    module, adopted = pair(kind, layers, both, batch_first)
    hx = (random_hx(module, 3),) if given else ()
    single = (random_hx(module),) if given else ()
    x = torch.randn(3, 6, 4, dtype=torch.float64)
    assert_same(module, adopted, x if batch_first else x.transpose(0, 1), *hx)
    assert_same(module, adopted, x[0], *single)
    lengths = torch.tensor([2, 6, 4])
    assert_same(module, adopted, pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), *hx)
    assert_same(module, adopted, pack_padded_sequence(x, lengths.sort(descending=True)[0], batch_first=True), *hx)


def test_a_packed_sequence_without_all_steps_keeps_its_indices() -> None:
    module, adopted = pair("gru")
    packed = pack_sequence([torch.randn(n, 4, dtype=torch.float64) for n in (1, 5, 2)], enforce_sorted=False)
    (theirs, _), (ours, _) = module(packed), adopted(packed)
    assert isinstance(ours, PackedSequence)
    for field in ("batch_sizes", "sorted_indices", "unsorted_indices"):
        assert torch.equal(getattr(ours, field), getattr(theirs, field))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_inputs_and_hx_as_in_torch(kind: str) -> None:
    module, adopted = pair(kind, 2, True)
    grads = []
    for layer in (module, adopted):
        torch.manual_seed(0)
        x = torch.randn(6, 3, 4, dtype=torch.float64, requires_grad=True)
        hx = [part.requires_grad_() for part in tensors(random_hx(module, 3))]
        y, final = layer(x, tuple(hx) if len(hx) == 2 else hx[0])
        sum(part.square().sum() for part in (y, *tensors(final))).backward()
        grads.append([x.grad, *(part.grad for part in hx), layer_bias(layer).grad])
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


def layer_bias(layer: Any) -> Any:
    return layer.layer.layers[0].forward_layer.bias if isinstance(layer, Adopted) else layer.bias_ih_l0


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_cells_take_and_return_what_torch_cells_do(kind: Any) -> None:
    cell = kind(4, 5, dtype=torch.float64)
    adopted = adopt(copy.deepcopy(cell))
    assert isinstance(adopted, AdoptedCell)
    h = torch.randn(3, 5, dtype=torch.float64)
    hx = (h, 2 * h) if kind is nn.LSTMCell else h
    one = (h[0], 2 * h[0]) if kind is nn.LSTMCell else h[0]
    x = torch.randn(3, 4, dtype=torch.float64)
    for arguments in ((x,), (x, hx), (x[0],), (x[0], one)):
        for mine, theirs in zip(tensors(adopted(*arguments)), tensors(cell(*arguments)), strict=True):
            torch.testing.assert_close(mine, theirs, **CLOSE)
    with pytest.raises(ShapeError, match=r"input must be \(batch, 4\)"):
        adopted(x[:, :3])


class Tagger(nn.Module):
    """A model as users write them: nested, with a module used twice and one listed under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.encoders = nn.ModuleList([nn.LSTM(4, 4, batch_first=True), nn.GRU(4, 2, bidirectional=True)])
        self.alias = self.encoders[0]
        self.cells = nn.ModuleDict({"last": nn.GRUCell(4, 3)})

    def forward(self, tokens: Tensor) -> Tensor:
        self.encoders[0].flatten_parameters()
        x, (h, _) = self.encoders[0](self.embed(tokens))
        x, _ = self.alias(x, (h, h))
        x, _ = self.encoders[1](x)
        return self.cells["last"](x[:, -1])


def test_a_model_keeps_its_numbers_and_its_shared_module() -> None:
    torch.manual_seed(0)
    model = Tagger().double()
    tokens = torch.randint(0, 9, (2, 5))
    expected = model(tokens)
    assert unrolled.adopt(model) is model
    assert not [m for m in model.modules() if isinstance(m, nn.RNNBase | nn.RNNCellBase)]
    assert model.alias is model.encoders[0]
    torch.testing.assert_close(model(tokens), expected, **CLOSE)
    model(tokens).sum().backward()
    assert all(p.grad is not None for name, p in model.named_parameters())


def test_the_random_state_and_the_training_mode_stay_as_they_were() -> None:
    model = nn.Sequential(nn.LSTM(3, 5, num_layers=2, dropout=0.5), nn.Identity())
    model[0].eval()
    before = torch.get_rng_state()
    adopt(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert (model.training, model[0].training, model[0].layer.training) == (True, False, False)


def test_dropout_between_layers_acts_in_training_only() -> None:
    module = nn.GRU(3, 64, num_layers=2, dropout=0.5)
    adopted = adopt(module)
    x = torch.randn(5, 2, 3)
    assert not torch.equal(adopted(x)[0], adopted(x)[0])
    adopted.eval()
    assert torch.equal(adopted(x)[0], adopted(x)[0])


def test_the_attributes_that_users_read_are_there() -> None:
    module, adopted = pair("lstm-proj", 3, True, True)
    for name in ("mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"):
        assert getattr(adopted, name) == getattr(module, name)
    assert adopted.proj_size == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_low_precision_weights_pass_the_check(dtype: torch.dtype) -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        adopted = adopt(nn.GRU(8, 16, num_layers=3, bidirectional=True, dtype=dtype))
        assert next(adopted.parameters()).dtype == dtype


def test_nan_goes_through_as_in_torch() -> None:
    module, adopted = pair("gru")
    x = torch.randn(4, 2, 4, dtype=torch.float64)
    x[2, 0, 1] = float("nan")
    torch.testing.assert_close(adopted(x)[0], module(x)[0], equal_nan=True, **CLOSE)


def test_adopting_twice_changes_nothing() -> None:
    model = adopt(nn.Sequential(nn.GRU(3, 4)))
    layer = model[0]
    assert adopt(model)[0] is layer


def test_a_model_without_recurrences_is_refused() -> None:
    with pytest.raises(OptionError, match=r"found no nn.RNN, .* in Sequential"):
        adopt(nn.Sequential(nn.Linear(2, 2)))


def test_hooks_are_not_lost_silently() -> None:
    model = nn.Sequential(nn.GRU(3, 4), nn.GRU(4, 4))
    model[1].register_forward_hook(lambda *_: None)
    with pytest.raises(OptionError, match=r"1 \(GRU\) has hooks"):
        adopt(model)
    assert isinstance(model[0], nn.GRU), "the model is untouched"


def test_shared_weights_are_not_torn_off_silently() -> None:
    model = nn.Sequential(nn.RNN(4, 4), nn.RNN(4, 4))
    model[1].weight_hh_l0 = model[0].weight_hh_l0
    with pytest.raises(OptionError, match="weight_hh_l0 of 0 is shared"):
        adopt(model)


def test_a_wrong_mapping_is_caught_before_the_model_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    from unrolled.nn.torch import adopt as room

    def transposed(module: Any) -> Any:
        layer = unrolled.nn.from_torch(module)
        with torch.no_grad():
            layer.weight_h.copy_(layer.weight_h.roll(1, 0))  # type: ignore[union-attr,operator]
        return layer

    monkeypatch.setattr(room, "from_torch", transposed)
    model = nn.Sequential(nn.LSTM(3, 4))
    with pytest.raises(OptionError, match=r"0 \(LSTM\) must give the original's numbers"):
        adopt(model)
    assert isinstance(model[0], nn.LSTM)


def test_wrong_inputs_are_named() -> None:
    _, adopted = pair("lstm")
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    with pytest.raises(ShapeError, match="one step of 4 features"):
        adopted(x[..., :2])
    with pytest.raises(ShapeError, match="2 or 3 dimensions"):
        adopted(x[None])
    with pytest.raises(ShapeError, match=r"pair \(h, c\)"):
        adopted(x, x)
    with pytest.raises(ShapeError, match=r"must be \(1, 3, 5\), got \(1, 2, 5\)"):
        adopted(x, tuple(torch.zeros(2, 1, 2, 5, dtype=torch.float64)))
    with pytest.raises(DtypeError, match="float64"):
        adopted(x.float())


def test_an_adopted_model_can_be_copied_and_saved() -> None:
    _, adopted = pair("lstm", 2, True)
    again = copy.deepcopy(adopted)
    again.load_state_dict(adopted.state_dict())
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    assert torch.equal(again(x)[0], adopted(x)[0])


def test_an_adopted_layer_compiles_to_one_graph() -> None:
    module, adopted = pair("lstm", 2, True, True)
    torch.compiler.reset()
    compiled = torch.compile(adopted, fullgraph=True, backend="aot_eager")
    x = torch.randn(3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(compiled(x)[0], module(x)[0], **CLOSE)
    torch.compiler.reset()


def test_the_house_opens_its_rooms_by_name() -> None:
    assert unrolled.adopt is adopt
    assert unrolled.nn.LSTM(2, 3).output_size == 3
    assert {"adopt", "load", "nn", "Forecaster"} <= set(dir(unrolled))
    for name in unrolled.__all__:
        getattr(unrolled, name)
    with pytest.raises(AttributeError, match="no attribute 'lstm'"):
        unrolled.lstm  # noqa: B018
