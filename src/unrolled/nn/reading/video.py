"""Videos read frame by frame: each as one vector, of what a network sees in it and of what has changed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from unrolled.check import check_rate, check_size
from unrolled.errors import OptionError, ShapeError
from unrolled.nn.reading.picture import PictureNet
from unrolled.nn.reading.reader import Reader
from unrolled.padding import Padded, valid_mask, zero_padding

__all__ = ["VideoReader"]

# Pixels of frames that are seen at once: what convolutions make of them takes some hundred megabytes.
_AT_ONCE = 1 << 19


class VideoReader(Reader):
    """Each frame of a video as one vector, wherever in the frame something is.

        p_t = [x_t, x_t - x_(t-1)]                      the second with motion alone; of the first frame it is 0
        g   = net(p_t)                                  a grid of cells
        y_t = drop(relu(norm(W [g, max_cells g] + b)))  (batch, frames, output_size)

    What is somewhere is learned everywhere: by the highest of each feature over all cells, beside the cells themselves.

    A vector depends on no frame that follows, and on one before it: pieces of a video give the vectors of the whole
    where each begins with the last frame of the piece before it, whose vector is left out. However long videos are, so
    many frames are seen at once as fit; in training the others are seen again for their gradients.

    net: sees the frames; with motion it takes twice their channels. height, width: of each frame. size: of a vector.
    motion: see what has changed, too. dropout: rate in [0, 1), on each feature of each vector.

    >>> reader = VideoReader(PictureNet(6, (8, 16)), 8, 6, size=32)
    >>> reader(Padded(torch.zeros(2, 5, 8 * 6 * 3), torch.tensor([5, 0]))).shape
    torch.Size([2, 5, 32])
    """

    def __init__(
        self, net: PictureNet, height: int, width: int, size: int = 128, *, motion: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if motion and net.channels % 2:
            raise OptionError(
                f"VideoReader: with motion the network takes twice the channels of a frame, got {net.channels}; make "
                "it of 2 for grey and of 6 for colours, or set motion=False."
            )
        self.net, self.motion = net, motion
        self.height = check_size("VideoReader", "height", height)
        self.width = check_size("VideoReader", "width", width)
        self.channels = net.channels // 2 if motion else net.channels
        self.output_size = check_size("VideoReader", "size", size)
        rows, columns = net.grid(height, width)
        self.project = nn.Linear((rows * columns + 1) * net.output_size, size)
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(check_rate("VideoReader", "dropout", dropout))

    def forward(self, x: Padded) -> Tensor:
        features = self.height * self.width * self.channels
        if x.values.ndim != 3 or x.values.shape[2] != features:
            raise ShapeError(
                f"VideoReader: values must be (batch, frames, {features}), got {tuple(x.values.shape)}; encode the "
                "videos with the field this was built for."
            )
        valid = valid_mask(x.lengths.to(x.values.device), x.values.shape[1])
        seen = self._seen(self._frames(zero_padding(x.values, x.lengths))[valid])
        y = seen.new_zeros(*valid.shape, self.output_size).masked_scatter(valid[..., None], seen)
        dropped: Tensor = self.dropout(y)
        return dropped

    @property
    def context(self) -> int | None:
        return 1 if self.motion else 0

    def _frames(self, x: Tensor) -> Tensor:
        """(batch, frames, height, width, the channels of the network)."""
        frames = x.reshape(*x.shape[:2], self.height, self.width, self.channels)
        if not self.motion:
            return frames
        changed = torch.diff(frames, dim=1, prepend=frames[:, :1])
        return torch.cat([frames, changed], -1)

    def _seen(self, frames: Tensor) -> Tensor:
        """The vectors (n, size) of n frames."""
        pieces = torch.split(frames, max(1, _AT_ONCE // (self.height * self.width)))
        if len(pieces) == 1 or not torch.is_grad_enabled():
            found = [self._vectors(piece) for piece in pieces]
        else:
            found = [checkpoint(self._vectors, piece, use_reentrant=False) for piece in pieces]
        return torch.cat(found)

    def _vectors(self, frames: Tensor) -> Tensor:
        cells = self.net(frames).flatten(1, 2)
        y: Tensor = self.norm(self.project(torch.cat([cells.flatten(1), cells.amax(1)], 1)))
        return y.relu()
