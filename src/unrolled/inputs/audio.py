"""Sounds as inputs: folders of them, lists of recordings, samples in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol, Self, TypeGuard

import numpy as np

from unrolled.data.batch.examples import PaddedColumn, WordColumn
from unrolled.data.batch.lazy import MEGABYTE
from unrolled.data.batch.ragged import Items
from unrolled.data.read.audio import SOUNDS, Clip
from unrolled.data.read.files import Places, suffix
from unrolled.data.read.lines import visible_files
from unrolled.data.read.listing import names_files
from unrolled.data.read.manifests import RECORDINGS, read_recordings
from unrolled.data.read.sources import holds_columns, is_path
from unrolled.errors import DataError, OptionError, listed
from unrolled.fields.audio import Audio
from unrolled.fields.sound import AudioOptions, Sound
from unrolled.fields.sound.mel import band_centres
from unrolled.inputs.augment import AugmentOptions, masked
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import Fields, Input, LiveFront, ReadSource
from unrolled.inputs.listed import ListWords, files_alone, with_what_belongs
from unrolled.inputs.recordings import Hastened, Recording, Size, features, heard, sizes
from unrolled.inputs.series import SeriesInput
from unrolled.nn.reading.perturb import PerturbedReader
from unrolled.nn.reading.reader import Reader, SeriesReader
from unrolled.types import TABLES

__all__ = ["FEATURE_CACHE", "AudioInput"]

# Megabytes: of 40 bands each 10 ms more than nine hours.
FEATURE_CACHE = 512
WORDS = ListWords("sounds", "recordings", "a transcript of each recording", "transcripts")


class AudioGroups(Protocol):
    """The options of a task that sounds need."""

    @property
    def audio(self) -> AudioOptions: ...
    @property
    def augment(self) -> AugmentOptions: ...
    @property
    def reading_dropout(self) -> float | None: ...
    @property
    def feature_cache(self) -> float: ...


class AudioInput(Input[AudioGroups]):
    """Sounds of any length, read from their files when a batch asks for their features.

    cache: how many megabytes of features are kept for the next time; the others are made anew.
    """

    kind, field, lines, head_dropout = "sounds", "audio", False, SeriesInput.head_dropout
    # As for other series: no other was tried on sounds.
    encoder: ClassVar[Mapping[str, object]] = SeriesInput.encoder

    def __init__(self, recordings: Sequence[Recording], cache: float = FEATURE_CACHE) -> None:
        self.recordings, self.cache = list(recordings), cache
        self._column: tuple[Audio, PaddedColumn] | None = None

    @cached_property
    def _sizes(self) -> list[Size]:
        return sizes(self.recordings)

    @classmethod
    def recognises(cls, source: object, columns: LabelColumns) -> bool:
        """Sound files, folders of them, tables with a column of their paths, and lists of `Sound`s."""
        if _is_folder(source):
            return any(file.suffix.lower() in SOUNDS or file.name == "wav.scp" for file in visible_files(Path(source)))
        if is_path(source) and suffix(source) in SOUNDS:
            return True
        if holds_columns(source) or (is_path(source) and suffix(source) in TABLES):
            # Who names a column of texts means them, though the table may name their recordings, too.
            return columns.files is not None or (columns.text is None and names_files(source, RECORDINGS))
        return isinstance(source, list) and bool(source) and all(isinstance(item, Sound) for item in source)

    @classmethod
    def read(cls, source: object, columns: LabelColumns, options: AudioGroups, *, labelled: bool) -> ReadSource:
        if isinstance(source, list) and not holds_columns(source):
            return ReadSource(cls.of(source, options), Places("the sounds", "row", np.arange(len(source))), columns)
        listed_there = _is_folder(source) and (Path(source) / "wav.scp").is_file()
        if is_path(source) and (suffix(source) in SOUNDS or (_is_folder(source) and not labelled and not listed_there)):
            return cls._of_files(Path(source), columns, options)
        # What is said has one name in what is read, whatever its column was called.
        found = read_recordings(source, audio=columns.files, text=columns.label if columns.said and labelled else None)
        inputs = cls.of(found.columns["audio"], options)
        return with_what_belongs(found, inputs, columns, WORDS, labelled=labelled, by_folder=_is_folder(source))

    @classmethod
    def _of_files(cls, path: Path, columns: LabelColumns, options: AudioGroups) -> ReadSource:
        """A sound file, or all that stand in a folder and below it, whatever they are of."""
        files = [file for file in visible_files(path) if file.suffix.lower() in SOUNDS] if path.is_dir() else [path]
        clips, places = files_alone(path, files, lambda file, place: Clip(file, place=place))
        return ReadSource(cls.of(clips, options), places, columns, filed=True)

    @classmethod
    def of(cls, values: Sequence[Recording], options: AudioGroups) -> Self:
        return cls(values, options.feature_cache)

    def __len__(self) -> int:
        return len(self.recordings)

    def fit(self, rows: np.ndarray, options: AudioGroups) -> Fields:
        # Whatever is no sound is told before long statistics are taken.
        chosen, measured = options.audio, self._sizes
        if "rate" not in chosen.model_fields_set and len(rows):
            # As the sounds are: what lies above their rate is not there.
            chosen = chosen.model_copy(update={"rate": min(measured[int(rows[0])].rate, chosen.rate)})
        sounds = (heard(self.recordings[row], chosen.rate) for row in rows.tolist())
        return {"audio": Audio.fit(sounds, chosen)}

    def versions(self, options: AudioGroups) -> Self:
        speeds = options.augment.speeds
        hastened = [Hastened(one, speed) for speed in speeds for one in self.recordings]
        return type(self)([*self.recordings, *hastened], self.cache) if speeds else self

    def column(self, fields: Fields) -> tuple[PaddedColumn | WordColumn, np.ndarray]:
        field: Audio = fields["audio"]
        if self._column is None or self._column[0] is not field:
            room = int(self.cache * MEGABYTE)
            self._column = field, PaddedColumn(features(self.recordings, self._sizes, field, room))
        column = self._column[1]
        return column, column.ragged.lengths

    def width(self, options: AudioGroups) -> int | None:
        return None

    @classmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: AudioGroups, width: int | None) -> Reader:
        field, drawn = fields["audio"], options.augment
        plain: Reader = SeriesReader(field.width, options.reading_dropout or 0.0)
        if drawn.perturbs:
            # Who is loaded learns nothing more, and its noise may be gone.
            noise = None if inputs is None or not drawn.noise else cls._noise(drawn.noise, field, options)
            plain = _perturbed(plain, field, drawn, noise)
        return masked(plain, drawn)

    @classmethod
    def _noise(cls, sources: Sequence[Path], field: Audio, options: AudioGroups) -> Items:
        """The log energies of all sound files that these name, made when they are asked for."""
        read = [cls.read(source, LabelColumns(), options, labelled=False).inputs for source in sources]
        recordings = [one for part in read if isinstance(part, AudioInput) for one in part.recordings]
        if not recordings:
            raise DataError(f"noise: expected sound files, got none in {listed(map(str, sources))}; give some.")
        told = field.options.model_copy(update={"normalise": "none", "loudness": "recorded"})
        room = int(options.feature_cache * MEGABYTE)
        return features(recordings, sizes(recordings), Audio(told, None), room)

    @classmethod
    def say(cls, fields: Fields) -> list[str]:
        options: AudioOptions = fields["audio"].options
        return [f"sounds at {options.rate:,} Hz, {options.width} features each {1000 * options.hop:g} ms"]

    @classmethod
    def seconds(cls, fields: Fields) -> float:
        options: AudioOptions = fields["audio"].options
        return options.hop_size / options.rate

    @classmethod
    def front(cls, fields: Fields) -> LiveFront:
        """Takes samples (n,) at the rate of the field."""
        field: Audio = fields["audio"]
        return field.front()

    @classmethod
    def made_up(cls, fields: Fields, options: AudioGroups, draw: Sequence[np.random.Generator]) -> Self:
        field: Audio = fields["audio"]
        return cls([Sound(field.draw(random), field.options.rate) for random in draw])


def _perturbed(reader: Reader, field: Audio, drawn: AugmentOptions, noise: Items | None) -> PerturbedReader:
    told, number = field.options, field.number
    if told.features != "logmel" or told.deltas or told.normalise == "recording":
        raise OptionError(
            "Warping, channel, gain and noise change log energies: expected features='logmel', deltas=0 and normalise="
            f"'training' or 'none', got {told.features!r}, {told.deltas} and {told.normalise!r}; choose "
            "these, or leave out frequency_warp, channel_decibels, gain_decibels and noise_decibels."
        )
    return PerturbedReader(
        reader, band_centres(told).tolist(),
        center=None if number is None else number.center[0].tolist(),
        scale=None if number is None else number.scale[0].tolist(),
        warp=drawn.frequency_warp, channel=drawn.channel_decibels, gain=drawn.gain_decibels, noise=drawn.noise_decibels,
        recorded=noise,
    )  # fmt: skip


def _is_folder(source: object) -> TypeGuard[str | Path]:
    return is_path(source) and Path(source).is_dir()
