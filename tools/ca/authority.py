"""The roots of the authority and what they sign. All cryptography is the openssl command's.

    FOLDER/roots/NUMBER/{root.crt,root.key}   the highest number is the newest
    FOLDER/signer                             the number of the root that signs
    FOLDER/mounts.json                        {folder: {"account": ..., "owner": ...}}
"""

import contextlib
import datetime
import json
import os
import shutil
import subprocess

TRUST_DOMAIN = "cluster.local"
LIFE = datetime.timedelta(hours=1)
ROOT_LIFE_DAYS = 365
CLOCK_SKEW = datetime.timedelta(minutes=1)  # clocks of peers may be behind

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")

ROOT_CONFIG = """\
[req]
prompt = no
distinguished_name = name
x509_extensions = root
[name]
O = {trust_domain}
CN = root {number}
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
subjectAltName = URI:spiffe://{trust_domain}
"""

# The certificate names its account and nothing else, so it has no subject and the name is critical.
LEAF_CONFIG = """\
[ca]
default_ca = leaf
[leaf]
new_certs_dir = {work}
database = {work}/index.txt
rand_serial = yes
default_md = sha256
policy = anything
unique_subject = no
x509_extensions = workload
[anything]
O = optional
[workload]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = critical, URI:{identity}
"""


class AuthorityError(Exception):
    """What was asked for can't be done."""


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise AuthorityError(f"openssl {words[0]}: {done.stderr.strip()}")
    return done.stdout


def spiffe_id(account):
    namespace, name = account.split("/")
    return f"spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{name}"


def asn1_time(moment):
    return moment.strftime("%Y%m%d%H%M%SZ")


class Authority:
    def __init__(self, folder):
        self._folder = folder
        if not (folder / "signer").exists():
            raise AuthorityError(f"{folder}: no authority here; make one with init")

    @classmethod
    def create(cls, folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise AuthorityError(f"{folder}: not empty")
        _make_root(folder, 1)
        (folder / "signer").write_text("1\n")
        return cls(folder)

    # ---- Roots

    def _numbers(self):
        return sorted(int(entry.name) for entry in (self._folder / "roots").iterdir())

    def _root(self, number):
        return self._folder / "roots" / str(number)

    def _signer(self):
        return int((self._folder / "signer").read_text())

    def bundle(self):
        """Every root that is trusted, newest first."""
        return "".join((self._root(number) / "root.crt").read_text()
                       for number in reversed(self._numbers()))

    def roots_in_words(self):
        """[(serial number, whether it signs)], newest first."""
        return [(openssl("x509", "-in", self._root(number) / "root.crt", "-noout", "-serial")
                 .strip().removeprefix("serial="), number == self._signer())
                for number in reversed(self._numbers())]

    def add_root(self):
        numbers = self._numbers()
        if len(numbers) > 1:
            raise AuthorityError("there are two roots already")
        _make_root(self._folder, numbers[-1] + 1)

    def use_newest(self):
        self._write("signer", f"{self._numbers()[-1]}\n")

    def retire_oldest(self):
        numbers = self._numbers()
        if len(numbers) == 1:
            raise AuthorityError("there is one root only")
        if self._signer() == numbers[0]:
            raise AuthorityError("the oldest root signs: use the newest first")
        shutil.rmtree(self._root(numbers[0]))

    # ---- Certificates

    def certificate(self, account, work):
        """Makes a key and signs a certificate for it: {"tls.crt": ..., "tls.key": ...}."""
        key, request, certificate = work / "key", work / "request", work / "certificate"
        config = work / "openssl.cnf"
        config.write_text(LEAF_CONFIG.format(work=work, identity=spiffe_id(account)))
        (work / "index.txt").touch()
        openssl("req", "-new", *NEW_KEY, "-keyout", key, "-subj", "/", "-out", request)
        root = self._root(self._signer())
        now = datetime.datetime.now(datetime.timezone.utc)
        openssl("ca", "-batch", "-notext", "-config", config, "-cert", root / "root.crt",
                "-keyfile", root / "root.key", "-startdate", asn1_time(now - CLOCK_SKEW),
                "-enddate", asn1_time(now + LIFE), "-in", request, "-out", certificate)
        return {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}

    # ---- What was issued where

    def mounts(self):
        with contextlib.suppress(FileNotFoundError):
            return json.loads((self._folder / "mounts.json").read_text())
        return {}

    def remember(self, folder, account, owner):
        self._write_mounts({**self.mounts(), folder: {"account": account, "owner": owner}})

    def forget(self, folder):
        self._write_mounts({name: mount for name, mount in self.mounts().items()
                            if name != folder})

    def _write_mounts(self, mounts):
        self._write("mounts.json", json.dumps(mounts, indent=2) + "\n")

    def _write(self, name, text):
        hidden = self._folder / f".{name}"
        hidden.write_text(text)
        os.replace(hidden, self._folder / name)


def _make_root(folder, number):
    root = folder / "roots" / str(number)
    root.mkdir(parents=True)
    config = root / "openssl.cnf"
    config.write_text(ROOT_CONFIG.format(trust_domain=TRUST_DOMAIN, number=number))
    openssl("req", "-x509", "-new", "-sha256", *NEW_KEY, "-keyout", root / "root.key", "-days",
            ROOT_LIFE_DAYS, "-config", config, "-out", root / "root.crt")
    (root / "root.key").chmod(0o600)
    config.unlink()
