"""Prints src/vectors.rs: the key derivation of PROTOCOL sections 2 and 6, written from RFC 5869 with hmac alone."""
import hashlib
import hmac


def h(key, data):
    return hmac.new(key, data, hashlib.sha384).digest()


def expand(prk, info, n):
    out, block, i = b"", b"", 1
    while len(out) < n:
        block = h(prk, block + info + bytes([i]))
        out += block
        i += 1
    return out[:n]


print("//! Expected derivations; `tests/vectors/derive.py` prints this file.")
print()
A = bytes(range(48))
K = bytes(255 - i for i in range(32))
SEALING = bytes(0xA0 + i for i in range(16))
PRK = h(A, K)


def key(p, n):
    return expand(PRK, b"entente/v1 " + p + b"\0" + b"bids-north" + b"\0" + SEALING, n)


def show(name, value):
    print(f'pub(crate) const {name}: &str = "{value.hex()}";')


show("COMMITMENT", key(b"commit", 48))
show("PARQUET", key(b"parquet", 32))
show("AGE", key(b"age", 32))
contribution = key(b"run-seed", 48)
show("CONTRIBUTION", contribution)
INPUTS = hashlib.sha384(b"inputs").digest()
REQUEST = hashlib.sha384(b"request").digest()
seed = h(b"entente/v1 run-seed", contribution + contribution)
show("TIE", expand(seed, b"entente/v1 tie\0" + INPUTS + bytes(48), 48))
show("TIE_WITH_REQUEST", expand(seed, b"entente/v1 tie\0" + INPUTS + REQUEST, 48))
show("NOISE", expand(seed, b"entente/v1 noise\0" + INPUTS + bytes(48), 100))
tie = expand(seed, b"entente/v1 tie\0" + INPUTS + bytes(48), 48)
show("RANK", h(tie, b"villa" + b"\0" + b"north"))
