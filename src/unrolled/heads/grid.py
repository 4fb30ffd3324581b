"""A grid of notes at a place, each on or off: independent of one another, or each given those below it."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, logsigmoid, softplus
from torch.utils.checkpoint import checkpoint

from unrolled.check import check_size
from unrolled.errors import DataError, OptionError, ShapeError
from unrolled.heads.head import Head, marked
from unrolled.padding import zero_padding

__all__ = ["ConditionedNotesHead", "GridHead", "NotesHead"]

NUMBERS = 1 << 23
"""Hidden units and logits that the loss of a `ConditionedNotesHead` holds at once, for some places."""


class GridHead(Head):
    """A head whose values are grids of notes: (..., notes), 1 where one is on, 0 where it is off, NaN: not known.

    The loss is counted by places of which anything is known: its mean is nats a place, all notes summed.

    notes: on or off at a place, in the order of their pitch.
    """

    notes: int

    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        return marked(self.choose(zero_padding(y, lengths), generator), lengths, torch.nan)

    @abstractmethod
    def choose(
        self,
        y: Tensor,
        generator: torch.Generator | None = None,
        *,
        temperature: float = 1.0,
        given: Tensor | None = None,
    ) -> Tensor:
        """A grid drawn at each place, around notes that are given: y (..., input_size) -> (..., notes).

        temperature: what every logit is divided by: below 1 sharpens, above 1 flattens, 0 takes what is likelier.
        given: 1 forces a note, 0 forbids it, NaN leaves it free: (..., notes), or the last few of these dimensions, the
            same for all others; None: all are free.
        """

    def known(self, y: Tensor, grids: Tensor, lengths: Tensor | None) -> Tensor:
        """The grids with NaN in the padding. Raises `ShapeError`, and `DataError` for what is neither on nor off.

        Values are looked at on the CPU alone, where that costs no wait.
        """
        owner = type(self).__name__
        if grids.shape != (*y.shape[:-1], self.notes):
            raise ShapeError(
                f"{owner}: expected grids {(*y.shape[:-1], self.notes)}, {self.notes} notes a place, got "
                f"{tuple(grids.shape)}; give NaN where a note is not known."
            )
        if not grids.is_floating_point():
            raise DataError(f"{owner}: grids must be floating, got {grids.dtype}; give 0.0, 1.0, NaN if not known.")
        grids = marked(grids, lengths, torch.nan)
        self._check_values(grids)
        return grids

    def _check_values(self, grids: Tensor) -> None:
        if grids.device.type != "cpu" or torch.compiler.is_compiling():
            return
        strange = ~(grids.isnan() | (grids == 0) | (grids == 1))
        if bool(strange.any()):
            raise DataError(
                f"{type(self).__name__}: a note is 1 (on), 0 (off) or NaN (not known), got "
                f"{float(grids[strange][0])}; encode the notes with their field."
            )

    def _bars(
        self, logits: Tensor, generator: torch.Generator | None, temperature: float, given: Tensor | None
    ) -> Tensor:
        """What each logit (..., notes) must be above for its note to be on.

        So a free note is on with probability sigmoid(logit / temperature).
        """
        owner = type(self).__name__
        if isinstance(temperature, bool) or not 0 <= temperature < math.inf:
            raise OptionError(
                f"{owner}: temperature must be a number of at least 0, got {temperature!r}; 1 draws as was learned."
            )
        bars = torch.zeros_like(logits)
        if temperature:
            # A uniform number of 0 would let any note be on, however unlikely: it stands for half the next number.
            least = torch.finfo(bars.dtype).eps / 4
            bars = bars.uniform_(generator=generator).clamp(min=least).logit() * temperature
        if given is None:
            return bars
        if not given.ndim or given.shape != logits.shape[-given.ndim :]:
            raise ShapeError(
                f"{owner}: given must be {tuple(logits.shape)} or its last dimensions, got {tuple(given.shape)}; "
                "give NaN for a note that is free."
            )
        given = given.to(bars)
        self._check_values(given)
        return torch.where(given == 1, -torch.inf, torch.where(given == 0, torch.inf, bars))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.notes}"


class NotesHead(GridHead):
    """Notes that are independent of one another given y.

        logits = W y + b
        p      = sigmoid(logits)
        loss   = -sum over known notes of v log p + (1 - v) log(1 - p)                 v: 1 on, 0 off

    input_size: features of y. notes: see `GridHead`.

    >>> head, given = NotesHead(2, 4), torch.tensor([1.0, torch.nan, torch.nan, 0.0])
    >>> head.choose(torch.zeros(5, 2), given=given)[0, [0, 3]]
    tensor([1., 0.])
    """

    def __init__(self, input_size: int, notes: int) -> None:
        super().__init__()
        self.input_size = check_size("NotesHead", "input_size", input_size)
        self.notes = check_size("NotesHead", "notes", notes)
        # Its weights stand under the names and start as those of a linear layer.
        plain = nn.Linear(input_size, notes)
        self.weight, self.bias = plain.weight, plain.bias

    def logits(self, y: Tensor) -> Tensor:
        """y (..., input_size) -> (..., notes), in float32 or wider."""
        return _wide(linear(y, self.weight, self.bias))

    def forward(self, y: Tensor) -> Tensor:
        """The probability that each note is on: (..., notes)."""
        return self.logits(y).sigmoid()

    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        given = self.known(y, target, lengths).isfinite().any(-1)
        return -self.log_prob(y, target, lengths).sum(), given.sum()

    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The likeliest grid: each note on where that is likelier."""
        logits = self.logits(y)
        return marked((logits > 0).to(logits.dtype), lengths, torch.nan)

    def log_prob(self, y: Tensor, value: Tensor, lengths: Tensor | None = None) -> Tensor:
        """log p of the known notes of each place: (...)."""
        grids = self.known(y, value, lengths)
        logits, known = self.logits(zero_padding(y, lengths)), grids.isfinite()
        found = torch.where(known, grids, 0) * logits - softplus(logits)
        return torch.where(known, found, 0).sum(-1)

    def choose(
        self,
        y: Tensor,
        generator: torch.Generator | None = None,
        *,
        temperature: float = 1.0,
        given: Tensor | None = None,
    ) -> Tensor:
        """As `GridHead.choose`: exact, whatever is given, as the notes know nothing of one another."""
        logits = self.logits(y)
        return (logits > self._bars(logits, generator, temperature, given)).to(logits.dtype)


class ConditionedNotesHead(GridHead):
    """Notes from low to high, each given those below it.

        a_i     = U y + c + sum_{j < i} v_j M_j                    what y and the notes below i tell the hidden units
        h_i     = tanh(a_i), then h_i + tanh(W_l h_i + c_l) for each further layer l
        logit_i = G_i . h_i + B_i . y + b_i
        p_i     = sigmoid(logit_i)
        loss    = -sum over notes of v_i log p_i + (1 - v_i) log(1 - p_i)              v: 1 on, 0 off

    a_i changes only where a note is on: the loss takes one pass with as many hidden vectors a place as notes are on,
    and one more. Of a place all notes are known or none: some would need a sum over 2^unknown grids.

    input_size: features of y. notes: see `GridHead`. hidden_size: hidden units. layers: of them, one on top of another.
    beam: beginnings that `best` keeps.

    Source: NADE: Larochelle and Murray 2011; over a recurrent network: Boulanger-Lewandowski et al. 2012,
    arXiv:1206.6392, section 4. Differences: tanh where they have the sigmoid, and further layers.

    >>> head = ConditionedNotesHead(2, 3)
    >>> grids = torch.tensor([[a, b, c] for a in (0.0, 1.0) for b in (0.0, 1.0) for c in (0.0, 1.0)])
    >>> f"{float(head.log_prob(torch.zeros(8, 2), grids).exp().sum().detach()):.4f}"
    '1.0000'
    """

    def __init__(self, input_size: int, notes: int, hidden_size: int = 128, *, layers: int = 2, beam: int = 8) -> None:
        super().__init__()
        owner = "ConditionedNotesHead"
        self.input_size, self.notes = check_size(owner, "input_size", input_size), check_size(owner, "notes", notes)
        self.hidden_size = check_size(owner, "hidden_size", hidden_size)
        self.beam = check_size(owner, "beam", beam)
        self.hidden = nn.Linear(input_size, hidden_size)
        self.layers = check_size(owner, "layers", layers)
        self.further = nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in range(layers - 1))
        self.below = nn.Parameter(torch.empty(notes, hidden_size))
        self.above = nn.Parameter(torch.empty(notes, hidden_size))
        # Its weights stand under the names and start as those of a linear layer.
        plain = nn.Linear(input_size, notes)
        self.weight, self.bias = plain.weight, plain.bias
        for matrix in (self.below, self.above):
            nn.init.uniform_(matrix, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))

    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        rows, grids, given = self._given(y, target, lengths)
        return -self._log_prob(rows, grids).sum(), given.sum()

    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The likeliest grid that a beam search from the lowest note finds: the very likeliest if 2^notes <= 2 beam."""
        rows = zero_padding(y, lengths).flatten(0, -2)
        with torch.no_grad():
            found = [self._search(part) for part in self._parts(rows, self.beam)]
        return marked(torch.cat(found).view(*y.shape[:-1], self.notes), lengths, torch.nan)

    def log_prob(self, y: Tensor, value: Tensor, lengths: Tensor | None = None) -> Tensor:
        """log p of the grid of each place: (...)."""
        rows, grids, given = self._given(y, value, lengths)
        found = self._log_prob(rows, grids)
        return found.new_zeros(given.shape).masked_scatter(given, found)

    def choose(
        self,
        y: Tensor,
        generator: torch.Generator | None = None,
        *,
        temperature: float = 1.0,
        given: Tensor | None = None,
    ) -> Tensor:
        """As `GridHead.choose`, from low to high: a given note counts for those above it, not for those below it."""
        with torch.no_grad():
            a, direct = self._of_y(y)
            bars = self._bars(direct, generator, temperature, given)
            grids, free = torch.zeros_like(direct), torch.ones_like(direct, dtype=torch.bool)
            while True:
                on = free & (self._logits(a, direct) > bars)
                if not bool(on.any()):
                    return grids
                # Those below the first note that is on are off for good; those above it are asked again.
                first = (on & (on.cumsum(-1) == 1)).to(grids)
                grids, a = grids + first, a + first.to(self.below) @ self.below
                free = first.cumsum(-1) > first

    def _of_y(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """What y (..., input_size) alone tells the hidden units and the logits."""
        return self.hidden(y), _wide(linear(y, self.weight, self.bias))

    def _logits(self, a: Tensor, direct: Tensor) -> Tensor:
        """a (..., hidden_size), direct (..., notes) -> (..., notes), in float32 or wider."""
        return _wide(linear(self._units(a), self.above)) + direct

    def _units(self, a: Tensor) -> Tensor:
        """The hidden units of the last layer, from what they are told (..., hidden_size)."""
        h = a.tanh()
        for layer in self.further:
            h = h + layer(h).tanh()
        return h

    def _given(self, y: Tensor, grids: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The vectors and the grids of the places that are known, and which those are."""
        grids = self.known(y, grids, lengths)
        known = grids.isfinite()
        given = known.all(-1)
        partly = known.any(-1) & ~given
        if bool(partly.any()):
            raise DataError(
                f"ConditionedNotesHead: expected all notes of a place known, or none, got one with "
                f"{int(known[partly][0].sum())} of {self.notes}; fill them in, or use a NotesHead."
            )
        return y[given], grids[given], given

    def _log_prob(self, y: Tensor, grids: Tensor) -> Tensor:
        """log p of grids (rows, notes) given y (rows, input_size): (rows,)."""
        most = _most_on(grids) + 1
        parts = list(zip(self._parts(y, most), self._parts(grids, most), strict=True))
        if len(parts) == 1:
            return self._log_prob_of_part(y, grids)
        # What a part holds is let go, and made again for its gradient.
        return torch.cat(
            [checkpoint(self._log_prob_of_part, *part, use_reentrant=False, preserve_rng_state=False) for part in parts]
        )

    def _log_prob_of_part(self, y: Tensor, grids: Tensor) -> Tensor:
        row, note = grids.nonzero(as_tuple=True)
        # How many notes below each note are on: which of its place's hidden vectors it sees.
        seen = (grids.cumsum(-1) - grids).long()
        a, direct = self._of_y(y)
        steps = a.new_zeros(len(y), _most_on(grids) + 1, self.hidden_size)
        steps = steps.index_put((row, seen[row, note] + 1), self.below.to(a.dtype)[note])
        hidden = a[:, None] + steps.cumsum(1)
        conditional = _wide(linear(self._units(hidden), self.above)).gather(1, seen[:, None])[:, 0]
        logits = conditional + direct
        return (grids.to(logits) * logits - softplus(logits)).sum(-1)

    def _search(self, y: Tensor) -> Tensor:
        """The best of the beam for each of y (rows, input_size): (rows, notes)."""
        told, direct = self._of_y(y)
        start = (torch.zeros_like(direct), told.to(self.below), self._logits(told, direct))
        scores = direct.new_full((len(y), self.beam), -torch.inf)
        scores[:, 0] = 0
        # Logits are those of all notes, as if no further one were on; they are asked for anew only where one is.
        grids, a, logits = (x[:, None].expand(-1, self.beam, -1) for x in start)
        for note in range(self.notes):
            logit = logits[:, :, note]
            scores, chosen = torch.cat([scores + logsigmoid(-logit), scores + logsigmoid(logit)], 1).topk(self.beam)
            beginning = (chosen % self.beam)[..., None]
            grids, a, logits = (x.gather(1, beginning.expand_as(x)) for x in (grids, a, logits))
            on = (chosen >= self.beam) & scores.isfinite()
            grids[:, :, note] = on.to(grids)
            a[on] += self.below[note]
            logits[on] = self._logits(a[on], direct[on.nonzero()[:, 0]])
        return grids[:, 0]

    def _parts(self, rows: Tensor, vectors: int) -> list[Tensor]:
        """Rows in parts, each of which holds at most NUMBERS with so many hidden vectors a row; one row at least."""
        most = max(1, NUMBERS // (vectors * ((1 + self.layers) * self.hidden_size + self.notes)))
        return [rows[at : at + most] for at in range(0, max(1, len(rows)), most)]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.notes}, hidden_size={self.hidden_size}, layers={self.layers}"


def _most_on(grids: Tensor) -> int:
    """The most notes that are on at a place of grids (rows, notes); 0 where there is no place."""
    return int(grids.sum(-1).amax()) if len(grids) else 0


def _wide(scores: Tensor) -> Tensor:
    """Scores in float32 at least: what follows sums exponentials, which half precision would lose."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
