"""Each metric's page shows it at work with `igmu_metrics.score` and `evaluate`, with the output that it really has."""

from __future__ import annotations

from pathlib import Path

import examples
import pytest

from igmu_metrics import registry
from igmu_metrics.spaces.inputs import references_of, usage

# What the examples of Spaces need here instead of models that would be downloaded.
HERE = {
    "metric.compute(": "found = metric.compute(",
    '"object.church"': '"sandbox.church"',
    '    detector="clip",\n': "",
    "vlm:FOLDER_OR_ID": "vlm:judge",
    "pickscore": "siglip:preference",
}


def test_every_metric_has_both_examples_with_their_output() -> None:
    pages = examples.kept()
    assert set(pages) == set(registry.own("metrics"))
    for name, text in pages.items():
        assert f'score(\n    "{name}"' in text or f'score("{name}"' in text
        assert f'evaluate.load("igmu/{name}")' in text
        assert text.count("```python\n") == text.count("```text\n") == 2, f"{name}: run python tests/examples.py"
        assert "n = 0" not in text, f"{name}: the example has no value"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_they_print_what_their_pages_say(tmp_path: Path) -> None:
    examples.prepare(tmp_path)
    pages = examples.kept()
    assert examples.filled(pages, tmp_path) == pages
    spaces = {}
    for name in (name for name in pages if references_of(name) == "row_ids"):
        code = usage(name, "igmu")
        before, after = ("general", "general") if '"general"' in code else ("original", "esd")
        for old, new in (HERE | {"original/": f"images/{before}/", "unlearned/": f"images/{after}/"}).items():
            code = code.replace(old, new)
        spaces[name] = f"```python\n{code}\nprint(found[{registry.metric(name).INFO.headline!r}])\n```\n"
    printed = examples.filled(spaces, tmp_path)
    assert len(printed) >= 4
    assert {name: text for name, text in printed.items() if "```text" not in text or "nan" in text} == {}
    changed = {"lpips": pages["lpips"].replace("[0.1, 0.3, 0.8]", "[0.1, 0.3, 0.9]")}
    assert examples.filled(changed, tmp_path) != changed, "the check can fail"
