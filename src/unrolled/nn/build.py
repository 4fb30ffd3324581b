"""Encoders from options: a cell by its name, in layers, with the wrappers that were asked for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, JsonValue

from unrolled.check import check_choice
from unrolled.errors import OptionError
from unrolled.nn.cells import CELLS, make_cell
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.wrappers.bidirectional import Bidirectional
from unrolled.nn.wrappers.dropout import DropConnect, VariationalDropout
from unrolled.nn.wrappers.held import held_cell
from unrolled.nn.wrappers.residual import Residual
from unrolled.nn.wrappers.stack import Stack
from unrolled.nn.wrappers.zoneout import Zoneout
from unrolled.options import Options
from unrolled.state import leaves

__all__ = ["EncoderOptions", "ForwardOptions", "Rate", "check_encoder", "make_encoder"]

Rate = Annotated[float, Field(ge=0, lt=1)]
"""A dropout rate among options."""


class ForwardOptions(Options):
    """What an encoder is made of that reads forwards.

    cell, cell_options: a name of `CELLS` and its own options. hidden_size: of each layer, and of each direction.
    layers: how many, one on top of another.

    Rates in [0, 1), in training only. dropout, layer_dropout: between layers (one layer has none), drawn for every step
    or one mask a sequence. input_dropout, output_dropout: on the encoder's x and on its y, one mask a sequence.
    recurrent_dropout: on the h that the recurrent weights of every layer see, one mask a sequence. weight_dropout: on
    those weights themselves, one mask a call. zoneout: of every layer's state; a tuple gives one rate for each part of
    the state, as in (0.05, 0.5) for the h and c of an LSTM.

    residual: a layer's input is added to its output wherever the two are equally wide; "norm": and the layer reads its
    input normalised, which is how cells without a norm of their own are stacked deep.
    """

    cell: str = Field(default="lstm", description="Recurrent cell; 'unrolled cells' lists them.")
    cell_options: dict[str, JsonValue] = Field(default_factory=dict, description="Options of the cell itself.")
    hidden_size: int = Field(default=128, ge=1, description="Units of each layer and direction.")
    layers: int = Field(default=1, ge=1, description="Recurrent layers, one on top of another.")
    dropout: Rate = Field(default=0.0, description="Dropout between layers, drawn for every step.")
    layer_dropout: Rate = Field(default=0.0, description="Dropout between layers, one mask a sequence.")
    input_dropout: Rate = Field(default=0.0, description="Dropout of the encoder's input, one mask a sequence.")
    output_dropout: Rate = Field(default=0.0, description="Dropout of the encoder's output, one mask a sequence.")
    recurrent_dropout: Rate = Field(
        default=0.0, description="Dropout of what the recurrent weights see, one mask a sequence."
    )
    weight_dropout: Rate = Field(default=0.0, description="Dropout of the recurrent weights themselves.")
    zoneout: Rate | tuple[Rate, ...] = Field(
        default=0.0, description="Rate at which parts of the state stay as they were."
    )
    residual: bool | Literal["norm"] = Field(
        default=False, description='Add a layer\'s input to its output; "norm": and normalise it.'
    )


class EncoderOptions(ForwardOptions):
    """What an encoder is made of: that of `ForwardOptions`, and bidirectional: each layer reads both ways."""

    bidirectional: bool = Field(default=False, description="Read both ways.")


def check_encoder(options: ForwardOptions, owner: str) -> None:
    """Raises OptionError for a cell that is not there, or options that do not go together whatever the input is."""
    check_choice(owner, "cell", options.cell, CELLS)
    # There nothing is drawn and nothing takes room.
    with torch.device("meta"):
        make_encoder(options.hidden_size, options, owner=owner)


def make_encoder(input_size: int, options: ForwardOptions, *, owner: str = "EncoderOptions") -> Recurrent[Any]:
    """The encoder of `options` over vectors of input_size features.

    From the inside out: cell, zoneout, mask on h, mask on the weights, both directions, residual, mask between layers,
    stack, masks on x and y. What is not asked for leaves no wrapper, and one layer makes no stack. Raises OptionError
    for options that do not go together, in the name of `owner`.

    >>> encoder = make_encoder(8, EncoderOptions(cell="gru", hidden_size=5, layers=2, bidirectional=True))
    >>> encoder.input_size, encoder.output_size, encoder.streamable
    (8, 10, False)
    """
    held: list[Recurrent[Any]] = []
    width, added = input_size, False
    for number in range(options.layers):
        layer = _layer(width, options, owner)
        if options.residual and layer.output_size == layer.input_size:
            layer, added = Residual(layer, norm=options.residual == "norm"), True
        if options.layer_dropout and number + 1 < options.layers:
            layer = VariationalDropout(layer, output=options.layer_dropout)
        held.append(layer)
        width = layer.output_size
    if options.residual and not added:
        raise OptionError(
            f"{owner}: residual={options.residual!r} needs a layer that gives as many features as it takes, "
            "but there is none; use more layers, or an input as wide as the output."
        )
    encoder = held[0] if len(held) == 1 else Stack(held, dropout=options.dropout)
    if options.input_dropout or options.output_dropout:
        encoder = VariationalDropout(encoder, input=options.input_dropout, output=options.output_dropout)
    return encoder


def _layer(width: int, options: ForwardOptions, owner: str) -> Recurrent[Any]:
    if not isinstance(options, EncoderOptions) or not options.bidirectional:
        return _one_way(width, options, owner)
    return Bidirectional(_one_way(width, options, owner), _one_way(width, options, owner))


def _one_way(width: int, options: ForwardOptions, owner: str) -> Recurrent[Any]:
    layer = make_cell(options.cell, width, options.hidden_size, **options.cell_options)
    rates = options.zoneout
    if rates:
        cell = held_cell("Zoneout", "cell", layer)
        like = cell.zero_state(1, "meta", None)
        layer = Zoneout(cell, _rates_of_state(like, rates, owner) if isinstance(rates, tuple) else rates)
    if options.recurrent_dropout:
        layer = VariationalDropout(layer, recurrent=options.recurrent_dropout)
    if options.weight_dropout:
        layer = DropConnect(layer, options.weight_dropout)
    return layer


def _rates_of_state(like: Any, rates: tuple[float, ...], owner: str) -> Any:
    parts = len(leaves(like))
    if len(rates) != parts:
        raise OptionError(
            f"{owner}: zoneout must be one rate, or one for each of the {parts} parts of the cell's state, "
            f"got {len(rates)}; give zoneout=({', '.join(['0.1'] * parts)},)."
        )
    return type(like)(*rates)
