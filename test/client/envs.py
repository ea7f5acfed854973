"""Toolchains of the clients: Python environments, Java class paths, Go programs and Node modules, pinned, kept in
.cache."""

import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(ROOT, ".cache")


class Missing(Exception):
    """This machine can't have the toolchain; the text says why."""


def run(command, timeout=600, **kwargs):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=timeout, check=False, **kwargs)
    if done.returncode:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        raise Missing(f"{' '.join(command[:4])} failed: {' / '.join(lines[-3:])}")


def stamped(directory, *sources):
    """(fresh, path of the stamp file, stamp) for a directory made from the given texts."""
    digest = hashlib.sha256("\0".join(sources).encode()).hexdigest()
    stamp_file = os.path.join(directory, ".stamp")
    try:
        with open(stamp_file, encoding="utf-8") as file:
            return file.read() == digest, stamp_file, digest
    except FileNotFoundError:
        return False, stamp_file, digest


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def python_env(name):
    """The Python of an environment holding requirements/NAME.txt."""
    requirements = os.path.join(HERE, "requirements", name + ".txt")
    directory = os.path.join(CACHE, "venv", name)
    python = os.path.join(directory, "bin", "python")
    fresh, stamp_file, digest = stamped(directory, read(requirements), sys.version)
    if not fresh:
        shutil.rmtree(directory, ignore_errors=True)
        run([sys.executable, "-m", "venv", directory])
        run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:",
             "-r", requirements])
        write(stamp_file, digest)
    return python


def java_classpath(version, name="java", of="kafka", shared=()):
    """Class path with the program in the folder NAME, compiled against the jars that its pom.xml names, with VERSION
    as its property OF.version; SHARED are sources of other folders that it needs."""
    for tool in ("javac", "java"):
        if not shutil.which(tool):
            raise Missing(f"no {tool}")
    project = os.path.join(HERE, name)
    directory = os.path.join(CACHE, name, version)
    libs, classes = os.path.join(directory, "libs"), os.path.join(directory, "classes")
    pom = os.path.join(project, "pom.xml")
    fresh, stamp_file, digest = stamped(directory, read(pom), version)
    if not fresh:
        if not shutil.which("mvn"):
            raise Missing("no mvn")
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        run(["mvn", "-q", "-B", "-f", pom, f"-D{of}.version={version}",
             "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
             "-DincludeScope=runtime", f"-DoutputDirectory={libs}"])
        write(stamp_file, digest)
    sources = sorted(os.path.join(folder, file) for folder, _, files in os.walk(os.path.join(project, "src"))
                     for file in files if file.endswith(".java")) + [os.path.join(HERE, path) for path in shared]
    fresh, stamp_file, digest = stamped(classes, *[read(source) for source in sources])
    if not fresh:
        shutil.rmtree(classes, ignore_errors=True)
        os.makedirs(classes)
        run(["javac", "-nowarn", "-Xlint:none", "-cp", os.path.join(libs, "*"), "-d", classes, *sources])
        write(stamp_file, digest)
    return os.pathsep.join([classes, os.path.join(libs, "*")])


def sources_in(*parts, ending):
    folder = os.path.join(HERE, *parts)
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(ending)]


def go_program(modfile, folder="go"):
    """The Go client program of the folder, built with the versions that its MODFILE names."""
    if not shutil.which("go"):
        raise Missing("no go")
    directory = os.path.join(CACHE, folder, modfile)
    program = os.path.join(directory, "client")
    texts = [read(path) for path in sources_in(folder, ending=(".go", ".mod", ".sum"))]
    fresh, stamp_file, digest = stamped(directory, modfile, *texts)
    if not fresh:
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        run(["go", "build", "-mod=readonly", "-buildvcs=false", f"-modfile={modfile}", "-o", program, "."],
            cwd=os.path.join(HERE, folder), env=dict(os.environ, CGO_ENABLED="0"))
        write(stamp_file, digest)
    return program


def go_version():
    """(1, 26) or so; (0, 0) without."""
    try:
        text = subprocess.run(["go", "env", "GOVERSION"], stdout=subprocess.PIPE, check=True, timeout=60, text=True).stdout
        return tuple(map(int, text.strip().removeprefix("go").split(".")[:2]))
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0, 0


def node_modules(folder="js"):
    """The folder with the packages that the folder's package-lock.json names."""
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            raise Missing(f"no {tool}")
    directory = os.path.join(CACHE, folder)
    manifests = ["package.json", "package-lock.json"]
    texts = [read(os.path.join(HERE, folder, name)) for name in manifests]
    fresh, stamp_file, digest = stamped(directory, *texts)
    if not fresh:
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        for name, text in zip(manifests, texts):
            write(os.path.join(directory, name), text)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=directory)
        write(stamp_file, digest)
    return os.path.join(directory, "node_modules")
