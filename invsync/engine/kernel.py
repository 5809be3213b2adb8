"""The kernel of a run: the interpreter that runs invsync, whatever kernels are installed beside it."""

import tempfile
from pathlib import Path
from typing import Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config


class OwnKernel(AsyncKernelManager):
    """Starts an ipykernel of `sys.executable`; its connection file is in a folder that can be written."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._folder = tempfile.TemporaryDirectory(prefix="invsync-")
        self.connection_file = str(Path(self._folder.name) / "kernel.json")

    @property
    def kernel_spec(self) -> KernelSpec:
        """This interpreter's kernel, however JUPYTER_PATH and a user's own kernels resolve its name."""
        return KernelSpec(**get_kernel_dict())

    def cleanup_resources(self, restart: bool = False) -> Any:
        """Give back what the kernel held, its folder too."""
        if not restart:
            self._folder.cleanup()
        return super().cleanup_resources(restart)


def options() -> dict[str, Any]:
    """What papermill is given to run a notebook in this kernel."""
    return {
        "kernel_name": "python3",
        "kernel_manager_class": OwnKernel,
        "config": Config({"KernelManager": {"transport_encryption": "auto"}}),
    }
