#!/usr/bin/env python3
"""A small certificate authority for the mesh: SPIFFE certificates for service accounts.

It keeps its roots in one folder and puts certificates into mounts: folders as Kubernetes makes them,
where one rename replaces everything at once (mount.py). Needs nothing but Python and openssl.
"""

import argparse
import pathlib
import re
import sys
import tempfile

from authority import Authority, AuthorityError
from mount import Mount

ACCOUNT = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def issue(authority, folder, account, owner):
    """A new key, a certificate for it, and whom to trust, put into a mount in one step."""
    with tempfile.TemporaryDirectory(prefix="ca-") as work:
        files = authority.certificate(account, pathlib.Path(work))
    files["ca.crt"] = authority.bundle()
    Mount(folder, owner).replace(files)
    authority.remember(folder, account, owner)


def renew(authority, folders):
    """New certificates in the mounts named, or in all that there are."""
    known = authority.mounts()
    for folder in folders or known:
        if folder not in known:
            raise AuthorityError(f"{folder}: nothing was issued to it")
    for folder in folders or list(known):
        if not pathlib.Path(folder).is_dir():
            authority.forget(folder)  # its pod is gone
            continue
        issue(authority, folder, **known[folder])


def account_name(text):
    if not ACCOUNT.fullmatch(text):
        raise argparse.ArgumentTypeError(f'"{text}" is not NAMESPACE/ACCOUNT')
    return text


def folder_name(text):
    return str(pathlib.Path(text).resolve())


def parse_options():
    parser = argparse.ArgumentParser(prog="ca.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ca", type=pathlib.Path, required=True, metavar="FOLDER",
                        help="where the authority keeps its roots")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init", help="make the first root")
    command = commands.add_parser("issue", help="a certificate for an account, into a mount")
    command.add_argument("account", type=account_name, help="NAMESPACE/ACCOUNT")
    command.add_argument("mount", type=folder_name, help="the folder to put it into")
    command.add_argument("--owner", type=int, help="user and group id that may read the key")
    command = commands.add_parser("rotate", help="new certificates in every mount, or in some")
    command.add_argument("mounts", nargs="*", type=folder_name)
    command = commands.add_parser("root", help="replace the root: add, use, retire; rotate after each")
    command.add_argument("step", choices=["add", "use", "retire"],
                         help="add: a second root, trusted beside the first; "
                              "use: sign with the second; retire: trust it alone")
    commands.add_parser("show", help="the roots, newest first, and what was issued where")
    return parser.parse_args()


def show(authority):
    for serial, is_signer in authority.roots_in_words():
        print(f"root {serial}{' signs' if is_signer else ''}")
    for folder, mount in authority.mounts().items():
        print(f"{mount['account']} {folder}")


def main():
    options = parse_options()
    try:
        if options.command == "init":
            Authority.create(options.ca)
            return 0
        authority = Authority(options.ca)
        if options.command == "issue":
            issue(authority, options.mount, options.account, options.owner)
        elif options.command == "rotate":
            renew(authority, options.mounts)
        elif options.command == "root":
            {"add": authority.add_root, "use": authority.use_newest,
             "retire": authority.retire_oldest}[options.step]()
        else:
            show(authority)
    except (AuthorityError, OSError) as error:
        print(f"ca.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
