"""Sounds as inputs: folders of them, lists of recordings, samples in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, Self, TypeAlias, TypeGuard

import narwhals as nw
import numpy as np
from narwhals.dependencies import is_into_dataframe

from unrolled.data.batch.examples import PaddedColumn, WordColumn
from unrolled.data.batch.ragged import Ragged
from unrolled.data.read.audio import SOUNDS, Clip, read_clip
from unrolled.data.read.files import Places, suffix
from unrolled.data.read.lines import visible_files
from unrolled.data.read.manifests import path_column, read_recordings
from unrolled.data.read.records import Records, iterate_records
from unrolled.data.read.sources import holds_columns, is_path
from unrolled.errors import DataError, OptionError, listed
from unrolled.fields.audio import Audio
from unrolled.fields.sound import AudioOptions, Sound, resample
from unrolled.fields.sound.mel import band_centres
from unrolled.inputs.augment import AugmentOptions, masked
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import Fields, Input, LiveFront, ReadSource
from unrolled.inputs.series import SeriesInput
from unrolled.nn.reading.perturb import PerturbedReader
from unrolled.nn.reading.reader import Reader, SeriesReader
from unrolled.types import TABLES

__all__ = ["AudioInput"]


class Hastened(NamedTuple):
    """A recording as many times faster as `speed` says, and so much higher."""

    recording: Clip | Sound
    speed: float


Recording: TypeAlias = Clip | Sound | Hastened


class AudioGroups(Protocol):
    """The options of a task that sounds need."""

    @property
    def audio(self) -> AudioOptions: ...
    @property
    def augment(self) -> AugmentOptions: ...
    @property
    def reading_dropout(self) -> float | None: ...


class AudioInput(Input[AudioGroups]):
    """Sounds of any length, read from their files when their features are asked for."""

    kind, field, lines, head_dropout = "sounds", "audio", False, SeriesInput.head_dropout
    # As for other series: no other was tried on sounds.
    encoder: ClassVar[Mapping[str, object]] = SeriesInput.encoder

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self.recordings = list(recordings)
        self._encoded: tuple[Audio, Ragged] | None = None

    @classmethod
    def recognises(cls, source: object, columns: LabelColumns) -> bool:
        """Sound files, folders of them, tables with a column of their paths, and lists of `Sound`s."""
        if _is_folder(source):
            return any(file.suffix.lower() in SOUNDS or file.name == "wav.scp" for file in visible_files(Path(source)))
        if is_path(source) and suffix(source) in SOUNDS:
            return True
        if holds_columns(source) or (is_path(source) and suffix(source) in TABLES):
            # Who names a column of texts means them, though the table may name their recordings, too.
            return columns.files is not None or (columns.text is None and _names_sounds(source))
        return isinstance(source, list) and bool(source) and all(isinstance(item, Sound) for item in source)

    @classmethod
    def read(cls, source: object, columns: LabelColumns, options: AudioGroups, *, labelled: bool) -> ReadSource:
        if isinstance(source, list) and not holds_columns(source):
            return ReadSource(cls(source), Places("the sounds", "row", np.arange(len(source))), columns)
        listed_there = _is_folder(source) and (Path(source) / "wav.scp").is_file()
        if is_path(source) and (suffix(source) in SOUNDS or (_is_folder(source) and not labelled and not listed_there)):
            return cls._of_files(Path(source), columns)
        # What is said has one name in what is read, whatever its column was called.
        found = read_recordings(source, audio=columns.files, text=columns.label if columns.said and labelled else None)
        inputs = cls(found.columns["audio"])
        if not labelled:
            return ReadSource(inputs, found.places, columns, filed=True)
        if columns.said:
            return cls._said(found, inputs, columns)
        column = columns.label or next((name for name in columns.usual if name in found.columns), None)
        if column not in found.columns:
            raise DataError(
                f"{found.source}: expected a column of labels beside the sounds, but none has a usual name; say which "
                f"with label=. It has: {listed(found.columns)}."
            )
        where = "the names of their folders" if _is_folder(source) else f"column {column!r}"
        said = (f"sounds: {len(inputs):,} recordings; labels: {where}",)
        columns = replace(columns, label=column)
        return ReadSource(inputs, found.places, columns, found.columns[column], filed=True, remarks=said)

    @classmethod
    def _said(cls, found: Records, inputs: Self, columns: LabelColumns) -> ReadSource:
        """Recordings with their transcripts."""
        if "text" not in found.columns:
            raise DataError(
                f"{found.source}: expected a transcript of each recording, in a column {' or '.join(columns.usual)} or "
                f"in a .txt file beside each; name the column with text=. It has: {listed(found.columns)}."
            )
        where = f"column {columns.label!r}" if columns.label else "as they stand there"
        said = (f"sounds: {len(inputs):,} recordings of {found.source}; transcripts: {where}",)
        return ReadSource(inputs, found.places, columns, found.columns["text"], filed=True, remarks=said)

    @classmethod
    def _of_files(cls, path: Path, columns: LabelColumns) -> ReadSource:
        """A sound file, or all that stand in a folder and below it, whatever they are of."""
        files = [file for file in visible_files(path) if file.suffix.lower() in SOUNDS] if path.is_dir() else [path]
        names = tuple(file.relative_to(path).as_posix() if path.is_dir() else file.name for file in files)
        clips = [Clip(file, place=name if path.is_dir() else "") for file, name in zip(files, names, strict=True)]
        places = Places(path.name, "file", np.arange(len(files)), names)
        return ReadSource(cls(clips), places, columns, filed=True)

    @classmethod
    def of(cls, values: Sequence[Recording], options: AudioGroups) -> Self:
        return cls(values)

    def __len__(self) -> int:
        return len(self.recordings)

    def fit(self, rows: np.ndarray, options: AudioGroups) -> Fields:
        chosen = options.audio
        if "rate" not in chosen.model_fields_set and len(rows):
            # As the sounds are: what lies above their rate is not there.
            rate = _sound(self.recordings[int(rows[0])], None).rate
            chosen = chosen.model_copy(update={"rate": min(rate, chosen.rate)})
        sounds = (_sound(self.recordings[row], chosen.rate) for row in rows.tolist())
        return {"audio": Audio.fit(sounds, chosen)}

    def versions(self, options: AudioGroups) -> Self:
        speeds = options.augment.speeds
        hastened = [Hastened(one, speed) for speed in speeds for one in self.recordings]
        return type(self)([*self.recordings, *hastened]) if speeds else self

    def column(self, fields: Fields) -> tuple[PaddedColumn | WordColumn, np.ndarray]:
        field: Audio = fields["audio"]
        if self._encoded is None or self._encoded[0] is not field:
            rate = field.options.rate
            self._encoded = field, Ragged.from_list(field.encode(_sound(one, rate).samples) for one in self.recordings)
        ragged = self._encoded[1]
        return PaddedColumn(ragged), ragged.lengths

    def width(self, options: AudioGroups) -> int | None:
        return None

    @classmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: AudioGroups, width: int | None) -> Reader:
        field, drawn = fields["audio"], options.augment
        plain: Reader = SeriesReader(field.width, options.reading_dropout or 0.0)
        return masked(_perturbed(plain, field, drawn) if drawn.perturbs else plain, drawn)

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


def _perturbed(reader: Reader, field: Audio, drawn: AugmentOptions) -> PerturbedReader:
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
    )  # fmt: skip


def _is_folder(source: object) -> TypeGuard[str | Path]:
    return is_path(source) and Path(source).is_dir()


def _names_sounds(source: object) -> bool:
    """Whether a table's first row names a sound file."""
    if isinstance(source, Mapping) and path_column(list(map(str, source))) is None:
        return False
    if is_into_dataframe(source):
        # The rest of a large table is not to be converted for it.
        source = nw.from_native(source).head(1).to_native()
    try:
        first = next(iter(iterate_records(source)), {})
    except DataError:
        return False
    path = path_column(list(first))
    return path is not None and Path(str(first[path])).suffix.lower() in SOUNDS


def _sound(recording: Recording, rate: int | None) -> Sound:
    if isinstance(recording, Hastened):
        sound = _sound(recording.recording, rate)
        return Sound(resample(sound.samples, recording.speed, 1.0), sound.rate)
    if isinstance(recording, Clip):
        return read_clip(recording, rate)
    return recording if rate is None else Sound(resample(recording.samples, recording.rate, rate), rate)
