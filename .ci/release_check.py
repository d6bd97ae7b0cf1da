"""Builds the sdist and the wheel, and checks that they can be released.

    python .ci/release_check.py                            # needs the extra `dev`
    python .ci/release_check.py --tag v0.1.0 --dist dist   # and keeps them

Checks that version and date are the same in all files, that the metadata is complete, that both
archives contain all files and no others, that the tests of the sdist run, and that both packages
work in an empty environment, with .ci/smoke.py.
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
FOREIGN = (".png", ".jpg", ".keras", ".h5", ".pyc")
# Files that tests or users read.
SOURCES = ("README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "PKG-INFO")
FOLDERS = ("unetv2", "tests", "docs", "examples", "benchmarks", ".ci", ".github")
# Tests of the whole repository; the others are only collected.
TESTS = ("house", "docs_pages", "docs_citing", "docs_benchmarks", "workflows")


def require(right: bool, message: str) -> None:
    """Exits with a message unless a condition holds."""
    if not right:
        sys.exit(f"error: {message}")


def found(pattern: str, name: str) -> tuple[str, ...]:
    """Returns the groups of the first match of a pattern in a file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    match = re.search(pattern, text, re.MULTILINE)
    require(match is not None, f"{name} has no match for {pattern}")
    return match.groups()


def check_version(tag: str | None) -> str:
    """Returns the version, the same in package, changelog, citation and tag."""
    (version,) = found(r'^__version__ = "(.+)"$', "unetv2/__init__.py")
    require(
        re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version) is not None,
        f"a version must have the form 1.2.3 or 1.2.3rc1. Received: {version}.",
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


def check_metadata(metadata: email.message.Message, version: str, package: str) -> None:
    """Compares the metadata of a package with pyproject.toml."""
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
        received = metadata[name]
        if name == "Keywords":
            received = ",".join(sorted((received or "").split(",")))
        elif name == "Requires-Python":
            received = (received or "").replace(" ", "")
        require(received == value, f"{package}: {name} must be {value}. Received: {received}.")
    classifiers = metadata.get_all("Classifier") or []
    require(set(classifiers) == set(project["classifiers"]), f"{package} lacks classifiers")
    require(
        not any(line.startswith("License ::") for line in classifiers),
        f"{package} also has the license as a classifier, which PyPI rejects",
    )
    require(len(metadata.get_all("Requires-Dist") or ()) > 5, f"{package} lacks requirements")
    require(
        set(metadata.get_all("Provides-Extra") or ()) == set(project["optional-dependencies"]),
        f"{package} has other extras than pyproject.toml",
    )
    readme = (ROOT / "README.md").read_text(encoding="utf-8").strip()
    description = str(metadata.get_payload()).strip()
    require(description == readme, f"{package} must have the README as description")


def check_wheel(wheel: Path, version: str) -> None:
    """Checks that the wheel contains the package, its data and the license, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = f"unetv2-{version}.dist-info"
        metadata = archive.read(f"{info}/METADATA").decode("utf-8")
        commands = archive.read(f"{info}/entry_points.txt").decode("utf-8")
    foreign = [name for name in names if not name.startswith(("unetv2/", f"{info}/"))]
    foreign += [name for name in names if name.endswith(FOREIGN)]
    require(not foreign, f"the wheel holds {foreign}")
    sources = [path for path in (ROOT / "unetv2").rglob("*") if path.is_file()]
    wanted = [path.relative_to(ROOT).as_posix() for path in sources if path.suffix != ".pyc"]
    wanted += ["unetv2/py.typed", f"{info}/licenses/LICENSE"]
    lacking = sorted(set(wanted) - set(names))
    require(not lacking, f"the wheel lacks {lacking}")
    require("unetv2 = unetv2.cli:main" in commands, "the wheel lacks the command unetv2")
    check_metadata(email.message_from_string(metadata), version, "the wheel")


def check_sdist(sdist: Path, version: str, scratch: Path) -> None:
    """Checks that the sdist contains no generated files, and that its tests run."""
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
    metadata = email.message_from_string((source / "PKG-INFO").read_text(encoding="utf-8"))
    check_metadata(metadata, version, "the sdist")
    tests = [f"tests/test_{name}.py" for name in TESTS]
    # The folder is the first on the path, so these are the sdist's modules.
    for words in (["--collect-only", "-qq"], ["-q", *tests]):
        output = subprocess.DEVNULL if "-qq" in words else None
        settings = {**os.environ, "PYTHONPATH": str(source), "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-m", "pytest", *words]
        ended = subprocess.run(command, cwd=source, env=settings, stdout=output)
        require(ended.returncode == 0, f"the sdist's tests failed: pytest {' '.join(words)}")


def check_installed(packages: tuple[Path, ...], place: Path) -> None:
    """Checks that each package works in an empty environment, outside of the checkout."""
    subprocess.run([sys.executable, "-m", "venv", place / "environment"], check=True)
    python = place / "environment" / "bin" / "python"
    smoke = place / "smoke.py"
    smoke.write_bytes((ROOT / ".ci" / "smoke.py").read_bytes())
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for package in packages:
        print(f"{package.name}:", flush=True)
        # The first one installs the dependencies, which are the same for the others.
        again = ["--force-reinstall", "--no-deps"] if package != packages[0] else []
        install = [python, "-m", "pip", "install", "--quiet", *again, package]
        subprocess.run(install, check=True)
        subprocess.run([python, smoke], cwd=place, env=settings, check=True)


def main() -> None:
    """Builds and checks both packages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tag", help="tag of the release, such as v0.1.0")
    parser.add_argument("--dist", type=Path, help="output folder of the packages")
    options = parser.parse_args()
    version = check_version(options.tag)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        dist = (options.dist or scratch / "dist").resolve()
        older = [path.name for path in dist.glob("*")]
        require(not older, f"'{dist}' must be empty. Received: {older}.")
        # The wheel is built from the sdist, which is therefore complete.
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
