"""Kafka's own Java client and console tools (4.3.1) against a broker, side by side: the scenario of tests/clients/common/,
AdminScenario.java, console_tools.py, group_tools.py. Last line: `N passed, M failed`.

usage: run.py      (POSTHASTE_TEST_BOOTSTRAP=HOST:PORT runs against that broker)"""
import sys

import jvm  # puts tests/clients/common/ and tests/tools/ on the path
from fleet import scenario, side_by_side


def main():
    jvm.prepare()
    tools = [(name.replace("_", "-"), lambda bootstrap, name=name: [sys.executable, str(jvm.HERE / f"{name}.py"), bootstrap])
             for name in ("console_tools", "group_tools")]
    side_by_side("clients-java", [scenario("java", [*jvm.JAVA, "JavaAdapter"]), ("admin", lambda bootstrap: [*jvm.JAVA, "AdminScenario", bootstrap]), *tools])


main()
