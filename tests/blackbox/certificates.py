"""Certificates for tests, made with `openssl`, and TLS endpoints of Python's own."""
import os
import ssl
import subprocess

from folders import InFolder
from harness import temporary_folder

CA_CONFIG = """
[ca]
default_ca = here
[here]
dir = {folder}
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, (arguments, done.stderr)
    for option, path in zip(arguments, arguments[1:]):
        if option in ("-keyout", "-out"):
            os.chmod(path, 0o644)  # the daemon may be somebody else
    return done.stdout


def self_signed(folder, common_name, names, stem="self"):
    """Paths of a certificate that signs itself and of its key, made in a folder."""
    certificate, key = (os.path.join(folder, stem + end) for end in (".pem", ".key"))
    openssl("req", "-x509", *NEW_KEY, "-days", "3650", "-keyout", key, "-out", certificate, "-subj",
            f"/CN={common_name}",
            "-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE")
    return certificate, key


class Authority(InFolder):
    """A certificate authority in a folder of its own, which also takes what it signs."""

    def __init__(self, common_name="Test CA"):
        self.keeper = temporary_folder()
        self.folder = self.keeper.name
        self.ca = self.path("ca.pem")
        openssl("req", "-x509", *NEW_KEY, "-keyout", self.path("ca.key"), "-out", self.ca, "-subj",
                f"/CN={common_name}", "-days", "30")
        self.write("ca.conf", CA_CONFIG.format(folder=self.folder))
        self.write("index", "")

    def sign(self, name, names="DNS:localhost,IP:127.0.0.1", expired=False, rsa=False):
        """Paths of a certificate for these names and of its key."""
        certificate, key, request = (self.path(name + end) for end in (".pem", ".key", ".csr"))
        new_key = ("-newkey", "rsa:2048", "-nodes") if rsa else NEW_KEY
        openssl("req", *new_key, "-keyout", key, "-out", request, "-subj", f"/CN={name}", "-addext",
                f"subjectAltName={names}")
        dates = ("20200101000000Z", "20200102000000Z") if expired else ("20200101000000Z", "20490101000000Z")
        openssl("ca", "-batch", "-notext", "-config", self.path("ca.conf"), "-cert", self.ca, "-keyfile",
                self.path("ca.key"),
                "-startdate", dates[0], "-enddate", dates[1], "-in", request, "-out", certificate)
        return certificate, key


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def client_context(authority, identity=None, version=None):
    """What a Python client needs to reach a server of that authority."""
    context = ssl.create_default_context(cafile=authority.ca)
    if identity:
        context.load_cert_chain(*identity)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def server_context(identity, client_authority=None):
    """What a Python server needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity)
    if client_authority:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority.ca)
    return context
