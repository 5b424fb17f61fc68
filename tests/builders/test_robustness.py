"""The page and chart of `python -m builders.robustness`, on figures made by hand."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from builders.robustness import figure, page
from builders.robustness.claims import claims
from builders.robustness.measure import BUDGETS, VERSIONS, Measured
from igmu_metrics import registry
from igmu_metrics.attacks.running.result import ANY, IMAGE, POST, PRE, Level, Outcome
from igmu_metrics.contract import Estimate

LOW, SOME, HIGH = (Estimate(v, i, 8, 16) for v, i in ((0.0, (0.0, 0.2)), (0.3, (0.1, 0.5)), (0.9, (0.7, 1.0))))


def level(all_: Estimate, **families: Estimate) -> Level:
    shares = {"": all_, **families}
    return Level(shares, shares)


def outcome(image: Estimate) -> Outcome:
    return Outcome((), {IMAGE: image, ANY: image, PRE: LOW, POST: image}, None, None)


@pytest.fixture
def measured() -> Measured:
    levels = {
        "esd": level(LOW, synonym=LOW, multilingual=LOW),
        "filter": level(HIGH, synonym=HIGH, multilingual=SOME),
        "gold": level(LOW, synonym=LOW, multilingual=HIGH),
    }
    outcomes = {
        ("esd", "cce"): outcome(HIGH),
        ("gold", "cce"): outcome(LOW),
        ("esd", "pez"): outcome(SOME),
        ("gold", "pez"): outcome(HIGH),
        ("esd", "ring-a-bell"): outcome(LOW),
        ("gold", "ring-a-bell"): outcome(LOW),
    }
    return Measured("church", levels, outcomes, Estimate(0.0, (0.0, 0.01), 800, 800), {"esd": "sha256:1"}, 59)


def test_claims_are_asked_of_intervals(measured: Measured) -> None:
    found = {c.statement: c.holds for c in claims(measured)}
    assert found == {
        "`filter` fails against the synonym family": True,
        "`filter` fails against the multilingual family": True,  # 0.1 and above against at most 0.01
        "`gold` withstands the synonym family": True,
        "`gold` withstands the multilingual family": False,
        "cce succeeds on more prompts of `esd` than the weight-free families": True,
        "pez succeeds on more prompts of `esd` than the weight-free families": False,  # 0.1..0.5 and 0..0.2
        "cce stays at chance on `gold`": True,
        "pez stays at chance on `gold`": False,
        "ring-a-bell stays at chance on `gold`": True,  # of `esd` nothing is promised: it does not know the victim
    }
    assert {c.holds for c in claims(Measured("church"))} == {None}


def test_the_page_says_what_is_known_and_what_is_not(measured: Measured) -> None:
    text = page.render({"church": measured}, "x.svg")
    assert "| **cce (embedding)** | 0.90 [0.70, 1.00] | – | – | 0.00 [0.00, 0.20] |" in text
    assert "| plain prompt | 0.00 [0.00, 0.20] | – | – | 0.00 [0.00, 0.20] |" in text
    assert "| pez stays at chance on `gold` | **no** | 0.90 [0.70, 1.00] against 0.0000 [0.0000, 0.0100] |" in text
    for name, budget in BUDGETS.items():
        assert re.search(rf"`{name}` v\d+ \| .* \| {budget.steps} \| {budget.candidates} \| {budget.tokens} \|", text)
    assert not re.search(r"20\d\d-\d\d", text)  # the same figures give the same page on any day
    empty = page.render({"church": Measured("church")}, "x.svg")
    assert "| **cce (embedding)** | – | – | – | – |" in empty


def test_the_chart_has_a_dot_for_every_figure(measured: Measured) -> None:
    root = ET.fromstring(figure.render({"church": measured}))
    dots = [e.get("class") for e in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert dots.count("weight-free") == 1 + 9  # one in the legend
    assert dots.count("attack") == 1 + 6


def test_every_attack_has_a_budget_here() -> None:
    assert set(BUDGETS) == set(registry.names("attacks"))
    assert set(VERSIONS) == {"esd", "uce", "filter", "gold"}
