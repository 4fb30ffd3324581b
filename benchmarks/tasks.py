"""Every task on real data with its official split: the score, the time, the peak memory, and a simple baseline's score.

    python benchmarks/tasks.py ptb              # one row; `python benchmarks/tasks.py` lists them
    python benchmarks/tasks.py sst2 natops      # several; a row that is there for today is not repeated

A row whose run takes less than three minutes is run with three seeds, another with one. Peak memory is that of the
whole process, so what a row needs is seen where it is run by itself.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import tasks_captions as captions
import tasks_drawing as drawing
import tasks_ink as ink
import tasks_music as music
import tasks_pictures as pictures
import tasks_series as series
import tasks_sounds as sounds
import tasks_videos as videos
import tasks_words as words
import tasks_writing as writing
from common import Results
from tasks_row import Row, Score

__all__ = ["ROWS", "Score"]

SEEDS, SHORT = (0, 1, 2), 180.0
# The bars are of the score; the options are what is not left to the defaults, and the modules say how they were chosen.
ROWS = {
    "sst2": Row(words.sst2, words.sst2_simple, 0.80, 0.84, {}),
    "sst2_glove": Row(words.sst2, words.sst2_simple, 0.80, 0.84, {"vectors": words.GLOVE}),
    "ud_english_ewt": Row(*words.tagged("ud_english_ewt"), 0.93, 0.95, {}),
    "ud_english_ewt_glove": Row(*words.tagged("ud_english_ewt"), 0.93, 0.95, {"vectors": words.GLOVE}),
    "wnut17": Row(*words.tagged("wnut17"), 20, 33, {"vectors": words.GLOVE}),
    "ptb": Row(writing.ptb, writing.ptb_simple, 130, 115, {"precision": "bf16", "epochs": 8}),
    "tinyshakespeare": Row(writing.shakespeare, writing.shakespeare_simple, 1.58, 1.50, {"epochs": 8}),
    "multi30k_en_de": Row(writing.multi30k, writing.multi30k_simple, 24, 32, {"precision": "bf16", "epochs": 8}),
    "scitldr_a": Row(writing.scitldr, writing.scitldr_simple, 15, 28,
                     {"level": "word", "lower": True, "copying": "pointer"}),
    "self_dialogue_movies": Row(writing.dialogue, writing.dialogue_simple, 44, 38, {"precision": "bf16", "epochs": 4}),
    "japanese_vowels": Row(*series.classified("japanese_vowels", "JapaneseVowels"), 0.97, 0.99, {}),
    "basic_motions": Row(*series.classified("basic_motions", "BasicMotions"), 0.97, 1.0, {}),
    "natops": Row(*series.classified("natops", "NATOPS"), 0.90, 0.95, {}),
    "japanese_vowels_speakers": Row(*series.verified(), 5, 2, {}),
    "japanese_vowels_new_speakers": Row(*series.verified(new=True), 5, 2, {}),
    "nab": Row(series.nab_online, series.nab_simple, 45, 60, series.NAB),
    "fsdd": Row(*sounds.fsdd(), 0.985, 0.995, {}),
    "fsdd_george": Row(*sounds.fsdd("george"), 0.70, 0.85, sounds.UNHEARD),
    "fsdd_theo": Row(*sounds.fsdd("theo"), 0.90, 0.95, sounds.UNHEARD),
    "fsdd_lucas": Row(*sounds.fsdd("lucas"), 0.75, 0.85, sounds.UNHEARD),
    "fsdd_joined": Row(sounds.fsdd_joined, dict, 4, 1.5, {"epochs": 16}),
    "an4": Row(sounds.an4, sounds.an4_simple, 13, 7, sounds.AN4),
    "an4_streaming": Row(sounds.an4, sounds.an4_simple, 22, 14, sounds.LIVE),
    "omniglot": Row(ink.omniglot, ink.omniglot_simple, 0.78, 0.88, ink.OMNIGLOT),
    "digits_rows": Row(pictures.digits, pictures.digits_simple, 0.97, 0.985, pictures.BY_ROWS),
    "digits_pixels": Row(pictures.digits, pictures.digits_simple, 0.94, 0.97, pictures.BY_PIXELS),
    "rendered_lines": Row(pictures.lines, dict, 3, 1, pictures.LINES),
    "jsb_chorales": Row(music.chorales, music.chorales_simple, 8.6, 8.3, music.INDEPENDENT),
    "jsb_chorales_conditioned": Row(music.chorales, music.chorales_simple, 7.0, 6.2, music.CONDITIONED),
    "sketches_kanji": Row(*drawing.sketches("kanji"), 1.2, 0.3, drawing.KANJI),
    "sketches_sheep": Row(*drawing.sketches("sheep"), 1.0, 0.2, drawing.SHEEP),
    "omniglot_drawn": Row(drawing.omniglot_drawn, dict, 0.50, 0.75, drawing.CHARACTERS),
    "emoji_drawn": Row(drawing.emoji_drawn, dict, 0.40, 0.65, drawing.EMOJI),
    "omniglot_words": Row(ink.omniglot_words, dict, 15, 6, ink.WORDS),
    "moving_shapes_action": Row(videos.action, videos.action_simple, 0.97, 0.995, videos.ACTION),
    "emoji_captions_twemoji": Row(captions.emoji, captions.emoji_simple, 0.56, 0.68, captions.EMOJI),
    "moving_shapes_captions": Row(captions.shapes, captions.shapes_simple, 0.90, 0.98, captions.SHAPES),
}  # fmt: skip
"""Every row: its training and its baseline, the score that it must reach at least and the one aimed at, its options."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"among {', '.join(ROWS)}")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another option, in JSON")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.rows if name not in ROWS]
    if unknown or not chosen.rows:
        parser.error(f"give rows among {', '.join(ROWS)}" + (f", not {', '.join(unknown)}" if unknown else ""))
    given = {name: json.loads(value) for name, _, value in (word.partition("=") for word in chosen.set)}
    results = Results("tasks")
    for name in chosen.rows:
        measure(name, given, results)


def measure(name: str, given: dict[str, Any], results: Results) -> None:
    """Three seeds of a row, or one where that takes long; those that are there for today are not run again."""
    options = {**ROWS[name].options, **given}
    for seed in SEEDS:
        wanted = {"row": name, "seed": seed, "options": options}
        known = [row for row in results.rows() if row | wanted == row]
        seconds = known[0]["seconds"] if known else run(name, seed, options, results)
        if seconds > SHORT:
            break


def run(name: str, seed: int, options: dict[str, Any], results: Results) -> float:
    """One run of a row, which is added to the results; the seconds that it took."""
    row = ROWS[name]
    named = {**options, "vectors": words.glove()} if "vectors" in options else options
    begin = time.perf_counter()
    score = row.run(seed, **named)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.add(
        row=name, seed=seed, options=options, metric=score.metric, score=round(score.value, 4), least=row.least,
        aim=row.aim, seconds=round(seconds, 1), peak_megabytes=round(peak), **score.more,
        baseline=row.simple() if seed == 0 else None,
    )  # fmt: skip
    return seconds


if __name__ == "__main__":
    main()
