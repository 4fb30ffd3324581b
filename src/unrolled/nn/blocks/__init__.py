"""Blocks: recurrences with what the papers put around them, and the streaming layers that they hold."""

from unrolled.nn.blocks.causal import CausalConv, TokenShift, WindowState
from unrolled.nn.blocks.deltanet import GatedDeltaNet, GatedDeltaNetState
from unrolled.nn.blocks.mixes import RWKV7ChannelMix, RWKV7TimeMix, RWKV7TimeMixState
from unrolled.nn.blocks.rwkv7 import RWKV7, RWKV7LayerState
from unrolled.nn.blocks.xlstm import MLSTMBlock, MLSTMBlockState, SLSTMBlock, SLSTMBlockState

__all__ = [
    "CausalConv",
    "GatedDeltaNet",
    "GatedDeltaNetState",
    "MLSTMBlock",
    "MLSTMBlockState",
    "RWKV7",
    "RWKV7ChannelMix",
    "RWKV7LayerState",
    "RWKV7TimeMix",
    "RWKV7TimeMixState",
    "SLSTMBlock",
    "SLSTMBlockState",
    "TokenShift",
    "WindowState",
]
