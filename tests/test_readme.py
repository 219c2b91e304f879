"""What the README tells people to type: its networks can be built, and its batch has parameters that exist."""

import re

import torch
from torch import nn

from vaelib.data import PIXELS
from vaelib.files import PROJECT_ROOT
from vaelib.models import networks
from vaelib.models.vae import VAE
from vaelib.runs import schemas

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")


def test_the_networks_of_the_readme_can_be_built_as_they_stand(monkeypatch):
    blocks = re.findall(r"```python\n(    \"\w+\": .*?)```", README, re.DOTALL)
    entries = eval("{" + "".join(blocks) + "}", vars(networks))
    assert set(entries) == {"linear", "silu"}
    for name, entry in entries.items():
        monkeypatch.setitem(networks.ARCHITECTURES, name, entry)
        model = VAE(name)
        assert model.posterior(torch.rand(3, PIXELS)).mean.shape == (3, 2)
        assert model.decode(torch.zeros(3, 2)).shape == (3, PIXELS)
    assert sum(isinstance(module, nn.SiLU) for module in model.modules()) == 4


def test_the_batch_of_the_readme_has_parameters_that_exist():
    names = set(re.findall(r"-p (\w+) ", README))
    assert {"run_dir", "architecture", "learning_rate", "epochs"} <= names <= set(schemas.VAEParameters.model_fields)
