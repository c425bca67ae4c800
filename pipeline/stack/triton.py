"""A real Triton Inference Server, installed from a wheel in a separate environment, serving `triton_models/`."""

import hashlib
import os
import shutil
import subprocess
import sysconfig
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

from pipeline.errors import StackError
from pipeline.stack.part import REPOSITORY, local_file
from pipeline.stack.process import BackgroundProcess, require_free_port
from pipeline.stack_settings import StackSettings

# The server's Python stub is built for one version of Python.
STUB = "3.11"


class TritonPart:
    """The inference server, on the CPU."""

    name = "triton"

    def __init__(self, settings: StackSettings) -> None:
        self._settings = settings
        self._folder = settings.parts.resolve() / "triton"
        self._state = settings.state.absolute()
        self.process = BackgroundProcess(self.name, self._state)
        self.address = f"127.0.0.1:{settings.triton_grpc_port}"

    def installed(self) -> bool:
        """Tell whether the environment locked in `triton.txt` is installed."""
        mark = self._folder / "installed"
        return mark.exists() and mark.read_text() == self._wanted()

    def install(self) -> None:
        """Create the environment, and put the backend and its stub into one folder."""
        venv, python = self._folder / "venv", str(self._settings.python)
        shutil.rmtree(self._folder, ignore_errors=True)
        version = _run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
        if version != STUB:
            raise StackError(f"`{python}` is Python {version}, Triton's stub needs {STUB}; set WATCHWORD_STACK_PYTHON")
        _run([python, "-m", "venv", str(venv)])
        lock = str(local_file("triton.txt"))
        _run([str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--require-hashes", "-r", lock])
        server = self._server()
        backend = self._folder / "backends" / "python"
        shutil.copytree(server / "backends" / "python", backend)
        shutil.copy(server / "python_backend_stubs" / STUB / "triton_python_backend_stub", backend)
        (self._folder / "installed").write_text(self._wanted())

    def start(self) -> None:
        """Start the server on the repository's models."""
        settings = self._settings
        ports = {
            "grpc": ("TRITON_GRPC_PORT", settings.triton_grpc_port),
            "http": ("TRITON_HTTP_PORT", settings.triton_http_port),
            "metrics": ("TRITON_METRICS_PORT", settings.triton_metrics_port),
        }
        for kind, (setting, port) in ports.items():
            require_free_port(f"triton's {kind}", port, setting)
        venv, server = self._folder / "venv", self._server()
        libraries = [sysconfig.get_config_var("LIBDIR"), str(server.parents[1] / "nvidia_pytriton.libs")]
        environment = {
            "LD_LIBRARY_PATH": os.pathsep.join(libraries),
            "PYTHONPATH": str(server.parents[1]),
            "VIRTUAL_ENV": str(venv),
            "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
            # One thread per model instance; the server's own thread pools would compete with them for two cores.
            "OMP_NUM_THREADS": "1",
            # This setting is for workers, which compare the server's bundle with it. The server uses its repository's.
            "WATCHWORD_MODEL": None,
        }
        command: list[str | Path] = [
            server / "bin" / "tritonserver",
            f"--model-repository={self._models()}",
            f"--backend-directory={self._folder / 'backends'}",
            "--allow-gpu-metrics=false",
            "--http-address=127.0.0.1",
            "--grpc-address=127.0.0.1",
            "--metrics-address=127.0.0.1",
            f"--http-port={settings.triton_http_port}",
            f"--grpc-port={settings.triton_grpc_port}",
            f"--metrics-port={settings.triton_metrics_port}",
            "--exit-timeout-secs=5",
            *self.options(),
        ]
        self.process.start(command, environment, self._state)

    def options(self) -> list[str]:
        """Return further options of the server."""
        return []

    def ready(self) -> bool:
        """Ask the server whether every model is ready."""
        url = f"http://127.0.0.1:{self._settings.triton_http_port}/v2/health/ready"
        try:
            with urllib.request.urlopen(url, timeout=1.0) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except (urllib.error.URLError, OSError):
            return False

    def _models(self) -> Path:
        models = self._settings.triton_models
        if models is not None and not models.is_dir():
            raise StackError(f"WATCHWORD_STACK_TRITON_MODELS: `{models}` is not a folder")
        return (models or REPOSITORY / "triton_models").absolute()

    def _server(self) -> Path:
        return self._folder / "venv" / "lib" / f"python{STUB}" / "site-packages" / "pytriton" / "tritonserver"

    def _wanted(self) -> str:
        lock = hashlib.sha256(local_file("triton.txt").read_bytes()).hexdigest()
        return f"{lock} {self._folder}"


def _run(command: list[str]) -> str:
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- fixed words
    if run.returncode:
        raise StackError(f"`{' '.join(command)}` failed:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return run.stdout
