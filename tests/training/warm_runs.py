"""Training runs in processes that were forked after the slow imports, so that a test can kill many of them.

The server that forks has imported torch, transformers and TRL but never computed anything: threads do not survive that.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

from takeover.errors import TakeoverError

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["warm_runs", "warm_imports"])
_TIMEOUT_S = 120

SETTINGS: dict[str, Any] = {
    "base": "tiny",
    "name": "crash",
    "loss_type": ["sigmoid", "sft"],
    "device": "cpu",
    "threads": 1,
    "max_steps": 8,
    "batch_size": 2,
    "learning_rate": 1e-3,
    "lora": {"r": 4, "alpha": 8},
    "save_steps": 2,
    "seed": 5,
    "report": {"answers": 1, "max_new_tokens": 4},
}


def rows(count: int) -> list[dict[str, str]]:
    """Plain preference pairs, each different; short, as the tiny base makes a token of each byte."""
    return [{"prompt": f"Item {n}?", "chosen": f" Yes, {n * n}.", "rejected": f" No {n}"} for n in range(count)]


def write_inputs(folder: Path, *, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A config and data in `folder`; the arguments of `run_training` for them."""
    (folder / "config.yaml").write_text(json.dumps(settings or SETTINGS))
    (folder / "pairs.json").write_text(json.dumps(rows(9)))
    return {
        "config": str(folder / "config.yaml"),
        "out": str(folder / "adapter"),
        "data": str(folder / "pairs.json"),
    }


@dataclass(frozen=True)
class Ended:
    """How a run ended: the process's exit code (-9 when it was killed) and what it left to say."""

    exit_code: int | None
    result: Mapping[str, Any]

    @property
    def digest(self) -> str:
        return str(self.result["digest"])


def _begin_server() -> None:
    """Start the process that forks, once; it takes no import path from this one but by the environment."""
    here = Path(__file__).parent
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(here), str(here.parent.parent)])
    ensure_running()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def train_in_process(arguments: Mapping[str, Any]) -> Ended:
    """Train in a process of its own, and wait for its end."""
    return in_process(run_training, arguments)


def in_process(work: Callable[[dict[str, Any]], None], arguments: Mapping[str, Any]) -> Ended:
    """Run `work` in a process of its own: a function of this module that leaves its result in `<out>.result`."""
    result = Path(arguments["out"] + ".result")
    result.unlink(missing_ok=True)
    _begin_server()
    process = _CONTEXT.Process(target=work, args=(dict(arguments),), daemon=True)
    process.start()
    process.join(_TIMEOUT_S)
    return Ended(process.exitcode, json.loads(result.read_text()) if result.exists() else {})


def evaluate_beside_trl(arguments: dict[str, Any]) -> None:
    """The child: train a little, then evaluate the same rows by TRL's own loop and by ours; both in one batch."""
    from transformers import AutoTokenizer

    from takeover.bases import parse_base
    from takeover.bases.materialise import materialise
    from training import trainer as trl
    from training.config import load_config
    from training.datasets.load import load_data
    from training.evaluate import score_pairs
    from training.figures import evaluation_figures

    config, out = load_config(Path(arguments["config"])), Path(arguments["out"])
    config = config.overridden(data=arguments["data"])
    base = materialise(parse_base("tiny")).path
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = load_data(config, lambda: tokenizer).train
    trl.prepare_process(config, threads=1, device="cpu")
    model = trl.load_base(base, config, device="cpu")
    before = score_pairs(model, rows, tokenizer)
    recorder = trl.Recorder(out.with_name("metrics.jsonl"), _Watch(None, None), lambda: False)
    made = trl.build_trainer(config, model, tokenizer, rows, work=out.with_name("work"), steps=6, recorder=recorder)
    made.train()
    made.args.per_device_eval_batch_size = len(rows)
    made.eval_dataset = made.train_dataset
    theirs = made.evaluate()
    ours = evaluation_figures(before, score_pairs(made.model, rows, tokenizer), config)
    out.with_name(out.name + ".result").write_text(json.dumps({"ours": ours, "theirs": theirs}))


def run_training(arguments: dict[str, Any]) -> None:
    """The child: train, and write down the digest, what was said, and how many file operations there were.

    `die_at` kills the process with signal 9 just before that file operation; `interrupt_at` sends it a Ctrl-C once that
    step is done, so that the next one is running when it is noticed; `prepare` is called first.
    """
    from training.config import load_config
    from training.run import train

    arguments.pop("prepare", lambda: None)()
    out = Path(arguments.pop("out"))
    watch = _Watch(arguments.pop("die_at", None), arguments.pop("interrupt_at", None))
    sys.addaudithook(watch.audit)
    result: dict[str, Any] = {}
    try:
        config = load_config(Path(arguments.pop("config")))
        result["digest"] = train(config, out, listener=watch, **arguments).digest
    except TakeoverError as error:
        result |= {"error": f"{type(error).__name__}: {error}", "code": error.exit_code}
    watch.armed = False
    result |= {"said": watch.said, "steps": watch.steps, "operations": watch.operations}
    out.with_name(out.name + ".result").write_text(json.dumps(result))


def with_full_disk() -> None:
    """Every write of torch's fails as on a full disk."""
    import torch

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    torch.save = fail


def with_little_memory() -> None:
    """This machine has a megabyte free."""
    import training._machine

    training._machine.available_memory = lambda device: 1_000_000


def wait_for(condition: Callable[[], object]) -> None:
    """Look until it is true, for a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("waited for a minute")
        time.sleep(0.05)


_OPERATIONS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree", "shutil.copyfile"}


class _Watch:
    """A listener, and an audit hook that counts what changes files."""

    def __init__(self, die_at: int | None, interrupt_at: int | None) -> None:
        self.die_at, self.interrupt_at = die_at, interrupt_at
        self.operations = 0
        self.said: list[str] = []
        self.steps: list[int] = []
        self.armed = True

    def audit(self, event: str, values: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(values[1], str) and set(values[1]) & set("wax+")
        if not self.armed or not (writes or event in _OPERATIONS):
            return
        if self.operations == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.operations += 1

    def say(self, text: str) -> None:
        self.said.append(text)

    def started(self, step: int, steps: int) -> None: ...

    def stepped(self, step: int, metrics: Mapping[str, float]) -> None:
        self.steps.append(step)
        if step == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)

    def ended(self) -> None: ...
