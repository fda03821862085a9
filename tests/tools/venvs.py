"""Virtual environments for client libraries from PyPI, one per set of pinned packages, kept in build/venvs."""
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's, whatever else is first in PATH


def python_with(*packages):
    """The interpreter of an environment that holds exactly `packages` ("name==version"). Made once."""
    folder = ROOT / "build/venvs" / "_".join(package.replace("==", "-") for package in packages)
    python, complete = folder / "bin/python", folder / "complete"
    if not complete.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        print(f"installing {' '.join(packages)}", flush=True)
        subprocess.run([SYSTEM_PYTHON, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], check=True)
        complete.touch()
    return str(python)
