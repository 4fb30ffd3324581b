"""Sequence to sequence: an encoder reads the source, a decoder writes the target one code at a time."""

from __future__ import annotations

from typing import Generic, Literal, NamedTuple, TypeVar

import torch
from pydantic import Field, JsonValue, model_validator
from torch import Tensor, nn
from torch.nn.functional import pad

from unrolled.align.bridge import Bridge, carried
from unrolled.check import check_size
from unrolled.errors import DataError, OptionError
from unrolled.fields.text import BEGIN, END, UNKNOWN
from unrolled.heads.pointer import Copies, Pointer, copies_of, known_targets
from unrolled.heads.softmax import LOGITS, OutputLayer
from unrolled.nn.build import EncoderOptions, Rate, make_encoder
from unrolled.nn.reading.attention import Attention, Memory
from unrolled.nn.reading.embedding import Embedding
from unrolled.nn.reading.reader import Reader, check_reader, encode
from unrolled.nn.recurrent import Recurrent
from unrolled.options import Options
from unrolled.padding import Padded, valid_mask, zero_padding
from unrolled.state import map_state

__all__ = ["Decode", "DecodeOptions", "DecoderState", "Pair"]

S = TypeVar("S")


class Pair(NamedTuple):
    """Sources and the targets to write.

    source: `Padded` for the reader, or vectors (batch, source_size). target: codes without BEGIN and END. copies:
    (batch, places) int64, needed for a pointer: the target code of each source token, or size + j for the j-th distinct
    one of the row that the target's vocabulary lacks; target codes may then be size + j, too.
    """

    source: Padded | Tensor
    target: Padded
    copies: Tensor | None = None


class DecoderState(NamedTuple):
    """Where a decoder stands: the state of its cells, what it attends to, and the attention of the last step.

    context: (batch, features), the last one, where it is fed back. weights: (batch, places), zero before the first
    step. None where the options make no use of a part.
    """

    inner: object
    memory: Memory | None
    context: Tensor | None
    weights: Tensor | None
    copies: Copies | None


class DecodeOptions(Options):
    """How a target is written and learned.

    cell, cell_options, hidden_size, layers: the decoder's recurrence. attention: "additive", "dot" or "none";
    attention_size: features it compares, None for hidden_size. feeding: the context of a step enters the next one,
    which takes a loop over time. dropout: rate in [0, 1), on embedded codes, between layers and before the output
    layer. label_smoothing: the share of the target that goes to all codes alike; in training only. tied: the output
    layer's rows are those of the embedding. sampling: the probability that an input is the model's own guess in
    training (scheduled sampling). copying: "none", "unknown" (the caller replaces unknown words by those attended to
    most) or "pointer". source_size: features of the vector that a target starts from where there is neither reader nor
    encoder.
    """

    cell: str = "lstm"
    cell_options: dict[str, JsonValue] = Field(default_factory=dict)
    hidden_size: int = Field(default=256, ge=1)
    layers: int = Field(default=1, ge=1)
    attention: Literal["additive", "dot", "none"] = "additive"
    attention_size: int | None = Field(default=None, ge=1)
    feeding: bool = False
    dropout: Rate = 0.0
    label_smoothing: Rate = 0.0
    tied: bool = False
    sampling: float = Field(default=0.0, ge=0, le=1)
    copying: Literal["none", "unknown", "pointer"] = "none"
    source_size: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _agree(self) -> DecodeOptions:
        if self.attention == "none":
            if self.feeding:
                raise ValueError("feeding=True needs an attention whose context is fed, got 'none'; choose one")
            if self.copying != "none":
                raise ValueError(f"copying={self.copying!r} needs an attention that points, got 'none'; choose one")
        return self


class _Written(NamedTuple):
    """What the decoder gives at each step: embedded inputs, y, context and weights, (batch, time, ...) each."""

    x: Tensor
    y: Tensor
    context: Tensor | None
    weights: Tensor | None


class Decode(nn.Module, Generic[S]):
    """A target, code by code, given a source.

        v_s        = encoder(reader(source))                    s over the places of the source
        s_0        = initial state + tanh(W m + b)              one linear map for each part of the decoder's state
        y_t, s_t   = decoder step of E[w_(t-1)] from s_(t-1)    w_0 = BEGIN
        c_t        = attention of y_t over v                    see `Attention`
        o_t        = tanh(W [y_t, c_t] + b)                     without attention: y_t
        log p_t    = log softmax(W drop(o_t) + b)               with a pointer: its mixture, see `Pointer`
        loss       = sum over w_1 .. w_n, END of -log p_t       nats

    m is the encoder's final state, all its parts side by side; without an encoder it is the mean of the reader's
    vectors, which then are the v; with neither it is the source itself, a vector. With feeding the decoder's step reads
    [E[w_(t-1)], c_(t-1)], c_0 = 0, and the target is walked by a loop; without it the decoder runs over the whole
    target in one call, and all its steps attend at once.

    Scheduled sampling puts the likeliest code by the model itself in the place of w_(t-1) with probability `sampling`:
    in the loop where there is one, else by a first pass over the target that guesses, and a second that reads the mix.

    reader: turns sources into vectors, or None. encoder: any Recurrent over them, also bidirectional, or None.
    embedding: vectors of the target's codes. size: the number of those.

    Source: attention after the cells: Luong et al. 2015, arXiv:1508.04025, eq. 5; feeding: their section 3.3 with c_t
    in the place of o_t, as Bahdanau et al. 2014, arXiv:1409.0473, feed it; scheduled sampling: Bengio et al. 2015,
    arXiv:1506.03099, and in two passes: Mihaylova and Martins 2019, arXiv:1906.07651, with hard guesses.
    """

    def __init__(
        self,
        reader: Reader | None,
        encoder: Recurrent[S] | None,
        embedding: Embedding,
        size: int,
        options: DecodeOptions,
    ) -> None:
        super().__init__()
        _check_source(reader, encoder, options)
        self.size, self.options = check_size("Decode", "size", size), options
        self.reader, self.encoder, self.embedding = reader, encoder, embedding
        features = encoder.output_size if encoder is not None else reader.output_size if reader is not None else 0
        hidden, width = options.hidden_size, embedding.output_size
        inner = EncoderOptions(
            cell=options.cell, cell_options=options.cell_options, hidden_size=hidden, layers=options.layers,
            dropout=options.dropout,
        )  # fmt: skip
        self.decoder = make_encoder(width + (features if options.feeding else 0), inner)
        self.bridge = Bridge(_summary_size(reader, encoder, options), self.decoder, bounded=True)
        self.attention: Attention | None = None
        self.combine: nn.Linear | None = None
        if options.attention != "none":
            self.attention = Attention(hidden, features, options.attention_size or hidden, options.attention)
            self.combine = nn.Linear(hidden + features, hidden)
        self.dropout = nn.Dropout(options.dropout)
        self.output = OutputLayer(hidden, size, embedding if options.tied else None, options.label_smoothing)
        self.pointer = Pointer(hidden + features + width, size) if options.copying == "pointer" else None

    def begin(self, source: Padded | Tensor, copies: Tensor | None = None) -> DecoderState:
        """The state before BEGIN is read: source and copies as in `Pair`."""
        values, lengths, summary = self._read(source)
        inner = self.bridge(self.decoder, summary)
        if self.attention is None or lengths is None:
            return DecoderState(inner, None, None, None, None)
        memory = self.attention.remember(values, lengths)
        context = values.new_zeros(len(values), values.shape[2]) if self.options.feeding else None
        weights = values.new_zeros(values.shape[:2])
        own = None
        if self.pointer is not None and isinstance(source, Padded):
            own = copies_of(copies, source, self.size)
        return DecoderState(inner, memory, context, weights, own)

    def summary(self, source: Padded | Tensor) -> Tensor:
        """m of each source, (batch, features): what the decoder starts from."""
        return self._read(source)[2]

    def step(self, codes: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """log p of what follows codes (batch,), as (batch, size + extra), and the next state.

        extra: with a pointer, the codes beyond the vocabulary in the sources that `begin` was given; else 0.
        """
        x = self.dropout(self.embedding(torch.where(codes >= self.size, UNKNOWN, codes)))
        written, state = self._advance(x, state)
        return self._log_probs(_over_time([written]), state.copies)[:, 0], state

    def log_probs(self, batch: Pair) -> Tensor:
        """log p of every code at each step, given the target before it: (batch, time + 1, size + extra).

        Step t of a row predicts its target code t, the one after the last predicts END, and what follows means nothing.
        """
        state, inputs, _ = self._begin(batch)
        written = self._follow(inputs, batch.target.lengths + 1, state, 0.0)
        return self._log_probs(written, state.copies)

    def loss(self, batch: Pair, state: None = None) -> tuple[Tensor, Tensor, None]:
        """Sum of -log p in nats over the target codes and END, the number of those, and no state."""
        start, inputs, target = self._begin(batch)
        written = self._follow(inputs, batch.target.lengths + 1, start, self.options.sampling if self.training else 0.0)
        if self.pointer is None:
            total, count = self.output.loss(self._combined(written), target)
            return total, count, None
        smoothing = self.options.label_smoothing if self.training else 0.0
        return self._pointer_loss(written, start.copies, target, smoothing), (target >= 0).sum(), None

    def _begin(self, batch: Pair) -> tuple[DecoderState, Tensor, Tensor]:
        """The first state, the inputs and the targets (batch, time + 1); -1 after END."""
        state = self.begin(batch.source, batch.copies)
        codes = zero_padding(batch.target.values, batch.target.lengths)
        lengths = batch.target.lengths[:, None]
        inputs = pad(torch.where(codes >= self.size, UNKNOWN, codes), (1, 0), value=BEGIN)
        target = pad(known_targets(codes, self.size, state.copies, UNKNOWN), (0, 1))
        target = target.scatter(1, lengths, END)
        return state, inputs, torch.where(valid_mask(batch.target.lengths + 1, target.shape[1]), target, -1)

    def _read(self, source: Padded | Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """What can be attended to (batch, places, features), how much of it counts, and m (batch, features)."""
        if self.reader is None:
            if not isinstance(source, Tensor):
                raise DataError(
                    f"Decode: without a reader a source must be vectors (batch, {self.options.source_size}), "
                    f"got {type(source).__name__}; give a tensor, or make the model with a reader."
                )
            return source, None, source
        if not isinstance(source, Padded):
            raise DataError(f"Decode: a source must be a Padded for the reader, got {type(source).__name__}; wrap it.")
        if self.encoder is None:
            lengths = self.reader.frames(source.lengths)
            values = zero_padding(self.reader(source), lengths)
            return values, lengths, values.sum(1) / lengths.clamp(min=1)[:, None]
        values, lengths, final = encode(self.reader, self.encoder, source)
        return values, lengths, torch.cat([leaf.flatten(1) for leaf in carried(final)], 1)

    def _follow(self, inputs: Tensor, lengths: Tensor, state: DecoderState, sampling: float) -> _Written:
        """All steps of the inputs (batch, time)."""
        if self.options.feeding:
            return self._loop(inputs, state, sampling)
        if sampling:
            with torch.no_grad():
                guessed = self._guesses(self._at_once(inputs, lengths, state), state.copies)
            inputs = self._mixed(inputs, pad(guessed[:, :-1], (1, 0), value=BEGIN), sampling)
        return self._at_once(inputs, lengths, state)

    def _at_once(self, inputs: Tensor, lengths: Tensor, state: DecoderState) -> _Written:
        x = self.dropout(self.embedding(inputs))
        y, _ = self.decoder(x, state.inner, lengths=lengths)
        context, weights = self._attend(y, state.memory)
        return _Written(x, y, context, weights)

    def _loop(self, inputs: Tensor, state: DecoderState, sampling: float) -> _Written:
        steps: list[_Written] = []
        for t in range(inputs.shape[1]):
            codes = inputs[:, t]
            if sampling and t:
                with torch.no_grad():
                    guessed = self._guesses(_over_time(steps[-1:]), state.copies)[:, 0]
                codes = self._mixed(codes, guessed, sampling)
            written, state = self._advance(self.dropout(self.embedding(codes)), state)
            steps.append(written)
        return _over_time(steps)

    def _advance(self, x: Tensor, state: DecoderState) -> tuple[_Written, DecoderState]:
        """One step on embedded codes x (batch, width); what is written has no time."""
        fed = x if state.context is None else torch.cat([x, state.context], 1)
        y, inner = self.decoder.advance(fed, state.inner)
        context, weights = self._attend(y, state.memory)
        fed_back = None if state.context is None else context
        return _Written(x, y, context, weights), state._replace(inner=inner, context=fed_back, weights=weights)

    def _attend(self, y: Tensor, memory: Memory | None) -> tuple[Tensor | None, Tensor | None]:
        if self.attention is None or memory is None:
            return None, None
        found: tuple[Tensor, Tensor] = self.attention(y, memory)
        return found

    def _combined(self, written: _Written) -> Tensor:
        """drop(o), (batch, time, hidden)."""
        o = written.y
        if self.combine is not None and written.context is not None:
            o = self.combine(torch.cat([written.y, written.context], -1)).tanh()
        dropped: Tensor = self.dropout(o)
        return dropped

    def _log_probs(self, written: _Written, copies: Copies | None) -> Tensor:
        log_probs: Tensor = self.output(self._combined(written))
        if self.pointer is None or copies is None or written.weights is None:
            return log_probs
        mixed: Tensor = self.pointer(log_probs, _gate_vectors(written), written.weights, copies)
        return mixed

    def _pointer_loss(self, written: _Written, copies: Copies | None, target: Tensor, smoothing: float) -> Tensor:
        """Smoothing draws the vocabulary's own distribution to all its codes alike; the gate has no part in it."""
        assert self.pointer is not None
        assert copies is not None
        assert written.weights is not None
        given = target >= 0
        log_probs = self.output(self._combined(written)[given])
        wanted = target.clamp(min=0)
        known = torch.where(wanted < self.size, wanted, 0)[given]
        chosen = log_probs.gather(1, known[:, None])[:, 0]
        chosen = log_probs.new_zeros(target.shape).masked_scatter(given, chosen)
        mixed = self.pointer.target_log_probs(chosen, _gate_vectors(written), written.weights, copies, wanted)
        total = -torch.where(given, mixed, 0).sum()
        return total if not smoothing else (1 - smoothing) * total - smoothing * log_probs.mean(1).sum()

    def _guesses(self, written: _Written, copies: Copies | None) -> Tensor:
        """The likeliest code after each step (batch, time), a few steps at a time; UNKNOWN for one beyond the size."""
        rows, time = written.y.shape[:2]
        steps = max(1, LOGITS // (rows * self.size))
        parts = [map_state(lambda leaf, at=at: leaf[:, at : at + steps], written) for at in range(0, time, steps)]
        codes = torch.cat([self._log_probs(part, copies).argmax(2) for part in parts], 1)
        return torch.where(codes >= self.size, UNKNOWN, codes)

    def _mixed(self, inputs: Tensor, guessed: Tensor, rate: float) -> Tensor:
        """The inputs with guesses in the place of some, a draw for each."""
        return torch.where(torch.rand(inputs.shape, device=inputs.device) < rate, guessed, inputs)


def _over_time(steps: list[_Written]) -> _Written:
    """Steps without time, one after the other."""
    return map_state(lambda *leaves: torch.stack(leaves, 1), steps[0], *steps[1:])


def _gate_vectors(written: _Written) -> Tensor:
    assert written.context is not None
    return torch.cat([written.y, written.context, written.x], -1)


def _summary_size(reader: Reader | None, encoder: Recurrent[S] | None, options: DecodeOptions) -> int:
    """The features of m."""
    if encoder is not None:
        return sum(leaf.numel() for leaf in carried(encoder.initial_state(1, device="meta")))
    return reader.output_size if reader is not None else options.source_size or 0


def _check_source(reader: Reader | None, encoder: Recurrent[S] | None, options: DecodeOptions) -> None:
    if reader is not None:
        if encoder is not None:
            check_reader("Decode", reader, encoder)
        if options.source_size is not None:
            raise OptionError(
                f"Decode: source_size={options.source_size} is for targets that start from a vector, got a reader; "
                "leave one of them out."
            )
        return
    if encoder is not None or options.source_size is None or options.attention != "none":
        raise OptionError(
            "Decode: a target that starts from a vector needs source_size=, attention='none' and no encoder, got "
            f"source_size={options.source_size}, attention={options.attention!r} and "
            f"{'an' if encoder is not None else 'no'} encoder; set them so, or give a reader."
        )
