"""What figures of the latent plane show."""

import torch

from vaelib.measure import plane
from vaelib.models.vae import VAE


def test_a_path_leads_from_the_clearest_image_to_the_other_and_is_black_where_there_is_none():
    torch.manual_seed(0)
    model = VAE("mlp").eval()
    means, labels = torch.randn(6, 2), torch.tensor([5, 2, 2, 4, 4, 5])
    elbo = torch.tensor([-3.0, -2.0, -1.0, -1.0, -2.0, -1.0])
    rows = plane.paths(model, means, labels, elbo, [(2, 4), (7, 2), (4, 5)], steps=3).unflatten(0, (3, 3))
    torch.testing.assert_close(rows[0], model.images(torch.stack([means[2], (means[2] + means[3]) / 2, means[3]])))
    torch.testing.assert_close(rows[2, [0, 2]], model.images(means[[3, 5]]))
    assert not rows[1].any()


def test_the_manifold_s_points_are_equally_likely_and_begin_at_the_top_left():
    side = 4
    steps = torch.distributions.Normal(0, 1).cdf(plane.manifold_grid(side)).reshape(side, side, 2)
    centres = torch.tensor([0.125, 0.375, 0.625, 0.875])
    torch.testing.assert_close(steps[..., 0], centres.expand(side, side))  # z_1 grows to the right
    torch.testing.assert_close(steps[..., 1], centres.flip(0)[:, None].expand(side, side))  # z_2 upwards
