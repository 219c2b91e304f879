"""The benchmark compares equal work: the same objective, and products counted as they are."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vaelib.models.vae import VAE
from vaelib.training.objectives import elbo

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import throughput  # noqa: E402
import usual  # noqa: E402


def test_the_usual_loop_minimises_what_vaelib_does():
    model, plain = VAE("aevb", usual.LATENT), usual.UsualVAE("aevb")
    plain.load_state_dict(model.state_dict())
    x = torch.rand(20, 784)
    bound = elbo(model, x, torch.Generator().manual_seed(1)).objective.mean()
    torch.manual_seed(1)
    torch.testing.assert_close(usual.loss_function(plain, x), -bound)


def test_every_product_of_a_step_is_counted():
    model = VAE("mlp", 2)
    x = torch.rand(10, 784)
    with FlopCounterMode(display=False) as counter:
        elbo(model, x, torch.Generator().manual_seed(0)).objective.sum().backward()
    assert counter.get_total_flops() == 10 * throughput.product_flops(model)


def test_the_best_turn_counts():
    rates = iter([1.0, 5.0, 3.0, 2.0])
    contestants = {(name, "float32"): lambda: next(rates) for name in ("one", "other")}
    assert throughput.best_of_turns(contestants, 2, "a test").to_dict() == {
        ("one", "float32"): 3.0,
        ("other", "float32"): 5.0,
    }


@pytest.mark.slow
def test_both_tables_are_printed_with_pythae_where_it_is_installed():
    command = [sys.executable, str(BENCHMARKS / "throughput.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert {
        "vaelib",
        "DataLoader",
        "preloaded tensors",
        "products alone",
        "resmlp",
        "aevb, log p(x)",
        "classifier",
    } <= set(rows)
    assert ("Pythae" in rows) == throughput.PYTHAE.exists()
    assert ("Pythae is not installed" in done.stdout) != throughput.PYTHAE.exists()
