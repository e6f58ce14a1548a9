"""Imported once by the process that forks: everything a run imports, and nothing that computes."""

import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401
import peft  # noqa: F401
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer  # noqa: F401

import training.evaluate
import training.run
import training.trainer  # noqa: F401
