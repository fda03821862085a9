"""Apache Kafka as one KRaft node on loopback, for comparisons: its jars (fetched once with Maven), its settings, its command line.
It starts no process itself: who uses it decides about pinning, logs and waiting."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
JARS = ROOT / "build/kafka"
# The flags of Kafka's own start script, but for the heap.
JAVA = ["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
        "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"]


def classpath():
    return ":".join(sorted(str(jar) for jar in JARS.glob("*.jar")))


def fetch_jars():
    complete = JARS / "complete"
    if not complete.is_file():
        subprocess.run(["mvn", "-q", "-B", "-f", str(pathlib.Path(__file__).with_name("apache_kafka.pom.xml")), "dependency:copy-dependencies",
                        "-DincludeScope=runtime", f"-DoutputDirectory={JARS}"], check=True)
        complete.touch()


def prepare(folder, port, controller_port, properties_path, settings, log):
    """Writes the settings (`settings` last, so that they win) and formats the empty data folder."""
    address = f"127.0.0.1:{port}"
    properties = {
        "process.roles": "broker,controller", "node.id": "1", "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://{address},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{address}", "controller.listener.names": "CONTROLLER",
        "log.dirs": str(folder), "offsets.topic.replication.factor": "1", "auto.create.topics.enable": "false",
        "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0", **settings}
    properties_path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    subprocess.run(["java", "-XX:TieredStopAtLevel=1", "-cp", classpath(), "kafka.tools.StorageTool", "format", "-t",
                    "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(properties_path)], check=True, stdout=log, stderr=log)


def command(properties_path, heap):
    """The command that serves what prepare() made, in the foreground until SIGTERM."""
    return ["java", f"-Xmx{heap}", f"-Xms{heap}", *JAVA, "-cp", classpath(), "kafka.Kafka", str(properties_path)]
