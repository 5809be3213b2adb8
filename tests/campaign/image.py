"""An image made and run without a container builder: the Dockerfile's steps in layers over this machine's own root.

Every command runs in a mount namespace of its own, in an overlay of this machine's root, the base with the interpreter
at /usr/local, and the stage. The checkout and its environment are hidden. What runs the finished image may write to
/data and /tmp only, as the user that the image names.
"""

import fnmatch
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import join, quote

from dockerfile import DEPLOY, Instruction, stages

ROOT = Path(__file__).parents[2]
OF_THE_BUILDER = ("PIP_", "SSL_", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "HOME")
PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEVICES = ("null", "zero", "random", "urandom")
TMPFS = "noexec,nosuid,nodev"  # as `tmpfs: [/tmp]` of a compose file


def is_possible() -> bool:
    """Whether this user may mount an overlay in a namespace of their own."""
    if os.geteuid() or not all(map(shutil.which, ("unshare", "chroot", "setpriv"))):
        return False
    test = "mount -t tmpfs t /mnt && cd /mnt && mkdir u w m && mount -t overlay o -o lowerdir=/,upperdir=u,workdir=w m"
    return subprocess.run(["unshare", "--mount", "sh", "-c", test], capture_output=True).returncode == 0


def interpreter(version: str) -> Path | None:
    """The folder of a Python of this version (3.13) on this machine, or None."""
    places = [shutil.which(f"python{version}"), *map(str, Path(sys.base_prefix).parent.glob(f"{version}*/bin/python3"))]
    for place in filter(None, places):
        command = [place, "-c", "import sys; print(sys.base_prefix, '%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.split()[-1] == version:
            return Path(done.stdout.split()[0])
    return None


@dataclass
class Layers:
    """Folders over this machine's root, the uppermost first, and the interpreter that the base image would bring."""

    folder: Path
    python: Path
    below: Sequence[Path] = ()

    def command(
        self,
        words: Sequence[str],
        *,
        top: Path | None = None,
        workdir: str = "/",
        user: str = "",
        environment: Mapping[str, str],
        mounts: Mapping[str, tuple[Path, str]] | None = None,
    ) -> list[str]:
        """The words that run a command in these layers.

        `top` is the layer that takes what it writes; without one the root is read-only. `mounts` has the folder or
        file and `rw` or `ro` of each path.
        """
        root = self.folder / "root"
        lines = [f"mount -t overlay image -o {self._overlay(top)} {root}"]
        lines += [f"mount --bind {self.python} {root}/usr/local", f"mount --rbind /proc {root}/proc"]
        lines += [f"mount -t tmpfs -o {TMPFS} tmpfs {root}/tmp"]
        lines += [f"if [ -d {root}{path} ]; then mount -t tmpfs -o ro hidden {root}{path}; fi" for path in _hidden()]
        lines += [f"mount -t tmpfs -o mode=755 tmpfs {root}/dev && mkdir -m 1777 {root}/dev/shm"]
        lines += [f"touch {root}/dev/{one} && mount --bind /dev/{one} {root}/dev/{one}" for one in DEVICES]
        for path, (source, mode) in (mounts or {}).items():
            lines += [f"mount --bind {source} {root}{path} && mount -o remount,bind,{mode} {root}{path}"]
        variables = [f"{name}={value}" for name, value in environment.items()]
        inner = ["chroot", str(root), *_as(user), "env", "-i", f"--chdir={workdir}", *variables, *words]
        return ["unshare", "--mount", "sh", "-ec", "\n".join([*lines, f"exec {join(inner)}"])]

    def _overlay(self, top: Path | None) -> str:
        lower = ":".join(map(quote, map(str, [*self.below, Path("/")])))
        if top is None:
            return f"lowerdir={lower}"
        work = top.with_name(f"{top.name}-work")
        for folder in (top, work):
            folder.mkdir(exist_ok=True)
        return f"lowerdir={lower},upperdir={top},workdir={work}"


def _hidden() -> list[Path]:
    """The checkout and the environment that runs this test."""
    return [ROOT, Path(sys.prefix).resolve()]


def _as(user: str) -> list[str]:
    if not user:
        return []
    uid, gid = user.split(":")
    identity = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    return ["setpriv", *identity, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]


@dataclass
class Image:
    """A stage of a Dockerfile while it is made, and the image that the last one is."""

    layers: Layers
    top: Path
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = ""

    def step(self, one: Instruction, others: Mapping[str, "Image"]) -> None:
        """Do what an instruction says to the files, or to what runs later; raise ValueError for one not known here."""
        match one.name:
            case "ENV":
                self.environment |= one.pairs
            case "WORKDIR":
                self.workdir = one.value
                self._path(one.value).mkdir(parents=True, exist_ok=True)
            case "USER":
                self.user = one.value
            case "COPY":
                self._copy(one, others)
            case "RUN":
                self._run(one)
            case "FROM" | "ARG" | "LABEL" | "VOLUME" | "ENTRYPOINT" | "CMD" | "HEALTHCHECK":
                pass
            case _:
                raise ValueError(f"{one.name} is not known here")

    def _path(self, path: str) -> Path:
        return self.top / Path(self.workdir, path).relative_to("/")

    def _copy(self, one: Instruction, others: Mapping[str, "Image"]) -> None:
        *sources, target = one.words
        for source in sources:
            made = others[one.flags["from"]]._path(source) if "from" in one.flags else ROOT / source
            into = self._path(target)
            if made.is_dir():
                shutil.copytree(made, into, symlinks=True, ignore=None if "from" in one.flags else _ignored)
            else:
                shutil.copy2(made, into)

    def _run(self, one: Instruction) -> None:
        passed = {name: value for name, value in os.environ.items() if name.startswith(OF_THE_BUILDER)}
        environment = passed | {"PATH": PATH} | self.environment
        words = self.layers.command(one.words, top=self.top, workdir=self.workdir, environment=environment)
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"RUN {one.value} ended with {done.returncode}: {done.stdout}{done.stderr}")

    def command(
        self, words: Sequence[str], mounts: Mapping[str, tuple[Path, str]], environment: Mapping[str, str] | None = None
    ) -> list[str]:
        """The words that run a command of the finished image, in a root that nobody may write."""
        points = self.layers.folder / "mount-points"
        for path, (source, _) in mounts.items():
            point = points / path.lstrip("/")
            point.parent.mkdir(parents=True, exist_ok=True)
            point.mkdir(exist_ok=True) if source.is_dir() else point.touch()
        finished = Layers(self.layers.folder, self.layers.python, [points, self.top, *self.layers.below])
        variables = self.environment | dict(environment or {})
        return finished.command(words, workdir=self.workdir, user=self.user, environment=variables, mounts=mounts)

    def size(self) -> int:
        """The bytes of its own layer, above the base image."""
        return sum(path.lstat().st_size for path in self.top.rglob("*") if not path.is_dir())


def _ignored(folder: str, names: list[str]) -> set[str]:
    """What the ignore file leaves out below the folders that it lets through."""
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    patterns = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    return {name for name in names for pattern in patterns if fnmatch.fnmatch(name, pattern)}


def built(folder: Path, python: Path) -> Image:
    """Make the image of the Dockerfile in this folder, which must not be of the root's own file system."""
    (folder / "root").mkdir()
    base = folder / "base"
    subprocess.run(Layers(folder, python).command(["ldconfig"], top=base, environment={"PATH": PATH}), check=True)
    others: dict[str, Image] = {}
    for number, steps in enumerate(stages((DEPLOY / "Dockerfile").read_text())):
        name = steps[0].words[-1] if "AS" in steps[0].words else str(number)
        image = others[name] = Image(Layers(folder, python, [base]), folder / f"stage-{name}")
        image.top.mkdir()
        for one in steps:
            image.step(one, others)
    return image


@dataclass(frozen=True)
class Docker:
    """The same image, made by Docker: its containers share this machine's network and process ids."""

    tag: str
    user: int

    def command(
        self, words: Sequence[str], mounts: Mapping[str, tuple[Path, str]], environment: Mapping[str, str] | None = None
    ) -> list[str]:
        """The words that run a command of the image, in a root that nobody may write."""
        limits = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        shared = ["--rm", f"--user={self.user}", "--network=host", "--pid=host", f"--entrypoint={words[0]}"]
        volumes = [f"--volume={source}:{path}:{mode}" for path, (source, mode) in mounts.items()]
        variables = [f"--env={name}={value}" for name, value in (environment or {}).items()]
        return ["docker", "run", *limits, *shared, *volumes, *variables, self.tag, *words[1:]]

    def size(self) -> int:
        """The bytes of all its layers."""
        command = ["docker", "image", "inspect", "--format={{.Size}}", self.tag]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def has_docker() -> bool:
    """Whether a Docker server answers."""
    return bool(shutil.which("docker")) and subprocess.run(["docker", "info"], capture_output=True).returncode == 0


def built_by_docker(tag: str, user: int) -> Docker:
    """Build the image with this tag, to be run as this user."""
    build = ["docker", "build", "--quiet", f"--file={DEPLOY / 'Dockerfile'}", f"--tag={tag}", str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return Docker(tag, user)
