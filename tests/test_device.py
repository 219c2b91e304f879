"""The contract for devices: what "auto" takes, who multiplies how exactly, and that nothing mixes two devices.

Most of it is tested without a GPU, on tensors that only say they lie on one; what needs one is marked `cuda`.
"""

import json
import math
import runpy
import zlib
from dataclasses import dataclass
from functools import reduce

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from vaelib import data, device
from vaelib.exact import aggregate, cells, dimensions, identities, quadrature, torus
from vaelib.exact.gaps import split_gap
from vaelib.exact.importance import importance_weights
from vaelib.exact.quadrature import conditional_log_likelihood, exact_log_likelihood
from vaelib.measure import evaluation, failures, metrics, plane, realism
from vaelib.models.classifier import Classifier, accuracies, accuracy, predict, random_affine
from vaelib.models.torus import Torus
from vaelib.models.vae import VAE, Posterior
from vaelib.models.vaegan import VAEGAN
from vaelib.synthetic import arms, generators, samplers
from vaelib.training import mixture
from vaelib.training.adversarial import VAEGANLoss
from vaelib.training.classification import ClassifierLoss
from vaelib.training.elbo import VAELoss
from vaelib.training.lattice import LatticeLoss
from vaelib.training.lookup import LookupLoss
from vaelib.training.loop import Settings, train
from vaelib.training.loss import Loss
from vaelib.training.marginal import MarginalLoss
from vaelib.training.task import TaskLoss

CPU, GPU = torch.device("cpu"), torch.device("cuda")
DEVICES = ("cpu", "cuda")


class Pretence(TorchFunctionMode):
    """While it lasts, what is made on or moved to "cuda" stays on the processor, but says that it lies on a GPU.

    So does all that is computed from it, until it is moved back. Where the two meet it raises, as CUDA would: tensors
    in one call (but for numbers of no dimension), a generator and what it draws, a tensor and numpy. An index on
    another device than the tensor raises too; CUDA would allow some, and copy and wait without a word.

    It cannot see what only a GPU does: its own rounding and draws, types and kernels that it lacks, sums in another
    order each time, memory that runs out, time. Nor does it look into torch's own functions, such as backward.
    """

    ABOUT = ("device", "_parse_to", "_has_compatible_shallow_copy_type")  # speak of devices, and touch none
    ACROSS = ("to", "cpu", "copy_", "__set__")  # may be given both; the last is what moves a module's parameters

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, function.__name__
        if name in self.ABOUT:
            return function(*args, **kwargs)
        if function == Tensor.device.__get__:
            return place(args[0])
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        places = {place(t) for t in tensors if t.dim() or place(t) == GPU or name in ("cat", "stack")}
        asked = [torch.device(leaf) for leaf in leaves if isinstance(leaf, str | torch.device) and str(leaf) in DEVICES]
        if name in self.ACROSS:
            asked = [CPU] if name == "cpu" else asked + [place(t) for t in tensors[name != "copy_" :]]
        elif len(places) > 1:
            raise RuntimeError(f"{name} was given tensors on both devices")
        at = asked[0] if asked else GPU if GPU in places else CPU
        rng = kwargs.get("generator")
        if rng is not None and rng.device != at:
            raise RuntimeError(f"{name} on {at} was given a generator on {rng.device}")
        if name in ("numpy", "__array__") and at == GPU:
            raise TypeError(f"{name} was asked of a tensor on a GPU")

        result = function(*map(really, args), **{key: really(value) for key, value in kwargs.items()})
        if any(result is t and place(t) != at for t in tensors):
            result = result.clone()
        for t in [args[0]] if name == "__set__" else tree_leaves(result):
            if isinstance(t, Tensor):
                t.on_gpu = at == GPU
        return result


def place(tensor):
    return GPU if getattr(tensor, "on_gpu", False) else CPU


def really(argument):
    return CPU if isinstance(argument, str | torch.device) and str(argument) == "cuda" else argument


class PretendedGenerator(torch.Generator):
    """A generator of the processor that says where it was asked to be, and draws other numbers on a GPU."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls)

    def __init__(self, device="cpu"):
        self.asked = torch.device(device)

    @property
    def device(self):
        return self.asked

    def manual_seed(self, seed):
        return super().manual_seed(seed + (self.asked == GPU))


@pytest.fixture
def few(mnist) -> data.Images:
    """One image of each digit."""
    first, *others = [mnist["test"].of_class(digit).take(1) for digit in range(data.CLASSES)]
    return reduce(data.Images.join, others, first)


@pytest.fixture
def on_gpu(few, monkeypatch):
    """The few images, on a pretended GPU."""
    monkeypatch.setattr(torch, "Generator", PretendedGenerator)
    with Pretence():
        torch.manual_seed(0)
        yield few.to(GPU)


def devices(values):
    return {t.device for t in tree_leaves(values) if isinstance(t, Tensor)}


@pytest.mark.parametrize(
    "mix",
    [
        lambda here, there: here + there,
        lambda here, there: there[here.long()],
        lambda here, there: there.copy_(here) + here,
        lambda here, there: torch.stack([here[0], there[0]]),
        lambda here, there: nn.Linear(3, 1)(there),
        lambda here, there: nn.Linear(3, 1).to(GPU)(here),
        lambda here, there: there.numpy(),
        lambda here, there: torch.rand(3, generator=torch.Generator(), device=there.device),
        lambda here, there: torch.rand(3, generator=torch.Generator(there.device)),
    ],
)
def test_the_pretence_raises_where_devices_meet(on_gpu, mix):
    with pytest.raises((RuntimeError, TypeError), match=r"both devices|on a GPU|a generator on"):
        mix(torch.ones(3), torch.ones(3, device=GPU))


def test_the_pretence_lets_pass_what_cuda_would(on_gpu):
    here, there = torch.ones(3), torch.ones(3, device=GPU)
    model = nn.Linear(3, 1).to(GPU)
    assert devices([there * 2, there * here[0], here.to(there), model(there), list(model.parameters())]) == {GPU}
    assert devices([there.cpu() + here, there.to("cpu"), here.copy_(there)]) == {CPU} and devices(there) == {GPU}
    model(there).backward()
    assert model.weight.grad.device == GPU


LOSSES = {
    "elbo": lambda: VAELoss(VAE("conv"), kl_warmup_epochs=1),
    "iwae": lambda: VAELoss(VAE("mlp"), "iwae", samples=3),
    "marginal": lambda: MarginalLoss(VAE("mlp"), side=4),
    "lookup": lambda: LookupLoss(VAE("mlp"), side=12),
    "sleep": lambda: VAELoss(VAE("mlp"), "sleep"),
    "lattice": lambda: LatticeLoss(Torus()),
    "residual": lambda: VAELoss(VAE("resmlp")),
    "gaussian": lambda: VAELoss(VAE("mlp", likelihood="gaussian"), "sleep", "C"),
    "continuous": lambda: VAELoss(VAE("mlp", likelihood="continuous_bernoulli"), "sleep", "C"),
    "conditional": lambda: VAELoss(VAE("mlp", classes=10), protocol="B"),
    "classifier": lambda: ClassifierLoss(Classifier(), affine=True),
    "task": lambda: TaskLoss(VAE("mlp", classes=10), Classifier().to(GPU), weight=1.0),
    "vaegan": lambda: VAEGANLoss(VAEGAN("mlp")),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains_on_the_device_of_its_images(on_gpu, tmp_path, name):
    loss = LOSSES[name]()
    loss.model.to(GPU)
    settings = Settings(epochs=2, batch_size=5, precision="tf32")
    validation = None if name == "vaegan" else on_gpu
    interrupted = train(loss, on_gpu, validation, settings, tmp_path / "checkpoint.safetensors")
    next(interrupted)
    *_, last = train(loss, on_gpu, validation, settings, tmp_path / "checkpoint.safetensors")
    assert last["epoch"] == 2 and math.isfinite(last["train_loss"])
    terms = loss(on_gpu, torch.Generator(GPU))
    assert devices(terms) == devices(list(loss.model.parameters())) == {GPU}


@pytest.mark.parametrize("pixels", ["mean", "sample"])
@pytest.mark.parametrize("kind", ["conditional", "per_digit", "regions", "around"])
def test_every_generator_makes_its_images_where_the_labels_are(on_gpu, kind, pixels):
    models, sampler = generators.build(kind, lambda part: VAE("mlp", classes=part.classes).to(GPU), on_gpu)
    rng = torch.Generator(GPU)
    made = samplers.synthesise(sampler, models[0].likelihood, on_gpu.labels, rng, pixels)
    assert devices(made) == {GPU} and made.images.shape == (10, 1, 28, 28)


def of_arms(few):
    settings = Settings(epochs=1, batch_size=5)
    parts = arms.Parts(few, few, few, torch.Generator(GPU), lambda images: arms.certainty(Classifier().to(GPU), images))
    own = [arms.training_set(arms.ARMS[arm], parts) for arm in ("affine_and_synthetic", "synthetic_unsure")]
    model = arms.train_classifier(own[0].join(own[1]), 2, settings, afresh=True)
    unlabelled = generators.unlabelled(VAE("mlp").to(GPU), 5, seed=0)
    return predict(model, few), accuracy(model, few), accuracies(few.labels, few.labels), predict(model, unlabelled)


def of_plane(few):
    model, x = VAE("mlp").to(GPU), data.grey(few.images[:2])
    q = model.posterior(x)
    panels = [plane.posterior_panels(model, x, q, q, close) for close in (False, True)]
    elbo = torch.zeros(10, device=GPU)
    means = evaluation.encode(model, few, "B").mean
    return panels, aggregate.density_grid(q, 4.0, 10), plane.paths(model, means, few.labels, elbo, [(0, 1)], 3)


def of_dimensions(few):
    model = dimensions.fit(data.grey(few.images).double(), [2])[2]
    points = [dimensions.grid(2, 9).to(GPU), dimensions.draws(2, 9, torch.Generator(GPU))]
    return [dimensions.errors(model, data.grey(few.images).double(), z) for z in points]


def of_latents(few):
    model = VAE("mlp").to(GPU)
    numbers, _ = evaluation.latent_plane(model, few, evaluation.encode(model, few, "A").mean, few.labels, "A")
    means = torch.rand(10, 2, device=GPU)
    accuracy = metrics.knn_accuracy(means, few.labels, means, few.labels, 6)
    judge, q = Classifier().to(GPU), evaluation.encode(model, few, "A")
    return numbers, accuracy, failures.of_samples(model, judge), failures.of_reconstructions(model, judge, few, q)


def of_worth(few):
    x = data.grey(few.images[:3])
    return conditional_log_likelihood(VAE("mlp", classes=10).to(GPU), x, few.labels[:3])


def of_baselines(few):
    x, rng = data.grey(few.images[:3]), torch.Generator(GPU)
    mixtures = [fitted.mixture for fitted in mixture.passes(few, few, 4, 2, [0.5, 1.0], rng)]
    return mixtures, [fitted.log_px(x) for fitted in mixtures], torus.log_likelihood(Torus().to(GPU), x, side=4)


MEASUREMENTS = {
    "baselines": of_baselines,
    "likelihood": lambda few: evaluation.likelihood(VAE("mlp").to(GPU), few.take(2), "A", 1, {"train": few.take(1)}),
    "in three dimensions": lambda few: evaluation.likelihood(VAE("mlp", 3).to(GPU), few.take(2), "A", 1),
    "of grey pixels": lambda few: evaluation.likelihood(VAE("mlp", 2, "gaussian").to(GPU), few.take(2), "C", 1),
    "conditional": of_worth,
    "latents": of_latents,
    "plane": of_plane,
    "dimensions": of_dimensions,
    "realism": lambda few: realism.measure(Classifier().to(GPU), few, few),
    "arms": of_arms,
}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_measurement_is_made_on_the_device_of_its_images(on_gpu, monkeypatch, name):
    small = {d: box._replace(reach=3.0) for d, box in cells.BOXES.items()}
    monkeypatch.setattr(quadrature, "BOXES", small)  # these four save nine tenths of the time
    monkeypatch.setattr(cells, "BOXES", small)
    monkeypatch.setattr(cells, "WIDEST", 6.0)
    monkeypatch.setattr(plane, "PANEL_POINTS", 9)
    monkeypatch.setattr(device, "ACCELERATOR_BYTES", device.PROCESSOR_BYTES)
    assert devices(MEASUREMENTS[name](on_gpu)) <= {GPU}


def checksum(pixels):
    return f"{zlib.crc32(pixels.cpu().byte().numpy().tobytes()):08x}"


def test_the_binary_sample_that_models_are_evaluated_on_has_always_been_this_one(mnist):
    images = mnist["test"].images[:100]
    sample = data.evaluation_pixels(images, "A")
    assert checksum(sample) == "a510096e"
    assert torch.equal(data.evaluation_pixels(images[:20], "A"), sample[:20])
    assert checksum(identities.pixels(mnist["test"])[identities.IMAGES :]) == "9efe03f5"


def test_what_is_evaluated_is_drawn_alike_on_every_device(few, on_gpu):
    for sample in (lambda images: data.evaluation_pixels(images.images, "A"), identities.pixels):
        assert sample(on_gpu).device == GPU and torch.equal(sample(on_gpu).cpu(), sample(few))
    narrow = [Posterior(zeros, zeros - 3) for zeros in (torch.zeros(3, 2), torch.zeros(3, 2, device=GPU))]
    (share, holes), (share_on_gpu, holes_on_gpu) = [aggregate.hole_share(q, samples=50) for q in narrow]
    assert 0 < share == share_on_gpu < 1 and torch.equal(holes, holes_on_gpu.cpu())


@pytest.fixture
def deterministic():
    """Puts back what a GPU changes for the whole process."""
    settings, fill = torch.backends.cudnn, torch.utils.deterministic
    before = settings.deterministic, fill.fill_uninitialized_memory, torch.get_deterministic_debug_mode()
    yield
    settings.deterministic, fill.fill_uninitialized_memory = before[:2]
    torch.set_deterministic_debug_mode(before[2])


@pytest.mark.parametrize(("found", "taken"), [(None, "cpu"), ("cuda", "cuda"), ("xpu", "xpu"), ("mps", "cpu")])
def test_auto_takes_the_accelerator_that_has_float64_and_else_the_processor(monkeypatch, deterministic, found, taken):
    found = found and torch.device(found)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: found)
    assert device.resolve("auto") == device.resolve() == torch.device(taken)
    assert device.resolve("cpu") == CPU


@pytest.mark.parametrize(("name", "repeats"), [("cpu", False), ("cuda", True), ("cuda:1", True)])
def test_a_gpu_is_set_to_algorithms_that_repeat_themselves(deterministic, name, repeats):
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = False
    assert device.resolve(name) == torch.device(name)
    assert torch.are_deterministic_algorithms_enabled() == torch.backends.cudnn.deterministic == repeats
    if repeats:
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.parametrize(
    ("name", "kind", "native", "precision"),
    [
        ("auto", "cuda", False, "tf32"),
        ("auto", "cuda", True, "tf32"),
        ("auto", "cpu", True, "bfloat16"),
        ("auto", "cpu", False, "float32"),
        ("auto", "xpu", True, "float32"),
        ("float32", "cuda", True, "float32"),
        ("bfloat16", "cuda", False, "bfloat16"),
        ("tf32", "cuda", False, "tf32"),
        ("tf32", "cpu", True, "float32"),
    ],
)
def test_precision_by_name_device_and_what_the_processor_multiplies(monkeypatch, name, kind, native, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": native})
    assert device.resolve_precision(name, torch.device(kind)) == precision


def products():
    """How matrices and convolutions multiply."""
    backends = torch.backends
    return {b.fp32_precision for b in (backends.cuda.matmul, backends.cudnn, backends.cudnn.conv, backends.cudnn.rnn)}


def test_without_a_training_products_are_exact():
    assert products() == {"ieee"}
    with device.training_step("tf32", CPU):
        runpy.run_path(device.__file__)  # as at import, whatever was set before
        assert products() == {"ieee"}


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "tf32"])
def test_products_are_exact_again_after_a_training_step_and_after_one_that_fails(precision):
    with device.training_step(precision, CPU):
        assert products() == {"tf32" if precision == "tf32" else "ieee"}
    assert products() == {"ieee"}
    with pytest.raises(KeyError), device.training_step(precision, CPU):
        raise KeyError
    assert products() == {"ieee"}


def linear(x, weight, bias):
    return nn.functional.linear(x, weight, bias)


def unbiased(x, weight, bias):
    return x @ weight.T


def batched(x, weight, bias):
    return torch.bmm(x.reshape(4, 8, 36), weight.reshape(4, 4, 36).mT)


def convolution(x, weight, bias):
    return nn.functional.conv2d(x.reshape(32, 4, 3, 3), weight.reshape(16, 4, 3, 3), bias, padding=1)


def transposed(x, weight, bias):
    return nn.functional.conv_transpose2d(x.reshape(32, 4, 3, 3), weight.reshape(4, 16, 3, 3), bias, stride=2)


@pytest.mark.parametrize("product", [linear, unbiased, batched, convolution, transposed])
def test_an_emulated_product_of_bfloat16_and_its_gradients_are_the_exact_ones_rounded(monkeypatch, product):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    rng = torch.Generator().manual_seed(0)
    exact = [torch.randn(shape, generator=rng).bfloat16().double() for shape in ((32, 36), (16, 36), (16,))]
    leaves = [t.float().requires_grad_() for t in exact]
    with device.training_step("bfloat16", CPU):
        with device.autocast("bfloat16", CPU):
            found = product(*leaves)
        slope = torch.randn(found.shape, generator=rng).bfloat16()
        found.backward(slope)
    assert found.dtype == torch.bfloat16
    exact = [t.requires_grad_() for t in exact]
    expected = product(*exact)
    expected.backward(slope.double())
    half_a_unit = dict(rtol=2**-8, atol=1e-5)
    torch.testing.assert_close(found.double(), expected, **half_a_unit)
    for ours, theirs in zip(leaves, exact, strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad.double(), theirs.grad, **half_a_unit)


@pytest.mark.parametrize(
    ("precision", "kind", "native", "emulated"),
    [
        ("bfloat16", "cpu", False, True),
        ("bfloat16", "cpu", True, False),
        ("bfloat16", "cuda", False, False),
        ("float32", "cpu", False, False),
        ("tf32", "cuda", False, False),
    ],
)
def test_bfloat16_is_emulated_where_the_processor_has_no_instruction_for_it(
    monkeypatch, precision, kind, native, emulated
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    assert device.emulated(precision, torch.device(kind)) == emulated
    product = torch.ones(2, 2).bfloat16()
    with monkeypatch.context() as patched, device.training_step(precision, torch.device(kind)):
        patched.setattr(Tensor, "bfloat16", lambda _: pytest.fail("rounded"))
        if emulated:
            with pytest.raises(pytest.fail.Exception, match="rounded"):
                product @ product
        else:
            assert (product @ product).dtype == torch.bfloat16


@dataclass(eq=False)
class Spy(Loss):
    """Writes down how products are made while it is computed, and while its gradient is."""

    seen: list

    def __call__(self, batch, rng, epochs_done=0.0, training=True):
        values = self.model.weight.sum() * torch.ones(len(batch.labels))
        self.note("forward" if training else "validation")
        if training:
            values.register_hook(lambda gradient: self.note("backward"))
        return {"loss": values}

    def note(self, moment):
        self.seen.append((moment, *products(), torch.is_autocast_enabled("cpu")))


@pytest.mark.parametrize(
    ("precision", "product", "casts"), [("float32", "ieee", False), ("tf32", "tf32", False), ("bfloat16", "ieee", True)]
)
def test_only_the_step_of_a_training_multiplies_in_less_and_never_its_validation(few, precision, product, casts):
    loss = Spy(nn.Linear(1, 1), [])
    for _ in train(loss, few, few, Settings(epochs=2, batch_size=10, precision=precision)):
        loss.note("between epochs")
    step = [("forward", product, casts), ("backward", product, False)]
    assert loss.seen == 2 * [*step, ("validation", "ieee", False), ("between epochs", "ieee", False)]


def test_affine_maps_are_exact_whatever_the_training_multiplies_in(few):
    x = data.grey(few.images)
    expected = random_affine(x, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        assert nn.Linear(784, 1)(x).dtype == torch.bfloat16
        assert torch.equal(random_affine(x, torch.Generator().manual_seed(0)), expected)


@pytest.mark.parametrize(
    ("target", "memory", "row_bytes", "rows"),
    [
        (CPU, 0, 10_040, 1000),
        (CPU, 0, 10**9, 1),
        (GPU, 80 * 10**9, 10_000, 50_000),
        (GPU, 3_200_000_000, 10_000, 10_000),
        (GPU, 3_200_000_000, 10**9, 1),
        (torch.device("xpu"), 0, 10_000, 50_000),
    ],
)
def test_blocks_suit_the_cache_or_the_memory_and_are_never_empty(monkeypatch, target, memory, row_bytes, rows):
    monkeypatch.setattr(device, "memory", lambda target: memory)
    assert device.rows_at_once(target, row_bytes) == rows


def test_a_processor_is_called_by_its_name_and_counts_no_memory(monkeypatch, capsys):
    monkeypatch.setattr(device, "resolve", lambda: CPU)
    device.main()
    said = json.loads(capsys.readouterr().out)
    assert said == {"device": device.vendor_name(CPU), "type": "cpu", "memory": 0} and said["device"]


def draws(few):
    """Everything that is both drawn and made in blocks."""
    torch.manual_seed(0)
    x, rng = data.grey(few.images), torch.Generator()
    yield importance_weights(VAE("mlp"), x, 5000, rng.manual_seed(0))
    for kind in ("conditional", "per_digit", "regions", "around"):
        models, sampler = generators.build(kind, lambda part: VAE("mlp", classes=part.classes), few)
        made = samplers.synthesise(sampler, models[0].likelihood, few.labels, rng.manual_seed(0), "sample")
        yield made.images


def test_no_draw_depends_on_how_much_is_computed_together(few, monkeypatch):
    monkeypatch.setattr(samplers, "CELLS", 20)
    expected = list(draws(few))
    monkeypatch.setattr(device, "rows_at_once", lambda target, row_bytes: 7)
    for found, before in zip(draws(few), expected, strict=True):
        torch.testing.assert_close(found, before)


def needs_cuda(test):
    """Marks a test that runs only where there is a GPU."""
    absent = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
    return pytest.mark.cuda(absent(pytest.mark.usefixtures("deterministic")(test)))


REPEATED = {
    "mlp": lambda: VAELoss(VAE("mlp")),
    "conv": lambda: VAELoss(VAE("conv")),
    "classifier": lambda: ClassifierLoss(Classifier(), affine=True),
    "vaegan": lambda: VAEGANLoss(VAEGAN("conv")),
}


def trained(name, images, path=None, stop_after=None):
    """The metrics of three epochs, or of those before it is stopped, without the seconds, and the weights."""
    torch.manual_seed(0)
    loss = REPEATED[name]()
    loss.model.to(images.images.device)
    settings = Settings(epochs=3, batch_size=100, precision=device.resolve_precision("auto", images.images.device))
    metrics = []
    for epoch in train(loss, images, None if name == "vaegan" else images, settings, path):
        metrics.append({key: value for key, value in epoch.items() if key != "seconds"})
        if len(metrics) == stop_after:
            break
    return metrics, [weight.tolist() for weight in loss.model.state_dict().values()]


@needs_cuda
@pytest.mark.parametrize("name", REPEATED)
def test_on_a_gpu_a_training_repeats_itself_and_goes_on_to_the_same_numbers(mnist, tmp_path, capsys, name):
    images = mnist["train"].take(1000).to(device.resolve("cuda"))
    expected = trained(name, images)
    assert trained(name, images) == expected
    trained(name, images, tmp_path / "checkpoint.safetensors", stop_after=1)
    assert trained(name, images, tmp_path / "checkpoint.safetensors") == expected
    assert "1 of 3 epochs were trained before" in capsys.readouterr().out


@needs_cuda
@pytest.mark.parametrize("architecture", ["mlp", "conv"])
def test_on_a_gpu_a_measurement_is_that_of_the_processor(mnist, architecture):
    device.resolve("cuda")
    torch.manual_seed(0)
    loss, images = VAELoss(VAE(architecture)), mnist["train"].take(2000)
    list(train(loss, images, None, Settings(epochs=3, batch_size=100)))
    x = data.evaluation_pixels(mnist["test"].images[:20], "A")
    on_gpu = data.evaluation_pixels(mnist["test"].images[:20].to(GPU), "A")
    assert torch.equal(on_gpu.cpu(), x)
    log_px, gaps = [], []
    for pixels in (x, on_gpu):
        model = loss.model.to(pixels.device)
        exact = exact_log_likelihood(model, pixels, keep_nodes=torch.ones(len(pixels), dtype=torch.bool))
        log_px.append(exact.log_px.cpu())
        gaps.append(split_gap(model, pixels, exact).best_elbo.cpu())
    torch.testing.assert_close(*log_px, rtol=0, atol=1e-3)
    torch.testing.assert_close(*gaps, rtol=0, atol=1e-2)
