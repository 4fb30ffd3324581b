from __future__ import annotations

import json

import pytest
from pydantic import Field

from unrolled.errors import OptionError
from unrolled.options import Options


class Small(Options):
    width: int = Field(ge=1)
    rates: tuple[float, ...] = (0.5,)


class Named(Small):
    owner = "Painter"


def test_options_survive_json() -> None:
    options = Small(width=3, rates=(0.1, 0.2))
    assert Small(**json.loads(json.dumps(options.to_json()))) == options


@pytest.mark.parametrize(("values", "sentence"), [
    ({"width": 3, "rate": 1}, "there is no option 'rate'. Did you mean 'rates'? Options: width, rates."),
    ({}, "option 'width' is missing; give width=."),
    ({"width": 0}, "width=0: Input should be greater than or equal to 1."),
])  # fmt: skip
def test_a_mistake_is_one_sentence_with_the_owners_name(values: dict[str, object], sentence: str) -> None:
    for kind, owner in ((Small, "Small"), (Named, "Painter")):
        with pytest.raises(OptionError) as caught:
            kind(**values)
        assert str(caught.value) == f"{owner}: {sentence}"


def test_options_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Small(width=3).width = 4
