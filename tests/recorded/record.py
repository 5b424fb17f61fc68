"""Record what the metrics say of tables that do not change: `python tests/recorded/record.py DEMO_FOLDER`.

The tables are those of `igmu demo --task both`: both models' measurements of a version, without its images. The figures
are recorded anew, with a line in CHANGELOG, whenever a metric's version is raised; the tables stay.

With corpus 1.0 the tables were measured anew, since the sandbox's rows have other splits and probes: compositions and
wider words are no attacks any more but counted by themselves, glued prefixes are gone, and the demo chooses other rows
to attack. The metrics of 1.0 gave every recorded figure of the former tables to the last digit, and those of the
retain rows are in the new ones as they were.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from igmu_metrics import generations, registry
from igmu_metrics.contract import scored
from igmu_metrics.evaluation import Evaluation, both, facts
from igmu_metrics.generations import Generations
from igmu_metrics.metrics._contract import parts

HERE = Path(__file__).parent
CASES = ("church-esd", "church-filter", "van-gogh-uce", "van-gogh-collapsed")


def measure(demo: Path, case: str) -> Generations:
    """The table of a version beside the original, from the images of a demo."""
    task, _, version = case.rpartition("-")
    evaluation = Evaluation(f"sandbox.{task}", bench="sandbox", detector="sandbox", clip="sandbox", cache=False)
    drawn = demo / task / "drawn"
    before, after = evaluation.found(drawn / "original", [drawn / version])
    with evaluation.opened() as tools:
        table = both(*(evaluation.measured(t, tools, case) for t in (before, after)), tools)[0]
        return table.without("path", "path_original", "prompt", "stripped_prompt").with_facts(**facts(tools, table))


def figures(table: Generations) -> dict[str, Any]:
    """Every figure of every metric, by score."""
    out = {}
    for name in registry.names("metrics"):
        metric = registry.metric(name)
        for part, seen in parts(metric, table):
            score = scored(metric, seen, {})
            if score is not None:
                out[f"{name}/{part}" if part else name] = {k: v.to_dict() for k, v in score.figures.items()}
    return out


def main() -> None:
    """Measure what has no table yet, and record the figures of all."""
    for case in CASES:
        place = HERE / f"{case}.parquet"
        if not place.exists():
            generations.write(measure(Path(sys.argv[1]), case), place, {})
        text = json.dumps(figures(generations.read(place)[0]), indent=1) + "\n"
        (HERE / f"{case}.figures.json").write_text(text)


if __name__ == "__main__":
    main()
