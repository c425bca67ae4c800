"""A one-node Kafka broker in KRaft mode, run from its jars with this machine's Java."""

import hashlib
import re
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from string import Template

from pipeline.broker.topics import answers
from pipeline.errors import StackError
from pipeline.stack.part import local_file
from pipeline.stack.process import BackgroundProcess, require_free_port
from pipeline.stack_settings import StackSettings

MINIMUM_JAVA = 17


class KafkaPart:
    """The broker. Its data is kept between runs until the state folder is removed."""

    name = "kafka"

    def __init__(self, settings: StackSettings) -> None:
        self._settings = settings
        self._folder = settings.parts.resolve() / "kafka"
        self._state = settings.state.absolute()
        self.process = BackgroundProcess(self.name, self._state)
        self.address = f"127.0.0.1:{settings.kafka_port}"

    def installed(self) -> bool:
        """Tell whether the jars that `pom.xml` names are installed."""
        mark = self._folder / "installed"
        return mark.exists() and mark.read_text() == _digest(local_file("pom.xml"))

    def install(self) -> None:
        """Download the jars with Maven."""
        pom = local_file("pom.xml")
        maven = _tool("mvn", "maven")
        libs = self._folder / "libs"
        shutil.rmtree(libs, ignore_errors=True)
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={libs}"]
        run = subprocess.run(  # noqa: S603 -- fixed words
            [maven, "-q", "-B", "-f", str(pom), *goal], capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise StackError(f"Maven could not download Kafka's jars:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
        (self._folder / "installed").write_text(_digest(pom))

    def start(self) -> None:
        """Start the broker; the first time, format its data folder."""
        settings = self._settings
        require_free_port("kafka", settings.kafka_port, "KAFKA_PORT")
        require_free_port("kafka's controller", settings.controller_port, "CONTROLLER_PORT")
        java, data, logs = _java(), self._state / "kafka", self._state / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        properties = self._state / "server.properties"
        properties.write_text(self.properties(data))
        command = [
            java,
            f"-Xmx{settings.heap_mib}m",
            "-Xms128m",
            "-XX:+UseSerialGC",
            f"-Dwatchword.logs={logs}",
            f"-Dlog4j2.configurationFile={local_file('log4j2.yaml')}",
            "-cp",
            f"{self._folder / 'libs'}/*",
        ]
        if not (data / "meta.properties").exists():
            form = [*command, "kafka.tools.StorageTool", "format", "-t", cluster_id(), "-c", str(properties)]
            form += self.format_options()
            run = subprocess.run(form, capture_output=True, text=True, check=False)  # noqa: S603 -- fixed words
            if run.returncode:
                raise StackError(f"Kafka could not format `{data}`:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
        self.process.start([*command, "kafka.Kafka", properties], {}, self._state)

    def properties(self, data: Path) -> str:
        """Return the content of the broker's `server.properties`."""
        ports = {"kafka_port": self._settings.kafka_port, "controller_port": self._settings.controller_port}
        return Template(local_file("server.properties").read_text()).substitute(ports, data=data)

    def format_options(self) -> list[str]:
        """Return further options for formatting the data folder."""
        return []

    def ready(self) -> bool:
        """Ask the broker for its metadata."""
        return answers(self.address)


def _java() -> str:
    java = _tool("java", "openjdk-17-jre-headless")
    version = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    found = re.search(r'version "(\d+)', version)
    if not found or int(found[1]) < MINIMUM_JAVA:
        raise StackError(
            f"`{java}` is Java {found[1] if found else 'of an unknown version'}, Kafka needs {MINIMUM_JAVA} or newer; "
            "on Debian: apt-get install openjdk-17-jre-headless"
        )
    return java


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if not found:
        raise StackError(f"`{name}` is not on this machine; on Debian: apt-get install {package}")
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cluster_id() -> str:
    """Return a random id in Kafka's format. It never begins with `-`, which Kafka's tools would take for an option."""
    while True:
        found = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not found.startswith("-"):
            return found
