"""Certificates for tests, made by the openssl command: authorities, leaves with names, files as Kubernetes mounts them."""

import os
import subprocess

DAY = 86400


def _openssl(*args, text=None):
    done = subprocess.run(["openssl", *args], input=text, capture_output=True, text=True)
    assert done.returncode == 0, f"openssl {' '.join(args)}: {done.stderr}"
    return done.stdout


class Pair:
    """A certificate (chain) and its key, as text and as files."""

    def __init__(self, directory, name):
        self.certificate_path = os.path.join(directory, name + ".pem")
        self.key_path = os.path.join(directory, name + ".key")

    @property
    def certificate(self):
        with open(self.certificate_path) as f:
            return f.read()

    @property
    def key(self):
        with open(self.key_path) as f:
            return f.read()

    def message(self, files=False):
        """As a TlsCertificate."""
        if files:
            return {"certificate_chain": {"filename": self.certificate_path}, "private_key": {"filename": self.key_path}}
        return {"certificate_chain": {"inline_string": self.certificate}, "private_key": {"inline_string": self.key}}

    def serial(self):
        return _openssl("x509", "-in", self.certificate_path, "-noout", "-serial").strip().split("=")[1]


class Authority(Pair):
    """A root that signs."""

    def __init__(self, directory, name="root"):
        super().__init__(directory, name)
        self.directory = directory
        self.count = 0
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key_path)
        _openssl("req", "-x509", "-new", "-key", self.key_path, "-subj", f"/O={name}", "-days", "30", "-out",
                 self.certificate_path, "-addext", "basicConstraints=critical,CA:TRUE",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, san, days=10, rsa=False, usage="serverAuth,clientAuth"):
        """A leaf; `san` as openssl spells it: "URI:spiffe://td/ns/a/sa/b,DNS:b.example"."""
        self.count += 1
        pair = Pair(self.directory, f"{name}-{self.count}")
        request = pair.key_path + ".csr"
        if rsa:
            _openssl("genrsa", "-out", pair.key_path, "2048")
        else:
            _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", pair.key_path)
        _openssl("req", "-new", "-key", pair.key_path, "-subj", f"/O=test/CN={name}", "-out", request)
        extensions = request + ".ext"
        with open(extensions, "w") as f:
            f.write(f"subjectAltName=critical,{san}\nextendedKeyUsage={usage}\nkeyUsage=digitalSignature\n"
                    "basicConstraints=CA:FALSE\n")
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate_path, "-CAkey", self.key_path, "-CAcreateserial",
                 "-days", str(days), "-extfile", extensions, "-out", pair.certificate_path)
        return pair


class Mount:
    """Files in a directory that is replaced as a whole, the way Kubernetes mounts secrets."""

    def __init__(self, directory):
        self.directory = directory
        self.generation = 0
        os.makedirs(directory, exist_ok=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, **files):
        """`files`: name with _ for . -> text."""
        self.generation += 1
        data = os.path.join(self.directory, f"..data_{self.generation}")
        os.makedirs(data)
        for name, text in files.items():
            name = name.replace("_", ".")
            with open(os.path.join(data, name), "w") as f:
                f.write(text)
            link = self.path(name)
            if not os.path.islink(link):
                os.symlink(os.path.join("..data", name), link)
        fresh = os.path.join(self.directory, "..data_tmp")
        os.symlink(os.path.basename(data), fresh)
        os.replace(fresh, os.path.join(self.directory, "..data"))
