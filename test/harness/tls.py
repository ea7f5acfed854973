"""Certificates for tests, made by the openssl command when they are needed."""

import os
import shutil
import subprocess

from harness.scenario import Skip


class Authority:
    """One that signs; its files, and those of whom it signs for, stand in one directory as NAME.pem and NAME.key."""

    def __init__(self, directory, name="ca"):
        self.directory, self.name = directory, name
        os.makedirs(directory, exist_ok=True)
        if not os.path.exists(self.path(name + ".pem")):
            self.openssl("req", "-x509", *self.new_key(name), "-subj", f"/CN={name}", "-days", "2", "-out", name + ".pem",
                         "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def path(self, file):
        return os.path.join(self.directory, file)

    @property
    def certificate(self):
        return self.path(self.name + ".pem")

    @staticmethod
    def new_key(name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", name + ".key"]

    def openssl(self, *words):
        if not shutil.which("openssl"):
            raise Skip("no openssl command")
        done = subprocess.run(["openssl", *words], cwd=self.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=30, check=False)
        if done.returncode:
            raise AssertionError(f"openssl {' '.join(words)}: {done.stdout}")

    def issue(self, name, subject=None, names=("DNS:localhost", "IP:127.0.0.1"), usage="serverAuth,clientAuth"):
        """Paths of the certificate and its key. What was there under this name is replaced at once."""
        fresh = f"fresh-{name}"
        with open(self.path(fresh + ".ext"), "w", encoding="utf-8") as extensions:
            extensions.write(f"basicConstraints=CA:FALSE\nsubjectAltName={','.join(names)}\nextendedKeyUsage={usage}\n"
                             "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        self.openssl("req", *self.new_key(fresh), "-subj", subject or f"/CN={name}", "-out", fresh + ".csr")
        self.openssl("x509", "-req", "-in", fresh + ".csr", "-CA", self.name + ".pem", "-CAkey", self.name + ".key",
                     "-CAcreateserial", "-days", "2", "-extfile", fresh + ".ext", "-out", fresh + ".pem")
        for ending in (".key", ".pem"):
            os.replace(self.path(fresh + ending), self.path(name + ending))
        return self.path(name + ".pem"), self.path(name + ".key")


def settings(directory):
    """For a broker whose listeners with tls:// have a certificate from here. Clients may show one."""
    authority = Authority(directory)
    certificate, key = authority.issue("server")
    return {"tls.certificate": certificate, "tls.key": key, "tls.ca": authority.certificate,
            "tls.verify-client": "request", "tls.identity-from": "common_name", "tls.handshake-timeout": "3s",
            "tls.reload-interval": "200ms"}
