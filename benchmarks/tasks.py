"""Every task on real data with its official split: the score, the time, the peak memory, and a simple baseline's score.

    python benchmarks/tasks.py ptb              # one row; `python benchmarks/tasks.py` lists them
    python benchmarks/tasks.py sst2 natops      # several; a row that is there for today is not repeated

A row whose run takes less than three minutes is run with three seeds, another with one. Peak memory is that of the
whole process, so what a row needs is seen where it is run by itself.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nab
import numpy as np
import simple
import simple_ngrams
from common import Results, data_folder
from ink_words import omniglot_parts, written_words
from joined_digits import join_digits
from verification import error_rate, moments_error_rate

import unrolled as ur
from unrolled.data.read.audio import read_clip
from unrolled.data.read.conll import read_conll
from unrolled.data.read.lines import read_lines
from unrolled.data.read.manifests import read_recordings
from unrolled.data.read.records import read_records
from unrolled.data.read.series import Series, read_series
from unrolled.fields import Audio, AudioOptions
from unrolled.fields.sound import Sound
from unrolled.score.text import rouge
from unrolled.tasks.recognize.report import RecognitionReport

SEEDS, SHORT = (0, 1, 2), 180.0
# For a speaker never heard: chosen by the mean accuracy on jackson, nicolas and yweweler, each left out in turn.
UNHEARD: dict[str, Any] = {
    "loudness": "peak", "frequency_warp": 0.1, "channel_decibels": 3.0, "hop": 0.02, "dropout": 0.4,
    "head_dropout": 0.5, "label_smoothing": 0.1, "epochs": 8, "batch_size": 64, "learning_rate": 3e-3,
}  # fmt: skip
GLOVE = "glove.twitter.25d.12k.txt.gz"


class Score(NamedTuple):
    """value: of the metric named; more: what else is worth keeping."""

    metric: str
    value: float
    more: dict[str, Any]


def glove() -> str:
    return str(data_folder("glove_twitter_25d_12k") / GLOVE)


def sst2_parts() -> list[dict[str, list[Any]]]:
    folder = data_folder("sst2")
    return [read_records(folder / f"{part}.tsv", names=("text", "label")).columns for part in ("train", "dev", "test")]


def sst2(seed: int, **options: Any) -> Score:
    train, dev, test = sst2_parts()
    model = ur.Classifier(seed=seed, **options).fit(train, valid=dev)
    return Score("accuracy", model.evaluate(test).accuracy, notes(model))


def sst2_simple() -> dict[str, float]:
    train, _, test = sst2_parts()
    return {"tf-idf": simple.text_accuracy(train["text"], train["label"], test["text"], test["label"])}


def series_parts(name: str, stem: str) -> list[Path]:
    return [next(data_folder(name).glob(f"{stem}_{part}.ts*")) for part in ("TRAIN", "TEST")]


def series(name: str, stem: str) -> Callable[..., Score]:
    def run(seed: int, **options: Any) -> Score:
        train, test = series_parts(name, stem)
        model = ur.Classifier(seed=seed, **options).fit(train)
        return Score("accuracy", model.evaluate(test).accuracy, notes(model))

    return run


def series_simple(name: str, stem: str) -> Callable[[], dict[str, float]]:
    def run() -> dict[str, float]:
        train, test = (read_series(path) for path in series_parts(name, stem))
        labels = [part.labels or [] for part in (train, test)]
        return {"statistics": simple.series_accuracy(train.values, labels[0], test.values, labels[1])}

    return run


def speakers(new: bool) -> tuple[Series, Series]:
    """Recordings of vowels to learn from and to verify; new: speakers 1 to 6 are learned, 7 to 9 verified."""
    train, test = (read_series(path) for path in series_parts("japanese_vowels", "JapaneseVowels"))
    if not new:
        return train, test
    return spoken_by(train, "123456"), spoken_by(test, "789")


def spoken_by(series: Series, names: str) -> Series:
    return series.select([row for row, label in enumerate(series.labels or []) if label in names])


def verified(new: bool = False) -> Callable[..., Score]:
    def run(seed: int, **options: Any) -> Score:
        train, test = speakers(new)
        model = ur.Classifier(seed=seed, **options).fit(train.values, train.labels)
        return Score("equal error rate", error_rate(model.embed(test.values), test.labels or []), notes(model))

    return run


def verified_simple(new: bool = False) -> Callable[[], dict[str, float]]:
    def run() -> dict[str, float]:
        train, test = speakers(new)
        return {"moments + cosine": moments_error_rate(train.values, test.values, test.labels or [])}

    return run


def fsdd_lists(folder: Path, speaker: str | None) -> list[Path]:
    """Lists of the training and the test recordings: the test is the first five of each, or all of one speaker."""
    with zipfile.ZipFile(data_folder("fsdd") / "recordings.zip") as archive:
        archive.extractall(folder)
    lists = {name: ["path,label\n"] for name in ("train", "test")}
    for path in sorted(folder.rglob("*.wav")):
        digit, who, index = path.stem.split("_")
        held = int(index) < 5 if speaker is None else who == speaker
        lists["test" if held else "train"].append(f"{path.relative_to(folder)},{digit}\n")
    for name, rows in lists.items():
        (folder / f"{name}.csv").write_text("".join(rows))
    return [folder / f"{name}.csv" for name in lists]


def fsdd(speaker: str | None = None) -> Callable[..., Score]:
    def run(seed: int, **options: Any) -> Score:
        with tempfile.TemporaryDirectory() as folder:
            train, test = fsdd_lists(Path(folder), speaker)
            model = ur.Classifier(seed=seed, **options).fit(train)
            return Score("accuracy", model.evaluate(test).accuracy, notes(model))

    return run


def fsdd_simple(speaker: str | None = None) -> Callable[[], dict[str, float]]:
    return lambda: {"MFCC + LR": cepstral_accuracy(speaker)}


def cepstral_accuracy(speaker: str | None) -> float:
    """Means of cepstral coefficients over five parts of each recording, and logistic regression."""
    with tempfile.TemporaryDirectory() as folder:
        parts = [read_recordings(path) for path in fsdd_lists(Path(folder), speaker)]
        field = Audio.fit([], AudioOptions(rate=8000, features="mfcc", normalise="none"))
        features = [[field.encode(read_clip(clip).samples) for clip in part.columns["audio"]] for part in parts]
        means = [np.stack([np.concatenate([piece.mean(0) for piece in np.array_split(one, 5)]) for one in part])
                 for part in features]  # fmt: skip
        labels = [part.columns["label"] for part in parts]
        return simple.logistic_accuracy(means[0], labels[0], means[1], labels[1])


# Joined recordings: so many of the training part, so many of the test part.
TRAINED, TESTED = 1200, 300


def joined_parts() -> list[tuple[list[Sound], list[str]]]:
    """Numbers of three to seven digits, of the training and of the test recordings."""
    with tempfile.TemporaryDirectory() as folder:
        lists = fsdd_lists(Path(folder), None)
        return [
            joined(path, count, seed) for seed, (path, count) in enumerate(zip(lists, (TRAINED, TESTED), strict=True))
        ]


def joined(path: Path, count: int, seed: int) -> tuple[list[Sound], list[str]]:
    spoken: dict[str, list[tuple[int, np.ndarray]]] = {}
    for clip in read_recordings(path).columns["audio"]:
        digit, speaker, _ = clip.path.stem.split("_")
        spoken.setdefault(speaker, []).append((int(digit), read_clip(clip).samples))
    random = np.random.default_rng(seed)
    both = [join_digits(spoken, random, rate=8000) for _ in range(count)]
    return [Sound(samples, 8000) for samples, _ in both], [text for _, text in both]


def fsdd_joined(seed: int, **options: Any) -> Score:
    train, test = joined_parts()
    model = ur.Recognizer(seed=seed, **options).fit(*train)
    greedy = model.evaluate(*test)
    found = model.evaluate(*test, beam=8, lexicon="training")
    return heard(found, model, greedy=rates(greedy))


def rates(found: RecognitionReport) -> list[float]:
    """WER and CER in percent."""
    return [round(100 * rate.rate, 2) for rate in (found.words, found.characters)]


def heard(found: RecognitionReport, model: ur.Recognizer, **more: Any) -> Score:
    """The word error rate in percent, and what is behind it."""
    told = {"CER": rates(found)[1], "words": found.words.to_json(), **more}
    return Score("WER", 100 * found.words.rate, {**told, **notes(model)})


def an4_files() -> list[Path]:
    return [data_folder("an4_mfcc") / f"{part}.npz" for part in ("train", "test")]


def an4(seed: int, **options: Any) -> Score:
    """The greedy score, and that of a search with a model over the words of the training part, which counts."""
    train, test = an4_files()
    model = ur.Recognizer(seed=seed, **options).fit(train, valid=0)
    lines = read_records(train.with_suffix(".tsv")).texts("text")
    words = ur.LanguageModel(split="space", lower=False, seed=seed, **WORDS).fit(
        [line or "" for line in lines], valid=0
    )
    greedy = model.evaluate(test)
    fused = model.evaluate(test, language_model=words, **FUSED)
    return heard(fused, model, greedy=rates(greedy))


def an4_simple() -> dict[str, float]:
    return {"greedy, a spike": 16.6}


# Chosen on drawers 15 and 16.
OMNIGLOT: dict[str, Any] = {"epochs": 50, "batch_size": 32, "label_smoothing": 0.1}
# A small model over an4's 99 words, and its part in the search: chosen on speakers held out of the training part.
WORDS: dict[str, Any] = {
    "hidden_size": 128, "embedding_size": 128, "input_dropout": 0.4, "output_dropout": 0.4, "streams": 8, "epochs": 15,
}  # fmt: skip
FUSED: dict[str, Any] = {"beam": 16, "lm_weight": 0.5, "word_bonus": 3.0}
# Likewise, but for the epochs, which are as many as fit into the time.
AN4: dict[str, Any] = {
    "scaling": "recording", "speeds": [0.9, 1.1], "feature_noise": 0.3, "time_masks": 2, "time_mask": 12,
    "band_masks": 1, "band_mask": 2, "dropout": 0.3, "head_dropout": 0.3, "epochs": 20, "batch_size": 8,
    "warmup": 50, "weight_decay": 0.01,
}  # fmt: skip
LIVE: dict[str, Any] = AN4 | {"streaming": True, "scaling": "running", "hidden_size": 224, "time_masks": 1}


def omniglot(seed: int, **options: Any) -> Score:
    """What is chosen is chosen on drawers 15 and 16; the network to be judged learns from them, too."""
    parts = omniglot_parts()
    model = ur.Classifier(seed=seed, **options).fit(*parts["train"][:2], valid=0)
    return Score("accuracy", model.evaluate(*parts["test"][:2]).accuracy, notes(model))


def omniglot_simple() -> dict[str, float]:
    parts = omniglot_parts()
    (train, labels, _), (test, truth, _) = parts["train"], parts["test"]
    return {"1-NN on 32 points": simple.nearest_drawing_accuracy(train, labels, test, truth)}


def omniglot_words(seed: int, **options: Any) -> Score:
    parts = omniglot_parts("Latin")
    model = ur.Recognizer(seed=seed, **options).fit(*written_words(parts["train"], 4000, 1), valid=0)
    found = model.evaluate(*written_words(parts["test"], 500, 2), beam=8)
    return Score("CER", 100 * found.characters.rate, notes(model) | {"WER": round(100 * found.words.rate, 2)})


def tag_files(name: str) -> list[Path]:
    folder = data_folder(name)
    if name == "wnut17":
        return [folder / file for file in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")]
    return [folder / f"en_ewt-ud-{part}" for part in ("train.conllu.gz", "dev.conllu", "test.conllu")]


def tagged(name: str) -> Callable[..., Score]:
    def run(seed: int, **options: Any) -> Score:
        train, dev, test = tag_files(name)
        model = ur.Tagger(seed=seed, **options).fit(train, valid=dev)
        found = model.evaluate(test)
        if found.spans is None:
            return Score("accuracy", found.accuracy, notes(model))
        return Score("entity F1", 100 * found.spans.f1, {"accuracy": found.accuracy, **notes(model)})

    return run


def tagged_simple(name: str) -> Callable[[], dict[str, float]]:
    def run() -> dict[str, float]:
        train, _, test = (read_conll(path) for path in tag_files(name))
        parts = (train.words, train.tags, test.words, test.tags)
        if name == "wnut17":
            return {"gazetteer and capitals": 100 * simple.gazetteer_f1(*parts)}
        return {"most frequent tag and suffix": simple.suffix_tags_accuracy(*parts)}

    return run


def ptb_files() -> list[Path]:
    folder = data_folder("ptb")
    return [folder / f"ptb.{part}" for part in ("train.txt.gz", "valid.txt", "test.txt")]


def ptb(seed: int, **options: Any) -> Score:
    train, valid, test = ptb_files()
    model = ur.LanguageModel(split="space", seed=seed, **options).fit(train, valid=valid)
    found = model.evaluate(test)
    more = {"valid": model.evaluate(valid).perplexity, "tokens": found.tokens}
    return Score("perplexity", found.perplexity, {**more, **notes(model)})


def ptb_simple() -> dict[str, float]:
    train, _, test = ptb_files()
    return {"Kneser-Ney 3": simple_ngrams.word_perplexity(read_lines(train), read_lines(test))}


def shakespeare_parts() -> tuple[str, str]:
    text = next(data_folder("tinyshakespeare").glob("*.txt")).read_text()
    cut = int(0.9 * len(text))
    return text[:cut], text[cut:]


def shakespeare(seed: int, **options: Any) -> Score:
    train, valid = shakespeare_parts()
    model = ur.LanguageModel(level="char", seed=seed, **options).fit([train], valid=[valid])
    found = model.evaluate([valid])
    return Score("nats per character", found.nats / found.tokens, notes(model))


def shakespeare_simple() -> dict[str, float]:
    return {"Kneser-Ney 7": simple_ngrams.character_nats(*shakespeare_parts())}


def multi30k_files(part: str) -> tuple[Path, Path]:
    folder = data_folder("multi30k_en_de")
    return folder / f"{part}.en.gz", folder / f"{part}.de.gz"


def multi30k(seed: int, **options: Any) -> Score:
    model = ur.Translator(seed=seed, **options).fit(*multi30k_files("train"), valid=multi30k_files("val"))
    found = model.evaluate(*multi30k_files("test_2016_flickr"))
    more = {"signature": found.bleu.signature, "chrF": found.chrf.value}
    return Score("BLEU", found.bleu.value, {**more, **notes(model)})


def multi30k_simple() -> dict[str, float]:
    sides = [[list(read_lines(file)) for file in multi30k_files(part)] for part in ("train", "test_2016_flickr")]
    return {"nearest training source": simple.nearest_bleu(*sides[0], *sides[1])}


def scitldr_parts() -> list[dict[str, list[Any]]]:
    folder = data_folder("scitldr_a")
    return [read_records(folder / f"{part}.jsonl.gz").columns for part in ("train", "dev", "test")]


def scitldr(seed: int, **options: Any) -> Score:
    train, dev, test = (pairs_of(part) for part in scitldr_parts())
    model = ur.Translator(seed=seed, **options).fit(
        (train[0], [t[0] for t in train[1]]), valid=(dev[0], [t[0] for t in dev[1]])
    )
    said = model.predict(test[0], no_repeat=3)
    found = rouge(said, test[1])
    # The baseline's tokens, which count punctuation; beside it the usual ones, which do not.
    more = {"usual ROUGE-1/2/L": [round(100 * part, 2) for part in found], "first": said[:3]}
    return Score("ROUGE-1", simple.summary_rouge_1(said, test[1]), {**more, **notes(model)})


def pairs_of(part: dict[str, list[Any]]) -> tuple[list[str], list[list[str]]]:
    return [" ".join(sentences) for sentences in part["source"]], part["target"]


def scitldr_simple() -> dict[str, float]:
    test = scitldr_parts()[2]
    return {"first sentence": simple.lead_rouge_1(test["source"], test["target"])}


def dialogues(part: str) -> list[list[str]]:
    path = data_folder("self_dialogue_movies") / f"{part}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line)["turns"] for line in file]


def dialogue(seed: int, **options: Any) -> Score:
    # A turn is a line and a dialogue a document, of the very tokens that the baseline counts.
    train, valid, test = (
        ["\n".join(" ".join(simple_ngrams.dialogue_tokens(turn)) for turn in turns) for turns in dialogues(part)]
        for part in ("train", "valid", "test")
    )
    model = ur.LanguageModel(split="space", min_count=5, seed=seed, **options).fit(train, valid=valid)
    found = model.evaluate(test)
    more = {"vocabulary": model.fields["text"].size, "tokens": found.tokens}
    return Score("perplexity", found.perplexity, {**more, **notes(model)})


def dialogue_simple() -> dict[str, float]:
    train, test = ([turn for turns in dialogues(part) for turn in turns] for part in ("train", "test"))
    return {"Kneser-Ney 3, single turns": simple_ngrams.dialogue_perplexity(train, test)}


def notes(model: Any) -> dict[str, Any]:
    """What the training was: steps, epochs, weights, and one try at saving and loading."""
    with tempfile.TemporaryDirectory() as folder:
        size = model.save(Path(folder) / "model.unrolled").stat().st_size
    history = model.history
    return {
        "steps": history.steps,
        "epochs": round(history.epochs, 2),
        "stopped": history.stopped,
        "weights": sum(p.numel() for p in model.fitted().parameters()),
        "megabytes": round(size / 1e6, 1),
    }


def nab_online(seed: int, **options: Any) -> Score:
    found = nab.score_nab(nab.read_nab(), lambda recording: nab.online(recording, seed, **options))
    return Score("NAB score", found.nab, found.more)


def nab_simple() -> dict[str, float]:
    ways = {"windowed Gaussian": nab.gaussian, "records of values": nab.value_records}
    found = {name: nab.score_nab(nab.read_nab(), way) for name, way in ways.items()}
    scores = {name: round(each.nab, 2) for name, each in found.items()}
    return scores | {f"window F1 of {name}": round(each.f1, 4) for name, each in found.items()}


class Row(NamedTuple):
    """run: one training and its score; least, aim: of the score; options: what is not left to the defaults."""

    run: Callable[..., Score]
    simple: Callable[[], dict[str, float]]
    least: float
    aim: float
    options: dict[str, Any]


# Chosen on the made-up files and every second measured one: see docs/tasks.md.
NAB = {"calibration": "record", "cap": 10.0}
ROWS = {
    "sst2": Row(sst2, sst2_simple, 0.80, 0.84, {}),
    "sst2_glove": Row(sst2, sst2_simple, 0.80, 0.84, {"vectors": GLOVE}),
    "japanese_vowels": Row(series("japanese_vowels", "JapaneseVowels"),
                           series_simple("japanese_vowels", "JapaneseVowels"), 0.97, 0.99, {}),
    "japanese_vowels_speakers": Row(verified(), verified_simple(), 5, 2, {}),
    "japanese_vowels_new_speakers": Row(verified(new=True), verified_simple(new=True), 5, 2, {}),
    "basic_motions": Row(series("basic_motions", "BasicMotions"),
                         series_simple("basic_motions", "BasicMotions"), 0.97, 1.0, {}),
    "fsdd": Row(fsdd(), fsdd_simple(), 0.985, 0.995, {}),
    "fsdd_george": Row(fsdd("george"), fsdd_simple("george"), 0.70, 0.85, UNHEARD),
    "fsdd_theo": Row(fsdd("theo"), fsdd_simple("theo"), 0.90, 0.95, UNHEARD),
    "fsdd_lucas": Row(fsdd("lucas"), fsdd_simple("lucas"), 0.75, 0.85, UNHEARD),
    "fsdd_joined": Row(fsdd_joined, dict, 4, 1.5, {"epochs": 16}),
    "omniglot": Row(omniglot, omniglot_simple, 0.78, 0.88, OMNIGLOT),
    "omniglot_words": Row(omniglot_words, dict, 15, 6, {"epochs": 12}),
    "an4": Row(an4, an4_simple, 13, 7, AN4),
    "an4_streaming": Row(an4, an4_simple, 22, 14, LIVE),
    "natops": Row(series("natops", "NATOPS"), series_simple("natops", "NATOPS"), 0.90, 0.95, {}),
    "nab": Row(nab_online, nab_simple, 45, 60, NAB),
    "ud_english_ewt": Row(tagged("ud_english_ewt"), tagged_simple("ud_english_ewt"), 0.93, 0.95, {}),
    "ud_english_ewt_glove": Row(tagged("ud_english_ewt"), tagged_simple("ud_english_ewt"), 0.93, 0.95,
                                {"vectors": GLOVE}),
    "wnut17": Row(tagged("wnut17"), tagged_simple("wnut17"), 20, 33, {"vectors": GLOVE}),
    "ptb": Row(ptb, ptb_simple, 130, 115, {"precision": "bf16", "epochs": 8}),
    "tinyshakespeare": Row(shakespeare, shakespeare_simple, 1.58, 1.50, {"epochs": 8}),
    "multi30k_en_de": Row(multi30k, multi30k_simple, 24, 32, {"precision": "bf16", "epochs": 8}),
    "scitldr_a": Row(scitldr, scitldr_simple, 15, 28, {"level": "word", "lower": True, "copying": "pointer"}),
    "self_dialogue_movies": Row(dialogue, dialogue_simple, 44, 38, {"precision": "bf16", "epochs": 4}),
}  # fmt: skip


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
    row = ROWS[name]
    options = {**row.options, **given}
    named = {**options, "vectors": glove()} if "vectors" in options else options
    for seed in SEEDS:
        if results.has(row=name, seed=seed, options=options):
            continue
        begin = time.perf_counter()
        score = row.run(seed, **named)
        seconds = time.perf_counter() - begin
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        results.add(
            row=name, seed=seed, options=options, metric=score.metric, score=round(score.value, 4), least=row.least,
            aim=row.aim, seconds=round(seconds, 1), peak_megabytes=round(peak), **score.more,
            baseline=row.simple() if seed == 0 else None,
        )  # fmt: skip
        if seconds > SHORT:
            break


if __name__ == "__main__":
    main()
