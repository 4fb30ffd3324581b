"""One code of a few at a place; of many: full (own or tied weights, a part at a time) and sampled."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.functional import cross_entropy, embedding, linear

from unrolled.check import check_rate, check_size
from unrolled.errors import OptionError
from unrolled.heads.codes import CodeHead, draw_codes
from unrolled.heads.head import marked
from unrolled.nn.reading.embedding import Embedding
from unrolled.padding import zero_padding

__all__ = ["OutputLayer", "SampledSoftmax", "SoftmaxHead", "linear_cross_entropy", "target_log_probs"]

# Logits that exist at once, and the fewest rows of them: parts much smaller than this make the matrix products slow.
LOGITS = 1 << 25
ROWS = 512


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, smoothing: float = 0.0
) -> Tensor:
    """The sum over rows of -log softmax(W h + b)[target], in nats; rows with target -1 are left out.

        loss_n = -(1 - smoothing) log p_n[target_n] - smoothing mean_k log p_n[k]

    It equals torch's cross_entropy(linear(...), ignore_index=-1, reduction="sum") in value and gradient, but holds the
    logits of some rows only, and makes the gradient while they are there. Under automatic mixed precision the
    matrix products are in its dtype, all sums in that of the weights. Compiled graphs take torch's form. There is no
    second derivative.

    hidden: (rows, features). weight: (codes, features). bias: (codes,) or None. target: (rows,) int64. smoothing: the
    share of the target, in [0, 1), that goes to all codes alike.
    """
    if torch.compiler.is_compiling():
        logits = linear(hidden, weight, bias)
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return cross_entropy(wide, target, ignore_index=-1, reduction="sum", label_smoothing=smoothing)
    given = target >= 0
    if not bool(given.all()):
        hidden, target = hidden[given], target[given]
    if not torch.is_grad_enabled():
        return _run(hidden, weight, bias, target, smoothing, (False, False, False))[0]
    total: Tensor = _LinearCrossEntropy.apply(hidden, weight, bias, target, smoothing)  # type: ignore[no-untyped-call]
    return total


def target_log_probs(hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor) -> Tensor:
    """log softmax(W h + b)[target] of each row, (rows,), without holding the logits of all; target (rows,) int64."""
    found = hidden.new_empty(len(hidden))
    for part in _parts(hidden, weight):
        logits = linear(hidden[part], weight, bias)
        chosen = logits.gather(1, target[part, None])[:, 0]
        found[part] = chosen - logits.logsumexp(1)
    return found


class _LinearCrossEntropy(torch.autograd.Function):
    """`linear_cross_entropy`, its gradient made in the forward pass."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, smoothing: float
    ) -> Tensor:
        needed = ctx.needs_input_grad[:3]  # type: ignore[attr-defined]
        total, *grads = _run(hidden, weight, bias, target, smoothing, needed)
        ctx.save_for_backward(*grads)  # type: ignore[arg-type]
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        saved: tuple[Tensor | None, ...] = ctx.saved_tensors  # type: ignore[attr-defined]
        # A plain sum has the factor 1, and a pass over a large gradient is not free. Elsewhere a look would wait.
        if grads[0].device.type != "cpu" or float(grads[0]) != 1:
            saved = tuple(None if grad is None else grad * grads[0] for grad in saved)
        return (*saved, None, None)


def _run(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, smoothing: float, needed: tuple[bool, ...]
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """The loss, and the gradients to hidden, weight and bias where `needed`."""
    inputs = (hidden, weight, bias)
    grads = [torch.zeros_like(x) if need and x is not None else None for x, need in zip(inputs, needed)]
    to_hidden, to_weight, to_bias = grads
    total, parts = weight.new_zeros(()), _parts(hidden, weight)
    rows = max((part.stop - part.start for part in parts), default=0)
    wide, kind = weight.dtype, _product_dtype(weight)
    logits, probabilities = (weight.new_empty(rows, len(weight)) for _ in range(2))
    narrow_hidden, narrow_weight = hidden.to(kind), weight.to(kind)
    for part in parts:
        h, chosen = narrow_hidden[part], target[part, None]
        scores, slope = logits[: len(h)], probabilities[: len(h)]
        if kind == wide:
            torch.mm(h, weight.t(), out=scores) if bias is None else torch.addmm(bias, h, weight.t(), out=scores)
        else:
            scores.copy_(h @ narrow_weight.t())
            scores += 0 if bias is None else bias
        torch.softmax(scores, 1, out=slope)
        # log p_k = score_k - max score + log max p: exact also where p_k itself is too small for its dtype.
        shift = slope.amax(1).log() - scores.amax(1)
        total -= (shift + (1 - smoothing) * scores.gather(1, chosen)[:, 0]).sum()
        if smoothing:
            total -= smoothing * scores.mean(1).sum()
            slope -= smoothing / len(weight)
        slope.scatter_add_(1, chosen, slope.new_full((1, 1), smoothing - 1).expand(len(h), 1))
        if to_bias is not None:
            to_bias += slope.sum(0)
        slope = slope.to(kind)
        if to_hidden is not None:
            to_hidden[part] = slope @ narrow_weight
        if to_weight is not None:
            # In place it needs no second matrix of the weights' size, but takes one dtype only.
            to_weight.addmm_(slope.t(), h) if kind == wide else to_weight.add_(slope.t() @ h)
    return total, to_hidden, to_weight, to_bias


def _product_dtype(weight: Tensor) -> torch.dtype:
    """The dtype of matrix products: that of automatic mixed precision where it is on, else the weight's own."""
    place = weight.device.type
    return torch.get_autocast_dtype(place) if torch.is_autocast_enabled(place) else weight.dtype


def _parts(hidden: Tensor, weight: Tensor) -> list[slice]:
    """All rows in parts of nearly equal size."""
    count, most = len(hidden), max(ROWS, LOGITS // len(weight))
    step = math.ceil(count / max(1, math.ceil(count / most))) or 1
    return [slice(at, min(at + step, count)) for at in range(0, count, step)]


class SampledSoftmax(nn.Module):
    """Cross entropy with the softmax's denominator estimated from a few codes, drawn once for all rows of a call.

        loss_n = -log( exp(s_n[target_n]) / (exp(s_n[target_n]) + sum_{k drawn, k != target_n} exp(s_n[k]) / q_k) )

        s = W h + b;   q_k = min(1, c P_k), the probability that code k is drawn, which sums to `samples`
        P_k = log((k + 2) / (k + 1)) / log(size + 1)          log-uniform: codes stand in order of falling frequency

    Codes are drawn without replacement, `samples` at every call, each with probability q_k exactly, so the denominator
    is right in expectation; with samples = size it is the full softmax. For training alone.

    size: the number of codes. samples: 1 .. size.

    Source: importance sampling of the denominator: Bengio and Senecal 2003; the drawing: systematic sampling in random
    order, Goodman and Kish 1950. Difference from TensorFlow's sampled softmax: the target's score is not corrected,
    because the target is always there.
    """

    def __init__(self, size: int, samples: int) -> None:
        super().__init__()
        self.size, self.samples = check_size("SampledSoftmax", "size", size), samples
        if check_size("SampledSoftmax", "samples", samples) > size:
            raise OptionError(
                f"SampledSoftmax: samples must be at most size={size}, got {samples}; "
                "ask for fewer, or leave samples out for the full softmax."
            )
        # No buffer: draws are made on the CPU in float64, whatever the model is converted or moved to.
        self.drawing = _drawing_probabilities(size, samples)

    def draw(self) -> Tensor:
        """Distinct codes (samples,) from torch's global generator, on the CPU."""
        order = torch.randperm(self.size)
        edges = self.drawing[order].cumsum(0)
        points = torch.rand((), dtype=torch.float64) + torch.arange(self.samples)
        return order[torch.searchsorted(edges, points, right=True).clamp(max=self.size - 1)]

    def forward(self, hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor) -> Tensor:
        """The sum of the losses over rows; target -1 is left out. Shapes as in `linear_cross_entropy`."""
        given = target >= 0
        if not bool(given.all()):
            hidden, target = hidden[given], target[given]
        drawn = self.draw()
        chances = self.drawing[drawn].log().to(hidden.device)
        drawn = drawn.to(hidden.device)
        both = torch.cat([drawn, target])
        # One look-up: its gradient is a matrix as large as all weights.
        rows = embedding(both, weight)
        others = linear(hidden, rows[: self.samples])
        right = (hidden * rows[self.samples :]).sum(1)
        wide = torch.promote_types(others.dtype, torch.float32)
        others, right = others.to(wide), right.to(wide)
        if bias is not None:
            offsets = bias[both]
            others, right = others + offsets[: self.samples], right + offsets[self.samples :]
        others = others - chances.to(wide)
        others = others.masked_fill(drawn == target[:, None], -torch.inf)
        return (torch.cat([right[:, None], others], 1).logsumexp(1) - right).sum()

    def extra_repr(self) -> str:
        return f"{self.size}, samples={self.samples}"


def _drawing_probabilities(size: int, samples: int) -> Tensor:
    """q (size,): proportional to the log-uniform distribution, at most 1, with sum `samples`."""
    share = torch.log1p(1 / torch.arange(1, size + 1, dtype=torch.float64))
    # The most frequent codes come first, so those that are always drawn are a first part.
    always = 0
    while always < samples and (samples - always) * share[always] >= share[always:].sum():
        always += 1
    drawing = torch.ones(size, dtype=torch.float64)
    drawing[always:] = (samples - always) * share[always:] / share[always:].sum()
    return drawing


class SoftmaxHead(CodeHead):
    """One code of a few at each place, each place by itself.

        scores = W y + b
        p      = softmax(scores)
        loss   = sum over known codes of -(1 - s) log p[code] - s mean_k log p[k]        s: smoothing, 0 in evaluation

    input_size: features of y. size: the number of codes. smoothing: the share of the target, in [0, 1), that goes to
    all codes alike; in training only.
    """

    def __init__(self, input_size: int, size: int, smoothing: float = 0.0) -> None:
        super().__init__()
        self.input_size = check_size("SoftmaxHead", "input_size", input_size)
        self.size = check_size("SoftmaxHead", "size", size)
        self.smoothing = check_rate("SoftmaxHead", "smoothing", smoothing)
        # Its weights stand under the names and start as those of a linear layer.
        plain = nn.Linear(input_size, size)
        self.weight, self.bias = plain.weight, plain.bias

    def scores(self, y: Tensor) -> Tensor:
        """y (..., input_size) -> logits (..., size), in float32 or wider: half precision would lose what follows."""
        return _wide(linear(y, self.weight, self.bias))

    def log_probs(self, y: Tensor) -> Tensor:
        """log p of all codes: (..., size), in float32 or wider."""
        return self.scores(y).log_softmax(-1)

    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        codes = self.known(y, target, lengths)
        logits, smoothing = self.scores(zero_padding(y, lengths)), self.smoothing if self.training else 0.0
        total = cross_entropy(
            logits.flatten(0, -2), codes.flatten(), ignore_index=-1, reduction="sum", label_smoothing=smoothing
        )
        return total, (codes >= 0).sum()

    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The likeliest code of each place."""
        return marked(self.scores(y).argmax(-1), lengths, -1)

    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        chances = self.scores(zero_padding(y, lengths)).softmax(-1)
        return marked(draw_codes(chances.flatten(0, -2), generator).view(y.shape[:-1]), lengths, -1)

    def log_prob(self, y: Tensor, value: Tensor, lengths: Tensor | None = None) -> Tensor:
        """log p of the code of each place: (...)."""
        codes = self.known(y, value, lengths)
        found = self.log_probs(zero_padding(y, lengths)).gather(-1, codes.clamp(min=0)[..., None])[..., 0]
        return torch.where(codes >= 0, found, 0)

    def probabilities(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        return marked(self.scores(y).softmax(-1), lengths, 0)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.size}" + (f", smoothing={self.smoothing}" if self.smoothing else "")


class OutputLayer(CodeHead):
    """One code of many at each place: W f + b is scored, with f = P y where the widths differ.

    The loss is that of a `SoftmaxHead`, some rows at a time (`linear_cross_entropy`): all scores at once are never
    held by loss, best, draw and log_prob.

    input_size: features of y. size: the number of codes. tied: an embedding whose rows serve as W; None gives the layer
    a W of its own. Tied rows as wide as y take it as it is; others take P y, with a trained P (width, input_size).
    smoothing: the share of the target, in [0, 1), that goes to all codes alike; in training only. samples: codes that
    stand for all in the loss of training, see `SampledSoftmax`; None: all of them do. It goes without smoothing.

    Source: tied weights: Press and Wolf 2016, arXiv:1608.05859; Inan et al. 2016, arXiv:1611.01462.
    """

    def __init__(
        self,
        input_size: int,
        size: int,
        tied: Embedding | None = None,
        smoothing: float = 0.0,
        samples: int | None = None,
    ) -> None:
        super().__init__()
        if samples is not None and smoothing:
            raise OptionError(
                f"OutputLayer: smoothing goes to all codes, but samples={samples} of them are looked at; choose one."
            )
        self.input_size = check_size("OutputLayer", "input_size", input_size)
        width = input_size if tied is None else tied.output_size
        if tied is not None and len(tied.weight) != size:
            raise OptionError(
                f"OutputLayer: a tied embedding must have a row for each of the {size} codes, got {len(tied.weight)}; "
                "give tied=False or make the two sizes equal."
            )
        self.size, self.smoothing = size, check_rate("OutputLayer", "smoothing", smoothing)
        self.sampled = None if samples is None else SampledSoftmax(size, samples)
        self.projection = nn.Linear(input_size, width, bias=False) if width != input_size else None
        self.own = nn.Parameter(torch.empty(size, width)) if tied is None else None
        # In a tuple the embedding is not registered, so that its rows keep one name.
        self._tied = (tied,)
        self.bias = nn.Parameter(torch.zeros(size))
        for matrix in (self.own, None if self.projection is None else self.projection.weight):
            if matrix is not None:
                nn.init.xavier_uniform_(matrix)

    @property
    def weight(self) -> Tensor:
        """W (size, width)."""
        if self.own is not None:
            return self.own
        assert self._tied[0] is not None
        return self._tied[0].weight

    def features(self, y: Tensor) -> Tensor:
        """What W multiplies: (..., input_size) -> (..., width)."""
        return y if self.projection is None else self.projection(y)

    def forward(self, y: Tensor) -> Tensor:
        """log softmax over all codes: (..., input_size) -> (..., size), in float32 or wider."""
        return _wide(linear(self.features(y), self.weight, self.bias)).log_softmax(-1)

    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        rows, codes, given = self._given(y, target, lengths)
        features = self.features(rows)
        if self.training and self.sampled is not None:
            return self.sampled(features, self.weight, self.bias, codes), given.sum()
        smoothing = self.smoothing if self.training else 0.0
        return linear_cross_entropy(features, self.weight, self.bias, codes, smoothing), given.sum()

    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The likeliest code of each place."""
        return self._by_parts(y, lengths, lambda logits: logits.argmax(1))

    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        return self._by_parts(y, lengths, lambda logits: draw_codes(logits.softmax(1), generator))

    def log_prob(self, y: Tensor, value: Tensor, lengths: Tensor | None = None) -> Tensor:
        """log p of the code of each place: (...)."""
        rows, codes, given = self._given(y, value, lengths)
        found = target_log_probs(self.features(rows), self.weight, self.bias, codes)
        return found.new_zeros(given.shape).masked_scatter(given, found)

    def probabilities(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        return marked(self(y).exp(), lengths, 0)

    def _given(self, y: Tensor, codes: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The vectors and the codes of the places whose code is known, and which those are."""
        codes = self.known(y, codes, lengths)
        given = codes >= 0
        return y[given], codes[given], given

    def _by_parts(self, y: Tensor, lengths: Tensor | None, choose: Callable[[Tensor], Tensor]) -> Tensor:
        """The code that `choose` finds by the logits (rows, size) of each place."""
        rows = self.features(zero_padding(y, lengths)).flatten(0, -2)
        found = torch.zeros(len(rows), dtype=torch.long, device=y.device)
        for part in _parts(rows, self.weight):
            found[part] = choose(_wide(linear(rows[part], self.weight, self.bias)))
        return marked(found.view(y.shape[:-1]), lengths, -1)


def _wide(scores: Tensor) -> Tensor:
    """Scores in float32 at least: what follows sums exponentials, which half precision would lose."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
