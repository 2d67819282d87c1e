"""How MuJoCo draws where there is no display: which library of the system it uses, and what is said without one."""

import ctypes
import os
import sys

NO_RENDERER = (
    "no library draws MuJoCo's pictures without a display; on Debian or Ubuntu: "
    "apt-get install --no-install-recommends libegl1 libgl1."
)

EGL_PLATFORM_DEVICE_EXT, MOST_DEVICES = 0x313F, 32  # a constant of EGL; as many devices are asked for


def choose_renderer() -> bool:
    """Choose by MUJOCO_GL how MuJoCo draws: EGL, else OSMesa, neither of which needs a display or a GPU.

    A choice that the user has made is kept, and other systems than Linux need none. Returns False where Linux has
    neither library, so that only a display can help. Gymnasium looks at the choice when it draws, `dm_control` once,
    when it is imported.
    """
    if sys.platform != "linux" or os.environ.get("MUJOCO_GL"):
        return True
    renderer = "egl" if egl_works() else "osmesa" if opened("libOSMesa.so.8") else None
    if renderer is not None:
        os.environ["MUJOCO_GL"] = renderer
    return renderer is not None


def egl_works() -> bool:
    """Whether EGL starts on one of its devices, Mesa's software among them, and OpenGL is there to draw with it."""
    egl = opened("libEGL.so.1")
    if egl is None or not (opened("libOpenGL.so.0") or opened("libGL.so.1")):
        return False
    pointer, number = ctypes.c_void_p, ctypes.c_int
    egl.eglGetProcAddress.restype = pointer
    addresses = [egl.eglGetProcAddress(name) for name in (b"eglQueryDevicesEXT", b"eglGetPlatformDisplayEXT")]
    if not all(addresses):
        return False
    query = ctypes.CFUNCTYPE(number, number, pointer, pointer)(addresses[0])
    display_of = ctypes.CFUNCTYPE(pointer, number, pointer, pointer)(addresses[1])
    egl.eglInitialize.argtypes = (pointer, pointer, pointer)
    devices, count = (pointer * MOST_DEVICES)(), number(0)
    if not query(MOST_DEVICES, devices, ctypes.addressof(count)):
        return False
    displays = (display_of(EGL_PLATFORM_DEVICE_EXT, device, None) for device in devices[: count.value])
    return any(display and egl.eglInitialize(display, None, None) for display in displays)


def opened(library: str) -> ctypes.CDLL | None:
    """The shared library of this name, or None when the system has none."""
    try:
        return ctypes.CDLL(library)
    except OSError:
        return None
