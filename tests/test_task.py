"""The classifier in the loss: what is added, whom it reaches, and that it does not move."""

import pytest
import torch

from vaelib import data
from vaelib.models.classifier import Classifier
from vaelib.models.vae import VAE
from vaelib.training.elbo import VAELoss
from vaelib.training.loop import Settings, train
from vaelib.training.task import TaskLoss


@pytest.fixture
def model() -> VAE:
    torch.manual_seed(0)
    return VAE("mlp", 2, classes=10)


@pytest.fixture
def critic() -> Classifier:
    torch.manual_seed(1)
    critic = Classifier()
    critic.head.weight.data *= 30  # untrained, but with opinions
    return critic


def seeded():
    return torch.Generator().manual_seed(0)


def test_without_weight_the_loss_is_minus_the_elbo(model, critic, mnist):
    batch = mnist["train"].take(6)
    terms, plain = TaskLoss(model, critic, 0.0)(batch, seeded()), VAELoss(model, protocol="B")
    torch.testing.assert_close(terms["loss"], plain(batch, seeded())["loss"])


def test_beta_is_the_weight_of_the_kl_in_the_loss_and_not_in_the_elbo(model, critic, mnist):
    batch = mnist["train"].take(6)
    model.encoder[-1].bias.data += 2  # untrained, the KL would be next to nothing
    terms = TaskLoss(model, critic, 2.5, beta=0.3)(batch, seeded())
    expected = 0.3 * terms["kl"] - terms["reconstruction"] + 2.5 * terms["task"]
    torch.testing.assert_close(terms["loss"], expected, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(terms["elbo"], terms["reconstruction"] - terms["kl"], rtol=1e-5, atol=1e-3)
    assert terms["kl"].min() > 1


def test_the_weight_multiplies_the_cross_entropy_of_reconstruction_and_prior_sample(model, critic, mnist):
    batch = mnist["train"].take(6)
    terms = TaskLoss(model, critic, 2.5)(batch, seeded())
    torch.testing.assert_close(terms["loss"] + terms["elbo"], 2.5 * terms["task"], rtol=1e-4, atol=1e-3)
    rng = seeded()
    given, x = model.given(batch.labels), data.grey(batch.images)
    drawn = given.posterior(x).sample(1, rng)[0]
    images = [given.images(drawn), given.images(torch.randn(6, 2, generator=rng))]
    rows = torch.arange(6)
    expected = [-critic(each).softmax(-1)[rows, batch.labels].log() for each in images]
    torch.testing.assert_close(terms["task"], expected[0] + expected[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(terms["task_prior"], expected[1], rtol=1e-4, atol=1e-4)


def test_a_vae_without_labels_pays_for_samples_by_the_entropy_of_what_the_critic_sees(critic, mnist):
    torch.manual_seed(0)
    model, batch = VAE("mlp", 2), mnist["train"].take(6)
    terms, rng = TaskLoss(model, critic, 2.5)(batch, seeded()), seeded()
    torch.testing.assert_close(terms["loss"] + terms["elbo"], 2.5 * terms["task"], rtol=1e-4, atol=1e-3)
    drawn = model.posterior(data.grey(batch.images)).sample(1, rng)[0]
    sampled = torch.distributions.Categorical(logits=critic(model.images(torch.randn(6, 2, generator=rng))))
    torch.testing.assert_close(terms["task_prior"], sampled.entropy(), rtol=1e-4, atol=1e-4)
    seen = -critic(model.images(drawn)).softmax(-1)[torch.arange(6), batch.labels].log()
    torch.testing.assert_close(terms["task"] - terms["task_prior"], seen, rtol=1e-4, atol=1e-4)


def test_it_reaches_encoder_and_decoder_and_not_the_critic(model, critic, mnist):
    TaskLoss(model, critic, 1.0)(mnist["train"].take(6), seeded())["task"].sum().backward()
    for network in (model.encoder, model.decoder):
        assert any(p.grad.abs().sum() > 0 for p in network.parameters())
    assert all(p.grad is None for p in critic.parameters())


def test_training_lowers_the_critics_cost_and_leaves_the_critic_as_it_was(model, critic, mnist):
    images = mnist["train"].take(500)
    before = {name: t.clone() for name, t in critic.state_dict().items()}
    loss = TaskLoss(model, critic, 100.0)
    history = list(train(loss, images, None, Settings(epochs=8, batch_size=50, learning_rate=5e-3)))
    assert history[-1]["train_task"] < 0.9 * history[0]["train_task"]
    assert all(torch.equal(t, before[name]) for name, t in critic.state_dict().items())
