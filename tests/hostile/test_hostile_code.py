"""Models, corpora and files that would run code of their makers: nothing of it runs, whatever reads them.

Each entry point is given a file or folder with a trap planted in it. Reading may succeed or end in a typed error; the
trap must not have gone off. That each trap works is tested, too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import torch
import yaml
from tiny import tiny_clip, tiny_dinov2
from tiny_diffusion import tiny_pipeline
from typer.testing import CliRunner

from igmu_data.errors import IgmuError
from igmu_metrics import registry
from igmu_metrics.cli import app
from igmu_metrics.images.pipelines import find_pipeline

pytestmark = pytest.mark.usefixtures("one_thread")
Plant = Callable[["Trap", Path], None]


class Trap:
    """Leaves a trace where it goes off.

    Args:
        trace: the folder that it makes.
    """

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)

    @property
    def code(self) -> str:
        """The trap as a Python module that also has whatever classes somebody asks of it."""
        return (
            f"import os\nos.path.exists({str(self.trace)!r}) or os.mkdir({str(self.trace)!r})\n"
            "def __getattr__(name):\n"
            "    return type(name, (), {'from_pretrained': classmethod(lambda *a, **k: None)})\n"
        )

    def script(self, path: Path) -> None:
        """Put it down as Python."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.code)

    def pickle(self, path: Path) -> None:
        """Put it down as a plain pickle."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(self))

    def torch(self, path: Path) -> None:
        """Put it down as torch saves things."""
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"state_dict": self}, path)


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    yield Trap(tmp_path / "ran")
    assert not (tmp_path / "ran").exists()


def test_the_traps_work(tmp_path: Path) -> None:
    one = Trap(tmp_path / "one")
    one.pickle(tmp_path / "a.pkl")
    pickle.loads((tmp_path / "a.pkl").read_bytes())
    two = Trap(tmp_path / "two")
    two.torch(tmp_path / "b.pt")
    torch.load(tmp_path / "b.pt", weights_only=False)
    three = Trap(tmp_path / "three")
    three.script(tmp_path / "trap_module.py")
    spec = importlib.util.spec_from_file_location("trap_module", tmp_path / "trap_module.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert {p.name for p in tmp_path.iterdir()} >= {"one", "two", "three"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {
        "pipeline": tiny_pipeline(root / "sd"),
        "clip": tiny_clip(root / "clip"),
        "dinov2": tiny_dinov2(root / "dinov2"),
    }


def told(path: Path, **more: Any) -> None:
    """Add to a JSON file."""
    path.write_text(json.dumps((json.loads(path.read_text()) if path.is_file() else {}) | more))


def in_place(name: str) -> Plant:
    """A pickle under the name of a file."""
    return lambda trap, folder: trap.pickle(folder / name)


def beside(name: str, *, gone: str = "", how: str = "torch") -> Plant:
    """A pickle under a name that libraries look for, where wanted in place of the safetensors."""

    def plant(trap: Trap, folder: Path) -> None:
        getattr(trap, how)(folder / name)
        for path in folder.glob(gone) if gone else ():
            path.unlink()

    return plant


def auto_map(config: str, *names: str) -> Plant:
    """Code in the folder that a configuration names, as transformers' remote code."""

    def plant(trap: Trap, folder: Path) -> None:
        at = (folder / config).parent
        trap.script(at / "trap_code.py")
        told(folder / config, auto_map=dict.fromkeys(names, "trap_code.Trapped"))

    return plant


def index(**parts: Any) -> Plant:
    """Code that a pipeline's index names, in every place where diffusers looks for it."""

    def plant(trap: Trap, folder: Path) -> None:
        for place in ("trap_code.py", "pipeline.py", "unet/trap_code.py", "scheduler/trap_code.py"):
            trap.script(folder / place)
        told(folder / "model_index.json", **parts)

    return plant


PIPELINES: Final[dict[str, Plant]] = {
    "pickled U-Net": beside("unet/diffusion_pytorch_model.bin", gone="unet/*.safetensors"),
    "pickled U-Net beside the other": beside("unet/diffusion_pytorch_model.bin"),
    "pickled text encoder": beside("text_encoder/pytorch_model.bin", gone="text_encoder/*.safetensors"),
    "pickled text encoder beside the other": beside("text_encoder/pytorch_model.bin"),
    "pickled autoencoder": beside("vae/diffusion_pytorch_model.bin", gone="vae/*.safetensors"),
    "pickled everything": lambda trap, folder: [  # type: ignore[func-returns-value]
        trap.pickle(path) for path in folder.rglob("*") if path.is_file()
    ],
    "a pickle as safetensors": in_place("unet/diffusion_pytorch_model.safetensors"),
    "a pickle as scheduler": in_place("scheduler/scheduler_config.json"),
    "a pickle beside the scheduler": in_place("scheduler/scheduler.pkl"),
    "a pickle as vocabulary": in_place("tokenizer/vocab.json"),
    "a pickle as merges": in_place("tokenizer/merges.txt"),
    "a pickle as tokenizer": in_place("tokenizer/tokenizer.json"),
    "a pickled tokenizer": in_place("tokenizer/tokenizer.pkl"),
    "code of the tokenizer": auto_map("tokenizer/tokenizer_config.json", "AutoTokenizer"),
    "code of the text encoder": auto_map("text_encoder/config.json", "AutoModel", "AutoConfig"),
    "code of the U-Net": auto_map("unet/config.json", "AutoModel", "AutoConfig"),
    "code of the scheduler": auto_map("scheduler/scheduler_config.json", "AutoConfig"),
    "code as pipeline": index(_class_name=["trap_code", "StableDiffusionPipeline"]),
    "code as pipeline by name": index(_class_name="trap_code"),
    "code as U-Net": index(unet=["trap_code", "Trapped"]),
    "code as scheduler": index(scheduler=["trap_code", "Trapped"]),
    "code as a part more": index(extra=["trap_code", "Trapped"]),
    "a module of Python's": index(scheduler=["os", "system"]),
    "a custom pipeline": lambda trap, folder: trap.script(folder / "pipeline.py"),
    "a package": lambda trap, folder: trap.script(folder / "__init__.py"),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", PIPELINES)
def test_a_models_folder(how: str, models: dict[str, Path], trap: Trap, tmp_path: Path) -> None:
    folder = shutil.copytree(models["pipeline"], tmp_path / "model")
    PIPELINES[how](trap, folder)
    specs = [str(folder), *(f"{models['pipeline']},{part}={folder}" for part in ("unet", "text_encoder"))]
    for spec in specs:
        try:
            find_pipeline(spec, device="cpu", target="object/church").load()
        except IgmuError:
            continue


NETWORKS: Final[dict[str, Plant]] = {
    "pickled": beside("pytorch_model.bin", gone="*.safetensors"),
    "pickled beside the other": beside("pytorch_model.bin"),
    "a pickle as safetensors": in_place("model.safetensors"),
    "a pickle as configuration": in_place("config.json"),
    "a pickle as preprocessor": in_place("preprocessor_config.json"),
    "a pickle as tokenizer": in_place("tokenizer.json"),
    "code of the model": auto_map("config.json", "AutoModel", "AutoConfig", "AutoModelForImageClassification"),
    "code of a type that nobody knows": lambda trap, folder: (  # type: ignore[func-returns-value]
        auto_map("config.json", "AutoModel", "AutoConfig", "AutoModelForImageClassification")(trap, folder),
        told(folder / "config.json", model_type="trapped"),
    ),
    "code of the preprocessor": auto_map("preprocessor_config.json", "AutoImageProcessor", "AutoProcessor"),
    "code of the tokenizer": auto_map("tokenizer_config.json", "AutoTokenizer"),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", NETWORKS)
@pytest.mark.parametrize("kind", ["clip", "dinov2"])
def test_a_folder_of_a_backbone_or_classifier(
    how: str, kind: str, models: dict[str, Path], trap: Trap, tmp_path: Path
) -> None:
    folder = shutil.copytree(models[kind], tmp_path / "network")
    NETWORKS[how](trap, folder)
    for find, name in (
        (registry.backbone, kind),
        (registry.detector, "clip"),
        (registry.detector, "hf-classifier"),
    ):
        try:
            find(f"{name}:{folder}", device="cpu")
        except IgmuError:
            continue


FILES: Final = (
    *(("backbone", spec) for spec in ("inception:FILE", "lpips:alex?trunk=FILE", "clip:FILE", "dinov2:FILE")),
    *(("detector", spec) for spec in ("igmu-head:FILE", "labels:FILE", "hf-classifier:FILE", "clip:FILE")),
)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin", ".csv", ".json"])
@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_file_of_an_instrument(how: str, suffix: str, trap: Trap, tmp_path: Path) -> None:
    file = tmp_path / f"evil{suffix}"
    getattr(trap, how)(file)
    for group, spec in FILES:
        with pytest.raises(IgmuError):
            getattr(registry, group)(spec.replace("FILE", str(file)), device="cpu")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin", ".ckpt"])
@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_file_of_a_part(how: str, suffix: str, models: dict[str, Path], trap: Trap, tmp_path: Path) -> None:
    file = tmp_path / f"evil{suffix}"
    getattr(trap, how)(file)
    for kind in ("unet", "text_encoder", "lora", "embedding", "checkpoint"):
        with pytest.raises(IgmuError):
            find_pipeline(f"{models['pipeline']},{kind}={file}", device="cpu").load()
    (tmp_path / "adapter").mkdir()
    shutil.copyfile(file, tmp_path / "adapter" / "adapter_model.bin")
    with pytest.raises(IgmuError):
        find_pipeline(f"{models['pipeline']},lora={tmp_path / 'adapter'}", device="cpu").load()


def commands(trap: Trap, root: Path, model: Path) -> dict[str, list[str]]:
    """Every command that reads what others may have made, with a trap where it reads."""
    trap.script(root / "method.py")
    trap.script(root / "bench" / "bench.py")
    trap.script(root / "bench" / "__init__.py")
    trap.pickle(root / "bench" / "object" / "church" / "forget-00000-of-00001.parquet")
    (root / "bench" / "README.md").write_text(
        f"---\nconfigs: !!python/object/apply:os.mkdir [{trap.trace}]\ndata_files: bench.py\n---\n"
    )
    trap.script(root / "concepts" / "object" / "zeppelin.py")
    trap.script(root / "concepts" / "__init__.py")
    trap.pickle(root / "concepts" / "object" / "zeppelin.toml")
    coded = {
        "original": str(model),
        "unlearned": {"mine": f"{model},code={root / 'method.py'}:erase"},
        "configs": ["object.church"],
    }
    (root / "code.yaml").write_text(yaml.safe_dump(coded))
    (root / "plugin.yaml").write_text(yaml.safe_dump(coded | {"unlearned": {"a": "b/c"}, "plugin": ["method.py"]}))
    scoring = {"detector": f"plugin:{root / 'method.py'}", "plugin": str(root / "method.py")}
    (root / "scoring.yaml").write_text(
        yaml.safe_dump(coded | {"unlearned": {"filter": f"filter:{model}"}, "scoring": scoring})
    )
    (root / "tag.yaml").write_text(f"original: !!python/object/apply:os.mkdir [{trap.trace}]\n")
    trap.pickle(root / "pickled.yaml")
    images = root / "images"
    for name in ("metadata.jsonl", "prompts.csv", "a.png", "metadata.parquet"):
        trap.pickle(images / name)
    trap.script(images / "images.py")
    for name in ("card.json", "list.csv", "list.jsonl", "list.txt", "head.pth", "table.parquet"):
        trap.pickle(root / name)
    trap.pickle(root / "tables" / "table-00001-of-00002.parquet")
    trap.pickle(root / "tables" / "table-00001-of-00001.parquet")
    trap.pickle(root / "tables" / "table.json")
    trap.script(root / "data" / "data.py")
    trap.pickle(root / "data" / "train" / "church" / "a.png")
    trap.pickle(root / "data" / "train-00000-of-00001.parquet")
    out = str(root / "out")
    base = ["--config", "object.church", "--out", out]
    code = f"{model},code={root / 'method.py'}:erase"
    church = ["--concept", "object/church"]
    two = ["--original", str(images), "--unlearned", str(images)]
    return {
        "generate --pipeline": ["generate", "--model", str(model), "--pipeline", f"{root / 'method.py'}:erase", *base],
        "generate code=": ["generate", "--model", code, *base],
        "generate filter code=": ["generate", "--model", f"filter:{code}", *base],
        "generate --bench": ["generate", "--model", str(model), "--bench", str(root / "bench"), *base],
        "generate --concepts": ["generate", "--model", str(model), "--concepts", str(root / "concepts"), *base],
        "run": ["run", "--original", str(model), "--unlearned", f"mine={code}", *base],
        "run original": ["run", "--original", code, "--unlearned", f"mine={model}", *base],
        "run --dry-run": ["run", "--original", str(model), "--unlearned", f"mine={code}", *base, "--dry-run"],
        **{
            f"run {n}.yaml": ["run", str(root / f"{n}.yaml"), "--out", out]
            for n in ("code", "plugin", "scoring", "tag", "pickled")
        },
        "attack": ["attack", "--model", code, "--original", str(model), "--attack", "pez", *base],
        "attack original": ["attack", "--model", str(model), "--original", code, "--attack", "pez", *base],
        "score": ["score", *two, *base],
        "score a table": ["score", "--original", str(root / "tables"), "--unlearned", str(images), *base],
        "original": ["original", str(images), *base],
        "original code=": ["original", code, *base],
        "score --bench": ["score", *two, *base, "--bench", str(root / "bench")],
        "score --concepts": ["score", *two, *base, "--concepts", str(root / "concepts")],
        "match": ["match", str(images), "--config", "object.church"],
        "match --table": ["match", str(images), "--config", "object.church", "--table", str(root / "list.csv")],
        "merge": ["merge", str(root / "tables"), "--out", out],
        **{name: [name, str(root / "card.json")] for name in ("report", "verify", "families", "compare", "export")},
        "leaderboard": ["leaderboard", str(root)],
        "check-table": ["check-table", str(root / "list.csv")],
        "validate": ["validate", str(root / "bench")],
        "concept check": ["concept", "check", str(root / "concepts" / "object" / "zeppelin.toml")],
        "build": ["build", "--concepts", str(root / "concepts"), "--out", out],
        "train-detector": ["train-detector", "--data", str(root / "data"), *church, "--out", out],
        "import-head": ["import-head", str(root / "head.pth"), *church, "--out", f"{out}.safetensors"],
        **{
            f"import-prompts {format_}": [
                *("import-prompts", str(root / f"list.{suffix}"), "--format", format_, "--license", "MIT"),
                *("--source", "x", *church, "--out", out),
            ]
            for suffix, format_ in (("csv", "unlearndiffatk"), ("txt", "text"), ("csv", "csv"))
        },
    }


@pytest.mark.slow
def test_every_command(models: dict[str, Path], trap: Trap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = {}
    for name, words in commands(trap, tmp_path, models["pipeline"]).items():
        result = CliRunner().invoke(app, words)
        done[name] = result.exit_code
        error = result.exception
        assert error is None or isinstance(error, (IgmuError, SystemExit)), f"{name}: {error!r}"
        assert not trap.trace.exists(), name
        assert result.exit_code != 0, f"{name}: {result.output}"
        if "code" in name or "--pipeline" in name:
            assert "--trust-code" in str(error), f"{name}: {error}"


@pytest.mark.slow
def test_modules_in_the_working_directory(trap: Trap, tmp_path: Path) -> None:
    """The command is called in a folder of somebody else's, which has modules of common names."""
    for name in ("torch", "numpy", "yaml", "typer", "diffusers", "igmu_metrics", "sitecustomize", "conftest"):
        trap.script(tmp_path / f"{name}.py")
    command = Path(sys.executable).with_name("igmu")
    if not command.is_file():
        pytest.skip("igmu is not installed here as a command")
    for words in (
        ["concepts"],
        ["validate", "."],
        ["run", "--original", ".", "--unlearned", "x=.", "--config", "object.church"],
    ):
        subprocess.run([command, *words], cwd=tmp_path, capture_output=True, check=False, timeout=120)
        assert not trap.trace.exists(), words
