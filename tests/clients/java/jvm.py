"""Kafka's jars and the classes of this folder in build/java, and how a JVM is started with them: a small one, for many run side by
side. It asserts only that a tool which should succeed does."""
import hashlib
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "common"), str(HERE.parents[1] / "tools")]

from broker import ROOT  # noqa: E402
from checks import CheckFailed  # noqa: E402

JARS, CLASSES = ROOT / "build/java/lib", ROOT / "build/java/classes"
JAVA = ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{JARS}/*:{CLASSES}"]
TOOL_SECONDS = 60


def prepare():
    """Fetches the jars with Maven once, and compiles what has changed."""
    if not (JARS / "complete").is_file():
        subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"], check=True)
        (JARS / "complete").touch()
    sources, complete = sorted(HERE.glob("*.java")), CLASSES / "complete"
    wanted = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    if not complete.is_file() or complete.read_text() != wanted:
        subprocess.run(["javac", "-cp", f"{JARS}/*", "-d", str(CLASSES), *map(str, sources)], check=True)
        complete.write_text(wanted)


class Tools:
    """The console tools of Kafka against one broker. A name without dots is one of org.apache.kafka.tools."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    def command(self, name, *arguments):
        name = name if name.startswith("kafka.") else "org.apache.kafka.tools." + name
        return [*JAVA, name, "--bootstrap-server", self.bootstrap, *map(str, arguments)]

    def start(self, name, *arguments):
        """The tool as a process that the caller ends; its standard output is a pipe."""
        return subprocess.Popen(self.command(name, *arguments), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def run(self, name, *arguments, standard_input=None):
        """What the tool writes to standard output. Fails unless it ends with 0 in time."""
        said = " ".join([name, *map(str, arguments)])
        try:
            done = subprocess.run(self.command(name, *arguments), input=standard_input, capture_output=True, text=True, timeout=TOOL_SECONDS)
        except subprocess.TimeoutExpired:
            raise CheckFailed(f"{said} did not end within {TOOL_SECONDS} s") from None
        if done.returncode != 0:
            raise CheckFailed(f"{said} ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}")
        return done.stdout
