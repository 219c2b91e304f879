"""One contract for devices: which one, how exactly it multiplies, that it repeats itself, and how much it holds.

Every measurement is made in IEEE float32. Only the step of a training may multiply in less.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

PROCESSOR_BYTES = 10_040_000  # of a block of rows: larger ones leave the cache, and take up to twice as long
ACCELERATOR_BYTES = 500_000_000  # enough rows to keep one busy; of a small one at most this part of its memory:
ACCELERATOR_PART = 32
NATIVE_BFLOAT16 = ("amx_bf16", "avx512_bf16")  # instructions of processors that multiply it: Intel's, AMD's Zen 4 on
aten = torch.ops.aten
PRODUCTS = {  # what autocast computes in bfloat16, and what their gradients are made of
    aten.mm.default, aten.addmm.default, aten.bmm.default, aten.baddbmm.default,
    aten.convolution.default, aten.convolution_backward.default,
}  # fmt: skip

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may sum in another order each time


def _multiply(float32: str) -> None:
    """How CUDA multiplies float32 from now on: "ieee", or "tf32" with 10 bits of mantissa, cuDNN's own default.

    Convolutions are named besides all of cuDNN, since some versions of torch have a default of their own for them.
    """
    cudnn = torch.backends.cudnn
    for products in (torch.backends.cuda.matmul, cudnn, cudnn.conv, cudnn.rnn):
        products.fp32_precision = float32


_multiply("ieee")


def resolve(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" is the machine's accelerator where it has one, else the processor.

    Apple's "mps" counts as none: it lacks float64, in which sums over images are taken. On CUDA the process is set to
    algorithms that repeat themselves; where there is none of that kind, torch warns.
    """
    device = torch.device("cpu" if name == "auto" else name)
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        device = accelerator if accelerator and accelerator.type != "mps" else device
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # it looks for mistakes, and takes time
    return device


def resolve_precision(name: str, device: torch.device) -> str:
    """How a training multiplies on a device: "float32", "tf32" (which CUDA alone has) or "bfloat16".

    "auto" is TF32 on CUDA, whose tensor cores need no casts for it, and bfloat16 on processors that multiply it
    natively. `make bench` measures what that gains, and the report what it costs.
    """
    if name == "tf32" and device.type != "cuda":
        return "float32"
    if name != "auto":
        return name
    if device.type == "cuda":
        return "tf32"
    return "bfloat16" if device.type == "cpu" and not emulated("bfloat16", device) else "float32"


def emulated(precision: str, device: torch.device) -> bool:
    """Whether a training in this precision gets its rounding without its speed: bfloat16 on processors without it."""
    native = any(torch.cpu.get_capabilities().get(name, False) for name in NATIVE_BFLOAT16)
    return precision == "bfloat16" and device.type == "cpu" and not native


class EmulatedBfloat16(TorchDispatchMode):
    """Within it, products of bfloat16 are summed in float32 and their results rounded, as by native instructions.

    It takes up to a third longer than float32; torch's own way, where the instructions are missing, five to ten times.
    """

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """One of torch's functions, as it is or by way of float32."""
        if function not in PRODUCTS or args[0].dtype != torch.bfloat16:
            return function(*args, **kwargs or {})
        result = function(*tree_map_only(Tensor, Tensor.float, args), **kwargs or {})
        return tree_map_only(Tensor, Tensor.bfloat16, result)


@contextlib.contextmanager
def training_step(precision: str, device: torch.device) -> Iterator[None]:
    """Within it, forward and backward, products are made as the training's precision says; those of bfloat16 besides
    need `autocast` around the forward pass.
    """
    _multiply("tf32" if precision == "tf32" else "ieee")
    try:
        with EmulatedBfloat16() if emulated(precision, device) else contextlib.nullcontext():
            yield
    finally:
        _multiply("ieee")


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Within it, around the forward pass alone, products are made in bfloat16 where the precision says so."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def rows_at_once(device: torch.device, row_bytes: int) -> int:
    """How many rows of `row_bytes` bytes a device should compute together: what all block sizes come from."""
    budget = PROCESSOR_BYTES
    if device.type != "cpu":
        budget = min(ACCELERATOR_BYTES, memory(device) // ACCELERATOR_PART or ACCELERATOR_BYTES)
    return max(1, budget // max(1, row_bytes))


def memory(device: torch.device) -> int:
    """An accelerator's memory in bytes; 0 for a processor, and for an accelerator that does not say."""
    if device.type == "cuda" and torch.cuda.is_available():
        return torch.cuda.get_device_properties(device).total_memory
    return 0


def vendor_name(device: torch.device) -> str:
    """A device as its vendor calls it, such as "NVIDIA H100 80GB HBM3" or "Intel(R) Xeon(R) Processor"."""
    if device.type == "cuda" and torch.cuda.is_available():
        return torch.cuda.get_device_name(device)
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text().splitlines() if device.type == "cpu" and processor.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), str(device))


def main() -> None:
    """`python -m vaelib.device`: the device that "auto" takes, as JSON."""
    device = resolve()
    print(json.dumps({"device": vendor_name(device), "type": device.type, "memory": memory(device)}))


if __name__ == "__main__":
    main()
