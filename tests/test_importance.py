"""The importance-weighted bounds of log p(x) against models whose p(x) is known."""

import math

import pytest
import torch
from linear_gaussian import LinearGaussian

from vaelib.exact.importance import importance_bound, importance_weights

ROUNDING = 1e-3  # nats that float32 may cost


def test_importance_bounds_rise_to_the_closed_form_for_any_latent_dimension():
    torch.manual_seed(0)
    model = LinearGaussian(torch.randn(6, 5), shift=0.3, stretch=1.2)
    x = torch.randn(5, 5) @ model.weight.T + torch.randn(5, 6)
    log_w = importance_weights(model, x, 20_000, torch.Generator().manual_seed(0))
    bounds = [importance_bound(log_w, k).double() for k in (1, 10, 100, 20_000)]
    means = [bound.mean().item() for bound in bounds]
    assert means == sorted(means) and means[-1] - means[0] > 0.5
    torch.testing.assert_close(bounds[0], model.log_px(x) - model.gap(x, model.posterior(x)), rtol=0, atol=0.1)
    torch.testing.assert_close(bounds[-1], model.log_px(x), rtol=0, atol=0.1)


def test_importance_bound_averages_the_logarithms_of_group_means():
    log_w = torch.tensor([[1.0], [3.0], [5.0], [7.0], [100.0]]).log()
    assert importance_bound(log_w, 2).item() == pytest.approx((math.log(2) + math.log(6)) / 2)  # the fifth is left over
    assert importance_bound(log_w, 1).item() == pytest.approx(math.log(1 * 3 * 5 * 7 * 100) / 5)


def test_importance_weights_do_not_depend_on_how_images_are_blocked():
    """With the exact diagonal posterior every weight is p(x), so that a mix-up of images would show."""
    model = LinearGaussian([[2.0, 0.0], [0.0, 3.0]])
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    log_w = importance_weights(model, x, 3000, torch.Generator().manual_seed(1))
    torch.testing.assert_close(log_w.double(), model.log_px(x).expand(3000, -1), rtol=0, atol=ROUNDING)
