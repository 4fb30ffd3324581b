"""Many to fewer, in order: codes whose places among the frames nobody knows."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss

from unrolled.align.mode import evaluating
from unrolled.check import check_lengths, check_size
from unrolled.errors import DataError, NonFiniteError, NotStreamable, OptionError, ShapeError
from unrolled.fields.text import BLANK
from unrolled.heads.softmax import SoftmaxHead
from unrolled.nn.build import Rate
from unrolled.nn.reading.embedding import check_codes
from unrolled.nn.reading.reader import Reader, check_reader
from unrolled.nn.recurrent import Recurrent
from unrolled.options import Options
from unrolled.padding import Padded, valid_mask, zero_padding

__all__ = ["CTC", "CTCOptions", "Transcribed"]

S = TypeVar("S")


class Transcribed(NamedTuple):
    """Sequences, and what is said in each: codes (batch, codes) int64 in 1 .. size - 1, none where nothing is."""

    x: Padded
    target: Padded


class CTCOptions(Options):
    """How codes are learned. dropout: rate in [0, 1), on the encoder's y, drawn for every frame."""

    dropout: Rate = 0.0


class CTC(nn.Module, Generic[S]):
    """Codes in the order of the frames: at each frame one of them goes on or begins, or nothing is said.

        y        = encoder(reader(x))                       (batch, frames, features)
        log p_t  = log softmax(W drop(y_t) + b)             of all codes; code 0 is the blank
        p(codes) = sum over paths of prod_t p_t[path_t]     a path has one code or blank a frame, and gives `codes`
                                                            when repeats are joined and then blanks left out

    So n codes, r of them equal to the one before, need n + r frames: a blank must part equal codes. A row with fewer
    has no path, and is refused. A row without frames has one path, the empty one: p = 1 where no code is wanted.

    reader: turns inputs into vectors; it may give fewer frames than there are inputs. encoder: any Recurrent
    over them; a forward-only one can go live. size: the number of codes, the blank counted.

    Source: Graves et al. 2006, "Connectionist temporal classification", ICML, eq. 2-3.
    """

    def __init__(self, reader: Reader, encoder: Recurrent[S], size: int, options: CTCOptions) -> None:
        super().__init__()
        check_reader("CTC", reader, encoder)
        if check_size("CTC", "size", size) < 2:
            raise OptionError("CTC: size must be at least 2, the blank and one code, got 1; count the blank as well.")
        self.size, self.options = size, options
        self.reader = reader
        self.encoder = encoder
        self.dropout = nn.Dropout(options.dropout)
        self.head = SoftmaxHead(encoder.output_size, size)

    def loss(self, batch: Transcribed, state: None = None) -> tuple[Tensor, Tensor, None]:
        """Sum over the rows of -log p(codes) in nats, the number of codes, and no state.

        A row in which nothing is said counts as one code, unless it has no frames.

        Raises:
            DataError: a row has fewer frames than its codes need, or a code is not in 1 .. size - 1.
            NonFiniteError: scores so large, or so broken, that a loss is no number.
        """
        codes, lengths, frames = self._targets(batch)
        full = torch.nonzero(frames)[:, 0]
        scores, _ = self.scores(batch.x)
        home = scores.values.device
        count = torch.where(frames > 0, lengths.clamp(min=1), 0).sum().to(home)
        if not len(full):
            # Nothing is learned of it, yet it is joined to the graph.
            return scores.values.sum() * 0, count, None
        # The kernel is never shown a row without frames; with all rows it gets what there is, without a copy.
        values = scores.values if len(full) == len(frames) else scores.values[full.to(home)]
        losses = ctc_loss(
            values.transpose(0, 1), codes[full].to(home), frames[full], lengths[full], blank=BLANK, reduction="none"
        )
        broken = torch.nonzero(~losses.isfinite())
        if len(broken):
            raise NonFiniteError(
                f"CTC: the loss of row {int(full[broken[0, 0]])} is {losses[broken[0, 0]].item()}, expected a number; "
                "the network's scores are too large or not finite: lower the learning rate."
            )
        return losses.sum(), count, None

    def scores(self, x: Padded, state: S | None = None, *, seen: int = 0) -> tuple[Padded, S]:
        """log p of all codes (batch, frames, size) with the frames of each row, and the encoder's state after them.

        With the gradient, in the mode that the module is in. state: as an earlier call returned it, or None. seen: so
        many frames at the begin of each row were in that call: the reader sees their inputs again, the encoder not.
        """
        frames = self.reader.frames(x.lengths) - seen
        read = self.reader(x)[:, seen:] if x.values.shape[1] else x.values
        if read.shape[1]:
            y, state = self.encoder(read, state, lengths=frames)
        else:
            state = self._start(len(x.values)) if state is None else state
            y = self.head.weight.new_zeros(len(x.values), 0, self.encoder.output_size)
        return Padded(self.head.log_probs(self.dropout(y)), frames), state

    def log_probs(self, x: Padded) -> Padded:
        """log p of all codes (batch, frames, size), 0 in the padding, with the frames of each row, for a search."""
        with evaluating(self):
            values, frames, *_ = self.scores(x)[0]
            return Padded(zero_padding(values, frames), frames)

    @property
    def streamable(self) -> bool:
        """Whether neither the reader nor the encoder sees what follows."""
        return self.encoder.streamable and self.reader.context is not None

    def begin(self, rows: int) -> S:
        """The state before the first frame of `rows` live rows. Raises NotStreamable."""
        if not self.streamable:
            part = "a reader" if self.encoder.streamable else "an encoder"
            raise NotStreamable(
                f"CTC: a live row needs {part} that does not see what follows, but this one needs the whole "
                f"sequence; use {'a causal one' if self.encoder.streamable else 'bidirectional=False'}."
            )
        return self._start(rows)

    def step(self, x: Padded, state: S, *, seen: int = 0) -> tuple[Padded, S]:
        """`log_probs` of the next piece of each row, and the state after it.

        x: any number of inputs a row, 0 too; where the reader stacks inputs, a multiple of its stride but at the end.
        seen: frames at the begin of x that were in the piece before: of those inputs that the reader needs again, its
        `context`, the last ones stand before the new ones. Within one `evaluating(self)` around many calls the weights
        are looked at once.
        """
        with evaluating(self):
            (values, frames, *_), state = self.scores(x, state, seen=seen)
            return Padded(zero_padding(values, frames), frames), state

    def _start(self, rows: int) -> S:
        weight = self.head.weight
        return self.encoder.initial_state(rows, device=weight.device, dtype=weight.dtype)

    def _targets(self, batch: Transcribed) -> tuple[Tensor, Tensor, Tensor]:
        """The codes, how many of them, and the frames of each row, on the CPU, where looking costs no wait; checked."""
        x, (given, counts, *_) = batch
        if given.ndim != 2 or len(given) != len(x.values):
            raise ShapeError(
                f"CTC: targets must be (batch, codes) with {len(x.values)} rows, got {tuple(given.shape)}; "
                "give one row of codes for each sequence."
            )
        lengths = check_lengths("CTC targets", counts, given)
        assert lengths is not None
        frames, lengths = self.reader.frames(x.lengths).cpu(), lengths.cpu()
        valid = valid_mask(lengths, given.shape[1])
        codes = torch.where(valid, given.cpu(), 1)
        check_codes("CTC", "code", codes, 1, self.size)
        repeats = ((codes[:, 1:] == codes[:, :-1]) & valid[:, 1:]).sum(1)
        short = torch.nonzero(lengths + repeats > frames)
        if len(short):
            row = int(short[0, 0])
            raise DataError(
                f"CTC: row {row} has {frames[row]} frames, but its target needs {lengths[row] + repeats[row]}: "
                f"{lengths[row]} codes, {repeats[row]} of them like the one before; "
                "leave the row out, or read it at more frames."
            )
        return codes, lengths, frames
