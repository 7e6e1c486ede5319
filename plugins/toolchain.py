"""Makes a compiler for detector guests (target wasm32-unknown-unknown) available, without hands.

Three ways, the first that works is taken:

1. the compiler in use already has the target;
2. `rustup target add wasm32-unknown-unknown`, given three minutes;
3. Debian's own packages of a Rust with its library sources (`rustc-web` and its family, about 140 MB to fetch),
   unpacked into `third_party/wasm-toolchain/` and never installed: nothing outside that folder changes. Cargo then
   builds the guests' standard library itself (`-Zbuild-std`), since no package carries one for this target. The
   sources must be of the very version of the compiler, hence a compiler of its own for the guests.

The variables this yields are for a guest build alone: the gateway is always built with the ordinary compiler.

    python3 plugins/toolchain.py           make it available; says nothing when there is nothing to do
    python3 plugins/toolchain.py --env     the same, then print the variables as `export` lines for a shell
    python3 plugins/toolchain.py --from debian|rustup    take this way only

Does not know the plugins: `build.py` does.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

TARGET = "wasm32-unknown-unknown"
TOP = Path(__file__).resolve().parent.parent
UNPACKED = TOP / "third_party" / "wasm-toolchain"
LEAST_CARGO = (1, 95)
RUSTUP_SECONDS_MAX = 180
BY_HAND = f"run `rustup target add {TARGET}` once where rustup's server can be reached"


class Missing(Exception):
    """Something the set-up needs is not here; the message says what, and how to get it."""


class Guests(NamedTuple):
    """How to call cargo for a guest build: variables to add to the environment, and further arguments."""

    env: dict[str, str]
    cargo_args: list[str]


def say(text: str) -> None:
    """One line on standard error: something that takes a while begins."""
    print(text, file=sys.stderr, flush=True)


def check_cargo() -> None:
    """Raises Missing unless a recent enough cargo is on the path."""
    wanted = ".".join(map(str, LEAST_CARGO))
    way_out = f"install Rust {wanted} or newer with rustup (`rustup update stable`)"
    if shutil.which("cargo") is None:
        raise Missing(f"cargo is not on the path: {way_out}")
    done = subprocess.run(["cargo", "--version"], capture_output=True, text=True)
    found = re.search(r"cargo (\d+)\.(\d+)", done.stdout)
    if found is None:
        raise Missing(f"`cargo --version` did not answer ({last_line(done.stderr)}): {way_out}")
    if (int(found[1]), int(found[2])) < LEAST_CARGO:
        raise Missing(f"cargo {found[1]}.{found[2]} is too old, {wanted} is needed: {way_out}")


def prepare(way: str = "any") -> Guests:
    """The environment of a guest build, made available first where it is not.

    `way` is `any`, `rustup` or `debian`. Raises Missing. Takes some 50 ms once everything is in place.
    """
    refusal = "not asked"
    if way != "debian":
        if has_target():
            return Guests({}, [])
        # What an earlier run unpacked stays in use: rustup would most likely refuse again, and take its time.
        if way == "rustup" or unpacked_version() is None:
            refusal = add_with_rustup()
            if refusal is None:
                return Guests({}, [])
    if way != "rustup":
        if unpacked_version() is None:
            unpack_debian(refusal)
        return debian_guests()
    raise Missing(f"the target {TARGET} cannot be added by rustup ({refusal}): {BY_HAND}")


def last_line(text: str) -> str:
    """The last line of a tool's output that says something: its reason, as a rule."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


@functools.lru_cache(maxsize=None)
def sysroot() -> Path:
    """The folder of the compiler in use."""
    done = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"`rustc --print sysroot` failed ({last_line(done.stderr)}): repair it with `rustup update stable`")
    return Path(done.stdout.strip())


def has_target() -> bool:
    """Whether the compiler in use has the target's standard library."""
    return any((sysroot() / "lib" / "rustlib" / TARGET / "lib").glob("libstd-*.rlib"))


def add_with_rustup() -> str | None:
    """Asks rustup for the target. None on success, else why it was refused."""
    if shutil.which("rustup") is None:
        return "there is no rustup here"
    say(f"set-up: adding the target {TARGET} with rustup")
    try:
        done = subprocess.run(
            ["rustup", "--quiet", "target", "add", TARGET],
            capture_output=True, text=True, timeout=RUSTUP_SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {RUSTUP_SECONDS_MAX} s"
    if done.returncode == 0 and has_target():
        return None
    return first_reason(done.stderr)


def first_reason(text: str) -> str:
    """The `error:` line of rustup's output: what follows it are details."""
    found = re.search(r"error: (.+)", text)
    return found[1].strip() if found else last_line(text)


# Debian's packages ---------------------------------------------------------------------------------------------------


def unpacked_version() -> str | None:
    """The version unpacked by an earlier run, if that run came to its end."""
    stamp = UNPACKED / "version"
    return stamp.read_text().strip() if stamp.is_file() else None


def unpack_debian(refusal: str | None) -> None:
    """Fetches and unpacks Debian's packages into `third_party/wasm-toolchain/`. Takes about a minute."""
    lacking = [tool for tool in ("apt-get", "apt-cache", "dpkg") if shutil.which(tool) is None]
    if lacking:
        raise Missing(
            f"the target {TARGET} is missing, rustup did not add it ({refusal}), and the other way needs Debian's "
            f"packages, but `{lacking[0]}` is not on the path: {BY_HAND}"
        )
    say(f"set-up: rustup did not add {TARGET} ({refusal}); fetching Debian's packages of it, about 140 MB")
    part = UNPACKED.with_name(UNPACKED.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(UNPACKED, ignore_errors=True)
    archives = part / "archives"
    archives.mkdir(parents=True)
    apt = Apt(part / "apt", refusal)
    version, packages = choose_packages(apt)
    apt.run("apt-get", "download", *packages, cwd=archives)
    for archive in sorted(archives.glob("*.deb")):
        run_or_missing(["dpkg", "-x", str(archive), str(part)], "unpacking it failed")
    shutil.rmtree(archives)
    shutil.rmtree(apt.state)
    drop_needless(part)
    part.rename(UNPACKED)
    check_unpacked()
    (UNPACKED / "version").write_text(version + "\n")


class Apt:
    """apt with lists and caches of its own: needs no root, changes nothing of the system, checks signatures as ever."""

    def __init__(self, state: Path, refusal: str | None) -> None:
        self.state = state
        self.refusal = refusal
        for folder in ("lists/partial", "cache/archives/partial"):
            (state / folder).mkdir(parents=True)
        # The system's own lists may be absent or old. A source that fails is not our concern unless packages lack.
        said = subprocess.run(self.command("apt-get", "update"), capture_output=True, text=True).stderr
        failed = re.search(r"Failed to fetch \S+\s+(.+)", said)
        self.update = failed[1].strip() if failed else last_line(said)

    def command(self, tool: str, *args: str) -> list[str]:
        """The command line with the private folders."""
        options = [f"Dir::State::Lists={self.state}/lists", f"Dir::Cache={self.state}/cache",
                   "Acquire::Retries=2", "Acquire::http::Timeout=20", "Acquire::https::Timeout=20",
                   "Acquire::Languages=none"]
        return [tool, "-q"] + [word for option in options for word in ("-o", option)] + list(args)

    def run(self, tool: str, *args: str, cwd: Path | None = None) -> str:
        """What the tool prints. Raises Missing where it fails."""
        return run_or_missing(self.command(tool, *args), self.failure("Debian's packages cannot be had"), cwd)

    def candidate(self, package: str) -> str | None:
        """The newest version offered of a package."""
        found = re.search(r"Candidate: (\S+)", self.run("apt-cache", "policy", package))
        return found[1] if found and found[1] != "(none)" else None

    def failure(self, what: str) -> str:
        """A sentence for the reader: both ways are closed, and the way out."""
        return f"the target {TARGET} is missing: rustup did not add it ({self.refusal}), and {what}; {BY_HAND}"


def choose_packages(apt: Apt) -> tuple[str, list[str]]:
    """The newest `rustc-web` and the packages that belong to it, each with its version."""
    version = apt.candidate("rustc-web")
    if version is None:
        raise Missing(apt.failure(f"this system offers no package `rustc-web` (apt-get update: {apt.update})"))
    series = ".".join(version.split(".")[:2])
    library = f"libstd-rust-web-{series}"
    llvm = re.search(r"Depends: libllvm(\d+)", apt.run("apt-cache", "depends", f"{library}={version}"))
    if llvm is None:
        raise Missing(apt.failure(f"the package `{library}` names no LLVM library"))
    same = ["rustc-web", library, "libstd-rust-web-dev", "rust-web-src"]
    packages = [f"{package}={version}" for package in same] + [f"libllvm{llvm[1]}"]
    if rustup_linker() is None:
        packages.append(f"lld-{llvm[1]}")
    return version, packages


def drop_needless(unpacked: Path) -> None:
    """Removes the sources of the compiler, its tools and its books: of 430 MB only the library is ever built."""
    for folder in (unpacked / "usr" / "src").glob("rustc-*/*"):
        if folder.name != "library" and folder.is_dir():
            shutil.rmtree(folder)
    shutil.rmtree(unpacked / "usr" / "share", ignore_errors=True)


def run_or_missing(command: list[str], what: str, cwd: Path | None = None) -> str:
    """What the command prints; raises Missing with `what` and the command's own reason where it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"{what} (`{command[0]}`: {last_line(done.stderr)})")
    return done.stdout


def check_unpacked() -> None:
    """Raises Missing unless the unpacked compiler starts, naming the system libraries it lacks."""
    compiler = UNPACKED / "usr" / "bin" / "rustc"
    env = {**os.environ, "LD_LIBRARY_PATH": str(library_folder())}
    done = subprocess.run([str(compiler), "--version"], env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"Debian's compiler does not start here ({last_line(done.stderr)}): install that library, or {BY_HAND}")
    sources = UNPACKED / "usr" / "lib" / "rustlib" / "src" / "rust" / "library" / "std"
    if not sources.is_dir():
        raise Missing(f"Debian's packages have no library sources at `{sources}`: {BY_HAND}")


def library_folder() -> Path:
    """Where the unpacked compiler's shared libraries are (the folder bears the machine's name)."""
    found = sorted((UNPACKED / "usr" / "lib").glob("*-linux-gnu*"))
    if not found:
        raise Missing(f"`{UNPACKED}` is damaged: remove that folder and run the set-up again")
    return found[0]


def rustup_linker() -> Path | None:
    """The linker that comes with rustup's compiler. Not its `gcc-ld/wasm-ld`: that refuses the compiler's `-flavor`."""
    found = sorted((sysroot() / "lib" / "rustlib").glob("*/bin/rust-lld"))
    return found[0] if found else None


def debian_guests() -> Guests:
    """The guest environment over the unpacked packages."""
    lld = sorted((UNPACKED / "usr" / "lib").glob("llvm-*/bin/lld"))
    linker = rustup_linker() or (lld[0] if lld else None)
    if linker is None:
        raise Missing(f"there is no linker for WebAssembly: remove the folder `{UNPACKED}` and run the set-up again, or {BY_HAND}")
    libraries = [str(library_folder()), os.environ.get("LD_LIBRARY_PATH", "")]
    env = {
        "RUSTC": str(UNPACKED / "usr" / "bin" / "rustc"),
        "LD_LIBRARY_PATH": os.pathsep.join(part for part in libraries if part),
        "RUSTC_BOOTSTRAP": "1",
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER": str(linker),
    }
    return Guests(env, ["-Zbuild-std=std,panic_abort"])


def main() -> int:
    """The command line; 0 when the toolchain is there."""
    options = argparse.ArgumentParser(description="make a WebAssembly guest compiler available")
    options.add_argument("--from", dest="way", choices=["any", "rustup", "debian"], default="any")
    options.add_argument("--env", action="store_true", help="print the variables of a guest build as export lines")
    chosen = options.parse_args()
    try:
        check_cargo()
        guests = prepare(chosen.way)
    except Missing as missing:
        say(f"set-up: {missing}")
        return 1
    if chosen.env:
        for name, value in {**guests.env, "GUEST_CARGO_ARGS": " ".join(guests.cargo_args)}.items():
            print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
