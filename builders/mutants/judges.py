"""Defects of judges that are asked in words, of likeness, and of scores beside the forget score."""

from __future__ import annotations

from typing import Final

from builders.mutants.mutation import Mutation

_JUDGES: Final = ("tests/test_judges.py",)
_FACE: Final = ("tests/test_face.py",)
_VLM: Final = "igmu_metrics/detectors/vlm.py"

MUTATIONS: Final[tuple[Mutation, ...]] = (
    Mutation(
        "yes-is-one-token",
        _VLM,
        "[:, : len(yes)].sum(axis=1)",
        "[:, :1].sum(axis=1)",
        _JUDGES,
        "who answers ' yes' has not said 'Yes'",
    ),
    Mutation(
        "no-in-another-spelling",
        _VLM,
        "if all(len(pieces) == 1 and pieces[0] != tokenizer.unk_token_id for pieces in both):",
        "if any(len(pieces) == 1 and pieces[0] != tokenizer.unk_token_id for pieces in both):",
        _JUDGES,
        "a model whose tokenizer has 'Yes' but no 'No' is only ever heard to say yes",
    ),
    Mutation(
        "todays-date-in-the-question",
        _VLM,
        'processor.chat_template = f"{_CLOCK}{processor.chat_template}"',
        "processor.chat_template = str(processor.chat_template)",
        _JUDGES,
        "answers depend on the day on which they are asked",
    ),
    Mutation(
        "date-unsigned",
        _VLM,
        '{"today": TODAY} if',
        "{} if",
        _JUDGES,
        "nobody can see which date a judge was told",
    ),
    Mutation(
        "answer-of-another-image",
        _VLM,
        "out[[i for i, _ in some]]",
        "out[: len(some)]",
        _JUDGES,
        "answers go to the first images of a call",
    ),
    Mutation(
        "questions-unsigned",
        _VLM,
        '            "questions": _questions.digest(asked),\n',
        "",
        _JUDGES,
        "answers to other questions compare, and come from the cache",
    ),
    Mutation(
        "template-unsigned",
        "igmu_metrics/networks/loading.py",
        '    *("chat_template.jinja", "chat_template.json"),\n',
        "",
        _JUDGES,
        "a judge that is asked otherwise keeps its revision",
    ),
    Mutation(
        "answers-in-words-forgotten",
        "igmu_metrics/networks/observe.py",
        ' or hasattr(detector, "answers")',
        "",
        _JUDGES,
        "every rerun asks the largest network again",
    ),
    Mutation(
        "every-yes-is-right",
        "igmu_metrics/networks/questions.py",
        'answer == "yes" for answer in found.answers',
        "True for answer in found.answers",
        _JUDGES,
        "a question whose answer is no is held against an image that answers it",
    ),
    Mutation(
        "sigmoid-without-bias",
        "igmu_metrics/detectors/siglip.py",
        " + self._bias)",
        ")",
        _JUDGES,
        "SigLIP sees everything everywhere",
    ),
    Mutation(
        "reward-without-bias",
        "igmu_metrics/metrics/_rewards.py",
        ", words) + bias",
        ", words)",
        _JUDGES,
        "a score is not the model's own",
    ),
    Mutation(
        "preservation-of-nothing",
        "igmu_metrics/metrics/question_accuracy.py",
        "sums[:, 1] / sums[:, 2])]",
        "np.ones(len(sums)))]",
        _JUDGES,
        "what the original did not generate either is held against unlearning",
    ),
    Mutation(
        "photograph-against-itself",
        "igmu_metrics/detectors/face.py",
        "(embeddings.sum(axis=0) - embeddings)",
        "embeddings.sum(axis=0)",
        _FACE,
        "the threshold is too high, as every photograph resembles itself",
    ),
    Mutation(
        "face-of-another-network",
        "igmu_metrics/detectors/face.py",
        "    if _revision(backbone) != known.revision:",
        "    if not known.revision:",
        _FACE,
        "likeness in one network's features is measured against another's",
    ),
    Mutation(
        "sandbox-judged-by-strangers",
        "igmu_metrics/settings.py",
        'return self.detector or self._own() or "clip"',
        'return self.detector or "clip"',
        ("tests/test_settings.py",),
        "images of the sandbox are judged by a network that has never seen it",
    ),
)
