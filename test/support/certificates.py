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


def _new_key(path, rsa=False):
    if rsa:
        _openssl("genrsa", "-out", path, "2048")
    else:
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)


class Authority(Pair):
    """A certificate that signs others; with `pair` one that there is already, be it fit for that or not."""

    def __init__(self, directory, name="root", pair=None, san=None):
        super().__init__(directory, name)
        self.directory = directory
        self.count = 0
        if pair:
            self.certificate_path, self.key_path = pair.certificate_path, pair.key_path
            return
        _new_key(self.key_path)
        _openssl("req", "-x509", "-new", "-key", self.key_path, "-subj", f"/O={name}", "-days", "30", "-out",
                 self.certificate_path, "-addext", "basicConstraints=critical,CA:TRUE",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
                 *(["-addext", f"subjectAltName={san}"] if san else []))

    def issue(self, name, san, days=10, rsa=False, usage="serverAuth,clientAuth", constraints="CA:FALSE", subject=None,
              between=None):
        """A leaf; `san` as openssl spells it: "URI:spiffe://td/ns/a/sa/b,DNS:b.example". `constraints`: "CA:TRUE,pathlen:0".
        `between`: from when to when it is valid, YYYYMMDD."""
        self.count += 1
        pair = Pair(self.directory, f"{name}-{self.count}")
        request = pair.key_path + ".csr"
        _new_key(pair.key_path, rsa)
        _openssl("req", "-new", "-key", pair.key_path, "-subj", subject or f"/O=test/CN={name}", "-out", request)
        extensions = request + ".ext"
        with open(extensions, "w") as f:
            f.write(f"subjectAltName=critical,{san}\nextendedKeyUsage={usage}\nbasicConstraints=critical,{constraints}\n"
                    f"keyUsage=digitalSignature{',keyCertSign,cRLSign' if 'TRUE' in constraints else ''}\n")
        if between:
            self._ca("-in", request, "-startdate", between[0] + "000000Z", "-enddate", between[1] + "000000Z", "-extfile",
                     extensions, "-notext", "-out", pair.certificate_path)
        else:
            _openssl("x509", "-req", "-in", request, "-CA", self.certificate_path, "-CAkey", self.key_path, "-CAcreateserial",
                     "-days", str(days), "-extfile", extensions, "-out", pair.certificate_path)
        return pair

    def revoke(self, *pairs):
        """A list of revoked certificates."""
        for pair in pairs:
            self._ca("-revoke", pair.certificate_path)
        return self._ca("-gencrl")

    def staple(self, pair):
        """The file of an OCSP response that calls a certificate good; one that was issued with `between`."""
        path = pair.key_path + ".ocsp"
        _openssl("ocsp", "-index", self.key_path + ".cnf.index", "-CA", self.certificate_path, "-rsigner", self.certificate_path,
                 "-rkey", self.key_path, "-issuer", self.certificate_path, "-cert", pair.certificate_path, "-ndays", "5",
                 "-respout", path)
        return path

    def _ca(self, *args):
        """What only `openssl ca` can do."""
        config = self.key_path + ".cnf"
        if not os.path.exists(config):
            with open(config, "w") as f:
                f.write(f"[ca]\ndefault_ca=this\n[this]\ncertificate={self.certificate_path}\nprivate_key={self.key_path}\n"
                        f"database={config}.index\nrand_serial=yes\nunique_subject=no\nnew_certs_dir={self.directory}\n"
                        "default_md=sha256\ndefault_crl_days=10\npolicy=any\n"
                        "[any]\norganizationName=optional\ncommonName=optional\n")
            open(config + ".index", "w").close()
        return _openssl("ca", "-config", config, "-batch", *args)


def chained(pair, *others):
    """The pair with further certificates behind its own."""
    out = Pair(os.path.dirname(pair.certificate_path), os.path.basename(pair.certificate_path) + "-chained")
    with open(out.certificate_path, "w") as f:
        f.write(pair.certificate + "".join(other.certificate for other in others))
    with open(out.key_path, "w") as f:
        f.write(pair.key)
    return out


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
