"""Recurrent layers: cells, the wrappers that hold any of them, encoders made of both, and what reads their input."""

from typing import Any

import unrolled
from unrolled.nn.blocks import (
    RWKV7,
    CausalConv,
    GatedDeltaNet,
    MLSTMBlock,
    RWKV7ChannelMix,
    RWKV7TimeMix,
    SLSTMBlock,
    TokenShift,
)
from unrolled.nn.build import EncoderOptions, ForwardOptions, make_encoder
from unrolled.nn.cell import Cell
from unrolled.nn.cells import CELLS, GRU, LRU, LSTM, MLSTM, RGLRU, RNN, SLSTM, MinGRU, MinLSTM, make_cell, register_cell
from unrolled.nn.cells.rglru import RGLRUState
from unrolled.nn.reading.backbone import ResNet
from unrolled.nn.reading.bag import BagOfWords
from unrolled.nn.reading.embedding import Embedding
from unrolled.nn.reading.frames import StackedReader
from unrolled.nn.reading.keys import OtherKeys, TransposedReader
from unrolled.nn.reading.masks import MaskedReader
from unrolled.nn.reading.pen import Hands, MoveReader, PenReader
from unrolled.nn.reading.perturb import PerturbedReader
from unrolled.nn.reading.picture import GridNet, LineReader, PictureNet, PictureReader
from unrolled.nn.reading.pixels import PixelReader
from unrolled.nn.reading.reader import NumberReader, Reader, SeriesReader, WordReader
from unrolled.nn.reading.spelling import SpellingEncoder
from unrolled.nn.reading.varied import VariedReader
from unrolled.nn.reading.video import VideoReader
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.torch.layout import from_torch, to_torch
from unrolled.nn.wrappers.bidirectional import Bidirectional, Both
from unrolled.nn.wrappers.dropout import DropConnect, Dropped, VariationalDropout
from unrolled.nn.wrappers.evaluated import evaluated
from unrolled.nn.wrappers.residual import Residual
from unrolled.nn.wrappers.stack import Stack
from unrolled.nn.wrappers.told import Told, ToldState
from unrolled.nn.wrappers.zoneout import Zoneout
from unrolled.ops.lstm.reference import LSTMState
from unrolled.ops.mlstm.reference import MLSTMState
from unrolled.ops.newton import Certificate, Newton
from unrolled.ops.slstm.reference import SLSTMState
from unrolled.state import HState

__all__ = [
    "CELLS",
    "BagOfWords",
    "Bidirectional",
    "Both",
    "CausalConv",
    "Cell",
    "Certificate",
    "DropConnect",
    "Dropped",
    "Embedding",
    "EncoderOptions",
    "ForwardOptions",
    "GRU",
    "GatedDeltaNet",
    "GridNet",
    "HState",
    "Hands",
    "LRU",
    "LSTM",
    "LSTMState",
    "LineReader",
    "MLSTM",
    "MLSTMState",
    "MinGRU",
    "MinLSTM",
    "RGLRU",
    "RGLRUState",
    "Newton",
    "MLSTMBlock",
    "RNN",
    "RWKV7",
    "RWKV7ChannelMix",
    "RWKV7TimeMix",
    "Reader",
    "ResNet",
    "Recurrent",
    "Residual",
    "SLSTM",
    "SLSTMState",
    "SLSTMBlock",
    "MaskedReader",
    "MoveReader",
    "NumberReader",
    "OtherKeys",
    "PenReader",
    "PerturbedReader",
    "PictureNet",
    "PictureReader",
    "PixelReader",
    "SeriesReader",
    "StackedReader",
    "SpellingEncoder",
    "Stack",
    "Stepper",
    "Told",
    "ToldState",
    "TokenShift",
    "TransposedReader",
    "VariationalDropout",
    "VariedReader",
    "VideoReader",
    "WordReader",
    "Zoneout",
    "evaluated",
    "from_torch",
    "make_cell",
    "make_encoder",
    "register_cell",
    "to_torch",
]


def __getattr__(name: str) -> Any:
    # A Stepper runs layers, so it stands above them; the package knows where.
    if name == "Stepper":
        return unrolled.Stepper
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
