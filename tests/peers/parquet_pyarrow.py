"""Sealed tables, seen by PyArrow: reads one that Entente wrote, or writes one for Entente to read.

    parquet_pyarrow.py read  FILE --key HEX --agreement HEX --dataset NAME --sealing HEX   rows as JSON on stdout
    parquet_pyarrow.py write FILE --key HEX --agreement HEX --dataset NAME --sealing HEX [--pad ROWS]

The parquet key is derived here a second time (PROTOCOL section 2), and unwrapping is a KmsClient of PyArrow's own
key tools, so nothing of Entente's code takes part. Needs pyarrow and cryptography.
"""

import argparse
import base64
import datetime
import decimal
import hashlib
import hmac
import json
import os

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def parquet_key(key, agreement, dataset, sealing):
    """HKDF-SHA-384 (RFC 5869), one block: 32 bytes."""
    prk = hmac.new(agreement, key, hashlib.sha384).digest()
    info = b"entente/v1 parquet\0" + dataset.encode() + b"\0" + sealing
    return hmac.new(prk, info + b"\x01", hashlib.sha384).digest()[:32]


class Client(pe.KmsClient):
    """AES-256-GCM under the parquet key; base64(nonce || ciphertext || tag); AAD = master key id."""

    def __init__(self, key):
        pe.KmsClient.__init__(self)
        self.key = AESGCM(key)

    def wrap_key(self, key_bytes, master_key_identifier):
        nonce = os.urandom(12)
        return base64.b64encode(nonce + self.key.encrypt(nonce, key_bytes, master_key_identifier.encode()))

    def unwrap_key(self, wrapped_key, master_key_identifier):
        sealed = base64.b64decode(wrapped_key)
        return self.key.decrypt(sealed[:12], sealed[12:], master_key_identifier.encode())


def text(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.datetime):
        return int(value.timestamp() * 1_000_000)
    if isinstance(value, (datetime.date, decimal.Decimal)):
        return str(value)
    return value


def read(path, factory):
    properties = factory.file_decryption_properties(pe.KmsConnectionConfig(), pe.DecryptionConfiguration())
    table = pq.ParquetFile(path, decryption_properties=properties).read()
    if "entente_pad" in table.column_names:
        table = table.filter(pc.invert(table["entente_pad"])).drop_columns(["entente_pad"])
    rows = [{name: text(value) for name, value in row.items()} for row in table.to_pylist()]
    print(json.dumps(rows))


def write(path, factory, dataset, pad):
    utc = datetime.timezone.utc
    rows = [
        {
            "lot": f"villa-{i}",
            "amount": decimal.Decimal(f"{i}.25"),
            "units": i * 1000,
            "firm": i % 2 == 0,
            "day": datetime.date(2026, 1, 1 + i),
            "at": datetime.datetime(2026, 1, 1, 12, 0, i, 5, tzinfo=utc),
            "proof": bytes([i] * 4),
            "note": None if i == 2 else f"note {i}",
        }
        for i in range(5)
    ]
    schema = pa.schema(
        [
            ("lot", pa.string()),
            ("amount", pa.decimal128(18, 2)),
            ("units", pa.int64()),
            ("firm", pa.bool_()),
            ("day", pa.date32()),
            ("at", pa.timestamp("us", tz="UTC")),
            ("proof", pa.binary()),
            ("note", pa.string()),
        ]
    )
    options = {}
    if pad:
        schema = schema.append(pa.field("entente_pad", pa.bool_()))
        filling = dict(rows[0], lot="", note=None, proof=b"", entente_pad=True)
        rows = [dict(row, entente_pad=False) for row in rows]
        rows += [filling] * (pad - len(rows))
        options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    table = pa.Table.from_pylist(rows, schema=schema)
    configuration = pe.EncryptionConfiguration(
        footer_key=dataset,
        uniform_encryption=True,
        encryption_algorithm="AES_GCM_V1",
        double_wrapping=True,
        internal_key_material=True,
        data_key_length_bits=256,
    )
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), configuration)
    with pq.ParquetWriter(path, schema, encryption_properties=properties, **options) as writer:
        writer.write_table(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["read", "write"])
    parser.add_argument("file")
    parser.add_argument("--key", type=bytes.fromhex, required=True)
    parser.add_argument("--agreement", type=bytes.fromhex, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--sealing", type=bytes.fromhex, required=True)
    parser.add_argument("--pad", type=int, default=0)
    arguments = parser.parse_args()
    key = parquet_key(arguments.key, arguments.agreement, arguments.dataset, arguments.sealing)
    factory = pe.CryptoFactory(lambda _: Client(key))
    if arguments.action == "read":
        read(arguments.file, factory)
    else:
        write(arguments.file, factory, arguments.dataset, arguments.pad)


if __name__ == "__main__":
    main()
