"""Builds the sdist and the wheel, and checks that they can be released.

    python .ci/release_check.py                            # needs the extra `dev`
    python .ci/release_check.py --tag v0.1.0 --dist dist   # and keeps them

The version and its date are the same wherever they stand, the metadata is complete, nothing foreign
is in either archive and nothing is missing, the sdist's tests run from it, and both work where
nothing else is installed, by .ci/smoke.py.
"""

from __future__ import annotations

import argparse
import email
import email.message
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ("py.typed", "report/page.html", "report/page.css", "report/page.js")
FOREIGN = (".png", ".jpg", ".keras", ".h5", ".pyc")
# What the tests read, and what a user looks for.
SOURCES = ("README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "PKG-INFO")
FOLDERS = ("unetv2", "tests", "docs", "examples", "benchmarks", ".ci", ".github")
# These look at the whole repository. That all others can be collected is enough.
TESTS = ("house", "docs_pages", "docs_citing", "docs_benchmarks", "workflows")


def require(right: bool, message: str) -> None:
    """Ends the check with a message where something is wrong."""
    if not right:
        sys.exit(f"error: {message}")


def found(pattern: str, name: str) -> tuple[str, ...]:
    """Returns what a pattern's groups are in a file, where it is first."""
    text = (ROOT / name).read_text(encoding="utf-8")
    match = re.search(pattern, text, re.MULTILINE)
    require(match is not None, f"{name} has nothing like {pattern}")
    return match.groups()


def check_version(tag: str | None) -> str:
    """Returns the version, the same in package, changelog, citation and tag."""
    (version,) = found(r'^__version__ = "(.+)"$', "unetv2/__init__.py")
    require(
        re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version) is not None,
        f"a release is numbered as 1.2.3 or 1.2.3rc1. Received: {version}.",
    )
    (heading,) = found(r"^## (.+)$", "CHANGELOG.md")
    (cited,) = found(r"^version: (.+)$", "CITATION.cff")
    (date,) = found(r"^date-released: (\d{4}-\d\d-\d\d)$", "CITATION.cff")
    require(cited == version, f"CITATION.cff has version {cited}, the package {version}.")
    require(
        heading == f"{version} ({date})",
        f"CHANGELOG.md must begin with '## {version} ({date})', the package's version and the date "
        f"of CITATION.cff. Received: '## {heading}'.",
    )
    require(tag in (None, f"v{version}"), f"the tag must be v{version}. Received: {tag}.")
    return version


def check_metadata(told: email.message.Message, version: str, place: str) -> None:
    """Holds what a package says of itself against pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    expected = {
        "Name": project["name"],
        "Version": version,
        "Summary": project["description"],
        "License-Expression": project["license"],
        "License-File": "LICENSE",
        "Keywords": ",".join(sorted(project["keywords"])),
        "Requires-Python": project["requires-python"],
        "Description-Content-Type": "text/markdown",
    }
    for name, value in expected.items():
        received = told[name]
        if name == "Keywords":
            received = ",".join(sorted((received or "").split(",")))
        elif name == "Requires-Python":
            received = (received or "").replace(" ", "")
        require(received == value, f"{place}: {name} must be {value}. Received: {received}.")
    classifiers = told.get_all("Classifier") or []
    require(set(classifiers) == set(project["classifiers"]), f"{place} lacks classifiers")
    require(
        not any(line.startswith("License ::") for line in classifiers),
        f"{place} has the license as a classifier too, which PyPI refuses",
    )
    require(len(told.get_all("Requires-Dist") or ()) > 5, f"{place} lacks requirements")
    require(
        set(told.get_all("Provides-Extra") or ()) == set(project["optional-dependencies"]),
        f"{place} has other extras than pyproject.toml",
    )
    readme = (ROOT / "README.md").read_text(encoding="utf-8").strip()
    description = str(told.get_payload()).strip()
    require(description == readme, f"{place} has not the README as its description")


def check_wheel(wheel: Path, version: str) -> None:
    """The wheel holds the package, its data, the license, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        place = f"unetv2-{version}.dist-info"
        metadata = archive.read(f"{place}/METADATA").decode("utf-8")
        commands = archive.read(f"{place}/entry_points.txt").decode("utf-8")
    foreign = [name for name in names if not name.startswith(("unetv2/", f"{place}/"))]
    foreign += [name for name in names if name.endswith(FOREIGN)]
    require(not foreign, f"the wheel holds {foreign}")
    sources = (ROOT / "unetv2").rglob("*.py")
    wanted = [path.relative_to(ROOT).as_posix() for path in sources]
    wanted += [f"unetv2/{name}" for name in DATA] + [f"{place}/licenses/LICENSE"]
    lacking = sorted(set(wanted) - set(names))
    require(not lacking, f"the wheel lacks {lacking}")
    require("unetv2 = unetv2.cli:main" in commands, "the wheel lacks the command unetv2")
    check_metadata(email.message_from_string(metadata), version, "the wheel")


def check_sdist(sdist: Path, version: str, scratch: Path) -> None:
    """The sdist holds what its tests need, which run from it, and nothing that is generated."""
    with tarfile.open(sdist) as archive:
        archive.extractall(scratch, filter="data")
    source = scratch / f"unetv2-{version}"
    names = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    lacking = [name for name in SOURCES if name not in names]
    lacking += [name for name in FOLDERS if not (source / name).is_dir()]
    require(not lacking, f"the sdist lacks {lacking}")
    generated = ("docs/_build/", "docs/auto_gallery/", "runs/", "dist/")
    foreign = [name for name in names if "__pycache__" in name or name.startswith(generated)]
    require(not foreign, f"the sdist holds {foreign}")
    told = email.message_from_string((source / "PKG-INFO").read_text(encoding="utf-8"))
    check_metadata(told, version, "the sdist")
    tests = [f"tests/test_{name}.py" for name in TESTS]
    # The folder is the first on the path, so these are the sdist's modules.
    for words in (["--collect-only", "-qq"], ["-q", *tests]):
        output = subprocess.DEVNULL if "-qq" in words else None
        settings = {**os.environ, "PYTHONPATH": str(source), "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-m", "pytest", *words]
        ended = subprocess.run(command, cwd=source, env=settings, stdout=output)
        require(ended.returncode == 0, f"the sdist's tests failed: pytest {' '.join(words)}")


def check_installed(packages: tuple[Path, ...], place: Path) -> None:
    """Each package works where nothing else is installed, and out of reach of the checkout."""
    subprocess.run([sys.executable, "-m", "venv", place / "environment"], check=True)
    python = place / "environment" / "bin" / "python"
    smoke = place / "smoke.py"
    smoke.write_bytes((ROOT / ".ci" / "smoke.py").read_bytes())
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for package in packages:
        print(f"{package.name}:", flush=True)
        # What the first one needs is there for the others, whose metadata is the same.
        again = ["--force-reinstall", "--no-deps"] if package != packages[0] else []
        install = [python, "-m", "pip", "install", "--quiet", *again, package]
        subprocess.run(install, check=True)
        subprocess.run([python, smoke], cwd=place, env=settings, check=True)


def main() -> None:
    """Builds and checks, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tag", help="the tag that is released, as v0.1.0")
    parser.add_argument("--dist", type=Path, help="where the packages are left")
    options = parser.parse_args()
    version = check_version(options.tag)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        dist = (options.dist or scratch / "dist").resolve()
        older = [path.name for path in dist.glob("*")]
        require(not older, f"'{dist}' must be empty. Received: {older}.")
        # The wheel is built from the sdist, so that is whole as well.
        build = [sys.executable, "-m", "build", "--outdir", str(dist), str(ROOT)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        wheel, sdist = (
            dist / f"unetv2-{version}-py3-none-any.whl",
            dist / f"unetv2-{version}.tar.gz",
        )
        check_wheel(wheel, version)
        check_sdist(sdist, version, scratch / "source")
        check_installed((wheel, sdist), scratch)
    print(f"unetv2 {version} can be released")


if __name__ == "__main__":
    main()
