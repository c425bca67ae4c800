"""The wheel works alone, in an empty environment without this repository, Java or make."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.pages import REPOSITORY, code_blocks, shell_lines

pytestmark = pytest.mark.slow

UV = Path(sys.executable).with_name("uv")
WORKER_LOCK = REPOSITORY / "requirements/worker.txt"


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and a folder with photographs to work in."""

    bin: Path
    folder: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment, with only its variables and only its commands on the path."""
        return subprocess.run(
            [str(self.bin / words[0]), *words[1:]],
            env={"PATH": str(self.bin), "HOME": str(self.folder), "LANG": "C.UTF-8"},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def watchword(self, *words: str, exit_code: int = 0) -> str:
        """Run watchword, and return its output and messages."""
        run = self.run("watchword", *words)
        assert run.returncode == exit_code, f"{words}: {run.returncode}\n{run.stdout}{run.stderr}"
        return run.stdout + run.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Installed:
    """The wheel with the locked packages of a worker, and no others."""
    root = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", root, REPOSITORY)
    [wheel] = root.glob("*.whl")
    uv("venv", "--python", sys.executable, root / "env")
    into = ("pip", "install", "--python", root / "env/bin/python", "--no-deps")
    install_locked([*into, "--require-hashes", "-r", WORKER_LOCK])
    uv(*into, wheel)
    photos = root / "work/photos"
    photos.mkdir(parents=True)
    for kind in ("revolver", "Leopards"):
        for path in sorted((samples / "images" / kind).iterdir())[:3]:
            shutil.copyfile(path, photos / f"{kind}-{path.name}")
    return Installed(root / "env/bin", root / "work")


def uv(*words: str | Path) -> None:
    subprocess.run([UV, *words, "-q"], cwd=REPOSITORY, capture_output=True, text=True, check=True)


def install_locked(words: Sequence[str | Path]) -> None:
    """Install from uv's cache, which `make` fills, or, if the cache is empty, from the index of the environment."""
    try:
        uv(*words, "--offline")
    except subprocess.CalledProcessError:
        uv(*words)


def test_the_wheel_has_its_version_licence_and_model(installed: Installed) -> None:
    assert installed.watchword("--version") == "watchword 0.1.0\n"
    code = (
        "import watchword, pipeline, importlib.metadata as m; "
        "print(pipeline.__file__, m.metadata('watchword')['License-Expression'], watchword.Watchword().model_digest)"
    )
    run = installed.run("python", "-c", code)
    assert (run.returncode, run.stderr) == (0, "")
    path, licence, digest = run.stdout.split()
    assert path.startswith(str(installed.bin.parent))
    assert (licence, len(digest)) == ("Apache-2.0", 64)


def test_completion_for_shells_is_offered(installed: Installed) -> None:
    assert "--install-completion" in installed.watchword("--help")


def test_a_newcomer_gets_from_photographs_to_flags(installed: Installed) -> None:
    """Each step names the next: scan, a policy, check, lint, its examples, scan again."""
    told = installed.watchword("scan", "photos", exit_code=2)
    assert "`policies`: not a folder" in told
    assert "`watchword policies new ID`" in told

    words = ("--prompt", "a revolver", "--prompt", "a pistol")
    assert "watchword policies check" in installed.watchword("policies", "new", "weapons.firearms", *words)
    assert "weapons.firearms" in installed.watchword("policies", "check")
    assert "no-contrast" in installed.watchword("policies", "lint")
    shadowed = "over the threshold, but not flagged in `mode: shadow`: `weapons.firearms` 3 images"
    assert shadowed in installed.watchword("scan", "photos")

    photos = sorted((installed.folder / "photos").iterdir())
    examples = [
        f"  - {{ image: ../photos/{path.name}, flag: {str('revolver' in path.name).lower()} }}" for path in photos
    ]
    file = installed.folder / "policies/weapons-firearms.yaml"
    edited = file.read_text().replace("mode: shadow", "mode: enforce")
    file.write_text(edited + "\n".join(["examples:", *examples, ""]))
    assert "6 examples, 0 failed" in installed.watchword("policies", "test")
    lines = installed.watchword("scan", "photos", "--format", "jsonl", exit_code=1).splitlines()
    flagged = {line["path"] for line in map(json.loads, lines) if line["flags"] == ["weapons.firearms"]}
    assert flagged == {f"photos/{path.name}" for path in photos if "revolver" in path.name}


def test_the_first_commands_of_the_readme_work(installed: Installed) -> None:
    """They run in order, in a separate folder; the last one finds the leopards."""
    install, *commands = shell_lines(code_blocks("README.md", "sh")[0])
    assert install == "uv tool install ."
    here = Installed(installed.bin, installed.folder / "readme")
    here.folder.mkdir()
    (here.folder / "photos").symlink_to(installed.folder / "photos")
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "watchword"
        output = here.watchword(*words)
    assert all("Leopards" in line for line in output.splitlines()[1:4])


def test_the_local_stack_says_that_it_needs_a_checkout(installed: Installed) -> None:
    assert "the local stack runs from a checkout" in installed.watchword("stack", "up", exit_code=2)
