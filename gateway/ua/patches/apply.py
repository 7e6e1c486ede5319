#!/usr/bin/env python3
"""Makes the patched OPC UA crates in third_party/, where Cargo.toml's [patch.crates-io] looks for them.

Cargo itself fetches the pinned crates, through a scratch manifest, so that mirrors, proxies, vendored sources and
offline settings of this machine are honoured; each crate is checked against the digest below; then the patches
beside this script are applied in the order of their names. Only files that differ are written, so that a changed
patch rebuilds no more than it must. A second run does nothing and says nothing.

It knows nothing of what the patches are for (README.md does), and it never edits Cargo.toml.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "0.19.0"
# Crate name -> SHA-256 of its .crate file. Cargo.toml pins the same version.
CRATES = {
    "async-opcua-client": "df6b6057fb54758328c3f069c39d55920470247e2cf183bbf9ab8a293d6604b4",
    "async-opcua-core": "0cae09e236a1b345eb62b2b16bbff01902b564b6fb40e5c72675ebb4cd8dd240",
    "async-opcua-crypto": "07b4d6264f9ffb7850ca6fa1014f501c9cce5f87015912f7928234c1d795b430",
    "async-opcua-nodes": "db978815d9226c4b718e4856912b97930cc54bd5810bc24b9766f8866ed34479",
    "async-opcua-server": "8d1738e1141549d976e6f23cf1598e3dc02150c440c390ec7a72da6a2c6e4935",
}
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
LICENCE = "LICENSE-MPL-2.0.txt"
STAMP = ".patched"


class Failure(Exception):
    """Something is missing or wrong; the text names it and the way out."""


def digest(data):
    return hashlib.sha256(data).hexdigest()


def stamp_of(patches):
    """What third_party/ is made from: this script, the licence text and every patch."""
    parts = [Path(__file__).resolve(), HERE / LICENCE, *patches]
    return "".join(f"{digest(part.read_bytes())} {part.name}\n" for part in parts)


def is_current(target, stamp):
    try:
        made_from = (target / STAMP).read_text(encoding="utf-8")
    except OSError:
        return False
    return made_from == stamp and all((target / name / "Cargo.toml").is_file() for name in CRATES)


def run(command, missing, **options):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    except FileNotFoundError:
        raise Failure(missing) from None


def fetch(scratch):
    """Lets cargo fetch the crates; returns crate name -> the folder cargo unpacked it into."""
    (scratch / "lib.rs").touch()
    wanted = "".join(f'{name} = "={VERSION}"\n' for name in CRATES)
    (scratch / "Cargo.toml").write_text(
        '[package]\nname = "fetch-patched-crates"\nversion = "0.0.0"\nedition = "2021"\n'
        f'[lib]\npath = "lib.rs"\n[workspace]\n[dependencies]\n{wanted}',
        encoding="utf-8",
    )
    if (ROOT / "Cargo.lock").is_file():  # the same versions of everything else: nothing is fetched twice
        shutil.copyfile(ROOT / "Cargo.lock", scratch / "Cargo.lock")
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--format-version=1", "--quiet"]
    # From the project's folder, so that its .cargo/config.toml counts too.
    found = run(
        [*command, f"--manifest-path={scratch / 'Cargo.toml'}"],
        "`cargo` was not found: install Rust with rustup and run this again",
        cwd=ROOT,
    )
    if found.returncode != 0:
        raise Failure(
            f"cargo could not fetch {', '.join(CRATES)} {VERSION}; check the network, the proxy or the registry "
            f"mirror in cargo's config, then run this again. cargo said:\n{found.stderr.strip()}"
        )
    packages = json.loads(found.stdout)["packages"]
    return {
        package["name"]: Path(package["manifest_path"]).parent
        for package in packages
        if package["name"] in CRATES and package["version"] == VERSION
    }


def read_checked(name, folder):
    """The crate's files as path -> bytes, from bytes whose digest is the pinned one."""
    crate = folder.parents[2] / "cache" / folder.parent.name / f"{name}-{VERSION}.crate"
    if crate.is_file():
        check_digest(name, digest(crate.read_bytes()), crate)
        return read_archive(name, crate)
    if (folder / ".cargo-checksum.json").is_file():
        return read_vendored(name, folder)
    raise Failure(
        f"{name} {VERSION}: neither {crate} nor {folder / '.cargo-checksum.json'} exists, so its contents cannot be "
        f"checked; remove {folder} and run this again, so that cargo fetches the crate anew"
    )


def check_digest(name, got, where):
    if got != CRATES[name]:
        raise Failure(
            f"{name} {VERSION}: {where} has SHA-256 {got}, expected {CRATES[name]}; remove it and run this again, "
            "or find out why the registry or mirror serves another file"
        )


def read_archive(name, crate):
    files = {}
    with tarfile.open(crate, "r:gz") as archive:
        for member in archive:
            top, _, path = member.name.partition("/")
            if member.isfile():
                if top != f"{name}-{VERSION}" or ".." in path.split("/"):
                    raise Failure(f"{crate}: unexpected path {member.name}")
                files[path] = archive.extractfile(member).read()
    return files


def read_vendored(name, folder):
    """A directory source (`cargo vendor`) keeps no .crate file, but the digest of it and of each file."""
    listing = folder / ".cargo-checksum.json"
    sums = json.loads(listing.read_text(encoding="utf-8"))
    check_digest(name, sums.get("package"), listing)
    files = {path: (folder / path).read_bytes() for path in sums["files"]}
    for path, data in files.items():
        if digest(data) != sums["files"][path]:
            raise Failure(f"{folder / path} is not as it was vendored; run `cargo vendor` again")
    return files


def apply_patches(staging, patches):
    # A ceiling keeps git from taking the staging folder for a part of a repository: it would then skip, in
    # silence, every file that it believes to lie outside.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment.update(GIT_CEILING_DIRECTORIES=str(staging.parent), GIT_CONFIG_NOSYSTEM="1", LC_ALL="C")
    for patch in patches:
        touched = [staging / line[6:].strip() for line in patch.read_text(encoding="utf-8").splitlines()
                   if line.startswith("+++ b/")]
        before = {path: path.read_bytes() if path.is_file() else None for path in touched}
        done = run(
            ["git", "-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", str(patch)],
            "`git` was not found, which applies the patches: install git and run this again",
            cwd=staging,
            env=environment,
        )
        unchanged = [str(path.relative_to(staging)) for path in touched
                     if not path.is_file() or path.read_bytes() == before[path]]
        if done.returncode != 0 or unchanged or not touched:
            reason = done.stderr.strip() or f"it left {', '.join(unchanged) or 'every file'} unchanged"
            raise Failure(
                f"{patch} does not apply to the {VERSION} crates: {reason}\nmake it anew against the pinned sources, "
                "or remove it if the crate no longer has the defect (README.md beside it says what each mends)"
            )


def write_changed(staging, target):
    """Makes target/<crate> equal to staging/<crate>, touching only what differs."""
    wanted = {path.relative_to(staging): path for path in staging.rglob("*") if path.is_file()}
    for relative, source in wanted.items():
        into = target / relative
        data = source.read_bytes()
        if not into.is_file() or into.read_bytes() != data:
            into.parent.mkdir(parents=True, exist_ok=True)
            into.write_bytes(data)
    for name in CRATES:
        for path in (target / name).rglob("*"):
            if path.is_file() and path.relative_to(target) not in wanted:
                path.unlink()


def make(target, patches, stamp):
    with tempfile.TemporaryDirectory(prefix="patched-crates-") as folder:
        scratch, staging = Path(folder).resolve() / "fetch", Path(folder).resolve() / "staging"
        scratch.mkdir()
        folders = fetch(scratch)
        for name in CRATES:
            if name not in folders:
                raise Failure(f"cargo fetched no {name} {VERSION}; is a [patch] or [source] in cargo's config replacing it?")
            files = read_checked(name, folders[name])
            files[LICENCE] = (HERE / LICENCE).read_bytes()
            for path, data in files.items():
                into = staging / name / path
                into.parent.mkdir(parents=True, exist_ok=True)
                into.write_bytes(data)
        apply_patches(staging, patches)
        target.mkdir(parents=True, exist_ok=True)
        (target / STAMP).unlink(missing_ok=True)  # an interrupted run must not look finished
        write_changed(staging, target)
        (target / STAMP).write_text(stamp, encoding="utf-8")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--into", type=Path, default=ROOT / "third_party", help="where to make the crates")
    options.add_argument("--patches", type=Path, default=HERE, help="the folder of the .patch files")
    chosen = options.parse_args()
    patches = sorted(chosen.patches.resolve().glob("*.patch"))
    stamp = stamp_of(patches)
    if is_current(chosen.into, stamp):
        return 0
    try:
        make(chosen.into.resolve(), patches, stamp)
    except (Failure, OSError, tarfile.TarError) as failure:
        print(f"patched OPC UA crates: {failure}", file=sys.stderr)
        return 1
    print(f"patched OPC UA crates: {', '.join(CRATES)} {VERSION} with {len(patches)} patches in {chosen.into}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
