"""Whether a passphrase is the one that a stack's secrets were encrypted with.

Pulumi finds that out only when it meets a secret. A stack's file says it without: its
``encryptionsalt`` holds a known word, encrypted (github.com/pulumi/pulumi: pkg/secrets/passphrase,
sdk/go/common/resource/config/crypt.go). Python's library has the slow part, the derivation of the
key; the one block of AES (FIPS 197) is below, as no command takes a key other than as an argument.
"""

import hashlib
import re
from base64 import b64decode

_WORD = b"pulumi"
_ITERATIONS = 1_000_000
_KEY_BYTES = 32
_ROUNDS = 14
_TAG_BYTES = 16
_SALT = re.compile(r"v1:([^:]+):v1:([^:]+):([^:]+)")


def opens(passphrase: str, salt: str) -> bool | None:
    """Whether `passphrase` is that of an ``encryptionsalt``; None when it is written otherwise."""
    match = _SALT.fullmatch(salt.strip())
    if not match:
        return None
    try:
        mixed, nonce, sealed = (b64decode(part, validate=True) for part in match.groups())
    except ValueError:
        return None
    if len(sealed) != len(_WORD) + _TAG_BYTES:
        return None
    key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), mixed, _ITERATIONS, _KEY_BYTES)
    # Galois counter mode: the first block of text is under the second count.
    stream = encrypt_block(key, nonce + (2).to_bytes(4, "big"))
    return bytes(a ^ b for a, b in zip(stream, sealed[: len(_WORD)], strict=False)) == _WORD


def _doubled(byte: int) -> int:
    return (byte << 1 ^ (0x11B if byte & 0x80 else 0)) & 0xFF


def _times(left: int, right: int) -> int:
    product = 0
    while right:
        product ^= left if right & 1 else 0
        left, right = _doubled(left), right >> 1
    return product


def _substitution() -> bytes:
    def power(byte: int, exponent: int) -> int:
        found = 1
        for _ in range(exponent):
            found = _times(found, byte)
        return found

    def mixed(byte: int) -> int:
        bits = byte
        for shift in range(1, 5):
            bits ^= (byte << shift | byte >> (8 - shift)) & 0xFF
        return bits ^ 0x63

    # The inverse of a byte is its 254th power.
    return bytes(mixed(power(byte, 254)) for byte in range(256))


def encrypt_block(key: bytes, block: bytes) -> bytes:
    """Encrypt 16 bytes by AES with a key of 32."""
    table = _substitution()
    words = [key[place : place + 4] for place in range(0, _KEY_BYTES, 4)]
    constant = 1
    for number in range(8, 4 * (_ROUNDS + 1)):
        word = words[-1]
        if number % 8 == 0:
            word = bytes(table[byte] for byte in word[1:] + word[:1])
            word, constant = bytes((word[0] ^ constant, *word[1:])), _doubled(constant)
        elif number % 8 == 4:  # noqa: PLR2004 - as the standard has it for long keys
            word = bytes(table[byte] for byte in word)
        words.append(_xor(word, words[-8]))
    keys = [b"".join(words[place : place + 4]) for place in range(0, len(words), 4)]
    state = _xor(block, keys[0])
    for number in range(1, _ROUNDS + 1):
        state = bytes(table[state[(5 * place) % 16]] for place in range(16))
        if number < _ROUNDS:
            state = b"".join(_column(state[place : place + 4]) for place in range(0, 16, 4))
        state = _xor(state, keys[number])
    return state


def _column(column: bytes) -> bytes:
    rotations = (column[place:] + column[:place] for place in range(4))
    return bytes(_doubled(a) ^ _doubled(b) ^ b ^ c ^ d for a, b, c, d in rotations)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
