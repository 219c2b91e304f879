"""A scale is checked by the rules by which the report finds its runs."""

import itertools
import sys

import made_up_scale
import pytest
from toy import PROJECT

sys.path.insert(0, str(PROJECT / "workflow"))

import needs

from vaelib.report.findings import theory
from vaelib.report.plain import plain_runs, usual_precision
from vaelib.runs.records import table

RUNS = {
    f"vae/{architecture}-{objective}-{precision}-{draws}": made_up_scale.vae(
        architecture, 130.0, objective=objective, precision=precision, importance_samples=draws
    )
    for architecture, objective, precision, draws in itertools.product(
        ("mlp", "conv"), ("elbo", "marginal"), ("auto", "float32", "bfloat16"), (1, 8)
    )
}


@pytest.mark.parametrize(
    "left_out",
    [
        (),
        ("auto",),
        ("auto-1",),
        ("mlp-elbo-auto",),
        ("conv-elbo-auto", "mlp-elbo-auto", "mlp-elbo-bfloat16"),
        ("auto", "bfloat16"),
        ("elbo",),
    ],
)
def test_the_scale_and_the_report_know_the_same_precision_and_the_same_plain_and_exact_runs(left_out):
    runs = {name: run for name, run in RUNS.items() if not any(part in name for part in left_out)}
    frame, settings = table(runs), {name: run["config"] for name, run in runs.items()}
    assert needs._usual_precision(settings) == usual_precision(frame)
    assert needs._plain(settings) == set(plain_runs(frame).index)
    assert needs._exact(settings) == set(theory.exact_runs(frame).index)


def test_a_decoder_on_log_px_in_another_precision_than_the_usual_one_is_not_enough():
    runs = {
        "vae/mlp-seed0": {"objective": "elbo", "protocol": "A", "architecture": "mlp", "precision": "auto"},
        "vae/conv-seed0": {"objective": "elbo", "protocol": "A", "architecture": "conv", "precision": "auto"},
        "vae/exact-seed0": {"objective": "marginal", "protocol": "A", "architecture": "mlp", "precision": "float32"},
        "latent_space/one": {"vae_run": "vae/mlp-seed0"},
        "latent_space/other": {"vae_run": "vae/exact-seed0"},
    }
    assert needs.lacking(runs, ["vae", "latent_space"]) == [
        "a run of vae with objective marginal under protocol A, precision auto",
        "a run of latent_space that looks at a model with objective marginal, precision auto",
    ]
    for run in runs.values():
        run["precision"] = "float32"
    assert needs.lacking(runs, ["vae", "latent_space"]) == []
