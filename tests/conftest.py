"""What many tests share: the corpus, built once a session, and a guard that lets no test out to the network."""

from __future__ import annotations

import gc
import ipaddress
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from sampled import SAMPLE

from igmu_data.rows.concept import concept_rows
from igmu_data.schema import Row
from igmu_data.taxonomy import all_concepts, concept

# A busy machine is no defect, and a red run must be repeatable: no time limit per example, the same examples each time.
hypothesis.settings.register_profile("igmu", deadline=None, derandomize=True)
hypothesis.settings.load_profile("igmu")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported and collected stays to the end: searching it for garbage again and again would take seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_unconfigure() -> None:
    """At the end of the process all goes in order; libraries complain on stderr of what is left."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the user's cache; what the tests put together they share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IGMU_CACHE", str(tmp_path_factory.mktemp("igmu-cache")))
        yield


@pytest.fixture(scope="session")
def corpus_rows() -> dict[str, list[Row]]:
    """The rows of a sample of concepts by id, as the package makes them. Not to be changed by a test."""
    return {name: concept_rows(concept(name)) for name in SAMPLE}


@pytest.fixture(scope="session")
def whole_corpus(corpus_rows: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Every row of the corpus by concept id: for slow tests. Not to be changed."""
    return {name: corpus_rows.get(name) or concept_rows(item) for name, item in all_concepts().items()}


@pytest.fixture(scope="session")
def bench_folder(tmp_path_factory: pytest.TempPathFactory, corpus_rows: dict[str, list[Row]]) -> Path:
    """The sample as a dataset folder, `…/igmu/bench`, with `…/igmu/bench-nsfw` beside it. Not to be changed.

    Without the miniature world, which has tests of its own and takes as long to draw as all the rest to write.
    """
    from builders import bench

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "concept_rows", lambda item: corpus_rows[item.id])  # the same call, not made twice
        return bench.build(tmp_path_factory.mktemp("corpus") / "hub", only=SAMPLE, world=False, general=True)[0]


@pytest.fixture(scope="session")
def world_rows() -> dict[str, list[Row]]:
    """Every row of the miniature world by the id of the concept to forget. Not to be changed by a test."""
    from builders.sandbox.corpus import task_rows

    return task_rows()


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory, world_rows: dict[str, list[Row]]) -> Path:
    """What the package holds of the miniature world's corpus, with an image of one colour for each row.

    The environment variable IGMU_SANDBOX, set to its parent, puts it in the package's place. Not to be changed.
    """
    from world_corpus import image_of

    from builders.sandbox.corpus import write_bench

    folder = tmp_path_factory.mktemp("package") / "bench"
    write_bench(folder, {r.id: image_of(r) for rows in world_rows.values() for r in rows})
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """The bytes of an image hold for one number of threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class OutwardConnectionError(Exception):
    """A test tried to leave this machine."""


def _is_inside(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture(scope="session")
def outward_connections() -> Iterator[list[str]]:
    """The connections and name look-ups that were refused: clients often swallow the error, so they are kept too."""
    refused: list[str] = []

    def guarded(real: Callable[..., Any], host_of: Callable[..., object]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not _is_inside(host := host_of(*args, **kwargs)):
                refused.append(str(host))
                raise OutwardConnectionError(f"connection to {host!r}: tests are offline")
            return real(*args, **kwargs)

        return call

    def peer(sock: socket.socket, address: Any) -> object:
        return address[0] if sock.family in (socket.AF_INET, socket.AF_INET6) else None

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, guarded(getattr(socket.socket, name), peer))
        patch.setattr(socket, "getaddrinfo", guarded(socket.getaddrinfo, lambda host, *_, **__: host))
        yield refused


@pytest.fixture(autouse=True)
def _stay_inside(outward_connections: list[str]) -> Iterator[None]:
    yield
    if outward_connections:
        hosts = ", ".join(outward_connections)
        outward_connections.clear()
        pytest.fail(f"tried to reach {hosts}", pytrace=False)
