"""Simple baselines of classes (texts, series, drawings), tags, translations and summaries: what a network has to beat.

Every function takes plain texts, tags, labels or arrays, learns from the training part alone, and is deterministic;
each takes seconds on one core. Those of language models are in simple_ngrams.py.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

__all__ = [
    "entity_f1",
    "entity_spans",
    "gazetteer_f1",
    "gazetteer_tags",
    "lead_rouge_1",
    "logistic_accuracy",
    "marginal_nats",
    "most_frequent",
    "nearest_bleu",
    "nearest_drawing_accuracy",
    "nearest_rows",
    "nearest_translations",
    "previous_nats",
    "rouge_1",
    "series_accuracy",
    "series_statistics",
    "suffix_tags",
    "suffix_tags_accuracy",
    "summary_rouge_1",
    "tag_accuracy",
    "text_accuracy",
    "word_bleu",
    "words_and_marks",
]

Words = Sequence[Sequence[str]]
"""One sequence of words, or of their tags, a sentence."""

CONVERGED = 1e-8
"""Tolerance of the linear models: at the usual 1e-4 one training text more or less moves a score by a point."""

LONGEST_SUFFIX = 4
SHARE_OF_ENTITIES = 0.5
"""What share of a name's occurrences in the training part must be entities, for the gazetteer to hold it."""


def nearest_drawing_accuracy(
    train: Sequence[Sequence[np.ndarray]], labels: Sequence[str], test: Sequence[Sequence[np.ndarray]],
    truth: Sequence[str],
) -> float:  # fmt: skip
    """Accuracy of the nearest training drawing, by the distance of 32 points at equal distances along each."""
    known, asked = (np.stack([along(drawing) for drawing in part]).reshape(len(part), -1) for part in (train, test))
    found = [labels[place] for place in nearest_rows(known, asked)]
    return float(np.mean([guess == right for guess, right in zip(found, truth, strict=True)]))


def nearest_rows(known: np.ndarray, asked: np.ndarray) -> list[int]:
    """For each row asked about (n, D) the number of the known row (m, D) that is nearest."""
    squares = (asked**2).sum(1)[:, None] - 2 * asked @ known.T + (known**2).sum(1)
    return [int(place) for place in squares.argmin(1)]


def most_frequent(texts: Iterable[str]) -> str:
    """The text that stands there most often; of several such the first one."""
    return _commonest(Counter(texts))


def marginal_nats(train: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> float:
    """Nats a step of grids (T, notes) whose notes are on as often as in the training part, one more on and one off."""
    known = np.concatenate(train)
    shares = (known.sum(0) + 1) / (len(known) + 2)
    return bernoulli_nats(np.concatenate(test), shares)


def previous_nats(train: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> float:
    """Nats a step where each note is on as often as after its state at the step before; before a piece all are off."""
    before, now = (np.concatenate(parts) for parts in (list(map(shifted, train)), train))
    asked, truth = (np.concatenate(parts) for parts in (list(map(shifted, test)), test))
    shares = [((now * (before == state)).sum(0) + 1) / ((before == state).sum(0) + 2) for state in (0, 1)]
    return bernoulli_nats(truth, np.where(asked == 1, shares[1], shares[0]))


def shifted(grid: np.ndarray) -> np.ndarray:
    """What stands before each step."""
    return np.concatenate([np.zeros_like(grid[:1]), grid[:-1]])


def bernoulli_nats(truth: np.ndarray, shares: np.ndarray) -> float:
    """The mean over steps of -log p of all notes."""
    return float(-np.log(np.where(truth == 1, shares, 1 - shares)).sum() / len(truth))


def along(drawing: Sequence[np.ndarray], count: int = 32) -> np.ndarray:
    """So many points (count, 2) of a drawing in its box, its strokes joined, at equal distances."""
    points = np.concatenate([np.asarray(stroke, float)[:, :2] for stroke in drawing])
    points = (points - (points.min(0) + points.max(0)) / 2) / max(float(np.ptp(points, 0).max()), 1e-9)
    way = np.concatenate([[0.0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    places = np.linspace(0, way[-1], count)
    return np.stack([np.interp(places, way, points[:, side]) for side in (0, 1)], 1)


def text_accuracy(
    train_texts: Sequence[str], train_labels: Sequence[str], test_texts: Sequence[str], test_labels: Sequence[str]
) -> float:
    """Accuracy of logistic regression (C = 10) on tf-idf of words and pairs of neighbours.

    Words are what stands between white space, in lower case. A term counts (1 + log count) * idf, idf smoothed; each
    text has length 1.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    terms = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", sublinear_tf=True)
    model = LogisticRegression(C=10, tol=CONVERGED, max_iter=5000).fit(terms.fit_transform(train_texts), train_labels)
    return float(model.score(terms.transform(test_texts), test_labels))


def series_statistics(values: np.ndarray) -> np.ndarray:
    """values (T, D) -> (7 D + 1,): mean, standard deviation, least, largest, means of the thirds; then T.

    Third k holds the steps from T k // 3 up to T (k + 1) // 3, and one step at least.
    """
    length = len(values)
    edges = [length * k // 3 for k in range(4)]
    thirds = [values[first : max(last, first + 1)].mean(0) for first, last in itertools.pairwise(edges)]
    whole = [values.mean(0), values.std(0), values.min(0), values.max(0)]
    return np.concatenate([*whole, *thirds, [length]])


def series_accuracy(
    train: Sequence[np.ndarray], train_labels: Sequence[str], test: Sequence[np.ndarray], test_labels: Sequence[str]
) -> float:
    """Accuracy of `logistic_accuracy` on `series_statistics` of series (T, D) of any lengths, no value missing."""
    train_rows, test_rows = (np.stack([series_statistics(one) for one in part]) for part in (train, test))
    return logistic_accuracy(train_rows, train_labels, test_rows, test_labels)


def logistic_accuracy(
    train: np.ndarray, train_labels: Sequence[str], test: np.ndarray, test_labels: Sequence[str]
) -> float:
    """Accuracy of logistic regression (C = 1) on features (N, D), standardised by the training part."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(tol=CONVERGED, max_iter=5000)).fit(train, train_labels)
    return float(model.score(test, test_labels))


def _suffixes(word: str) -> list[tuple[bool, str]]:
    """Endings of the lower-cased word, the longest first and the empty one last, and whether it begins upper-case."""
    small, upper = word.lower(), word[:1].isupper()
    return [(upper, small[len(small) - size :]) for size in range(min(LONGEST_SUFFIX, len(small)), -1, -1)]


def _commonest(counts: Mapping[str, int]) -> str:
    return max(counts, key=lambda tag: counts[tag])


def suffix_tags(train_words: Words, train_tags: Words, words: Words) -> list[list[str]]:
    """Tags of words one by one: a known word takes its most frequent tag, another that of its longest known suffix.

    A suffix is 4, 3, 2, 1 or 0 last letters in lower case, and whether the word begins with a capital; its tag is the
    one that most training words with it take, every different word counted once. Where two tags are as frequent, the
    one seen first counts; where not even the empty suffix is known, the most frequent tag.
    """
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence, tags in zip(train_words, train_tags, strict=True):
        for word, tag in zip(sentence, tags, strict=True):
            seen[word][tag] += 1
    known = {word: _commonest(counts) for word, counts in seen.items()}
    ending: dict[tuple[bool, str], Counter[str]] = defaultdict(Counter)
    for word, tag in known.items():
        for suffix in _suffixes(word):
            ending[suffix][tag] += 1
    last = _commonest(sum(seen.values(), Counter()))

    def tag_of(word: str) -> str:
        if word in known:
            return known[word]
        return next((_commonest(ending[suffix]) for suffix in _suffixes(word) if suffix in ending), last)

    return [[tag_of(word) for word in sentence] for sentence in words]


def tag_accuracy(gold: Words, predicted: Words) -> float:
    """The share of all words whose tag is right."""
    pairs = [pair for one, other in zip(gold, predicted, strict=True) for pair in zip(one, other, strict=True)]
    return sum(right == tag for right, tag in pairs) / len(pairs)


def suffix_tags_accuracy(train_words: Words, train_tags: Words, test_words: Words, test_tags: Words) -> float:
    """The share of test words that `suffix_tags` tags right."""
    return tag_accuracy(test_tags, suffix_tags(train_words, train_tags, test_words))


def entity_spans(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """The entities of BIO tags as (type, first, last + 1); I-X without an X before it begins one, as conlleval does."""
    found: set[tuple[str, int, int]] = set()
    kind, first = "", 0
    for place, tag in enumerate([*tags, "O"]):
        if kind and tag != f"I-{kind}":
            found.add((kind, first, place))
            kind = ""
        if not kind and tag != "O":
            kind, first = tag[2:], place
    return found


def entity_f1(gold: Words, predicted: Words) -> float:
    """F1 of entities over all sentences; one counts as found if its type and both its ends are right."""
    pairs = [(entity_spans(one), entity_spans(other)) for one, other in zip(gold, predicted, strict=True)]
    both = sum(len(one & other) for one, other in pairs)
    return 2 * both / max(sum(len(one) + len(other) for one, other in pairs), 1)


def _gazetteer(words: Words, tags: Words) -> tuple[dict[tuple[str, ...], str], str]:
    """Names in lower case with their most frequent type, and the most frequent type of all."""
    types: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    lowered = [tuple(word.lower() for word in sentence) for sentence in words]
    for sentence, sentence_tags in zip(lowered, tags, strict=True):
        for kind, first, last in sorted(entity_spans(sentence_tags), key=lambda span: span[1]):
            types[sentence[first:last]][kind] += 1
    longest = max(map(len, types), default=0)
    seen: Counter[tuple[str, ...]] = Counter()
    for sentence in lowered:
        for first in range(len(sentence)):
            for last in range(first + 1, min(first + longest, len(sentence)) + 1):
                seen[sentence[first:last]] += 1
    kept = {name: kinds for name, kinds in types.items() if kinds.total() >= SHARE_OF_ENTITIES * seen[name]}
    every = sum(types.values(), Counter())
    return {name: _commonest(kinds) for name, kinds in kept.items()}, _commonest(every) if every else ""


def gazetteer_tags(train_words: Words, train_tags: Words, words: Words, *, capitals: bool = True) -> list[list[str]]:
    """BIO tags by a list of the training part's entities and, with `capitals`, by a rule on capital letters.

    The list: from left to right the longest name of the training part, in any case, takes its most frequent type; a
    name is left out if fewer than half of its occurrences there are entities. The rule: of the words left, the
    sentence's first aside, every longest run of words of one capital and then small letters alone is an entity of the
    type that is most frequent in the training part.
    """
    names, usual = _gazetteer(train_words, train_tags)
    return [_capital_runs(one, _look_up(one, names), usual if capitals else "") for one in words]


def _look_up(sentence: Sequence[str], names: Mapping[tuple[str, ...], str]) -> list[str]:
    longest = max(map(len, names), default=0)
    lowered = [word.lower() for word in sentence]
    tags: list[str] = []
    while len(tags) < len(sentence):
        ends = range(min(len(tags) + longest, len(sentence)), len(tags), -1)
        found = next((name for end in ends if (name := tuple(lowered[len(tags) : end])) in names), None)
        tags += ["O"] if found is None else [f"B-{names[found]}", *[f"I-{names[found]}"] * (len(found) - 1)]
    return tags


def _capital_runs(sentence: Sequence[str], tags: Sequence[str], usual: str) -> list[str]:
    """Tags with the runs of capitalised words added; unchanged if `usual` is empty."""
    result = list(tags)
    inside = False
    for place, (word, tag) in enumerate(zip(sentence, tags, strict=True)):
        capital = word.isalpha() and word[0].isupper() and word[1:].islower()
        named = bool(usual) and place > 0 and tag == "O" and capital
        if named:
            result[place] = f"{'I' if inside else 'B'}-{usual}"
        inside = named
    return result


def gazetteer_f1(
    train_words: Words, train_tags: Words, test_words: Words, test_tags: Words, *, capitals: bool = True
) -> float:
    """Entity F1 of `gazetteer_tags` on the test part."""
    return entity_f1(test_tags, gazetteer_tags(train_words, train_tags, test_words, capitals=capitals))


def words_and_marks(text: str) -> list[str]:
    r"""Tokens of a text in lower case: runs of letters, digits and "_" (\w), and every other visible sign alone."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def nearest_translations(
    train_sources: Sequence[str], train_targets: Sequence[str], sources: Iterable[str]
) -> list[str]:
    """For each source the translation of the training source that is most like it; of equals the first.

    Likeness is the cosine of tf-idf vectors (idf smoothed) of tokens and pairs of tokens, as `words_and_marks` gives.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    terms = TfidfVectorizer(ngram_range=(1, 2), tokenizer=words_and_marks, token_pattern=None, lowercase=False)
    known = terms.fit_transform(train_sources).T.tocsr()
    wanted = terms.transform(sources)
    best = [(wanted[row] @ known).toarray()[0].argmax() for row in range(wanted.shape[0])]
    return [train_targets[place] for place in best]


def word_bleu(hypotheses: Iterable[str], references: Iterable[str]) -> float:
    """Corpus BLEU, 0 to 100, of `words_and_marks` tokens in lower case; up to 4-grams, sacrebleu's default smoothing.

    It differs by some tenths from sacrebleu's own signature (lc, 13a), which splits hyphens and marks otherwise.
    """
    import sacrebleu

    ours, theirs = ([" ".join(words_and_marks(text)) for text in part] for part in (hypotheses, references))
    return float(sacrebleu.corpus_bleu(ours, [theirs], tokenize="none", force=True).score)


def nearest_bleu(
    train_sources: Sequence[str], train_targets: Sequence[str], test_sources: Sequence[str], test_targets: Sequence[str]
) -> float:
    """`word_bleu` of `nearest_translations`; that of copying the source is word_bleu(test_sources, test_targets)."""
    return word_bleu(nearest_translations(train_sources, train_targets, test_sources), test_targets)


def rouge_1(summary: str, reference: str) -> float:
    """F1 of the tokens (`words_and_marks`, no stemming) that two texts share, each as often as both have it: 0 to 1.

    Marks count as tokens; the package rouge_score drops them and what is no a-z or 0-9.
    """
    ours, theirs = Counter(words_and_marks(summary)), Counter(words_and_marks(reference))
    return 2 * (ours & theirs).total() / max(ours.total() + theirs.total(), 1)


def summary_rouge_1(summaries: Sequence[str], targets: Sequence[Sequence[str]]) -> float:
    """ROUGE-1 F1, 0 to 100: for each text the best over its target summaries, then the mean over the texts."""
    best = [max(rouge_1(one, target) for target in some) for one, some in zip(summaries, targets, strict=True)]
    return 100 * sum(best) / len(best)


def lead_rouge_1(sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> float:
    """`summary_rouge_1` of the first sentence of each source, a list of sentences."""
    return summary_rouge_1([sentences[0] for sentences in sources], targets)
