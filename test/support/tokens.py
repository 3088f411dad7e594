"""Makes JSON Web Tokens and key sets with the openssl command line, so that tests share no code with the proxy."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import tempfile
import time


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, capture_output=True, check=True).stdout


def _raw_ecdsa(der, size):
    """r and s, each of `size` bytes, from the SEQUENCE of two INTEGERs that openssl writes."""
    def integer(at):
        assert der[at] == 2
        length = der[at + 1]
        return der[at + 2 : at + 2 + length], at + 2 + length

    r, at = integer(3 if der[1] & 0x80 else 2)
    s, _ = integer(at)
    return b"".join(x.lstrip(b"\0").rjust(size, b"\0") for x in (r, s))


_EC = {"ES256": ("P-256", 32), "ES384": ("P-384", 48), "ES512": ("P-521", 66)}


class Key:
    """A key pair for one algorithm (RS256, PS384, ES512, EdDSA, ...) or a secret (HS256)."""

    def __init__(self, alg, kid="key", bits=2048):
        self.alg = alg
        self.kid = kid
        self.directory = tempfile.mkdtemp(prefix="remora-key-")
        self.path = os.path.join(self.directory, "key.pem")
        if alg.startswith("HS"):
            self.secret = os.urandom(64)
            return
        if alg[:2] in ("RS", "PS"):
            kind = ["RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}"]
        elif alg in _EC:
            kind = ["EC", "-pkeyopt", f"ec_paramgen_curve:{_EC[alg][0]}"]
        else:
            kind = ["ED25519"]
        _openssl("genpkey", "-algorithm", *kind, "-out", self.path)

    def public_pem(self):
        return _openssl("pkey", "-in", self.path, "-pubout").decode()

    def _public_der(self):
        return _openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")

    def jwk(self, **more):
        """Fields with the value None are left out."""
        if self.alg.startswith("HS"):
            fields = {"kty": "oct", "k": b64url(self.secret)}
        elif self.alg[:2] in ("RS", "PS"):
            modulus = _openssl("rsa", "-in", self.path, "-modulus", "-noout").decode()
            fields = {"kty": "RSA", "n": b64url(bytes.fromhex(modulus.strip().split("=")[1])), "e": "AQAB"}
        elif self.alg in _EC:
            curve, size = _EC[self.alg]
            point = self._public_der()[-2 * size :]
            fields = {"kty": "EC", "crv": curve, "x": b64url(point[:size]), "y": b64url(point[size:])}
        else:
            fields = {"kty": "OKP", "crv": "Ed25519", "x": b64url(self._public_der()[-32:])}
        fields.update({"alg": self.alg, "kid": self.kid, **more})
        return {k: v for k, v in fields.items() if v is not None}

    def sign(self, data, alg=None):
        alg = alg or self.alg
        if alg.startswith("HS"):
            return hmac.new(self.secret, data, getattr(hashlib, "sha" + alg[2:])).digest()
        if alg == "EdDSA":
            with tempfile.NamedTemporaryFile() as message:
                message.write(data)
                message.flush()
                return _openssl("pkeyutl", "-sign", "-inkey", self.path, "-rawin", "-in", message.name)
        options = []
        if alg.startswith("PS"):
            options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
        signature = _openssl("dgst", "-sha" + alg[2:], "-sign", self.path, *options, data=data)
        return _raw_ecdsa(signature, _EC[alg][1]) if alg in _EC else signature


def claims(**more):
    """Usual claims, an hour to live; None takes one away."""
    now = int(time.time())
    fields = {"iss": "issuer", "sub": "subject", "aud": "audience", "iat": now, "exp": now + 3600, **more}
    return {k: v for k, v in fields.items() if v is not None}


def token(key, payload=None, header=None, alg=None):
    """A signed token; `header` replaces fields of the usual one, None takes one away."""
    head = {"alg": alg or key.alg, "typ": "JWT", "kid": key.kid, **(header or {})}
    head = {k: v for k, v in head.items() if v is not None}
    payload = claims() if payload is None else payload
    if not isinstance(payload, bytes):
        payload = json.dumps(payload).encode()
    signed = b64url(json.dumps(head).encode()) + "." + b64url(payload)
    return signed + "." + b64url(key.sign(signed.encode(), alg))


def trimmed(text):
    """The token with a signature that lacks its last bytes."""
    signed, _, signature = text.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    return signed + "." + b64url(raw[:-3])


def key_set(*keys):
    return json.dumps({"keys": [k.jwk() if isinstance(k, Key) else k for k in keys]})
