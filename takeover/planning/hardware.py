"""GPUs, and the machines of AWS that have them: sizes only. What they cost stands in `takeover.planning.prices`.

Memory is what CUDA reports (`total_gpu_memory` in vLLM's own start-up lines), which is less than the name says:
firmware and error correction take their share. The lowest figure seen is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from takeover.errors import Refused

__all__ = ["GPUS", "INSTANCES", "Gpu", "Instance", "gpu_named", "instance_named"]


@dataclass(frozen=True)
class Gpu:
    """One card. `bandwidth_gb_s` in 10^9 bytes a second, `tflops` dense 16-bit, `tflops_fp8` 0 where it has none."""

    name: str
    memory_gib: float
    bandwidth_gb_s: float
    tflops: float
    compute_capability: tuple[int, int]
    tflops_fp8: float = 0.0

    @property
    def bfloat16(self) -> bool:
        """Whether it computes in bfloat16; a T4 does not, and vLLM must be told `--dtype half`."""
        return self.compute_capability >= (8, 0)


@dataclass(frozen=True)
class Instance:
    """One machine of EC2 or SageMaker (`ml.`). `local_nvme`: it has disks of its own, which are encrypted already."""

    name: str
    gpu: Gpu
    gpus: int
    vcpus: int
    memory_gib: float
    local_nvme: bool


# Bandwidth and TFLOPS: NVIDIA's data sheets, collected 2026-11-24; dense, not "with sparsity".
_GPUS = (
    Gpu("T4", 14.56, 320, 65, (7, 5)),
    Gpu("L4", 22.03, 300, 121, (8, 9), 242),
    Gpu("A10G", 21.99, 600, 70, (8, 6)),
    Gpu("A10", 21.99, 600, 125, (8, 6)),
    Gpu("RTX-3090", 23.57, 936, 71, (8, 6)),
    Gpu("RTX-4090", 23.52, 1008, 165.2, (8, 9), 330.3),
    Gpu("RTX-5090", 31.36, 1792, 209.5, (12, 0), 419),
    Gpu("RTX-A6000", 47.41, 768, 154.8, (8, 6)),
    Gpu("L40S", 44.39, 864, 362, (8, 9), 733),
    Gpu("A100-40GB", 39.38, 1555, 312, (8, 0)),
    Gpu("A100-80GB", 79.14, 2039, 312, (8, 0)),
    Gpu("H100-PCIe", 79.1, 2039, 756, (9, 0), 1513),
    Gpu("H100-SXM", 79.1, 3350, 989.4, (9, 0), 1978.9),
    Gpu("H200", 139.72, 4800, 989, (9, 0), 1979),
    Gpu("RTX-PRO-6000", 94.97, 1597, 503.8, (12, 0), 1007.6),
    Gpu("B200", 178.35, 8000, 2250, (10, 0), 4500),
    Gpu("B300", 267.0, 8000, 2250, (10, 3), 4500),
)
GPUS: Mapping[str, Gpu] = MappingProxyType({gpu.name: gpu for gpu in _GPUS})
_OTHER_NAMES = MappingProxyType({"A100": "A100-80GB", "H100": "H100-SXM"})

# Family, GPU, whether it has local disks, and of each size: GPUs, vCPUs, memory in GiB.
# Sources: AWS's own tables docs.aws.amazon.com/ec2/latest/instancetypes/ac.html, as known 2026-11.
_SIZES: Mapping[str, tuple[str, bool, Mapping[str, tuple[int, int, float]]]] = MappingProxyType(
    {
        "g4dn": (
            "T4",
            True,
            {
                "xlarge": (1, 4, 16),
                "2xlarge": (1, 8, 32),
                "4xlarge": (1, 16, 64),
                "8xlarge": (1, 32, 128),
                "12xlarge": (4, 48, 192),
                "16xlarge": (1, 64, 256),
                "metal": (8, 96, 384),
            },
        ),
        "g5": (
            "A10G",
            True,
            {
                "xlarge": (1, 4, 16),
                "2xlarge": (1, 8, 32),
                "4xlarge": (1, 16, 64),
                "8xlarge": (1, 32, 128),
                "12xlarge": (4, 48, 192),
                "16xlarge": (1, 64, 256),
                "24xlarge": (4, 96, 384),
                "48xlarge": (8, 192, 768),
            },
        ),
        "g6": (
            "L4",
            True,
            {
                "xlarge": (1, 4, 16),
                "2xlarge": (1, 8, 32),
                "4xlarge": (1, 16, 64),
                "8xlarge": (1, 32, 128),
                "12xlarge": (4, 48, 192),
                "16xlarge": (1, 64, 256),
                "24xlarge": (4, 96, 384),
                "48xlarge": (8, 192, 768),
            },
        ),
        "g6e": (
            "L40S",
            True,
            {
                "xlarge": (1, 4, 32),
                "2xlarge": (1, 8, 64),
                "4xlarge": (1, 16, 128),
                "8xlarge": (1, 32, 256),
                "12xlarge": (4, 48, 384),
                "16xlarge": (1, 64, 512),
                "24xlarge": (4, 96, 768),
                "48xlarge": (8, 192, 1536),
            },
        ),
        "g7e": (
            "RTX-PRO-6000",
            True,
            {
                "2xlarge": (1, 8, 64),
                "4xlarge": (1, 16, 128),
                "8xlarge": (1, 32, 256),
                "12xlarge": (2, 48, 512),
                "24xlarge": (4, 96, 1024),
                "48xlarge": (8, 192, 2048),
            },
        ),
        "p4d": ("A100-40GB", True, {"24xlarge": (8, 96, 1152)}),
        "p4de": ("A100-80GB", True, {"24xlarge": (8, 96, 1152)}),
        "p5": ("H100-SXM", True, {"4xlarge": (1, 16, 256), "48xlarge": (8, 192, 2048)}),
        "p5e": ("H200", True, {"48xlarge": (8, 192, 2048)}),
        "p5en": ("H200", True, {"48xlarge": (8, 192, 2048)}),
        "p6-b200": ("B200", True, {"48xlarge": (8, 192, 2048)}),
        "p6-b300": ("B300", True, {"48xlarge": (8, 192, 4096)}),
    }
)
INSTANCES: Mapping[str, Instance] = MappingProxyType(
    {
        f"{prefix}{family}.{size}": Instance(f"{prefix}{family}.{size}", GPUS[gpu], *counts, nvme)
        for prefix in ("", "ml.")
        for family, (gpu, nvme, sizes) in _SIZES.items()
        for size, counts in sizes.items()
        if not (prefix and size == "metal")
    }
)


def gpu_named(name: str, *, where: str = "") -> Gpu:
    """The card of that name, however it is spelt (`h100`, `NVIDIA L4`, `A100 80GB`). Refused when it is unknown."""
    wanted = name.upper().removeprefix("NVIDIA").strip(" -_").replace(" ", "-").replace("_", "-")
    for known in (*GPUS, *_OTHER_NAMES):
        if known.upper() == wanted:
            return GPUS[_OTHER_NAMES.get(known, known)]
    raise Refused(
        f"the GPU {name!r} is not known here", where=where, fix=_nearest(wanted, GPUS) or f"Known: {', '.join(GPUS)}."
    )


def instance_named(name: str, *, where: str = "") -> Instance:
    """The machine of that name. Refused when it is unknown or has no GPU, with the nearest names."""
    if name in INSTANCES:
        return INSTANCES[name]
    family = name.removeprefix("ml.").partition(".")[0]
    known = family in _SIZES
    happened = f"{name!r} is no size of {family}" if known else f"{name!r} is no instance type with a known GPU"
    prefix = "ml." if name.startswith("ml.") else ""
    families = ", ".join(f"{prefix}{each}" for each in _SIZES)
    sizes = ", ".join(f"{prefix}{family}.{size}" for size in _SIZES[family][2]) if known else ""
    raise Refused(
        happened,
        where=where,
        why="vLLM needs an NVIDIA GPU of a size that is known, to say what fits on it.",
        fix=f"Known sizes: {sizes}." if sizes else f"Known families: {families}.",
    )


def _nearest(name: str, known: Mapping[str, object]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=3, cutoff=0.75)
    return f"Did you mean {' or '.join(near)}?" if near else ""
