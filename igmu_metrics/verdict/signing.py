"""Detached signatures of scorecards with the user's key, made and checked by ssh-keygen or gpg.

Conventions: igmu implements no cryptography. A key file is an SSH key, and `ssh-keygen -Y` signs in the namespace
`igmu`, so that signatures of other files are not accepted for a card; any other key is a GnuPG key, given by its
fingerprint. The signature is next to the card, in `CARD.json.sig` or `CARD.json.asc`, and covers the bytes of the file.

A signature shows that somebody with the key signed these bytes. It does not show that the card is correct.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from igmu_data.errors import InputError, MetadataError, MissingToolError, OutputError, VerificationError
from igmu_data.media import visible
from igmu_metrics.verdict.verify import read_all

NAMESPACE: Final = "igmu"
_PRINCIPAL: Final = "signer"
_SECONDS: Final = 60  # limit for checking; signing may wait for a passphrase
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{16,64}")
_PUBLIC: Final = re.compile(r"(?:ssh|ecdsa|sk-ssh|sk-ecdsa)[-\w@.]* [A-Za-z0-9+/=]+")


def sign(card: Path, key: str) -> Path:
    """Sign a card after checking that it is consistent.

    Args:
        card: its file.
        key: file of an SSH key (the private key, or the public key if an agent has the private one), or the fingerprint
            of a GnuPG key.

    Returns:
        The signature's file.

    Raises:
        MetadataError, VerificationError: not a card, or an inconsistent one.
        InputError: neither a key file nor a fingerprint, or the tool rejects the key.
        MissingToolError: the tool is not installed.
        OutputError: the signature cannot be written.
    """
    read_all([card])
    file = Path(key)
    ssh = file.is_file()
    if not ssh and not _FINGERPRINT.fullmatch(key):
        raise InputError(f"--key is {key!r}; it must be an SSH key file or the fingerprint of a GnuPG key.")
    place = signature_of(card, ssh=ssh)
    place.unlink(missing_ok=True)  # both tools would ask before overwriting it
    if ssh:
        done = _run(["ssh-keygen", "-Y", "sign", "-f", str(file), "-n", NAMESPACE, str(card.absolute())], wait=None)
    else:
        words = ["gpg", "--batch", "--yes", "--armor", "--local-user", key, "--output", str(place), "--detach-sign"]
        done = _run([*words, str(card.absolute())], wait=None)
    if done.returncode:
        raise InputError(f"signing with {key} failed: {_said(done)}")
    if not place.is_file():
        raise OutputError(f"cannot write {place}. Make the scorecard's folder writable.")
    return place


def require_signer(card: Path, signer: str) -> None:
    """Refuse a card that was not signed with a key.

    Args:
        card: its file; the signature must be next to it.
        signer: file of an SSH public key, or fingerprint of a GnuPG key.

    Raises:
        MetadataError: there is no signature.
        InputError: neither a public key file nor a fingerprint.
        VerificationError: the signature is for other bytes, or was made with another key.
        MissingToolError: the tool is not installed.
    """
    file = Path(signer)
    ssh = file.is_file()
    if not ssh and not _FINGERPRINT.fullmatch(signer):
        raise InputError(f"--signer is {signer!r}; it must be an SSH public key file or a GnuPG fingerprint.")
    signature = signature_of(card, ssh=ssh)
    if not signature.is_file():
        raise MetadataError(
            f"{card}: the signature {signature.name} was not found next to the scorecard. Ask for the file, or sign "
            "the scorecard with 'igmu sign'."
        )
    if ssh:
        _require_ssh(card, signature, file)
    else:
        _require_gpg(card, signature, signer.upper())


def signature_of(card: Path, *, ssh: bool) -> Path:
    """The file of a card's signature: `CARD.json.sig` for an SSH key, `CARD.json.asc` for a GnuPG key."""
    return card.with_name(f"{card.name}{'.sig' if ssh else '.asc'}")


def _require_ssh(card: Path, signature: Path, key: Path) -> None:
    try:
        public = _PUBLIC.match(key.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{key} cannot be read as an SSH public key ({error}). Specify the file that ends in .pub."
        ) from error
    if public is None:
        raise InputError(f"{key} is not an SSH public key. Specify the file that ends in .pub.")
    with tempfile.TemporaryDirectory() as place, card.open("rb") as content:
        allowed = Path(place) / "allowed_signers"
        allowed.write_text(f'{_PRINCIPAL} namespaces="{NAMESPACE}" {public[0]}\n', encoding="utf-8")
        words = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", _PRINCIPAL, "-n", NAMESPACE]
        done = _run([*words, "-s", str(signature)], stdin=content)
    if done.returncode:
        raise VerificationError(f"{card}: {signature.name} is not a valid signature by {key} ({_said(done)}).")


def _require_gpg(card: Path, signature: Path, fingerprint: str) -> None:
    done = _run(["gpg", "--batch", "--status-fd", "1", "--verify", str(signature.absolute()), str(card.absolute())])
    # VALIDSIG names the key that signed and, at the end, its primary key.
    valid = [line.split()[2:] for line in done.stdout.splitlines() if line.startswith("[GNUPG:] VALIDSIG ")]
    if done.returncode or not any(words[0].endswith(fingerprint) or words[-1].endswith(fingerprint) for words in valid):
        raise VerificationError(f"{card}: {signature.name} is not a valid signature by {fingerprint} ({_said(done)}).")


def _run(
    words: Sequence[str], *, stdin: object = subprocess.DEVNULL, wait: float | None = _SECONDS
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            words, stdin=stdin, capture_output=True, text=True, errors="replace", timeout=wait, check=False
        )
    except FileNotFoundError as error:
        raise MissingToolError(
            f"{words[0]} is not installed, but igmu needs it to sign and to check signatures. Install it."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise MissingToolError(f"{words[0]} did not finish within {_SECONDS} seconds. Try again.") from error


def _said(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip() and "[GNUPG:]" not in line]
    return visible(lines[-1]) if lines else f"it exited with code {done.returncode} and without a message"
