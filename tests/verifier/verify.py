#!/usr/bin/env python3
"""A second verifier of Nitro attestation documents, written from docs/verifying.md alone (steps 1 to 16).

Usage: verify.py            reads lines "DOCUMENT-HEX ROOT-SHA256-HEX MILLISECONDS|document" from standard input and
                            writes one verdict a line: `authentic`, `debug-mode`, or the name of the error.
       verify.py FILE...    the same for files, under AWS's root, at each document's own timestamp.

Needs the package `cryptography` for ECDSA; everything else is here.
"""

import calendar
import hashlib
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

AWS_ROOT = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"


class Refused(Exception):
    """Carries the name of the error."""


def refuse(name):
    raise Refused(name)


# ---------------------------------------------------------------- A. Form

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, OTHER = range(8)


class Cbor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            refuse("Cbor")
        self.at += count
        return self.data[self.at - count : self.at]

    def head(self):
        """Major type and argument; the argument of an indefinite length is None."""
        initial = self.take(1)[0]
        major, info = initial >> 5, initial & 31
        if major == OTHER:
            if 28 <= info <= 30:
                refuse("Cbor")
            return major, info
        if info < 24:
            return major, info
        if info == 31 and major in (BYTES, TEXT, ARRAY, MAP):
            return major, None
        if info > 27:
            refuse("Cbor")
        width = 1 << (info - 24)
        value = int.from_bytes(self.take(width), "big")
        if value < {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[width]:
            refuse("Cbor")
        return major, value

    def next_is(self, byte):
        return self.at < len(self.data) and self.data[self.at] == byte

    def expect(self, wanted, indefinite=False):
        major, value = self.head()
        if major != wanted:
            refuse("WrongType")
        if value is None and not indefinite:
            refuse("Cbor")
        return value

    def string(self, wanted):
        return self.take(self.expect(wanted))

    def text(self):
        try:
            return self.string(TEXT).decode()
        except UnicodeDecodeError:
            refuse("Cbor")

    def integer(self):
        major, value = self.head()
        if major == UNSIGNED:
            return value
        if major == NEGATIVE:
            return -1 - value
        return refuse("WrongType")

    def end(self):
        if self.at != len(self.data):
            refuse("TrailingBytes")


def bounded(value, least, most):
    if not least <= len(value) <= most:
        refuse("Length")
    return value


def read_value(key, cbor):
    if key == "module_id":
        text = cbor.text()
        bounded(text.encode(), 1, 1024)
        return text
    if key == "digest":
        return cbor.text() == "SHA384" or refuse("DigestAlgorithm")
    if key == "timestamp":
        return cbor.expect(UNSIGNED) or refuse("TimestampZero")
    if key == "pcrs":
        count = cbor.expect(MAP)
        if not 1 <= count <= 32:
            refuse("PcrCount")
        pcrs = {}
        for _ in range(count):
            number = cbor.expect(UNSIGNED)
            if number > 31:
                refuse("PcrNumber")
            value = cbor.string(BYTES)
            if len(value) != 48:
                refuse("PcrLength")
            if number in pcrs:
                refuse("PcrDuplicate")
            pcrs[number] = value
        if not {0, 1, 2} <= pcrs.keys():
            refuse("PcrMissing")
        return pcrs
    if key == "certificate":
        return bounded(cbor.string(BYTES), 1, 1024)
    if key == "cabundle":
        count = cbor.expect(ARRAY)
        if not 1 <= count <= 7:
            refuse("BundleLength")
        return [bounded(cbor.string(BYTES), 1, 1024) for _ in range(count)]
    if key in ("public_key", "user_data", "nonce"):
        if cbor.next_is(0xF6):
            cbor.take(1)
            return None
        return bounded(cbor.string(BYTES), 0, 1024)
    return refuse("UnknownKey")


def read_payload(data):
    cbor = Cbor(data)
    count = cbor.expect(MAP, indefinite=True)
    payload = {}
    while count != 0:
        if count is None:
            if cbor.next_is(0xFF):
                cbor.take(1)
                break
        else:
            count -= 1
        key = cbor.text()
        value = read_value(key, cbor)
        if key in payload:
            refuse("Duplicate")
        payload[key] = value
    cbor.end()
    if not {"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"} <= payload.keys():
        refuse("Missing")
    return payload


def read_message(data):
    if len(data) > 16384 + 110:
        refuse("TooLong")
    cbor = Cbor(data)
    if data[:1] and data[0] >> 5 == TAG and cbor.head()[1] != 18:
        refuse("Tag")
    if cbor.expect(ARRAY) != 4:
        refuse("MessageLength")
    protected = cbor.string(BYTES)
    header, algorithm = Cbor(protected), None
    for _ in range(header.expect(MAP)):
        if header.integer() != 1 or algorithm is not None:
            refuse("ProtectedHeader")
        algorithm = header.integer()
    header.end()
    if algorithm is None:
        refuse("AlgorithmMissing")
    if algorithm != -35:
        refuse("Algorithm")
    if cbor.expect(MAP) != 0:
        refuse("UnprotectedHeader")
    payload = cbor.string(BYTES)
    signature = cbor.string(BYTES)
    if len(signature) != 96:
        refuse("SignatureLength")
    cbor.end()
    return protected, payload, signature


# ---------------------------------------------------------------- B. Chain

ECDSA_SHA384 = bytes.fromhex("06082a8648ce3d040303")
P384 = bytes.fromhex("06072a8648ce3d020106052b81040022")


class Fault(Exception):
    """A certificate by itself is wrong."""


class Der:
    def __init__(self, data):
        self.data = data

    def any(self):
        data = self.data
        if len(data) < 2 or data[0] & 31 == 31:
            raise Fault
        if data[1] < 0x80:
            length, head = data[1], 2
        elif data[1] == 0x81 and len(data) > 2 and data[2] >= 0x80:
            length, head = data[2], 3
        elif data[1] == 0x82 and len(data) > 3 and data[2] > 0:
            length, head = data[2] << 8 | data[3], 4
        else:
            raise Fault
        if len(data) < head + length:
            raise Fault
        self.data = data[head + length :]
        return data[0], data[head : head + length], data[: head + length]

    def get(self, tag):
        found, content, _ = self.any()
        if found != tag:
            raise Fault
        return content

    def inside(self, tag):
        return Der(self.get(tag))

    def bits(self):
        content = self.get(3)
        if content[:1] != b"\0":
            raise Fault
        return content[1:]

    def next_is(self, tag):
        return self.data[:1] == bytes([tag])

    def end(self):
        if self.data:
            raise Fault


def read_time(der):
    tag, content, _ = der.any()
    text = content.decode("latin-1")
    if tag == 0x17 and re.fullmatch(r"[0-9]{12}Z", text):
        year, rest = int(text[:2]), text[2:]
        year += 2000 if year < 50 else 1900
    elif tag == 0x18 and re.fullmatch(r"[0-9]{14}Z", text):
        year, rest = int(text[:4]), text[4:]
        if year < 2050:
            raise Fault
    else:
        raise Fault
    month, day, hour, minute, second = (int(rest[i : i + 2]) for i in range(0, 10, 2))
    if year < 1970 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        raise Fault
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        raise Fault
    return calendar.timegm((year, month, day, hour, minute, second))


def common_name(name):
    found = []
    names = Der(name)
    try:
        while names.data:
            one = names.inside(0x31)
            while one.data:
                attribute = one.inside(0x30)
                oid = attribute.get(6)
                tag, value, _ = attribute.any()
                attribute.end()
                if oid == b"\x55\x04\x03":
                    if tag not in (0x0C, 0x13):
                        return ""
                    found.append(value.decode())
    except (Fault, UnicodeDecodeError):
        return ""
    return found[0] if len(found) == 1 else ""


class Certificate:
    def __init__(self, data):
        outer = Der(data)
        whole = outer.inside(0x30)
        outer.end()
        tag, tbs, self.signed = whole.any()
        algorithm = whole.get(0x30)
        self.signature = whole.bits()
        whole.end()
        if tag != 0x30:
            raise Fault
        part = Der(tbs)
        version = part.inside(0xA0)
        if version.get(2) != b"\x02":
            raise Fault
        version.end()
        serial = part.get(2)
        if not serial or serial[0] >= 0x80 or serial == b"\0" or (serial[0] == 0 and serial[1] < 0x80):
            raise Fault
        if len(serial.lstrip(b"\0")) > 20:
            raise Fault
        if part.get(0x30) != ECDSA_SHA384 or algorithm != ECDSA_SHA384:
            raise Fault
        self.issuer = part.get(0x30)
        validity = part.inside(0x30)
        self.begin, self.finish = read_time(validity), read_time(validity)
        validity.end()
        if self.begin > self.finish:
            raise Fault
        self.subject = part.get(0x30)
        key = part.inside(0x30)
        if key.get(0x30) != P384:
            raise Fault
        self.point = key.bits()
        key.end()
        if len(self.point) != 97 or self.point[0] != 4:
            raise Fault
        self.authority = self.path_length = self.usage = None
        if part.next_is(0xA3):
            explicit = part.inside(0xA3)
            self.extensions(explicit.inside(0x30))
            explicit.end()
        part.end()

    def extensions(self, extensions):
        seen = set()
        while extensions.data:
            extension = extensions.inside(0x30)
            oid = extension.get(6)
            critical = extension.next_is(1)
            if critical and extension.get(1) != b"\xff":
                raise Fault
            value = Der(extension.get(4))
            extension.end()
            if oid in seen:
                raise Fault
            seen.add(oid)
            if oid == b"\x55\x1d\x13":
                constraints = value.inside(0x30)
                value.end()
                self.authority = bool(constraints.data)
                if constraints.data:
                    if constraints.get(1) != b"\xff":
                        raise Fault
                    if constraints.data:
                        length = constraints.get(2)
                        if len(length) != 1 or length[0] > 127:
                            raise Fault
                        self.path_length = length[0]
                    constraints.end()
            elif oid == b"\x55\x1d\x0f":
                bits = value.get(3)
                value.end()
                if not 2 <= len(bits) <= 3 or bits[0] > 7 or bits[-1] == 0:
                    raise Fault
                if bits[-1] & -bits[-1] != 1 << bits[0]:
                    raise Fault
                self.usage = bits[1]
            elif critical or oid in (b"\x55\x1d\x1e", b"\x55\x1d\x25"):
                raise Fault

    def verify(self, message, der_signature):
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), self.point)
            key.verify(der_signature, message, ec.ECDSA(hashes.SHA384()))
            return True
        except (InvalidSignature, ValueError):
            return False


def check_chain(payload, root, seconds):
    bundle = payload["cabundle"]
    if hashlib.sha256(bundle[0]).hexdigest() != root:
        refuse("RootDiffers")
    try:
        chain = []
        for index, data in enumerate(bundle):
            certificate = Certificate(data)
            if not certificate.authority or certificate.usage is None or not certificate.usage & 0x04:
                raise Fault
            if certificate.path_length is not None and len(bundle) - 1 - index > certificate.path_length:
                refuse("PathLength")
            chain.append(certificate)
        leaf = Certificate(payload["certificate"])
        if leaf.authority is not False or leaf.usage is None or leaf.usage & 0x84 != 0x80:
            raise Fault
    except Fault:
        refuse("Certificate")
    chain.append(leaf)
    for issuer, certificate in zip(chain, chain[1:]):
        if certificate.issuer != issuer.subject:
            refuse("WrongIssuer")
    for certificate in reversed(chain):
        if seconds < certificate.begin:
            refuse("NotYetValid")
        if seconds > certificate.finish:
            refuse("Expired")
    name = common_name(leaf.subject)
    if not re.fullmatch(re.escape(payload["module_id"]) + r"\.[a-z0-9-]+\.aws", name):
        refuse("WrongModule")
    for issuer, certificate in zip(chain, chain[1:]):
        if not issuer.verify(certificate.signed, certificate.signature):
            refuse("CertificateSignature")
    if len(set(bundle)) != len(bundle):
        refuse("Path")
    return leaf


# ---------------------------------------------------------------- C. Signature


def byte_string(data):
    length = len(data)
    if length < 24:
        return bytes([0x40 | length]) + data
    if length < 256:
        return bytes([0x58, length]) + data
    return b"\x59" + length.to_bytes(2, "big") + data


def verdict(data, root, at):
    try:
        protected, payload_bytes, signature = read_message(data)
        payload = read_payload(payload_bytes)
        seconds = (payload["timestamp"] if at is None else at) // 1000
        leaf = check_chain(payload, root, seconds)
        signed = b"\x84\x6aSignature1" + byte_string(protected) + b"\x40" + byte_string(payload_bytes)
        r, s = int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big")
        if not leaf.verify(signed, encode_dss_signature(r, s)):
            refuse("DocumentSignature")
    except Refused as error:
        return str(error)
    return "debug-mode" if any(not any(payload["pcrs"][i]) for i in range(3)) else "authentic"


def main():
    if len(sys.argv) > 1:
        for path in sys.argv[1:]:
            with open(path, "rb") as file:
                print(path, verdict(file.read(), AWS_ROOT, None))
        return
    for line in sys.stdin:
        document, root, at = line.split(" ")
        at = None if at.strip() == "document" else int(at)
        print(verdict(bytes.fromhex(document), root, at))


if __name__ == "__main__":
    main()
