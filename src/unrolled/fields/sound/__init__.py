"""What a field of sound stands on, and no field: samples at a rate, features of frames, and changes for training."""

from unrolled.fields.sound.augment import add_noise, change_gain, change_speed, mask_frequency, mask_time
from unrolled.fields.sound.options import AudioOptions
from unrolled.fields.sound.samples import Sound, resample, resampled_size

__all__ = [
    "AudioOptions", "Sound", "add_noise", "change_gain", "change_speed", "mask_frequency", "mask_time", "resample",
    "resampled_size",
]  # fmt: skip
