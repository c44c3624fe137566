"""Building the two distributions as a release does, and looking into them."""

from __future__ import annotations

import email.parser
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from email.message import Message

__all__ = ["ROOT", "Distributions", "build", "clean_environment", "relative_links", "run"]

ROOT: Final = Path(__file__).resolve().parents[2]

#: A link or picture of Markdown, or one of HTML, to something without a scheme.
_RELATIVE: Final = re.compile(
    r"\]\((?![a-z]+:)([^)\s]*)\)|(?:href|src|srcset)\s*=\s*[\"'](?![a-z]+:)([^\"']*)", re.IGNORECASE
)


@attrs.frozen
class Distributions:
    """What a release publishes.

    Attributes:
        wheel: The wheel.
        sdist: The source distribution.
    """

    wheel: Path
    sdist: Path

    def in_wheel(self) -> list[str]:
        """The names of the files in the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return archive.namelist()

    def in_sdist(self) -> list[str]:
        """The names of the files in the source distribution, below its directory."""
        with tarfile.open(self.sdist) as archive:
            return [each.name.partition("/")[2] for each in archive.getmembers() if each.isfile()]

    def metadata(self) -> Message:
        """The metadata of the wheel; their payload is the README."""
        (name,) = [each for each in self.in_wheel() if each.endswith(".dist-info/METADATA")]
        with zipfile.ZipFile(self.wheel) as archive:
            return email.parser.BytesParser().parsebytes(archive.read(name))

    def readme(self) -> str:
        """The README that the package index shows."""
        payload = self.metadata().get_payload(decode=True)
        assert isinstance(payload, bytes)
        return payload.decode()


def build(source: Path, place: Path) -> Distributions:
    """Build both, in an environment of their own, the wheel from the source distribution.

    Args:
        source: The directory with pyproject.toml.
        place: Where the files go.
    """
    command = [sys.executable, "-m", "build", "--outdir", str(place), str(source)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = place.glob("*.whl")
    (sdist,) = place.glob("*.tar.gz")
    return Distributions(wheel, sdist)


def clean_environment() -> dict[str, str]:
    """The environment, without what would lead a program to the one of the tests."""
    hidden = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


def run(command: list[str], directory: Path, more: dict[str, str] | None = None) -> str:
    """What a program prints, which knows nothing of this environment.

    Args:
        command: The program and its arguments.
        directory: Where it runs.
        more: Further variables of its environment.
    """
    env = clean_environment() | (more or {})
    done = subprocess.run(
        command, cwd=directory, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def relative_links(text: str) -> list[str]:
    """The links and pictures that a package index cannot follow."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return [one or other for one, other in _RELATIVE.findall(outside)]
