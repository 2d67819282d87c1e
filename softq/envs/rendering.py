"""How MuJoCo draws where there is no display: which library of the system it uses, and what is said without one."""

import ctypes
import os
import sys

NO_RENDERER = (
    "no library draws MuJoCo's pictures without a display; on Debian or Ubuntu: "
    "apt-get install --no-install-recommends libegl1 libgl1."
)


def choose_renderer() -> bool:
    """Choose by MUJOCO_GL how MuJoCo draws: EGL, else OSMesa, neither of which needs a display or a GPU.

    A choice that the user has made is kept, and other systems than Linux need none. Returns False where Linux has
    neither library, so that only a display can help. Gymnasium looks at the choice when it draws, `dm_control` once,
    when it is imported.
    """
    if sys.platform != "linux" or os.environ.get("MUJOCO_GL"):
        return True
    renderer = "egl" if egl_devices() else "osmesa" if opened("libOSMesa.so.8") else None
    if renderer is not None:
        os.environ["MUJOCO_GL"] = renderer
    return renderer is not None


def egl_devices() -> int:
    """The number of devices on which EGL can draw, Mesa's software among them; 0 without EGL or OpenGL."""
    egl = opened("libEGL.so.1")
    if egl is None or not (opened("libOpenGL.so.0") or opened("libGL.so.1")):
        return 0
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    address = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    if not address:
        return 0
    count = ctypes.c_int(0)
    query = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(address)
    return count.value if query(0, None, ctypes.addressof(count)) else 0


def opened(library: str) -> ctypes.CDLL | None:
    """The shared library of this name, or None when the system has none."""
    try:
        return ctypes.CDLL(library)
    except OSError:
        return None
