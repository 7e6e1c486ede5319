"""Builds every detector of this workspace into a WebAssembly component, `plugins/dist/<name>.wasm`.

A detector is a member folder whose crate makes a `cdylib`; its folder's name is the component's name. Each is compiled
for wasm32-unknown-unknown with the environment `toolchain.py` yields, then turned into a component by the member
`pack`, which refuses one that wants more of its host than the contract gives. `plugins/dist/digests.txt` lists the
BLAKE3 digest and the file name of each (`b3sum --check` reads it).

Nothing is built while the sources, the contract in `wit/`, the lock file, these scripts and the components
themselves are what they were at the last build: then this says nothing and takes about 0.1 s.

A detector exports itself for that target alone (`#[cfg(target_arch = "wasm32")] export!(...)`): the names of a
component's functions are none a host's linker takes, and so `cargo test` here runs on the host.

The two compilers have a target folder each (`plugins/target/guest`, `plugins/target/host`), so that neither undoes the
other's work. The paths of this machine are mapped away from the components: `/cargo`, `/watchfire`.

What has a library so large that it takes minutes to compile (`LARGE`) is built when it is named, and stays out of the
program; it is as any other plugin that somebody hands over in a file.

    python3 plugins/build.py                         build what changed
    python3 plugins/build.py onnx                    build this large one, if it changed
    python3 plugins/build.py --from debian|rustup    with the guest compiler had this way (see toolchain.py)
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import toolchain
from toolchain import Guests, Missing, say

PLUGINS = Path(__file__).resolve().parent
TOP = PLUGINS.parent
DIST = PLUGINS / "dist"
DIGESTS = DIST / "digests.txt"
# What is built by its name alone, and what its libraries want to be told: that there is no randomness.
LARGE = {"onnx": ["--cfg", 'getrandom_backend="unsupported"']}
# What builds leave, and what detectors in other languages are written with.
NOT_SOURCES = {"target", "dist", "node_modules", "__pycache__", "sdk-c", "sdk-go", "sdk-javascript", "sdk-python"}


def main() -> int:
    """The command line; 0 when every component is there and fresh."""
    options = argparse.ArgumentParser(description="build the detectors into plugins/dist")
    options.add_argument("--from", dest="way", choices=["any", "rustup", "debian"], default="any")
    options.add_argument("large", nargs="?", choices=sorted(LARGE))
    given = options.parse_args()
    try:
        toolchain.check_cargo()
        with alone():
            if not fresh(given.large):
                build(given.way, given.large)
    except Missing as missing:
        say(f"set-up: {missing}")
        return 1
    return 0


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Holds a lock, where the system has one, so that two set-ups at once do the work once."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    (PLUGINS / "target").mkdir(exist_ok=True)
    with open(PLUGINS / "target" / ".set-up.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fresh(large: str | None) -> bool:
    """Whether the last build was of these inputs and its outputs are untouched."""
    return stamp(large).is_file() and stamp(large).read_text() == state(large)


def stamp(large: str | None) -> Path:
    """Where the last build left the state."""
    return DIST / (f".built-{large}" if large else ".built")


def state(large: str | None) -> str:
    """A digest of all that goes into the components and one of the components."""
    return f"{digest_of(sources(large))} {digest_of(made(large))}\n"


def made(large: str | None) -> list[Path]:
    """What a build leaves in `dist`: of all that is not large, or of one that is."""
    if large:
        return [DIST / f"{large}.wasm"]
    return sorted(file for file in DIST.glob("*.wasm") if file.stem not in LARGE) + [DIGESTS]


def sources(large: str | None) -> list[Path]:
    """Every file that can change a component: those of `plugins/` and `wit/`, less what builds leave there."""
    left_out = NOT_SOURCES | (LARGE.keys() - {large})
    found = []
    for root in (PLUGINS, TOP / "wit"):
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(f for f in folders if f not in left_out and not f.startswith("."))
            found += [Path(folder) / file for file in sorted(files) if not file.startswith(".")]
    return found


def digest_of(files: list[Path]) -> str:
    """One digest over the names and contents of files; a missing file counts as such."""
    whole = hashlib.sha256()
    for file in files:
        content = file.read_bytes() if file.is_file() else b"missing"
        whole.update(f"{file.relative_to(TOP).as_posix()}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def build(way: str, large: str | None) -> None:
    """Compiles and packs the detectors; what is no detector any more leaves `dist`."""
    detectors = find_detectors(large)
    DIST.mkdir(exist_ok=True)
    lines = []
    if detectors:
        guests = toolchain.prepare(way)
        say(f"set-up: building the detectors {', '.join(sorted(detectors))}" + (", some minutes" if large else ""))
        compile_guests([package for package, _ in detectors.values()], guests, large)
    for name, (_, module) in sorted(detectors.items()):
        lines.append(f"{pack(module, DIST / f'{name}.wasm')}  {name}.wasm\n")
    if not large:
        for left in made(large)[:-1]:
            if left.stem not in detectors:
                left.unlink()
        DIGESTS.write_text("".join(lines))
    stamp(large).write_text(state(large))


def find_detectors(large: str | None) -> dict[str, tuple[str, Path]]:
    """The detectors by folder name: the package, and the core module that the compiler will make."""
    metadata = json.loads(cargo(["metadata", "--no-deps", "--format-version", "1"], capture=True))
    kind, profile = ("large", "large") if large else ("guest", "release")
    folder = PLUGINS / "target" / kind / toolchain.TARGET / profile
    detectors = {}
    for package in metadata["packages"]:
        for target in package["targets"]:
            if "cdylib" in target["crate_types"]:
                module = folder / f"{target['name'].replace('-', '_')}.wasm"
                detectors[Path(package["manifest_path"]).parent.name] = (package["name"], module)
    return {name: found for name, found in detectors.items() if name == large or not large and name not in LARGE}


def compile_guests(packages: list[str], guests: Guests, large: str | None) -> None:
    """Compiles the guest crates to core modules."""
    home = os.environ.get("CARGO_HOME") or str(Path.home() / ".cargo")
    flags = [f"--remap-path-prefix={home}=/cargo", f"--remap-path-prefix={TOP}=/watchfire"]
    flags += LARGE.get(large or "", [])
    # Takes the place of any RUSTFLAGS around us: those are meant for the host.
    env = {**os.environ, **guests.env, "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags)}
    chosen = [word for package in packages for word in ("--package", package)]
    kind, profile = ("large", "large") if large else ("guest", "release")
    cargo(["build", "--quiet", "--profile", profile, "--lib", "--target", toolchain.TARGET, *guests.cargo_args, *chosen,
           "--target-dir", str(PLUGINS / "target" / kind)], env)


def pack(module: Path, component: Path) -> str:
    """Turns a core module into a component with the member `pack`; answers its digest."""
    host = str(PLUGINS / "target" / "host")
    words = ["run", "--quiet", "--package", "pack", "--target-dir", host, "--", str(module), str(component)]
    return cargo(words, capture=True).strip()


def cargo(words: list[str], env: dict[str, str] | None = None, capture: bool = False) -> str:
    """Runs cargo in this workspace; its complaints go straight to the reader."""
    done = subprocess.run(["cargo", *words], cwd=PLUGINS, env=env, stdout=subprocess.PIPE if capture else None, text=True)
    if done.returncode != 0:
        raise Missing(f"`cargo {words[0]}` failed in `{PLUGINS.name}/`, its reason is above; repair that and run the set-up again")
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())
