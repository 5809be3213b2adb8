"""The kernel of a run: the interpreter that runs invsync, whatever other kernels are installed."""

import tempfile
from pathlib import Path
from typing import Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config


class OwnKernel(AsyncKernelManager):
    """Starts an ipykernel of `sys.executable`, with its connection file in a temporary folder."""

    def __init__(self, **traits: object) -> None:
        super().__init__(**traits)
        self._folder = tempfile.TemporaryDirectory(prefix="invsync-")
        self.connection_file = str(Path(self._folder.name) / "kernel.json")

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernel of this interpreter, whatever JUPYTER_PATH and a user's own kernels hold under its name."""
        return KernelSpec(**get_kernel_dict())

    def cleanup_resources(self, restart: bool = False) -> Any:  # an awaitable, which the base class declares as None
        """Release what the kernel used, and remove its folder unless it restarts."""
        if not restart:
            self._folder.cleanup()
        return super().cleanup_resources(restart)


def options() -> dict[str, object]:
    """Return the options with which papermill runs a notebook in this kernel."""
    return {
        "kernel_name": "python3",
        "kernel_manager_class": OwnKernel,
        "config": Config({"KernelManager": {"transport_encryption": "auto"}}),
    }
