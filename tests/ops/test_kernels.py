"""Every kernel of every op against the float64 reference, and the table that chooses between them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled import ops
from unrolled.errors import KernelError
from unrolled.ops.core.samples import Sample, Shape
from unrolled.testing import check_kernel
from unrolled.testing.kernels import samples_of


def by_name(op: str) -> dict[str, Any]:
    table = ops.find(op)
    return dict(zip((*table.tensors, *table.attributes), first(op).arguments, strict=True))


def first(name: str) -> Sample:
    return samples_of(name)[0]


@pytest.mark.parametrize("name", list(ops.kernels()))
def test_every_kernel_agrees_with_the_reference(name: str) -> None:
    ran = check_kernel(name)
    assert ran["reference"] == 2 * len(samples_of(name))
    # What is plain torch runs wherever the reference does.
    assert ran.get("chunkwise", ran["reference"]) == ran.get("split", ran["reference"]) == ran["reference"]


@pytest.mark.parametrize("name", list(ops.kernels()))
def test_samples_switch_every_optional_tensor_on_and_off(name: str) -> None:
    columns = list(zip(*(sample.arguments for sample in samples_of(name)), strict=True))
    tensors = ops.find(name).tensors
    for position, argument in enumerate(tensors):
        present = {value is not None for value in columns[position]}
        required = present == {True}
        assert required or present == {True, False}, f"{argument} is never given"
    for column in columns[len(tensors) :]:
        assert len(set(column)) == 2


@pytest.mark.parametrize("name", list(ops.kernels()))
def test_samples_hold_the_awkward_shapes(name: str) -> None:
    shapes = {tuple(sample.arguments[0].shape[:2]) for sample in samples_of(name)}
    assert {time for _, time in shapes} >= {1, 2, 63, 100}
    assert 1 in {batch for batch, _ in shapes}
    tensors = [a for sample in samples_of(name) for a in sample.arguments if isinstance(a, Tensor)]
    assert any(0 in a.tolist() for a in tensors if a.dtype == torch.long)


def test_a_shape_says_itself_in_the_label() -> None:
    assert str(Shape(4, 5, 6, (5, 2, 0, 4))) in first("gru").label


@pytest.mark.parametrize("name", list(ops.kernels()))
def test_the_registered_operator_equals_the_plain_reference(name: str) -> None:
    sample = first(name)
    op = ops.find(name)
    *outputs, memory = op.registered(*sample.arguments, False, "reference")
    for direct, registered in zip(op(*sample.arguments, kernel="reference"), outputs, strict=True):
        assert torch.equal(direct, registered)
    assert memory.shape == (0,)


def test_the_memory_has_room_for_what_the_backward_pass_reads() -> None:
    for x, h0, *_ in (sample.arguments for sample in samples_of("rnn")):
        assert ops.find("rnn").memory(x, h0) == (*x.shape[:2], h0.shape[1])
    for arguments in (sample.arguments for sample in samples_of("gru")):
        x, h0, _, _, norm_h, *_ = arguments
        norms = 0 if norm_h is None else 3 * h0.shape[1] + 2
        assert ops.find("gru").memory(*arguments) == (*x.shape[:2], 4 * h0.shape[1] + norms)
    for arguments in (sample.arguments for sample in samples_of("lstm")):
        x, _, c0, _, _, _, norm_h, *_ = arguments
        count, width = 3 if arguments[-4] else 4, c0.shape[1]
        norms = 0 if norm_h is None else count * width + 1
        assert ops.find("lstm").memory(*arguments) == (*x.shape[:2], (count + 1) * width + norms)


def test_explain_has_a_line_for_every_kernel() -> None:
    lines = ops.explain("lstm", **by_name("lstm")).splitlines()
    assert [line.split()[:2] for line in lines] == [["lstm:", name] for name in ops.kernels()["lstm"]]
    assert lines[-1].endswith("can run")


def test_explain_names_the_ops_it_knows() -> None:
    with pytest.raises(KernelError, match=r"no op 'lstn'; there are .*Did you mean 'lstm'\?"):
        ops.explain("lstn")


def test_an_unknown_kernel_is_refused_with_the_candidates() -> None:
    with pytest.raises(KernelError, match=r"gru: kernel must be 'auto' or one of .*, got 'referenc'\. Did you mean"):
        ops.find("gru")(*first("gru").arguments, kernel="referenc")


def test_the_reference_is_differentiable_twice() -> None:
    sample = next(s for s in samples_of("gru") if s.label.endswith("[]"))
    arguments: list[Any] = list(sample.arguments)
    arguments[0] = arguments[0].clone().requires_grad_()
    y, _ = ops.find("gru")(*arguments, kernel="reference")
    (slope,) = torch.autograd.grad(y.square().sum(), arguments[0], create_graph=True)
    (curvature,) = torch.autograd.grad(slope.square().sum(), arguments[0])
    assert torch.isfinite(curvature).all()
    assert curvature.abs().max() > 0


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own forward mode
def test_the_reference_works_under_vmap_and_forward_mode() -> None:
    sample = next(s for s in samples_of("rnn") if s.label.endswith("[]"))
    gates, *rest = sample.arguments
    stacked = torch.stack([gates, 2 * gates])
    mapped = torch.vmap(lambda g: ops.find("rnn")(g, *rest, kernel="reference")[0])(stacked)
    torch.testing.assert_close(mapped[1], ops.find("rnn")(2 * gates, *rest)[0])
    _, slope = torch.func.jvp(
        lambda g: ops.find("rnn")(g, *rest, kernel="reference")[0], (gates,), (torch.ones_like(gates),)
    )
    width = 1e-6
    ahead, behind = (ops.find("rnn")(gates + sign * width, *rest, kernel="reference")[0] for sign in (1, -1))
    torch.testing.assert_close(slope, (ahead - behind) / (2 * width), rtol=1e-6, atol=1e-8)


OPS = ("rnn", "lstm", "gru", "diagonal", "minimal", "rotation", "slstm", "mlstm", "delta")


@pytest.mark.parametrize("name", OPS)
def test_an_op_called_by_names_is_its_table_called_by_places(name: str) -> None:
    expected = ops.find(name)(*first(name).arguments)
    for got, want in zip(getattr(ops, name)(**by_name(name)), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0)


@pytest.mark.parametrize("name", OPS)
def test_an_op_says_which_argument_is_missing_or_unknown(name: str) -> None:
    given = by_name(name)
    lacking = {key: value for key, value in given.items() if key != ops.find(name).tensors[1]}
    with pytest.raises(TypeError, match=f"missing 1 required .*{ops.find(name).tensors[1]!r}"):
        getattr(ops, name)(**lacking)
    with pytest.raises(TypeError, match="unexpected keyword argument 'length'"):
        getattr(ops, name)(**given, length=None)


def test_explain_takes_what_the_op_takes() -> None:
    with pytest.raises(KernelError, match=r"lstm: has no argument 'length'.*lengths"):
        ops.explain("lstm", **by_name("lstm"), length=None)
