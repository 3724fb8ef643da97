#!/usr/bin/env python3
"""Writes the wheel of aiondb: the extension module, the Python part with its stubs, and the command `aion`.

    deploy/wheel.py --library libaiondb.so --program aion [--out build/wheels]

Standard library only. The extension and the program come from one build (deploy/build.sh), so this packs files and builds
nothing. The tag is linux_<arch>, not manylinux: nobody has checked that the build's glibc is one of those. The same input gives
the same bytes: entries are sorted and dated 1980-01-01. Format: PEP 427 and the core metadata 2.1.
"""

import argparse
import base64
import hashlib
import pathlib
import platform
import re
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "aiondb"
SOURCES = ("*.py", "*.pyi", "py.typed")
EPOCH = (1980, 1, 1, 0, 0, 0)
ELF = b"\x7fELF"


def version():
    """The workspace's version."""
    manifest = (ROOT / "Cargo.toml").read_text()
    table = re.search(r"^\[workspace\.package\]$(.*?)^\[", manifest, re.MULTILINE | re.DOTALL)
    found = table and re.search(r'^version = "([^"]+)"$', table[1], re.MULTILINE)
    if not found:
        sys.exit("wheel: Cargo.toml has no version below [workspace.package]")
    return found[1]


def metadata(number):
    """The METADATA file, with the README as the description."""
    lines = [
        "Metadata-Version: 2.1",
        "Name: aiondb",
        f"Version: {number}",
        "Summary: Aion, embedded: one database for rows, graphs, vectors, time series and keys",
        "License: Apache-2.0",
        "Requires-Python: >=3.10",
        "Classifier: Operating System :: POSIX :: Linux",
        "Classifier: Programming Language :: Python :: Implementation :: CPython",
        "Provides-Extra: arrow",
        "Requires-Dist: pyarrow; extra == 'arrow'",
        "Provides-Extra: pandas",
        "Requires-Dist: pandas; extra == 'pandas'",
        "Requires-Dist: pyarrow; extra == 'pandas'",
        "Provides-Extra: polars",
        "Requires-Dist: polars; extra == 'polars'",
        "Description-Content-Type: text/markdown",
        "",
        (ROOT / "python" / "README.md").read_text(),
    ]
    return "\n".join(lines).encode()


def elf(path):
    """The path, if a Linux program or library is there."""
    path = pathlib.Path(path)
    if not path.is_file():
        sys.exit(f"wheel: there is no {path}: run `make build`")
    with path.open("rb") as file:
        if file.read(4) != ELF:
            sys.exit(f"wheel: {path} is no Linux program or library")
    return path


class Wheel:
    """A zip that keeps the RECORD of what it holds."""

    def __init__(self, file, info):
        self.zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self.info, self.record = info, []

    def add(self, name, source, mode=0o644):
        """Adds bytes or a file; large files are not held in memory."""
        entry = zipfile.ZipInfo(name, EPOCH)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = (0o100000 | mode) << 16
        digest, size = hashlib.sha256(), 0
        with self.zip.open(entry, "w", force_zip64=True) as out:
            if isinstance(source, bytes):
                chunks = [source]
            else:
                file = source.open("rb")
                chunks = iter(lambda: file.read(1 << 20), b"")
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                out.write(chunk)
            if not isinstance(source, bytes):
                file.close()
        code = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        self.record.append(f"{name},sha256={code},{size}\n")

    def close(self):
        name = f"{self.info}/RECORD"
        self.record.append(f"{name},,\n")
        entry = zipfile.ZipInfo(name, EPOCH)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = (0o100000 | 0o644) << 16
        self.zip.writestr(entry, "".join(self.record))
        self.zip.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True, help="libaiondb.so")
    parser.add_argument("--program", required=True, help="the binary aion")
    parser.add_argument("--out", default=ROOT / "build" / "wheels", type=pathlib.Path, help="where the wheel goes")
    arguments = parser.parse_args()
    library, program = elf(arguments.library), elf(arguments.program)
    number = version()
    tag = f"cp310-abi3-linux_{platform.machine()}"
    name, info, data = f"aiondb-{number}-{tag}.whl", f"aiondb-{number}.dist-info", f"aiondb-{number}.data"
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=arguments.out, prefix=".wheel-", delete=False) as file:
        unfinished = pathlib.Path(file.name)
        try:
            wheel = Wheel(file, info)
            wheel.add("aiondb/_native.abi3.so", library, 0o755)
            for source in sorted(path for pattern in SOURCES for path in PACKAGE.glob(pattern)):
                wheel.add(f"aiondb/{source.name}", source)
            wheel.add(f"{data}/scripts/aion", program, 0o755)
            wheel.add(f"{info}/METADATA", metadata(number))
            wheel.add(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: aion\nRoot-Is-Purelib: false\nTag: {tag}\n".encode())
            wheel.add(f"{info}/licenses/LICENSE", ROOT / "LICENSE")
            wheel.close()
        except BaseException:
            unfinished.unlink()
            raise
    unfinished.chmod(0o644)
    # Renamed at the end: whoever looks finds a whole wheel.
    unfinished.rename(arguments.out / name)
    print(f"wheel: {arguments.out / name} ({(arguments.out / name).stat().st_size >> 20} MiB)")


if __name__ == "__main__":
    main()
