"""Bounds on figures, for continuous integration, and what to report in a paper."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from golden.record import unpack
from typer.testing import CliRunner

from igmu_data.errors import BudgetError, EmptyInputError, IncomparableError, InputError
from igmu_metrics.cli import app
from igmu_metrics.report.terminal import scores
from igmu_metrics.scorecard import Figure, Scorecard, write
from igmu_metrics.statistics.looks import Looks
from igmu_metrics.verdict import export, paper
from igmu_metrics.verdict.criteria import Criterion, Outcome, check, figures, full_name, overall, parsed
from igmu_metrics.verdict.places import card_files
from igmu_metrics.verdict.verify import read_all

NAME = "forget_score/forgetting"
BY_K = ["attack_success_rate: asr_any@2", "attack_success_rate: asr_any@5"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("criteria")
    unpack(folder)
    return folder


@pytest.fixture(scope="module")
def cards(place: Path) -> dict[str, Scorecard]:
    return {card.model: card for card in read_all([place / "cards"])}


def figure(low: float, high: float) -> Figure:
    return Figure(value=(low + high) / 2, interval=(low, high), n_prompts=9, n_generations=9)


@pytest.mark.parametrize(
    ("low", "high", "at_least", "at_most"),
    [
        (0.9, 0.95, Outcome.MET, Outcome.NOT_MET),
        (0.8, 0.9, Outcome.MET, Outcome.UNDECIDED),  # an end on the bound is on both sides
        (0.7, 0.9, Outcome.UNDECIDED, Outcome.UNDECIDED),
        (0.7, 0.8, Outcome.UNDECIDED, Outcome.MET),
        (0.1, 0.2, Outcome.NOT_MET, Outcome.MET),
        (0.8, 0.8, Outcome.MET, Outcome.MET),
    ],
)
def test_the_whole_interval_decides(low: float, high: float, at_least: Outcome, at_most: Outcome) -> None:
    found = figure(low, high)
    assert Criterion("x", 0.8, least=True).outcome(NAME, found) is at_least
    assert Criterion("x", 0.8, least=False).outcome(NAME, found) is at_most


def test_without_an_interval_only_a_count_decides() -> None:
    bare = Figure(value=3, interval=None, n_prompts=9, n_generations=9)
    assert Criterion("x", 5, least=False).outcome("frechet/retain/frechet_distance", bare) is Outcome.UNDECIDED
    assert Criterion("x", 5, least=False).outcome("concept_accuracy/n_unclear", bare) is Outcome.MET
    assert Criterion("x", 5, least=True).outcome("concept_accuracy/n_unclear", bare) is Outcome.NOT_MET


def test_the_worst_outcome_is_that_of_all() -> None:
    assert overall([]) is overall([Outcome.MET]) is Outcome.MET
    assert overall([Outcome.MET, Outcome.UNDECIDED]) is Outcome.UNDECIDED
    assert overall([Outcome.UNDECIDED, Outcome.NOT_MET, Outcome.MET]) is Outcome.NOT_MET
    assert overall([Outcome.NOT_MET, Outcome.ERROR]) is Outcome.ERROR
    assert [o.exit_code for o in (Outcome.MET, Outcome.NOT_MET, Outcome.UNDECIDED, Outcome.ERROR)] == [0, 1, 3, 2]


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("forgetting", NAME),
        ("forget_score", "forget_score/forget_score"),
        ("asr", "attack_success_rate/asr_any@k"),
        ("attack_success_rate", "attack_success_rate/asr_any@k"),
        ("conditional_asr_image/leetspeak", "attack_success_rate/conditional_asr_image/leetspeak"),
        ("clip_alignment/retain", "clip_alignment/retain/cosine"),
        ("unlearning_accuracy", "concept_accuracy/unlearning_accuracy"),  # beside concept_accuracy/negation's
    ],
)
def test_names_of_figures(cards: dict[str, Scorecard], short: str, full: str) -> None:
    assert full_name(cards["esd"].scores, short, "the scorecard") == full


def test_a_rate_is_named_with_its_k(cards: dict[str, Scorecard]) -> None:
    """any@1 and any@5 are different metrics; cards store both as any@k."""
    full = "attack_success_rate/conditional_asr_any@k"
    for name in ("conditional_asr_any@2", "attack_success_rate/conditional_asr_any@2", "conditional_asr_any@k"):
        assert full_name(cards["esd"].scores, name, "the scorecard") == full
        (found,) = check([cards["esd"]], [Criterion(name, 0.5, least=False)])
        assert (found.figure, found.label, found.outcome) == (full, "conditional_asr_any@2", Outcome.MET)
        assert found.line(on=False) == "met: esd: conditional_asr_any@2 0.143 [0.0363, 0.424] <= 0.5"
    assert full_name(cards["esd"].scores, "asr_any@2/leetspeak", "the scorecard").endswith("/asr_any@k/leetspeak")
    assert full_name(cards["esd"].scores, "asr_any@2_family_mean", "x") == "attack_success_rate/asr_any@k_family_mean"
    with pytest.raises(BudgetError, match=r"x has asr_any@2 \(k is 2\), not asr_any@5 \(k is 5\).*igmu score --k 5"):
        full_name(cards["esd"].scores, "asr_any@5", "x")
    with pytest.raises(InputError, match="x has no metric 'asr_anny@2'; did you mean 'asr_any@2'"):
        full_name(cards["esd"].scores, "asr_anny@2", "x")


def with_tries(card: Scorecard, k: int) -> Scorecard:
    """A card that says that its attacks had another number of tries."""
    signed = {
        name: entry.model_copy(update={"signature": entry.signature | {"k": k}}) if "k" in entry.signature else entry
        for name, entry in card.scores.items()
    }
    return card.model_copy(update={"scores": signed})


def test_a_bound_without_k_applies_to_one_k(cards: dict[str, Scorecard]) -> None:
    esd, uce, other = cards["esd"], cards["uce"], with_tries(cards["uce"], 5)
    for name in ("asr", "asr_any@k", "conditional_asr_any@k/leetspeak"):
        bound = Criterion(name, 0.5, least=False)
        assert all("@2" in one.label and not one.why for one in check([esd, uce], [bound]))
        assert [one.outcome for one in check([esd, other], [bound])] == [Outcome.ERROR] * 2
    (why,) = {one.why for one in check([esd, other], [parsed("asr=0.5", least=False)])}
    assert "the bound on asr would apply to rates for different k" in why
    assert "asr_any@2 of esd; asr_any@5 of uce" in why
    named_ = check([esd, other], [parsed("asr_any@2=0.5", least=False), parsed("asr_image=0.5", least=False)])
    assert [one.outcome is Outcome.ERROR for one in named_] == [False, False, True, False]
    assert "uce on sandbox.church has asr_any@5 (k is 5), not asr_any@2" in named_[2].why


def test_every_export_names_the_k(cards: dict[str, Scorecard]) -> None:
    esd, other = cards["esd"], with_tries(cards["uce"], 5)
    assert "asr_any@k" not in export.table([esd, other])
    assert {"asr_any@2", "conditional_asr_any@2/leetspeak"} <= {
        line.split(",")[3] for line in export.table([esd]).splitlines()
    }
    head, first, second = (line for line in export.latex([esd, other]).splitlines() if "&" in line)
    assert [cell.strip() for cell in head.rstrip("\\").split("&")][-2:] == ["asr any@2", "asr any@5"]
    assert [line.rstrip("\\").split("&")[-1].strip() == "--" for line in (first, second)] == [True, False]
    assert [line.rstrip("\\").split("&")[-2].strip() == "--" for line in (first, second)] == [False, True]
    assert "name: asr_any@2" in export.model_index([esd])
    cells = list(scores([esd, other])[0].columns[0].cells)
    assert [cell for cell in cells if cell in BY_K] == BY_K


def test_every_figure_can_be_named(cards: dict[str, Scorecard]) -> None:
    card = cards["esd"]
    assert all(full_name(card.scores, name, "the scorecard") == name for name in figures(card))
    assert len(figures(card)) == sum(len(entry.figures) for entry in card.scores.values())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("forgeting", "did you mean 'forgetting'?"),
        ("forget_score/robustnes", "did you mean 'forget_score/robustness'?"),
        ("cosine", "has several metrics called 'cosine': clip_alignment/forget/cosine"),
        ("xyz", "has no metric 'xyz'; its main metrics are unlearning_accuracy, asr_any@"),
        ("xyz", "forgetting, robustness, preservation, alignment, quality. For what they mean, run: igmu metrics"),
    ],
)
def test_names_that_are_none(cards: dict[str, Scorecard], name: str, says: str) -> None:
    (found,) = check([cards["esd"]], [Criterion(name, 0.5, least=True)])
    assert found.outcome is Outcome.ERROR
    assert says in found.why
    assert f"the scorecard of esd on {cards['esd'].config} has" in found.why


@pytest.mark.parametrize(
    "text", ["forgetting", "=0.5", "forgetting=", "forgetting=x", "forgetting=nan", "forgetting=inf"]
)
def test_criteria_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match=r"--max is .*; it must have the form METRIC=NUMBER"):
        parsed(text, least=False)


def test_one_bound_that_cannot_be_checked_hides_no_other(place: Path) -> None:
    command = ["check", str(place / "cards"), "--min", "qualitty=0.5", "--min", "forgetting=0.5", "--max", "asr=10"]
    done = CliRunner().invoke(app, command)
    assert "note on filter: " in done.stdout
    lines = done.stdout.partition("note on filter: ")[0].splitlines()
    assert [line.partition(": forgetting")[0] for line in lines] == [
        "met: esd",
        "met: filter",
        "met: uce",
    ]
    assert isinstance(done.exception, InputError)
    assert str(done.exception).count("did you mean 'quality'?") == 3
    assert str(done.exception).count("asr_any@2 lies in 0..1") == 1
    found = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert found["exit_code"] == 2
    assert found["result"]["outcome"] == "error"
    assert [one["outcome"] for one in found["result"]["results"]] == ["error", "met", "error"] * 3
    assert found["result"]["results"][0]["value"] is None


class TestImages:
    """Bounds on how much was scored."""

    @pytest.fixture
    def lacking(self, cards: dict[str, Scorecard], tmp_path: Path) -> Path:
        """A card half of whose images failed, those of retain prompts more often than others."""
        card, shares = cards["esd"], {"retain": 4}
        assert card.coverage is not None
        covered = {
            part: one.model_copy(update={"n_generations_asked": shares.get(part, 2) * one.n_generations})
            for part, one in card.coverage.items()
        }
        failures = ("unlearned model: gone",) * len(card.generations)
        scores = {name: e.model_copy(update={"n_failed": len(failures)}) for name, e in card.scores.items()}
        card = card.model_copy(update={"coverage": covered, "failures": failures, "scores": scores})
        write(card, tmp_path / "esd.json")
        return tmp_path / "esd.json"

    @pytest.mark.parametrize(
        ("bound", "line", "code"),
        [
            ("--min coverage=0.95", "not met: esd: coverage 0.25 (exact) >= 0.95", 1),
            ("--min coverage=0.25", "met: esd: coverage 0.25 (exact) >= 0.25", 0),
            ("--min coverage/forget=0.5", "met: esd: coverage/forget 0.5 (exact) >= 0.5", 0),
            ("--max failed=0.1", "not met: esd: failed 0.5 (exact) <= 0.1", 1),
            ("--max images/failed=0.5", "met: esd: failed 0.5 (exact) <= 0.5", 0),
        ],
    )
    def test_a_gate(self, lacking: Path, bound: str, line: str, code: int) -> None:
        done = CliRunner().invoke(app, ["check", str(lacking), *bound.split()])
        assert (done.output, done.exit_code) == (line + "\n", code)

    def test_without_a_gate_a_note_says_how_to_get_one(self, lacking: Path) -> None:
        done = CliRunner().invoke(app, ["check", str(lacking), "--min", "forgetting=0.5"])
        assert done.exit_code == 0
        said = " ".join(done.output.split())
        assert "failed or are missing, and no bound covers them. Add one, such as --max failed=0.01." in said

    @pytest.mark.parametrize(
        ("bound", "says"),
        [
            ("--min coverage=95", "coverage lies in 0..1, so a bound of 95 is the same for every model"),
            ("--min coverage/forgot=0.9", "has no 'coverage/forgot', only images/coverage, images/coverage/"),
        ],
    )
    def test_what_no_card_can_meet(self, lacking: Path, bound: str, says: str) -> None:
        assert says in str(CliRunner().invoke(app, ["check", str(lacking), *bound.split()]).exception)

    def test_of_an_unknown_corpus(self, cards: dict[str, Scorecard]) -> None:
        unknown = cards["esd"].model_copy(update={"coverage": None})
        (found,) = check([unknown], [parsed("coverage=0.9", least=True)])
        assert "has no value for images/coverage (the scorecard is not of prompts of a corpus)" in found.why


def test_with_two_detectors_lines_name_the_detector(cards: dict[str, Scorecard], tmp_path: Path) -> None:
    card = cards["esd"]
    scores = {k: e.model_copy(update={"signature": e.signature | {"detector": "clip"}}) for k, e in card.scores.items()}
    write(card, tmp_path / "a.json")
    write(card.model_copy(update={"scores": scores}), tmp_path / "b.json")
    done = CliRunner().invoke(app, ["check", str(tmp_path), "--min", "forgetting=0.5", "--min", "xyz=0"])
    assert done.stdout.splitlines() == [
        "met: sandbox: esd: forgetting 0.969 [0.806, 0.995] >= 0.5",
        "met: clip: esd: forgetting 0.969 [0.806, 0.995] >= 0.5",
    ]
    assert [line.partition(": the scorecard")[0] for line in str(done.exception).splitlines()] == ["sandbox", "clip"]


@pytest.mark.parametrize(
    ("bound", "says"),
    [
        (
            "--max forgetting=0.5",
            "a higher forgetting is better, but --max forgetting=0.5 is met by models for which it",
        ),
        ("--min conditional_asr_any@2=0.5", "a lower conditional_asr_any@2 is better, but --min conditional_asr_any@2"),
        ("--min failed=0.5", "a lower failed is better"),
        ("--max coverage=0.5", "a higher coverage is better"),
        ("--max forget_score=0.5", "a higher forget_score is better"),
        ("--min forgetting=0.5", ""),
        ("--max asr=0.5 --max failed=0.1 --min coverage=0.5", ""),
        ("--max csdr=0.5", ""),
    ],
)
def test_a_bound_that_lets_bad_models_in_is_named(place: Path, bound: str, says: str) -> None:
    done = CliRunner().invoke(app, ["check", str(place / "cards"), *bound.split()])
    assert (" is better, but " in " ".join(done.output.split())) is bool(says)
    assert says in " ".join(done.output.split())
    found = json.loads(CliRunner().invoke(app, ["check", str(place / "cards"), *bound.split(), "--json"]).stdout)
    assert [says in one for one in found["result"]["backward"]] == [True] * bool(says)


def test_what_is_missing_is_an_error_that_names_every_card(cards: dict[str, Scorecard]) -> None:
    lacking = []
    for card in (cards["esd"], cards["uce"]):
        entry = card.scores["forget_score"]
        none = entry.figures["quality"].model_copy(update={"value": None, "interval": None, "reason": "one seed"})
        scores = card.scores | {"forget_score": entry.model_copy(update={"figures": entry.figures | {"quality": none}})}
        lacking.append(card.model_copy(update={"scores": scores}))
    found = check(lacking, [parsed("quality=0.5", least=True), parsed("forgetting=0.5", least=True)])
    assert [one.outcome.value for one in found] == ["error", "met"] * 2
    for one, model in zip(found[::2], ("esd", "uce"), strict=True):
        assert f"card of {model} on {one.config} has no value for forget_score/quality (one seed)." in one.why
    with pytest.raises(EmptyInputError, match="no bounds were given"):
        check([cards["esd"]], [])
    with pytest.raises(EmptyInputError, match="none of the scorecards is for an unlearned model"):
        check([cards["original"]], [parsed("quality=0.5", least=True)])


@pytest.mark.parametrize(
    ("options", "code"),
    [("--min forgetting=0.5", 0), ("--min forgetting=0.5 --max asr=0.5", 1), ("--max asr=0.3 --min forgetting=0.5", 1)],
)
def test_a_folder_of_cards_is_checked(place: Path, options: str, code: int) -> None:
    done = CliRunner().invoke(app, ["check", str(place / "cards"), *options.split()])
    assert done.exit_code == code
    assert "note on filter: " in done.output
    lines = done.output.partition("note on filter: ")[0].splitlines()
    assert len(lines) == 3 * options.count("=")


def test_a_runs_folder_stands_for_its_cards(place: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("")
    (tmp_path / "models.json").write_text("{}")
    # A run that was cut off: what else its folder holds is not a scorecard.
    with pytest.raises(EmptyInputError, match="has no scorecards yet"):
        card_files([tmp_path])
    shutil.copytree(place / "cards", tmp_path / "cards")
    names = ["esd.json", "filter.json", "original.json", "uce.json"]
    assert [path.name for path in card_files([tmp_path])] == names
    done = CliRunner().invoke(app, ["leaderboard", str(tmp_path), "--out", str(tmp_path / "board.html")])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "4 scorecards" in done.output


def test_only_files_with_the_content_of_a_card_are_cards(place: Path, tmp_path: Path) -> None:
    for name, text in (("models", '{"sandbox.church": {}}'), ("igmu-looks", '{"taken": "1/11"}'), ("list", "[1]")):
        (tmp_path / f"{name}.json").write_text(text)
    with pytest.raises(EmptyInputError, match=r"no scorecards, only other JSON files \(igmu-looks.json, list"):
        card_files([tmp_path])
    shutil.copy(place / "cards" / "esd.json", tmp_path / "models.json.json")
    (tmp_path / "damaged.json").write_text("{")
    (tmp_path / "partial.json").write_text('{"scores": {}}')
    names = ["damaged.json", "models.json.json", "partial.json"]
    assert [path.name for path in card_files([tmp_path])] == names, "a damaged card is refused, not ignored"
    assert card_files([tmp_path / "list.json"]) == [tmp_path / "list.json"], "a file that is named is not chosen"


def test_a_folder_above_those_of_cards_names_them(place: Path, tmp_path: Path) -> None:
    for name in ("church/cards", "run 1/cards", "a/b/c/d"):
        shutil.copytree(place / "cards", tmp_path / name)
    (tmp_path / "run 1" / "run.yaml").write_text("")
    with pytest.raises(EmptyInputError) as found:
        card_files([tmp_path])
    folders = f"{tmp_path / 'church' / 'cards'} '{tmp_path / 'run 1'}'"
    assert str(found.value) == (
        f"{tmp_path} itself contains no scorecards, but folders below it do. Specify the folders whose scorecards you "
        f"mean: {folders}"
    )


def test_cards_by_two_clips_are_compared_but_not_ranked(
    place: Path, cards: dict[str, Scorecard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    esd, uce = cards["esd"], cards["uce"]
    changed = {
        name: entry.model_copy(update={"signature": entry.signature | {"clip": "clip:another"}})
        for name, entry in uce.scores.items()
        if "clip" in entry.signature
    }
    assert changed.keys() > {"forget_score"}
    write(esd, tmp_path / "esd.json")
    write(uce.model_copy(update={"scores": uce.scores | changed}), tmp_path / "uce.json")
    done = CliRunner().invoke(app, ["compare", str(tmp_path)])
    assert done.exit_code == 0, (done.output, done.exception)
    unlike = CliRunner().invoke(app, ["compare", str(place / "cards/esd.json"), str(place / "cards/uce.json")])
    told, before = done.output.splitlines(), unlike.output.splitlines()
    of_images = [[line for line in lines if " – " in line and "[" in line][:9] for lines in (told, before)]
    assert of_images[0] == of_images[1]  # only scores are missing
    rows = [[line.split()[1] for line in lines if line.startswith("│")][1:3] for lines in (told, before)]
    assert rows == [["esd", "uce"], ["uce", "esd"]]
    said = " ".join(done.output.split())
    assert "not ranked, because the forget scores have different settings" in said
    assert "Not compared, because the settings differ (clip: clip:sandbox and clip:another): clip_align" in done.output
    assert "The same in all scorecards: detector sandbox, threshold 0.5, original 'original', k 2" in done.output
    assert "CLIP clip:sandbox" in unlike.output
    assert "CLIP clip" not in done.output
    assert "not ranked" not in unlike.output


def test_failures_of_two_cards_of_one_model_are_both_counted(
    place: Path, cards: dict[str, Scorecard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note counted by model, so that only the last card of each model was in it."""

    def failed(n: int, config: str = "sandbox.church") -> Scorecard:
        return cards["esd"].model_copy(update={"failures": ("unlearned model: a.png",) * n, "config": config})

    def check(*some: Scorecard) -> tuple[str, dict[str, int]]:
        monkeypatch.setattr("igmu_metrics.verdict.verify.read_all", lambda paths: list(some))
        words = ["check", str(place / "cards/esd.json"), "--max", "asr=1"]
        answer = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["result"]["failures"]
        return " ".join(CliRunner().invoke(app, words).output.split()), answer

    told, answer = check(failed(2), failed(3, "sandbox.castle"), failed(0, "sandbox.tower"))
    assert answer == {"esd on sandbox.church": 2, "esd on sandbox.castle": 3}
    for name, n in answer.items():
        assert f"note: {n} of the images of {name} failed or are missing" in told
    told, answer = check(failed(2), failed(4))
    assert answer == {"esd": 6}
    assert "note: 6 of the images of esd failed or are missing" in told


# --- paper ------------------------------------------------------------------------------------------------------------


def groups(text: str) -> None:
    """Braces and environments are closed in order, every row has as many cells as the table has columns."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    open_: list[str] = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if what == "begin":
            open_.append(name)
        else:
            assert open_.pop() == name
    assert open_ == []
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)
    assert columns is not None
    for row in (line for line in text.splitlines() if line.endswith("\\\\")):
        cells = re.split(r"(?<!\\)&", row)
        spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d)\}", row))
        assert len(cells) + spanned == len(columns[1]), row


def test_the_table_is_one_that_latex_takes(cards: dict[str, Scorecard]) -> None:
    text = paper.table([*cards.values()])
    groups(text)
    commands = set(re.findall(r"\\([a-zA-Z]+)", text))
    assert commands <= {
        *("begin", "end", "usepackage", "centering", "footnotesize", "setlength", "tabcolsep", "toprule", "midrule"),
        *(
            "cmidrule",
            "bottomrule",
            "multicolumn",
            "uparrow",
            "downarrow",
            "scriptsize",
            "par",
            "smallskip",
            "linewidth",
        ),
        *("raggedright", "texttt", "textbar", "allowbreak", "quad"),
    }
    assert not re.search(r"(?<!\\)_", "".join(x for x in text.splitlines(True) if not x.startswith("%")))


def test_names_are_escaped(cards: dict[str, Scorecard]) -> None:
    evil = cards["esd"].model_copy(update={"model": r"a_b & 50% {\input{x}} [1]"})
    text = paper.table([evil])
    groups(text)
    assert r"a\_b \& 50\% \{\textbackslash{}input\{x\}\} {[}1{]}" in text
    assert r"\input{x}" not in text + "".join(paper.sentences([evil]))


def test_the_original_stands_first_with_what_the_card_says_of_it(cards: dict[str, Scorecard]) -> None:
    rows = [
        line for line in paper.table([cards["esd"], cards["original"]]).splitlines() if line.startswith(("orig", "esd"))
    ]
    assert rows[0].startswith("original & 0.00 ")
    own = cards["original"].figure("attack_success_rate", "asr_any@k")
    assert own is not None
    assert own.value is not None
    assert rows[0].split(" & ")[3] == f"{own.value:.2f}"
    alone = paper.table([cards["esd"]]).splitlines()
    assert next(line for line in alone if line.startswith("orig")).endswith(r" & -- & -- & -- & -- & -- \\")


RATES = (
    ("concept_accuracy", "unlearning_accuracy"),
    ("concept_accuracy", "conditional_unlearning_accuracy"),
    ("attack_success_rate", "asr_any@k"),
    ("attack_success_rate", "conditional_asr_any@k"),
    ("forget_score", "preservation_near"),
    ("forget_score", "preservation_far"),
    ("forget_score", "alignment"),
    ("forget_score", "quality"),
    ("forget_score", "forget_score"),
)


def test_every_rate_has_its_n_and_the_raw_one_is_corrected(cards: dict[str, Scorecard]) -> None:
    lines = paper.table([cards["filter"], cards["original"]]).splitlines()
    for model in ("filter", "original"):
        at = next(at for at, line in enumerate(lines) if line.startswith(model))
        rates, ends, counts, corrected = (line.removesuffix(r" \\").split(" & ") for line in lines[at : at + 4])
        for name, rate, within, n in zip(RATES, rates[1:], ends[1:], counts[1:], strict=True):
            found = cards[model].figure(*name)
            assert found is not None
            assert found.value is not None
            assert found.interval is not None
            assert rate == f"{found.value:.2f}"
            low, high = found.interval
            assert within == f"{{\\scriptsize [{low:.2f}, {high:.2f}]}}"
            assert n == ("" if name[1] == "forget_score" else f"{found.n_prompts} ({found.n_generations})")
        assert counts[0] == r"\quad $n$"
        own = cards[model].figure("concept_accuracy", "corrected_unlearning_accuracy")
        assert own is not None
        assert own.value is not None
        assert corrected[0] == r"\quad corrected"
        assert corrected[1].startswith(f"\\multicolumn{{2}}{{c}}{{{own.value:.2f} ")
        assert corrected[2:] == [""] * 7
        assert (rates[3] != rates[4]) is (counts[3] != counts[4])
    # Without the original's own card, nothing is preserved and nothing is counted.
    alone = paper.table([cards["esd"]]).splitlines()
    at = next(at for at, line in enumerate(alone) if line.startswith("orig"))
    assert alone[at + 2].endswith(r") &  &  &  &  &  \\")


def test_the_footnote_says_that_a_run_could_stop_at_several_checks(cards: dict[str, Scorecard]) -> None:
    fields = Looks(2, 3, "decided").fields
    checked = {
        name: entry.model_copy(update={"signature": {**entry.signature, **fields}})
        for name, entry in cards["esd"].scores.items()
    }
    text = paper.table([cards["esd"].model_copy(update={"scores": checked})])
    assert "repeated confidence intervals (Jennison and Turnbull)" in text
    assert "Interim checks: look 2 of at most 3 with the stopping rule 'decided'." in text
    assert "repeated" not in paper.table([cards["esd"]])


def test_an_aspect_without_a_number_or_interval_has_a_reason_below_the_table(cards: dict[str, Scorecard]) -> None:
    entry = cards["esd"].scores["forget_score"]
    lost = entry.figures["quality"].model_copy(update={"value": None, "interval": None, "reason": "no features given"})
    fixed = entry.figures["alignment"].model_copy(update={"interval": None, "reason": "no interval, because of x"})
    changed = entry.model_copy(update={"figures": {**entry.figures, "quality": lost, "alignment": fixed}})
    text = paper.table([cards["esd"].model_copy(update={"scores": {**cards["esd"].scores, "forget_score": changed}})])
    assert "Alignment: no interval, because of x. Quality: no features given. " in text
    row, ends = (line.split(" & ") for line in text[text.index("\nesd") + 1 :].splitlines()[:2])
    assert (row[8], ends[7], ends[8]) == ("--", "", "")
    assert "Quality:" not in paper.table([cards["esd"]])


def test_one_image_is_one_image(cards: dict[str, Scorecard]) -> None:
    attacks = cards["esd"].scores["attack_success_rate"]
    once = attacks.model_copy(update={"signature": attacks.signature | {"k": 1}})
    card = cards["esd"].model_copy(update={"scores": {**cards["esd"].scores, "attack_success_rate": once}})
    assert "shows it again within 1 image for 14" in paper.sentences([card])[0]


def test_without_error_rates_no_row_is_corrected(cards: dict[str, Scorecard]) -> None:
    entry = cards["esd"].scores["concept_accuracy"]
    known = {name: figure for name, figure in entry.figures.items() if not name.startswith("corrected")}
    scores = cards["esd"].scores | {"concept_accuracy": entry.model_copy(update={"figures": known})}
    bare = cards["esd"].model_copy(update={"scores": scores})
    assert "corrected" not in paper.table([bare]).lower()
    assert any("unknown for this detector" in why for why in paper.why([bare]))
    assert "Corrected: the raw rate" in paper.table([cards["esd"]])
    assert any("accuracies that are corrected" in why for why in paper.why([cards["esd"]]))


def test_the_footnote_says_what_failed_and_what_is_left(cards: dict[str, Scorecard]) -> None:
    failed = cards["esd"].model_copy(update={"failures": ("a", "b"), "model": "e_d"})
    footnote = next(line for line in paper.table([failed, cards["uce"]]).splitlines() if line.startswith("$n$"))
    assert r"Pairs left out because an image failed or was missing: 2 of e\_d. Coverage: forget 16 of 56" in footnote
    whole = paper.table([cards["esd"]])
    assert "left out" not in whole
    shown = next(line for line in whole.splitlines() if line.startswith("$n$"))
    assert "Coverage: forget 16 of 56 prompts, 2 of 5 seeds" in shown, "coverage was only in comments"
    for columns in ("plain prompts (concept gone)", "adversarial prompts (attack success;", "(alignment, quality)"):
        assert columns in shown


def test_detector_signature_and_k_are_told(cards: dict[str, Scorecard]) -> None:
    text = paper.table([cards["esd"]])
    assert "$k=2$" in text
    assert "Detector: sandbox (threshold 0.5, sensitivity 0.976" in text
    assert "detector.revision:sha256:" in text
    assert cards["esd"].content_sha256[:12] in text
    (told,) = paper.sentences([cards["esd"]])
    assert "(raw: 12\\% [3, 38])" in told
    assert told.endswith("detector sandbox).")


def test_cards_that_were_not_scored_alike_get_no_table(cards: dict[str, Scorecard]) -> None:
    entry = cards["uce"].scores["concept_accuracy"]
    signature = entry.signature | {"detector": "another"}
    other = cards["uce"].model_copy(
        update={"scores": cards["uce"].scores | {"concept_accuracy": entry.model_copy(update={"signature": signature})}}
    )
    with pytest.raises(IncomparableError):
        paper.table([cards["esd"], other])
    with pytest.raises(EmptyInputError):
        paper.sentences([cards["original"]])


def test_the_command_prints_all_three_and_refuses_a_card_that_was_edited(place: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["paper", str(place / "cards/esd.json")])
    assert done.exit_code == 0
    for text in ("% What to report, and why", "esd no longer shows church", r"\begin{tabular}"):
        assert text in done.output
    (card,) = read_all([place / "cards/esd.json"])
    write(card, tmp_path / "a.json")
    (tmp_path / "a.json").write_text((tmp_path / "a.json").read_text().replace('"seed": ', '"seed": 1', 1))
    assert CliRunner().invoke(app, ["paper", str(tmp_path)]).exit_code != 0
