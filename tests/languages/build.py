"""Builds the reference detector (`plugins/reference`) in other languages than Rust, for `tests/conformance.rs`.

    python3 tests/languages/build.py c go python javascript javascript-exact

Each comes to `third_party/languages/reference/<language>`, with the compiler that `prepare.py` brings, as the author of
a detector would build it; what is packed from it is the test's business. Prints nothing but complaints.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import prepare

TOP = prepare.LISTS.parent.parent
REFERENCE = TOP / "plugins" / "reference"
TEMPLATES = TOP / "gateway" / "watchfire" / "templates"
OUT = prepare.FOLDER / "reference"


def main() -> int:
    """Builds the languages asked for; 0 when all were built."""
    builders = {"c": c, "go": go, "python": python, "javascript": javascript, "javascript-exact": javascript}
    with prepare.alone():
        for language in sys.argv[1:]:
            folder = OUT / language
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            try:
                builders[language](folder)
            except prepare.Missing as missing:
                print(f"languages: {missing}", file=sys.stderr, flush=True)
                return 1
    return 0


def c(folder: Path) -> None:
    """C, by the Makefile of a project in C."""
    copy(REFERENCE / "detector.c", folder)
    copy(TEMPLATES / "c" / "Makefile.in", folder, "Makefile")
    shutil.copytree(TOP / "plugins" / "sdk-c", folder / "watchfire")
    compiler = f"{prepare.FOLDER / 'c' / 'bin' / 'python'} -m ziglang cc --target=wasm32-freestanding"
    prepare.run(["make", "-C", str(folder), f"WASM_CC={compiler}"], "the reference detector in C was not built")


def go(folder: Path) -> None:
    """Go, by the command of a project in Go."""
    copy(REFERENCE / "detector.go", folder)
    shutil.copytree(TOP / "plugins" / "sdk-go", folder / "watchfire")
    (folder / "go.mod").write_text((TEMPLATES / "go" / "go.mod.in").read_text().replace("{{name}}", "reference"))
    compiler = str(prepare.FOLDER / "go" / "bin" / "go")
    command = [compiler, "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", "detector.wasm"]
    settings = {"GOOS": "wasip1", "GOARCH": "wasm", **prepare.GO}
    prepare.run(command, "the reference detector in Go was not built", folder, settings)


def python(folder: Path) -> None:
    """Python, by the command of a project in Python."""
    copy(REFERENCE / "detector.py", folder)
    shutil.copytree(TOP / "plugins" / "sdk-python" / "watchfire", folder / "watchfire")
    world(folder)
    compiler = prepare.FOLDER / "python" / "bin" / "componentize-py"
    command = [str(compiler), "-d", "wit", "-w", "guest", "componentize", "--stub-wasi", "detector", "-o", "detector.wasm"]
    prepare.run(command, "the reference detector in Python was not built", folder)


def javascript(folder: Path) -> None:
    """JavaScript, by the script of a project in JavaScript."""
    copy(REFERENCE / "detector.js", folder)
    copy(TEMPLATES / "javascript" / "build.mjs.in", folder, "build.mjs")
    shutil.copytree(TOP / "plugins" / "sdk-javascript", folder / "watchfire")
    world(folder)
    os.symlink(prepare.MODULES, folder / "node_modules")
    engine = ["--exact"] if folder.name.endswith("exact") else []
    command = ["node", "build.mjs", *engine]
    prepare.run(command, f"the reference detector in JavaScript was not built ({folder.name})", folder)


def world(folder: Path) -> None:
    """The contract, and the detector's world."""
    copy(REFERENCE / "guest.wit", folder / "wit")
    copy(TOP / "wit" / "1.0.0" / "detector.wit", folder / "wit" / "deps" / "detector")


def copy(file: Path, folder: Path, name: str | None = None) -> None:
    """Copies a file, under another name perhaps."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, folder / (name or file.name))


if __name__ == "__main__":
    sys.exit(main())
