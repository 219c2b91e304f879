"""What the README tells people to type: its networks can be built, and its batch has parameters that exist."""

import re
import subprocess
import sys

import torch
from PIL import Image
from torch import nn

from vaelib import files
from vaelib.data import PIXELS
from vaelib.files import PROJECT_ROOT
from vaelib.models import networks
from vaelib.models.vae import VAE
from vaelib.runs import schemas
from vaelib.training import checkpoints

sys.path.insert(0, str(PROJECT_ROOT / "workflow"))

import plan

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


def test_what_the_readme_says_of_the_published_report_and_the_scale_of_today_is_so():
    was, torch_was, now = re.search(
        r"made of (\d+) runs with PyTorch ([\d.]+); today the\s+scale declares (\d+)", README
    ).groups()
    page = (PROJECT_ROOT / "report" / "published" / "report.html").read_text(encoding="utf-8")
    assert f"Computed with PyTorch {torch_was}" in page and re.search(rf"all\s+{was}\s+runs", page)
    assert int(now) == len(plan.load(PROJECT_ROOT, "full").runs)


def test_what_the_readme_says_of_trainings_is_what_the_published_report_says():
    page = (PROJECT_ROOT / "report" / "published" / "report.html").read_text(encoding="utf-8")
    cells = [" ".join(cell.split()) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page)]
    said = re.findall(r"\d+\.\d\d ± \d\.\d\d", README)
    for objective, number in zip(("log p(x)", "ELBO", "ELBO, q looked up"), said, strict=True):
        assert [objective, "20", number] in [cells[i : i + 3] for i in range(len(cells))]


def test_a_copy_of_smoke_may_be_longer_and_have_another_network(tmp_path):
    (tmp_path / "workflow" / "scales").mkdir(parents=True)
    for folder in ("notebooks", "data"):
        (tmp_path / folder).symlink_to(PROJECT_ROOT / folder)
    scale = (PROJECT_ROOT / "workflow" / "scales" / "smoke.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ +linear: \{.*\}$", README, re.MULTILINE)
    scale = scale.replace("      aevb:", f"      {line.strip()}\n      aevb:")
    for name, value in (("epochs", 3), ("train_images", 0)):
        scale = re.sub(rf"(?m)^(    defaults: .*\b{name}: )\d+", rf"\g<1>{value}", scale)
    (tmp_path / "workflow" / "scales" / "my.yaml").write_text(scale, encoding="utf-8")
    runs = plan.load(tmp_path, "my").runs  # refuses what the report could not be made of
    longer = {"architecture": "linear", "epochs": 3, "train_images": 0}
    assert longer.items() <= runs["vae/linear-seed0"].parameters.items()


def test_less_disk_is_needed_for_torch_without_a_gpu():
    ask = ["make", "-s", "VENV=not/there", "--eval", "needed: ; @echo $(NEEDED_GB)", "needed"]
    for index, needed in (("", 8), ("https://download.pytorch.org/whl/cpu", 4)):
        assert index in README and f"{needed} GB of disk" in README
        command = [*ask, f"PIP_EXTRA_INDEX_URL={index}"]
        assert subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True).stdout == f"{needed}\n"


def test_the_batch_of_the_readme_has_parameters_that_exist():
    names = set(re.findall(r"-p (\w+) ", README))
    assert {"run_dir", "architecture", "learning_rate", "epochs"} <= names <= set(schemas.VAEParameters.model_fields)


def test_the_lines_about_log_px_own_digits_and_foreign_models_run_as_they_stand(monkeypatch, tmp_path, mnist):
    (tmp_path / "playground").mkdir()
    monkeypatch.chdir(tmp_path / "playground")  # where make lab opens notebooks
    monkeypatch.setattr(files, "PROJECT_ROOT", tmp_path)
    (tmp_path / "my digits").mkdir()
    for i in range(3):
        Image.fromarray(mnist["test"].images[i, 0].numpy()).save(tmp_path / "my digits" / f"{i}.png")
    torch.manual_seed(0)
    run = tmp_path / "results" / "notebook" / "vae"
    checkpoints.save(VAE("mlp"), run / "model.safetensors")
    blocks = re.findall(r"```python\n(.*?)```", README[README.index("The package needs nothing") :], re.DOTALL)
    assert len(blocks) == 3
    names = {}
    for block in blocks:
        exec(block, names)
    assert Image.open("mine.png").size == (3 * 28, 2 * 28)
    assert names["result"].log_px.shape == (100,)
