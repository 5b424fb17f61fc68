"""`make demo` until the sandbox's models are packaged: builds the corpus, loads `object.church`, scores, reports.

It needs no network. It scores the real outputs of `../shared/church` where that folder is there, else two small folders
that it draws itself.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from builders.bench import build
from builders.hubfolder import replaced
from igmu_data.errors import exits_on_error
from igmu_data.load import bench_rows, load_bench
from igmu_data.schema import Row
from igmu_metrics import tables
from igmu_metrics.compare import against_original
from igmu_metrics.evaluate import Evaluation
from igmu_metrics.progress import bars
from igmu_metrics.report import page
from igmu_metrics.scorecard import Scorecard, write, write_text

ROOT: Final = Path(__file__).resolve().parent.parent
CHURCH: Final = "IGMU_CHURCH"
CONFIG: Final = "object.church"
_SEEDS: Final = 2
_SIDE: Final = 96


def run(out: Path, church: Path) -> list[Scorecard]:
    """Build, load, score, print and report.

    Args:
        out: folder for the corpus, the scorecards and the report.
        church: folder of real outputs; drawn folders take its place if it is missing.
    """
    from rich.console import Console

    console = Console(stderr=True)
    console.print("1/3  building the corpus")
    build(out / "hub")
    bench = out / "hub" / "igmu" / "bench"
    loaded: Any = load_bench(CONFIG, bench=bench)
    print(f"load_dataset({str(bench)!r}, {CONFIG!r}):", {s: len(loaded[s]) for s in loaded})
    print("   ", loaded["forget"][0]["prompt"])
    console.print("2/3  scoring")
    if church.is_dir():
        folder, models = church, ["esd", "fmn", "mace", "spm", "uce"]
        evaluation = Evaluation(CONFIG, layout="igmu", detector=f"labels:{church / 'labels.csv'}")
    else:
        folder, models = out / "drawn", ["forgetful", "unchanged"]
        draw(folder, list(bench_rows(CONFIG, bench=bench).values()))
        evaluation = Evaluation(CONFIG, bench=str(bench), detector=f"labels:{folder / 'labels.csv'}")
    cards = []
    with bars() as advance:
        for card in evaluation.run(folder / "original", [folder / m for m in models], advance):
            write(card, out / "cards" / f"{card.model}.json")
            cards.append(card)
    console.print("3/3  report")
    tables.show(*tables.scores(cards), tables.ranking(cards, against_original(cards)))
    pictures = {m: folder / m for m in ["original", *models]}
    report = out / "report.html"
    write_text(report, page.render(page.Section(cards, pictures, evaluation.layout, evaluation.bench)))
    print(f"report: {report}")
    print("Your own model, against the one it was made from:")
    print("  igmu generate --model MODEL --config object.church --out drawn/NAME     (once for each of the two)")
    print("  igmu score --original drawn/A --unlearned drawn/B --config object.church --detector clip --out card.json")
    return cards


def draw(folder: Path, rows: Sequence[Row]) -> None:
    """Two stand-in models on a few rows: a church is a house with a spire, and forgetting it leaves the meadow."""
    with replaced(folder) as fresh:
        _draw(fresh, _chosen(rows))


def _chosen(rows: Sequence[Row]) -> list[Row]:
    """Some forget rows, what attacks them, and some of every probe of the retain rows."""
    forget = [r for r in rows if r.split == "forget"][:: len(rows) // 48]
    sources = {r.id for r in forget}
    retain = [r for r in rows if r.split == "retain"][::4]
    return [*forget, *(r for r in rows if r.attack_source_id in sources), *retain]


def _draw(folder: Path, chosen: Sequence[Row]) -> None:
    own = sorted({r.own_concept for r in chosen if r.own_concept})
    labels = [["path", *own]]
    for model in ("original", "forgetful", "unchanged"):
        lines = []
        for row in chosen:
            for seed in row.seeds[:_SEEDS]:
                name = f"{row.split}/{row.id}_{seed}.png"
                shown = not (model == "forgetful" and row.own_concept == row.concept)
                _picture(folder / model / name, seed, row.own_concept == row.concept, shown)
                lines.append(json.dumps({"file_name": name, "id": row.id, "seed": seed}))
                cells = ["yes" if shown and c == row.own_concept else "no" for c in own]
                labels.append([f"{model}/{name}", *cells])
        write_text(folder / model / "metadata.jsonl", "\n".join(lines) + "\n")
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(labels)


def _picture(path: Path, seed: int, church: bool, shown: bool) -> None:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (_SIDE, _SIDE), (120 + seed % 60, 170, 220))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 60, _SIDE, _SIDE), fill=(90, 140 + seed % 50, 70))
    x = 20 + seed % 40
    if shown and church:
        pen.rectangle((x, 45, x + 28, 72), fill=(225, 220, 205))
        pen.polygon([(x, 45), (x + 7, 14), (x + 14, 45)], fill=(130, 60, 50))
    elif shown:
        pen.ellipse((x, 40, x + 26, 66), fill=(200, 90, 40))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@exits_on_error
def main() -> None:
    """Run the demo into `dist/demo`."""
    run(ROOT / "dist" / "demo", Path(os.environ.get(CHURCH, ROOT.parent / "shared" / "church")))


if __name__ == "__main__":
    main()
