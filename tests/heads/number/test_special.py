from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special, stats

from unrolled.heads.number.special import beta_cdf, negative_binomial_quantile, student_t_quantile

DF = torch.tensor([2.0, 2.001, 2.3, 3.0, 4.7, 10.0, 50.0, 1e3, 1e6], dtype=torch.float64)


@pytest.mark.parametrize("level", [1e-4, 0.01, 0.1, 0.5, 0.5001, 0.6, 0.9, 0.975, 0.999, 0.9999])
def test_the_student_t_quantile_agrees_with_scipy_for_every_df(level: float) -> None:
    expected = stats.t.ppf(level, DF.numpy())
    # The door's promise is 1e-6 relative; the polynomial's own error is far below it.
    np.testing.assert_allclose(student_t_quantile(DF, level).numpy(), expected, rtol=1e-6, atol=1e-12)


def test_the_incomplete_beta_function_agrees_with_scipy() -> None:
    a, b, x = np.meshgrid([0.2, 1.0, 7.0, 300.0], [1.0, 2.0, 40.0, 5000.0], [1e-3, 0.1, 0.5, 0.95], indexing="ij")
    found = beta_cdf(*(torch.from_numpy(part) for part in (a, b, x, 1 - x)))
    # lgamma of several thousand loses about four of the sixteen digits.
    np.testing.assert_allclose(found.numpy(), special.betainc(a, b, x), rtol=1e-9, atol=1e-11)


def test_negative_binomial_quantiles_are_the_counts_of_scipy() -> None:
    mean, dispersion, level = np.meshgrid(
        [1e-6, 0.13, 1.1, 5.0, 50.0, 1e3, 1e5], [1e-4, 0.01, 0.31, 1.2, 5.0], [1e-4, 0.1, 0.5, 0.9, 0.99], indexing="ij"
    )
    found = negative_binomial_quantile(*(torch.from_numpy(part) for part in (level, mean, dispersion)))
    total = 1 / dispersion
    np.testing.assert_array_equal(found.numpy(), stats.nbinom.ppf(level, total, total / (total + mean)))


def test_a_level_that_a_count_reaches_exactly_gives_that_count() -> None:
    one = torch.ones(1, dtype=torch.float64)
    # Mean 1 and dispersion 1 is the geometric distribution: P(0) = 1/2.
    assert negative_binomial_quantile(0.5 * one, one, one).item() == 0


def test_no_values_give_no_quantiles() -> None:
    assert negative_binomial_quantile(*torch.zeros(3, 0, 4)).shape == (0, 4)
