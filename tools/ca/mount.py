"""A folder that is replaced whole, the way Kubernetes mounts secrets:

    FOLDER/..2026_11_24_03_20_11.1/   the files
    FOLDER/..data -> ..2026_11_24_03_20_11.1
    FOLDER/tls.crt -> ..data/tls.crt, and so on

Renaming a new ..data over the old one changes every file at once: a reader sees a key with its own
certificate, or the ones before. Beside the files lie two that tell a sidecar of them, in the form in
which it reads secrets from files.
"""

import contextlib
import datetime
import json
import os
import pathlib
import shutil

SECRET_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
DATA = "..data"
PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644


class Mount:
    """`owner`: the user and group whose files these are; None leaves them the caller's."""

    def __init__(self, folder, owner=None):
        self._folder = pathlib.Path(folder)
        self._owner = owner

    def replace(self, files):
        """`files`: {name: text}. What is not in it is gone afterwards."""
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        files = {**files, **self._secrets()}
        before = self._current()
        data = self._new_data_folder()
        for name, text in files.items():
            self._write(data / name, text)
        self._own(data)
        link = self._folder / f"{DATA}_tmp"
        link.unlink(missing_ok=True)
        link.symlink_to(data.name)
        os.replace(link, self._folder / DATA)
        self._link_names(files)
        if before is not None:
            shutil.rmtree(self._folder / before)

    def _current(self):
        with contextlib.suppress(FileNotFoundError):
            return os.readlink(self._folder / DATA)
        return None

    def _new_data_folder(self):
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("..%Y_%m_%d_%H_%M_%S")
        number = 0
        while True:
            number += 1
            data = self._folder / f"{stamp}.{number}"
            with contextlib.suppress(FileExistsError):
                data.mkdir(mode=0o755)
                return data

    def _write(self, path, text):
        mode = PRIVATE_MODE if path.suffix == ".key" else PUBLIC_MODE
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            file.write(text)
        self._own(path)

    def _own(self, path):
        if self._owner is not None:
            os.chown(path, self._owner, self._owner)

    def _link_names(self, files):
        for entry in self._folder.iterdir():
            if entry.is_symlink() and entry.name != DATA and entry.name not in files:
                entry.unlink()
        for name in files:
            if not (self._folder / name).is_symlink():
                (self._folder / name).symlink_to(f"{DATA}/{name}")

    def _secrets(self):
        def file(name):
            return {"filename": str(self._folder / name)}

        def response(name, kind, value):
            value["watched_directory"] = {"path": str(self._folder)}
            secret = {"@type": SECRET_TYPE, "name": name, kind: value}
            return json.dumps({"resources": [secret]}, indent=2) + "\n"

        return {
            "workload.json": response("workload", "tls_certificate", {
                "certificate_chain": file("tls.crt"), "private_key": file("tls.key")}),
            "trust.json": response("trust", "validation_context", {"trusted_ca": file("ca.crt")}),
        }
