"""Sequence to sequence: whole targets against single steps, the laws, the pointer against its definition."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from unrolled.align import decode as room
from unrolled.align.decode import Decode, DecodeOptions, Pair
from unrolled.errors import DataError, OptionError, ShapeError
from unrolled.fields.text import BEGIN, END, UNKNOWN
from unrolled.nn import EncoderOptions, SeriesReader, WordReader, make_encoder
from unrolled.nn.reading.embedding import Embedding
from unrolled.padding import Padded
from unrolled.state import concat_rows, leaves, select_rows

SOURCES, SIZE = 12, 10
READ, WRITTEN = torch.tensor([5, 3, 1, 4]), torch.tensor([4, 2, 0, 1])
# Sums of about fifty terms of size ten in float64.
EXACT = {"rtol": 0.0, "atol": 2**10 * 2.0**-52}

WAYS: list[dict[str, Any]] = [
    {"attention": "none"},
    {"attention": "dot", "tied": True},
    {"attention": "additive", "layers": 2, "cell": "gru"},
    {"attention": "additive", "feeding": True},
    {"attention": "dot", "feeding": True, "copying": "pointer"},
    {"attention": "additive", "copying": "pointer", "layers": 2},
]


def pair() -> Pair:
    generator = torch.Generator().manual_seed(0)
    source = torch.randint(1, SOURCES, (4, 5), generator=generator)
    # Codes 10 and 11 are words that the target's vocabulary lacks: two of row 0, one of row 3.
    copies = torch.tensor([[4, 10, 11, 10, 6], [5, 4, 7, 0, 0], [7, 0, 0, 0, 0], [4, 10, 10, 6, 0]])
    target = torch.tensor([[4, 10, 6, 11], [7, UNKNOWN, 0, 0], [0, 0, 0, 0], [10, 0, 0, 0]])
    return Pair(Padded(source, READ), Padded(target, WRITTEN), copies)


def make(bidirectional: bool = True, **options: Any) -> Decode:
    torch.manual_seed(0)
    encoder = make_encoder(4, EncoderOptions(cell="gru", hidden_size=3, bidirectional=bidirectional))
    chosen = DecodeOptions(**{"hidden_size": 5, **options})
    return Decode(WordReader(Embedding(SOURCES, 4)), encoder, Embedding(SIZE, 6), SIZE, chosen).double()


def stepped(model: Decode, given: Pair, row: int) -> Tensor:
    """log p along the target of one row, by single steps from a batch of that row alone."""
    source = Padded(given.source.values[row : row + 1], given.source.lengths[row : row + 1])
    copies = None if given.copies is None else given.copies[row : row + 1]
    state, found = model.begin(source, copies), []
    for code in [BEGIN, *given.target.values[row, : given.target.lengths[row]].tolist()]:
        log_probs, state = model.step(torch.tensor([code]), state)
        found.append(log_probs[0])
    return torch.stack(found)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_target_in_one_call_is_what_single_steps_give(way: dict[str, Any]) -> None:
    model, given = make(**way).eval(), pair()
    together, total = model.log_probs(given), torch.zeros((), dtype=torch.float64)
    pointing = way.get("copying") == "pointer"
    assert together.shape == (4, 5, SIZE + (2 if pointing else 0))
    for row in range(4):
        alone = stepped(model, given, row)
        torch.testing.assert_close(together[row, : len(alone), : alone.shape[1]], alone, **EXACT)
        codes = [*given.target.values[row, : WRITTEN[row]].tolist(), END]
        for t, code in enumerate(codes):
            total = total - alone[t, code if code < SIZE or pointing else UNKNOWN]
    loss, count, state = model.loss(given)
    torch.testing.assert_close(loss, total, **EXACT)
    assert count == WRITTEN.sum() + 4
    assert state is None


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_parameter_has_a_gradient(way: dict[str, Any]) -> None:
    model = make(**way)
    model.loss(pair())[0].backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not bool((p.grad != 0).any())] == []


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_padding_never_reaches_a_value_or_a_gradient(way: dict[str, Any]) -> None:
    model, results = make(**way, label_smoothing=0.1), []
    reading, writing = torch.arange(5) < READ[:, None], torch.arange(4) < WRITTEN[:, None]
    for garbage in (0, 11, 10**9):
        given = pair()
        filled = Pair(
            Padded(torch.where(reading, given.source.values, garbage), READ),  # type: ignore[union-attr]
            Padded(torch.where(writing, given.target.values, garbage), WRITTEN),
            torch.where(reading, given.copies, garbage - 1),  # type: ignore[arg-type]
        )
        model.zero_grad()
        total, count, _ = model.loss(filled)
        total.backward()
        log_probs = torch.where((torch.arange(5) <= WRITTEN[:, None])[..., None], model.log_probs(filled), 0)
        results.append((total, count, log_probs, [p.grad.clone() for p in model.parameters()]))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=0)


def test_nan_in_the_padding_of_a_series_reaches_nothing() -> None:
    torch.manual_seed(0)
    options = DecodeOptions(hidden_size=5)
    for encoder in (None, make_encoder(3, EncoderOptions(hidden_size=3))):
        model, results = Decode(SeriesReader(3), encoder, Embedding(SIZE, 6), SIZE, options).double(), []
        x = torch.randn(4, 5, 3, dtype=torch.float64)
        for garbage in (0.0, math.nan):
            x[torch.arange(5) >= READ[:, None]] = garbage
            model.zero_grad()
            total, _, _ = model.loss(Pair(Padded(x, READ), pair().target))
            total.backward()
            results.append((total, [p.grad.clone() for p in model.parameters()]))
        torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
        written = pair().target
        alone = Pair(Padded(x[1:2, :3], READ[1:2]), Padded(written.values[1:2, :2], WRITTEN[1:2]))
        together = model.log_probs(Pair(Padded(x, READ), written))
        torch.testing.assert_close(model.log_probs(alone)[0], together[1, :3], **EXACT)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_rows_of_a_state_can_be_selected_repeated_and_joined(way: dict[str, Any]) -> None:
    model, given = make(**way).eval(), pair()
    state = model.begin(given.source, given.copies)
    _, state = model.step(torch.full((4,), BEGIN), state)
    codes = torch.tensor([4, 10, 5, 6])
    whole, after = model.step(codes, state)
    order = [3, 0, 0]
    part, chosen = model.step(codes[order], select_rows(state, order))
    torch.testing.assert_close(part, whole[order], **EXACT)
    for leaf, expected in zip(leaves(chosen), leaves(select_rows(after, order)), strict=True):
        torch.testing.assert_close(leaf, expected, **EXACT)
    joined = concat_rows([select_rows(state, [0]), select_rows(state, [1, 2, 3])])
    torch.testing.assert_close(model.step(codes, joined)[0], whole, **EXACT)


def test_the_state_shows_the_attention_of_the_last_step() -> None:
    model, given = make(copying="unknown").eval(), pair()
    state = model.begin(given.source)
    assert bool((state.weights == 0).all())
    _, state = model.step(torch.full((4,), BEGIN), state)
    torch.testing.assert_close(state.weights.sum(1), torch.ones(4, dtype=torch.float64), **EXACT)
    assert bool((state.weights[torch.arange(5) >= READ[:, None]] == 0).all())


def test_a_source_without_a_token_is_written_from_the_vocabulary_alone() -> None:
    for way in WAYS:
        model, given = make(**way), pair()
        lengths = torch.tensor([5, 0, 1, 4])
        empty = given._replace(source=Padded(given.source.values, lengths))
        log_probs = model.log_probs(empty)
        torch.testing.assert_close(log_probs.exp().sum(2), torch.ones(4, 5, dtype=torch.float64), **EXACT)
        model.loss(empty)[0].backward()
        assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_a_context_is_fed_into_the_next_step() -> None:
    model, given = make(feeding=True).eval(), pair()
    state = model.begin(given.source)
    inner, context = state.inner, torch.zeros(4, 6, dtype=torch.float64)
    for code in (BEGIN, 4, 5):
        y, inner = model.decoder.step(torch.cat([model.embedding(torch.full((4,), code)), context], 1), inner)
        context, _ = model.attention(y, state.memory)
    o = model.combine(torch.cat([y, context], 1)).tanh()
    target = Padded(torch.tensor([[4, 5]]).expand(4, 2), torch.full((4,), 2))
    torch.testing.assert_close(model.log_probs(given._replace(target=target))[:, 2], model.output(o), **EXACT)


def test_the_encoder_is_heard_with_and_without_attention() -> None:
    for way in WAYS:
        model, given = make(**way).eval(), pair()
        changed = given.source.values.clone()
        changed[0, 0] = changed[0, 0] % (SOURCES - 1) + 1
        other = model.log_probs(given._replace(source=Padded(changed, READ)))
        before = model.log_probs(given)
        assert not torch.equal(other[0], before[0])
        torch.testing.assert_close(other[1:], before[1:], **EXACT)


def mixture(model: Decode, given: Pair) -> Tensor:
    """The pointer's p at the first step of every row, from its parts, one source token at a time."""
    state = model.begin(given.source, given.copies)
    x = model.embedding(torch.full((4,), BEGIN))
    read = x if state.context is None else torch.cat([x, state.context], 1)
    y, _ = model.decoder.step(read, state.inner)
    context, weights = model.attention(y, state.memory)
    o = model.combine(torch.cat([y, context], 1)).tanh()
    p_write = (o @ model.output.weight.T + model.output.bias).softmax(1)
    gate = model.pointer.gate(torch.cat([y, context, x], 1)).sigmoid()[:, 0]
    p = torch.zeros(4, SIZE + 2, dtype=torch.float64)
    for row in range(4):
        p[row, :SIZE] = gate[row] * p_write[row]
        for place in range(int(READ[row])):
            p[row, given.copies[row, place]] += (1 - gate[row]) * weights[row, place]
    return p


@pytest.mark.parametrize("feeding", [False, True])
def test_the_pointers_mixture_is_its_definition_and_sums_to_one(feeding: bool) -> None:
    model, given = make(copying="pointer", feeding=feeding).eval(), pair()
    with torch.no_grad():
        log_probs, _ = model.step(torch.full((4,), BEGIN), model.begin(given.source, given.copies))
        torch.testing.assert_close(log_probs.exp(), mixture(model, given), **EXACT)
    torch.testing.assert_close(log_probs.exp().sum(1), torch.ones(4, dtype=torch.float64), **EXACT)
    assert bool((log_probs[0, 10:] > -10).all())
    assert log_probs[3, 10] > -10
    assert bool((log_probs[1:3, 10:] == -math.inf).all())
    assert log_probs[3, 11] == -math.inf


def test_an_unknown_word_that_was_copied_is_fed_back_as_unknown() -> None:
    model, given = make(copying="pointer").eval(), pair()
    state = model.begin(given.source, given.copies)
    beyond, _ = model.step(torch.full((4,), 10), state)
    unknown, _ = model.step(torch.full((4,), UNKNOWN), state)
    assert torch.equal(beyond, unknown)


def test_a_target_word_that_neither_vocabulary_nor_source_has_is_unknown() -> None:
    for copying in ("none", "unknown", "pointer"):
        model, given = make(copying=copying).eval(), pair()
        values = given.target.values.clone()
        values[1, 0] = 10
        found = model.loss(given._replace(target=Padded(values, WRITTEN)))[0]
        values[1, 0] = UNKNOWN
        assert torch.equal(found, model.loss(given._replace(target=Padded(values, WRITTEN)))[0])


def test_a_copy_that_no_weight_is_left_for_costs_much_but_not_infinitely_much() -> None:
    model, given = make(copying="pointer", attention="dot").float(), pair()
    with torch.no_grad():
        model.attention.query.weight.mul_(1e6)
    total, _, _ = model.loss(given)
    total.backward()
    assert bool(total.isfinite())
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


@pytest.mark.parametrize("copying", ["none", "pointer"])
def test_label_smoothing_is_that_of_torch_and_for_training_alone(copying: str) -> None:
    model, plain, given = make(copying=copying, label_smoothing=0.2), make(copying=copying), pair()
    scores = model.log_probs(given)
    if copying == "none":
        targets = torch.full((4, 5), -1)
        for row in range(4):
            codes = [*given.target.values[row, : WRITTEN[row]].tolist(), END]
            targets[row, : len(codes)] = torch.tensor([code if code < SIZE else UNKNOWN for code in codes])
        wanted = cross_entropy(
            scores.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction="sum", label_smoothing=0.2
        )
        torch.testing.assert_close(model.loss(given)[0], wanted, **EXACT)
    assert model.loss(given)[0] != plain.loss(given)[0]
    torch.testing.assert_close(model.eval().loss(given)[0], plain.eval().loss(given)[0], rtol=0, atol=0)


@pytest.mark.parametrize("way", [{}, {"feeding": True}, {"copying": "pointer"}, {"attention": "none"}], ids=str)
def test_scheduled_sampling_at_rate_one_reads_the_models_own_guesses(way: dict[str, Any]) -> None:
    model, given = make(**way, sampling=1.0), pair()
    torch.nn.init.normal_(model.output.own)
    inputs = torch.cat([torch.full((4, 1), BEGIN), given.target.values[:, :3].clamp(max=SIZE)], 1)
    inputs = torch.where(inputs == SIZE, UNKNOWN, inputs)
    state, lengths = model.begin(given.source, given.copies), torch.full((4,), 4)
    if way.get("feeding"):
        step_state, codes, found = state, inputs[:, 0], []
        for _ in range(4):
            log_probs, step_state = model.step(codes, step_state)
            found.append(log_probs)
            codes = log_probs.argmax(1)
        wanted = torch.stack(found, 1)
    else:
        first = model._log_probs(model._at_once(inputs, lengths, state), state.copies).argmax(2)
        guessed = torch.where(first >= SIZE, UNKNOWN, first)
        second = torch.cat([inputs[:, :1], guessed[:, :-1]], 1)
        wanted = model._log_probs(model._at_once(second, lengths, state), state.copies)
    read = model._log_probs(model._follow(inputs, lengths, state, 1.0), state.copies)
    torch.testing.assert_close(read, wanted, **EXACT)
    teacher = model._log_probs(model._follow(inputs, lengths, state, 0.0), state.copies)
    assert not torch.allclose(read, teacher)
    assert torch.equal(model.eval().loss(given)[0], make_like(model, way).eval().loss(given)[0])


def make_like(model: Decode, way: dict[str, Any]) -> Decode:
    plain = make(**way)
    plain.load_state_dict(model.state_dict())
    return plain


def test_guesses_are_made_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    model, given = make(copying="pointer").eval(), pair()
    state, inputs, _ = model._begin(given)
    written = model._at_once(inputs, WRITTEN + 1, state)
    whole = model._guesses(written, state.copies)
    monkeypatch.setattr(room, "LOGITS", 2 * 4 * SIZE)
    assert torch.equal(model._guesses(written, state.copies), whole)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_target_can_start_from_a_vector_alone(cell: str) -> None:
    torch.manual_seed(0)
    options = DecodeOptions(cell=cell, hidden_size=5, attention="none", source_size=3)
    model = Decode(None, None, Embedding(SIZE, 6), SIZE, options).double()
    vectors = torch.randn(4, 3, dtype=torch.float64)
    given = Pair(vectors, Padded(pair().target.values.clamp(max=9), WRITTEN))
    together = model.log_probs(given)
    for row in range(4):
        state = model.begin(vectors[row : row + 1])
        for t, code in enumerate([BEGIN, *given.target.values[row, : WRITTEN[row]].tolist()]):
            log_probs, state = model.step(torch.tensor([code]), state)
            torch.testing.assert_close(log_probs[0], together[row, t], **EXACT)
    assert not torch.allclose(together[0, 0], together[1, 0])
    model.loss(given)[0].backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_it_learns_to_turn_a_sequence_around_and_to_copy_what_it_does_not_know() -> None:
    torch.manual_seed(0)
    lengths = torch.randint(1, 5, (48,))
    words = torch.randint(4, 12, (48, 4))
    mask = torch.arange(4) < lengths[:, None]
    index = torch.where(mask, lengths[:, None] - 1 - torch.arange(4), 0)
    # To the target's vocabulary of 8, words 8 to 11 are unknown; the first of a row has the code 8, and so on.
    copies = words.clone()
    for row in range(48):
        seen: dict[int, int] = {}
        for place in range(int(lengths[row])):
            word = int(words[row, place])
            if word >= 8:
                copies[row, place] = 8 + seen.setdefault(word, len(seen))
    target = torch.where(mask, copies.gather(1, index), 0)
    batch = Pair(Padded(torch.where(mask, words, 0), lengths), Padded(target, lengths), torch.where(mask, copies, 0))
    encoder = make_encoder(16, EncoderOptions(cell="gru", hidden_size=16, bidirectional=True))
    options = DecodeOptions(cell="gru", hidden_size=32, copying="pointer", attention="dot")
    model = Decode(WordReader(Embedding(12, 16)), encoder, Embedding(8, 16), 8, options)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(120):
        total, count, _ = model.loss(batch)
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    total, count, _ = model.eval().loss(batch)
    assert total / count < 0.1
    chosen = model.log_probs(batch).argmax(2)[:, :4]
    assert (chosen == target)[mask].double().mean() > 0.95


def test_what_does_not_go_together_is_refused() -> None:
    for options, match in (
        ({"attention": "none", "feeding": True}, "feeding=True needs an attention"),
        ({"attention": "none", "copying": "pointer"}, "copying='pointer' needs an attention"),
        ({"source_size": 3}, "source_size=3 is for targets that start from a vector"),
        ({"cell": "lstmm"}, "Did you mean 'lstm'"),
    ):
        with pytest.raises(OptionError, match=match):
            make(**options)
    reader = WordReader(Embedding(SOURCES, 4))
    for bad in (DecodeOptions(), DecodeOptions(attention="none"), DecodeOptions(source_size=3)):
        with pytest.raises(OptionError, match="needs source_size=, attention='none' and no encoder"):
            Decode(None, None, Embedding(SIZE, 6), SIZE, bad)
    with pytest.raises(OptionError, match="4 features that the reader gives, got input_size=5"):
        Decode(reader, make_encoder(5, EncoderOptions()), Embedding(SIZE, 6), SIZE, DecodeOptions())
    with pytest.raises(DataError, match=r"a code for each source token \(4, 5\), got None"):
        make(copying="pointer").loss(pair()._replace(copies=None))
    with pytest.raises(DataError, match="a source must be a Padded for the reader, got Tensor"):
        make().begin(torch.zeros(2, 3))
    vector = Decode(None, None, Embedding(SIZE, 6), SIZE, DecodeOptions(attention="none", source_size=3))
    with pytest.raises(DataError, match=r"must be vectors \(batch, 3\), got Padded"):
        vector.begin(pair().source)
    with pytest.raises(ShapeError, match=r"\(batch, 3\), got \(2, 4\)"):
        vector.begin(torch.zeros(2, 4))


def test_options_go_to_json_and_back() -> None:
    options = DecodeOptions(cell="gru", feeding=True, copying="pointer", sampling=0.25)
    assert DecodeOptions(**options.to_json()) == options
