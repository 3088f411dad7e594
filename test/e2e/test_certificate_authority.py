"""The demonstration's certificate authority: what it issues, and that a mount changes all at once."""

import json
import os
import ssl
import stat
import subprocess
import sys
import threading

import pytest

from test.support.proxy import ROOT

WEB = "spiffe://cluster.local/ns/demo/sa/web"


class CertificateAuthority:
    def __init__(self, folder):
        self._folder = folder

    def __call__(self, *words, check=True):
        return subprocess.run(
            [sys.executable, "-B", os.path.join(ROOT, "tools", "ca", "ca.py"), "--ca", str(self._folder / "ca"), *map(str, words)],
            capture_output=True, text=True, check=check, timeout=60)


@pytest.fixture
def ca(tmp_path):
    authority = CertificateAuthority(tmp_path)
    authority("init")
    return authority


def described(certificate):
    return ssl._ssl._test_decode_cert(str(certificate))


def chains(mount):
    return subprocess.run(["openssl", "verify", "-CAfile", mount / "ca.crt", mount / "tls.crt"], capture_output=True).returncode == 0


def test_a_certificate_names_its_account_and_lives_for_an_hour(ca, tmp_path):
    ca("issue", "demo/web", tmp_path / "web")
    certificate = described(tmp_path / "web" / "tls.crt")
    assert certificate["subject"] == ()
    assert certificate["subjectAltName"] == (("URI", WEB),)
    life = ssl.cert_time_to_seconds(certificate["notAfter"]) - ssl.cert_time_to_seconds(certificate["notBefore"])
    assert 3600 <= life <= 3700, "an hour, and some for clocks that are behind"
    assert chains(tmp_path / "web")


def test_only_the_owner_reads_the_key(ca, tmp_path):
    ca("issue", "demo/web", tmp_path / "web")
    key = tmp_path / "web" / "tls.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(tmp_path / "web" / "tls.crt", key)


def test_the_mount_tells_a_sidecar_of_its_secrets(ca, tmp_path):
    mount = tmp_path / "web"
    ca("issue", "demo/web", mount)
    workload, = json.loads((mount / "workload.json").read_text())["resources"]
    assert workload["name"] == "workload"
    assert workload["tls_certificate"]["private_key"] == {"filename": str(mount / "tls.key")}
    assert workload["tls_certificate"]["watched_directory"] == {"path": str(mount)}
    trust, = json.loads((mount / "trust.json").read_text())["resources"]
    assert trust["validation_context"]["trusted_ca"] == {"filename": str(mount / "ca.crt")}


def test_rotation_replaces_key_and_certificate_at_once(ca, tmp_path):
    mount = tmp_path / "web"
    ca("issue", "demo/web", mount)
    before = described(mount / "tls.crt")["serialNumber"]
    done, seen, missing = threading.Event(), set(), []

    def look():
        while not done.is_set():
            try:
                seen.add(os.readlink(mount / "..data"))
                os.readlink(mount / "tls.crt")
            except FileNotFoundError as error:
                missing.append(error)
    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(3):
        ca("rotate")
    done.set()
    reader.join()
    assert not missing and len(seen) >= 2
    assert described(mount / "tls.crt")["serialNumber"] != before
    assert chains(mount)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(mount / "tls.crt", mount / "tls.key")
    assert len([entry for entry in os.listdir(mount) if entry.startswith("..2")]) == 1, "old folders are removed"


def test_a_root_is_replaced_in_three_steps(ca, tmp_path):
    web, api = tmp_path / "web", tmp_path / "api"
    ca("issue", "demo/web", web)
    ca("issue", "demo/api", api)
    old_root = (web / "ca.crt").read_text()

    ca("root", "add")
    ca("rotate")
    assert old_root in (web / "ca.crt").read_text() and (web / "ca.crt").read_text().count("BEGIN") == 2
    assert dict(described(web / "tls.crt")["issuer"][1])["commonName"] == "root 1", "the new root signs nothing yet"

    ca("root", "use")
    ca("rotate", web)
    assert dict(described(web / "tls.crt")["issuer"][1])["commonName"] == "root 2"
    assert dict(described(api / "tls.crt")["issuer"][1])["commonName"] == "root 1", "only the mount named is renewed"

    ca("rotate")
    ca("root", "retire")
    ca("rotate")
    assert old_root not in (api / "ca.crt").read_text()
    assert chains(web) and chains(api)


def test_the_root_that_signs_is_not_retired(ca):
    assert "there is one root only" in ca("root", "retire", check=False).stderr
    ca("root", "add")
    refused = ca("root", "retire", check=False)
    assert refused.returncode == 1 and "use the newest first" in refused.stderr


def test_names_that_are_no_accounts_are_refused(ca, tmp_path):
    for name in ("web", "Demo/web", "demo/we b", "demo/web,URI:spiffe:", "../web", "demo/web/more"):
        assert ca("issue", name, tmp_path / "x", check=False).returncode == 2, name
    assert not (tmp_path / "x").exists()


def test_a_mount_whose_pod_is_gone_is_forgotten(ca, tmp_path):
    ca("issue", "demo/web", tmp_path / "web")
    subprocess.run(["rm", "-r", tmp_path / "web"], check=True)
    ca("rotate")
    assert "demo/web" not in ca("show").stdout
