"""The next code: losses against the definition, the laws, the penalties, and texts that start from a vector."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.align.next import Next, NextOptions, Started
from unrolled.data.batch.stream import Stretch
from unrolled.errors import DataError, NotStreamable, OptionError, ShapeError
from unrolled.heads.grid import ConditionedNotesHead, GridHead, NotesHead
from unrolled.heads.number.head import NumberHead
from unrolled.heads.number.likelihood import make_likelihood
from unrolled.heads.softmax import OutputLayer
from unrolled.nn import GRU, EncoderOptions, make_encoder
from unrolled.nn.reading.embedding import Embedding
from unrolled.nn.reading.reader import NumberReader
from unrolled.state import leaves, select_rows

SIZE, LENGTHS = 9, torch.tensor([6, 3, 1, 0])
# Sums of about fifty terms of size ten in float64.
EXACT = {"rtol": 0.0, "atol": 2**10 * 2.0**-52}
VALID = torch.arange(6) < LENGTHS[:, None]


def batch(seed: int = 0) -> Stretch:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(1, SIZE, (4, 7), generator=generator)
    target = codes[:, 1:].clone()
    target[0, 2] = -1
    reset = torch.zeros(4, 6, dtype=torch.bool)
    reset[0, 3] = reset[1, 0] = True
    return Stretch(torch.where(VALID, codes[:, :-1], 0), torch.where(VALID, target, 0), LENGTHS, reset)


def make(encoder: dict[str, Any] | None = None, width: int = 5, **options: Any) -> Next:
    torch.manual_seed(0)
    chosen = EncoderOptions(**{"cell": "lstm", "hidden_size": 5, "layers": 2, **(encoder or {})})
    tied, samples = options.pop("tied", True), options.pop("samples", None)
    embedding, encoder = Embedding(SIZE, width), make_encoder(width, chosen)
    head = OutputLayer(encoder.output_size, SIZE, embedding if tied else None, samples=samples)
    return Next(embedding, encoder, head, NextOptions(**options)).double()


def stepped(model: Next, row: Tensor, state: Any, resets: Tensor | None = None) -> tuple[Tensor, Any]:
    found = []
    for t, code in enumerate(row):
        if resets is not None and resets[t]:
            state = model.begin(1)
        log_probs, state = model.step(code[None], state)
        found.append(log_probs[0])
    return torch.stack(found), state


@pytest.mark.parametrize(("width", "tied"), [(5, True), (3, True), (3, False)])
def test_loss_and_score_are_those_of_single_steps(width: int, tied: bool) -> None:
    model, given = make(width=width, tied=tied).eval(), batch()
    total, count, _ = model.loss(given)
    scores, wanted = model.score(given), torch.zeros(4, 6, dtype=torch.float64)
    for row in range(3):
        length = int(LENGTHS[row])
        log_probs, _ = stepped(model, given.x[row, :length], model.begin(1), given.reset[row])
        for t in range(length):
            if given.target[row, t] >= 0:
                wanted[row, t] = log_probs[t, given.target[row, t]]
    torch.testing.assert_close(scores, wanted, **EXACT)
    torch.testing.assert_close(total, -wanted.sum(), **EXACT)
    assert count == 6 + 3 + 1 - 1


def test_log_probs_are_those_of_single_steps_and_carry_their_state_through_chunks() -> None:
    model, x = make().eval(), batch().x[:2]
    whole, state = model(x)
    torch.testing.assert_close(whole.exp().sum(2), torch.ones(2, 6, dtype=torch.float64), **EXACT)
    parts, carried = [], None
    for part in (x[:, :1], x[:, 1:4], x[:, 4:]):
        log_probs, carried = model(part, state=carried)
        parts.append(log_probs)
    torch.testing.assert_close(torch.cat(parts, 1), whole, **EXACT)
    torch.testing.assert_close(leaves(carried), leaves(state), **EXACT)
    alone, last = stepped(model, x[1], model.begin(1))
    torch.testing.assert_close(alone, whole[1], **EXACT)
    torch.testing.assert_close(leaves(last), leaves(select_rows(state, [1])), **EXACT)


def test_the_loss_of_a_text_in_chunks_is_the_loss_of_the_whole() -> None:
    model, given = make().eval(), batch()
    whole, count, state = model.loss(given)
    total, terms, carried = 0.0, 0, None
    for start in (0, 2, 4):
        part = slice(start, start + 2)
        lengths = (LENGTHS - start).clamp(0, 2)
        piece = Stretch(given.x[:, part], given.target[:, part], lengths, given.reset[:, part])
        found, number, carried = model.loss(piece, carried)
        total, terms = total + found, terms + number
    torch.testing.assert_close(total, whole, **EXACT)
    assert terms == count
    torch.testing.assert_close(leaves(carried), leaves(state), **EXACT)


def test_each_row_alone_equals_the_row_in_the_batch() -> None:
    model, given = make().eval(), batch()
    together = model.score(given)
    for row in range(4):
        alone = model.score(Stretch(*(part[row : row + 1] for part in given)))
        torch.testing.assert_close(alone[0], together[row], **EXACT)


@pytest.mark.parametrize("samples", [None, 4])
def test_padding_never_reaches_a_value_or_a_gradient(samples: int | None) -> None:
    model, results = make(samples=samples, activation_penalty=2, slowness_penalty=1), []
    for garbage in (0, 5, 10**9):
        given = batch()
        filled = given._replace(
            x=torch.where(VALID, given.x, garbage), target=torch.where(VALID, given.target, garbage)
        )
        model.zero_grad()
        torch.manual_seed(1)
        total, count, state = model.loss(filled)
        total.backward()
        results.append((total, count, leaves(state), [p.grad.clone() for p in model.parameters()]))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=0)


def test_penalties_are_those_of_the_formula_and_only_in_training() -> None:
    plain, given = make(), batch()
    rates = {"activation_penalty": 2.0, "slowness_penalty": 3.0}
    model = make(**rates)
    y, _ = model.encoder(model.reader(given.x), lengths=LENGTHS, reset=given.reset)
    steps = [y[row, t] for row in range(4) for t in range(int(LENGTHS[row]))]
    pairs = [
        y[row, t] - y[row, t - 1] for row in range(4) for t in range(1, int(LENGTHS[row])) if not given.reset[row, t]
    ]
    assert len(pairs) == 5 + 2 - 1
    expected = 2 * torch.stack(steps).square().mean() + 3 * torch.stack(pairs).square().mean()
    total, count, _ = model.loss(given)
    torch.testing.assert_close(total - plain.loss(given)[0], count * expected, **EXACT)
    torch.testing.assert_close(model.eval().loss(given)[0], plain.eval().loss(given)[0], rtol=0, atol=0)


def test_the_activation_penalty_sees_what_dropout_left_and_the_slowness_penalty_does_not() -> None:
    given = batch()._replace(reset=None)
    for name in ("activation_penalty", "slowness_penalty"):
        plain, model = make(output_dropout=0.5), make(output_dropout=0.5, **{name: 1.0})
        y, _ = model.encoder(model.reader(given.x), lengths=LENGTHS)
        torch.manual_seed(3)
        kept = torch.empty(4, 1, 5, dtype=torch.float64).bernoulli_(0.5) / 0.5
        dropped = (y * kept)[VALID].square().mean()
        slow = (y[:, 1:] - y[:, :-1])[VALID[:, 1:]].square().mean()
        found = []
        for each in (plain, model):
            torch.manual_seed(3)
            total, count, _ = each.loss(given)
            found.append(total / count)
        torch.testing.assert_close(
            found[1] - found[0], dropped if name == "activation_penalty" else slow, rtol=0, atol=1e-13
        )


def test_dropout_draws_one_mask_a_row_and_call() -> None:
    model = make(input_dropout=0.5)
    x = torch.ones(3, 8, 5, dtype=torch.float64)
    first, second = model._locked(x, 0.5), model._locked(x, 0.5)
    assert torch.equal(first, first[:, :1].expand_as(first))
    assert set(first.flatten().tolist()) == {0.0, 2.0}
    assert not torch.equal(first, second)
    assert model.eval()._locked(x, 0.5) is x
    assert not torch.equal(make(input_dropout=0.5).loss(batch())[0], make().loss(batch())[0])


def test_a_sampled_softmax_is_for_training_alone() -> None:
    given, full = batch(), make()
    total, _, _ = make(samples=SIZE).loss(given)
    torch.testing.assert_close(total, full.loss(given)[0], **EXACT)
    model = make(samples=3)
    assert not torch.equal(model.loss(given)[0], full.loss(given)[0])
    torch.testing.assert_close(model.eval().loss(given)[0], full.eval().loss(given)[0], rtol=0, atol=0)


@pytest.mark.parametrize("wrapped", [{}, {"recurrent_dropout": 0.5}])
def test_a_text_that_starts_from_a_vector_is_moved_by_it_from_the_first_step_on(wrapped: dict[str, float]) -> None:
    model, given = make(wrapped, condition_size=2), batch()
    torch.nn.init.normal_(model.bridge.maps[0].bias)  # type: ignore[union-attr, arg-type]
    vector = torch.randn(4, 2, dtype=torch.float64)
    started = Started(given.x, given.target, LENGTHS, vector)
    model.loss(started)[0].backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not bool((p.grad != 0).any())] == []
    model.eval()
    state = model.begin(4, vector)
    total, _, _ = model.loss(started)
    torch.testing.assert_close(model.loss(given._replace(reset=None), state)[0], total, rtol=0, atol=0)
    log_probs, _ = stepped(model, given.x[0], select_rows(state, [0]))
    torch.testing.assert_close(log_probs, model(given.x[:1], state=select_rows(state, [0]))[0][0], **EXACT)
    zero = model.begin(4, torch.zeros_like(vector))
    before, after = model.step(given.x[:, 0], zero)[0], model.step(given.x[:, 0], state)[0]
    assert bool((before != after).any(1).all())


def test_every_part_of_the_state_is_a_linear_map_of_the_vector() -> None:
    model = make({"cell": "lstm", "layers": 1}, condition_size=2)
    vector = torch.randn(3, 2, dtype=torch.float64)
    state, maps = model.begin(3, vector), model.bridge.maps  # type: ignore[union-attr]
    for leaf, part in zip(leaves(state), maps, strict=True):
        torch.testing.assert_close(leaf, vector @ part.weight.T + part.bias, **EXACT)  # type: ignore[operator, union-attr]


def test_it_learns_a_text_and_the_same_seed_gives_the_same_losses() -> None:
    text = torch.tensor([1, 2, 3, 4, 5, 6, 7, 8] * 4)
    given = Stretch(text[None, :-1], text[None, 1:], torch.tensor([31]), None)
    runs = []
    for _ in range(2):
        model = make({"layers": 1, "hidden_size": 12}, input_dropout=0.1, output_dropout=0.1, samples=6)
        optimizer, losses = torch.optim.Adam(model.parameters(), 0.03), []
        for _ in range(60):
            total, count, _ = model.loss(given)
            optimizer.zero_grad()
            (total / count).backward()
            optimizer.step()
            losses.append(total.item())
        runs.append(losses)
    assert runs[0] == runs[1]
    total, count, _ = model.eval().loss(given)
    assert total / count < 0.2 * math.log(SIZE)


def test_what_is_drawn_is_fed_back_and_goes_on_from_the_state() -> None:
    model, generator = make().eval(), torch.Generator()
    x = torch.tensor([3, 4])
    whole, _ = model.generate(x, model.begin(2), 6, generator.manual_seed(5))
    first, state = model.generate(x, model.begin(2), 2, generator.manual_seed(5))
    rest, _ = model.generate(first[:, -1], state, 4, generator)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole)
    log_probs, state = model.step(x, model.begin(2))
    expected = torch.multinomial(log_probs.exp(), 1, generator=generator.manual_seed(5))[:, 0]
    torch.testing.assert_close(whole[:, 0], expected)
    assert model.generate(x, state, 0)[0].shape == (2, 0)


def test_numbers_are_drawn_beside_what_is_known_of_their_steps() -> None:
    reader, likelihood = NumberReader(2, known=1), make_likelihood("gaussian")
    model = Next(reader, GRU(reader.output_size, 5), NumberHead(5, 2, likelihood), NextOptions()).double().eval()
    x, known = torch.randn(3, 2).double(), torch.randn(3, 4, 1).double()
    drawn, state = model.generate(x, model.begin(3), 4, torch.Generator().manual_seed(1), known)
    other, _ = model.generate(x, model.begin(3), 4, torch.Generator().manual_seed(1), known.neg())
    assert drawn.shape == (3, 4, 2)
    assert not torch.equal(drawn, other)
    given = torch.cat([torch.cat([x[:, None], drawn[:, :-1]], 1), known], -1)
    torch.testing.assert_close(leaves(model.vectors(given)[1]), leaves(state), **EXACT)


@pytest.mark.parametrize("kind", [NotesHead, ConditionedNotesHead])
def test_grids_of_notes_are_drawn_and_fed_back(kind: Callable[[int, int], GridHead]) -> None:
    reader = NumberReader(4)
    model = Next(reader, GRU(reader.output_size, 5), kind(5, 4), NextOptions()).double().eval()
    drawn, state = model.generate(torch.zeros(3, 4).double(), model.begin(3), 6, torch.Generator().manual_seed(1))
    assert drawn.shape == (3, 6, 4)
    assert ((drawn == 0) | (drawn == 1)).all()
    given = torch.cat([torch.zeros(3, 1, 4).double(), drawn[:, :-1]], 1)
    y, last = model.vectors(given)
    torch.testing.assert_close(leaves(last), leaves(state), **EXACT)
    batch = Stretch(given, drawn, torch.full((3,), 6), None)
    torch.testing.assert_close(model.score(batch), model.head.log_prob(y, drawn), **EXACT)


def test_a_missing_number_is_no_zero() -> None:
    reader = NumberReader(2, known=1)
    model = Next(reader, GRU(reader.output_size, 5), NumberHead(5, 2, make_likelihood("gaussian")), NextOptions())
    x = torch.zeros(1, 2, 3)
    gone = x.clone()
    gone[0, 0, 0] = torch.nan
    with torch.no_grad():
        assert not torch.equal(model(x)[0], model(gone)[0])
        assert model(gone)[0].isfinite().all()
    with pytest.raises(ShapeError, match="expected 3 numbers a step, got 2"):
        model(x[..., :2])


def test_what_does_not_go_together_is_refused() -> None:
    embedding = Embedding(SIZE, 5)
    with pytest.raises(NotStreamable, match="bidirectional=False"):
        Next(embedding, make_encoder(5, EncoderOptions(bidirectional=True)), OutputLayer(10, SIZE), NextOptions())
    with pytest.raises(OptionError, match="5 features that the reader gives, got input_size=4"):
        Next(embedding, GRU(4, 5), OutputLayer(5, SIZE), NextOptions())
    with pytest.raises(OptionError, match="must take the 6 features that the encoder gives, got input_size=5"):
        Next(embedding, GRU(5, 6), OutputLayer(5, SIZE), NextOptions())
    with pytest.raises(OptionError, match="row for each of the 10 codes, got 9"):
        OutputLayer(5, 10, embedding)
    with pytest.raises(OptionError, match="smoothing goes to all codes, but samples=4"):
        OutputLayer(5, 10, smoothing=0.1, samples=4)
    with pytest.raises(OptionError, match="samples must be at most size=9, got 10"):
        make(samples=10)
    with pytest.raises(OptionError, match="must be finite, got inf"):
        NextOptions(slowness_penalty=math.inf)
    with pytest.raises(OptionError, match="condition_size is 0"):
        make().begin(2, torch.zeros(2, 3))
    model = make(condition_size=2)
    with pytest.raises(DataError, match="a vector for each of 2 rows to start from, got none"):
        model.begin(2)
    with pytest.raises(DataError, match="must be a Started with its vectors, got Stretch"):
        model.loss(batch())
    with pytest.raises(ShapeError, match=r"\(batch, 2\), got \(2, 3\)"):
        model.begin(2, torch.zeros(2, 3, dtype=torch.float64))


def test_options_go_to_json_and_back() -> None:
    options = NextOptions(output_dropout=0.5, condition_size=3, slowness_penalty=1.5)
    assert NextOptions(**options.to_json()) == options
