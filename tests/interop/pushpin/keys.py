"""Key pairs for signatures, made anew for each run, and what is done with them by openssl. Used by
configurations, by cases that sign, and by the engine, which verifies.
"""

import functools
import subprocess
import tempfile
from pathlib import Path

ASKED = {
    "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
}


def openssl(*arguments: str, content: bytes = b"") -> bytes:
    command = ["openssl", *arguments]
    return subprocess.run(command, input=content, check=True, capture_output=True).stdout


def made(algorithm: str) -> tuple[str, str]:
    private = openssl("genpkey", *ASKED[algorithm])
    return private.decode(), openssl("pkey", "-pubout", content=private).decode()


# Private and public key of each algorithm, as PEM.
PAIRS = {algorithm: made(algorithm) for algorithm in ASKED}


@functools.cache
def is_signed(algorithm: str, text: bytes, signature: bytes) -> bool:
    """Whether a token's text has been signed by the private key."""
    if algorithm == "ES256":
        signature = der(signature)
    with tempfile.TemporaryDirectory() as folder:
        public, signed = Path(folder) / "public", Path(folder) / "signature"
        public.write_text(PAIRS[algorithm][1])
        signed.write_bytes(signature)
        command = ["openssl", "dgst", "-sha256", "-verify", public, "-signature", signed]
        return subprocess.run(command, input=text, capture_output=True).returncode == 0


def signed(algorithm: str, text: bytes) -> bytes:
    """A token's signature."""
    with tempfile.NamedTemporaryFile("w") as private:
        private.write(PAIRS[algorithm][0])
        private.flush()
        signature = openssl("dgst", "-sha256", "-sign", private.name, content=text)
    return bare(signature) if algorithm == "ES256" else signature


def der(signature: bytes) -> bytes:
    """Two numbers side by side (RFC 7518, 3.4) as openssl writes them."""
    half = len(signature) // 2
    numbers = b""
    for part in (signature[:half], signature[half:]):
        part = part.lstrip(b"\0") or b"\0"
        part = b"\0" + part if part[0] & 0x80 else part
        numbers += b"\x02" + bytes([len(part)]) + part
    return b"\x30" + bytes([len(numbers)]) + numbers


def bare(signature: bytes) -> bytes:
    """The other way round."""
    numbers, at = [], 2
    for _ in range(2):
        length = signature[at + 1]
        numbers.append(signature[at + 2:at + 2 + length].lstrip(b"\0").rjust(32, b"\0"))
        at += 2 + length
    return b"".join(numbers)
