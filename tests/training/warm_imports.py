"""Imported once by the process that forks: everything a run imports, and nothing that computes with torch."""

import gc
import io

import matplotlib.backends.backend_agg
import matplotlib.figure
import peft  # noqa: F401
from transformers.conversion_mapping import get_checkpoint_conversion_mapping
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer  # noqa: F401

import training.evaluate
import training.run
import training.trainer  # noqa: F401

# What libraries make once a process, on first use: fonts, patterns of names. Each forked run has it then.
_figure = matplotlib.figure.Figure()
matplotlib.backends.backend_agg.FigureCanvasAgg(_figure)
_figure.add_subplot().set_title("$a$ b")
for _form in ("png", "svg"):
    _figure.savefig(io.BytesIO(), format=_form)
get_checkpoint_conversion_mapping("llama")

# What is here stays: a collection in a forked run looks at the run's own objects only.
gc.collect()
gc.freeze()
