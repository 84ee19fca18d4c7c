"""Restricts a worker process: no network, no processes, no writing, and only the files that it needs to read.

Linux enforces this with Landlock (https://docs.kernel.org/userspace-api/landlock.html) and a seccomp filter
(https://docs.kernel.org/userspace-api/seccomp_filter.html); both need no privileges. Where the system lacks one of them,
the rest applies, and the list of allowed operators protects alone. Both hold for the threads that the process starts
later, so the process must have only one thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

OPEN_FILES = 256

# prctl: https://man7.org/linux/man-pages/man2/prctl.2.html
_SET_PARENT_DEATH_SIGNAL, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES = 1, 22, 38
_FILTER_MODE = 2


def restrict(model: Path | None, memory_bytes: int, *, end_with_parent: bool = True) -> None:
    """Restrict this process for the rest of its life.

    Args:
        model: The folder of the model's files, which stay readable, or None.
        memory_bytes: The limit of the memory that the process allocates.
        end_with_parent: Whether the process ends with the thread that started it.
    """
    _work_in_an_empty_folder()
    _limit(memory_bytes)
    if sys.platform == "linux":
        if end_with_parent:
            _end_with_the_parent()
        _end_first_without_memory()
        system = ctypes.CDLL(None, use_errno=True)
        for function in (system.prctl, system.syscall):
            function.restype = ctypes.c_long
        system.prctl(_SET_NO_NEW_PRIVILEGES, *map(ctypes.c_ulong, (1, 0, 0, 0)))
        _restrict_files(system, [*([] if model is None else [model]), *_library_folders()])
        _restrict_calls(system)


def _limit(memory_bytes: int) -> None:
    limits = {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: OPEN_FILES}
    # The memory that the process allocates, without the files that it maps. Other systems than Linux do not enforce it.
    limits[resource.RLIMIT_DATA] = memory_bytes
    for limit, value in limits.items():
        _, highest = resource.getrlimit(limit)
        allowed = value if highest == resource.RLIM_INFINITY else min(value, highest)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (allowed, allowed))


def _work_in_an_empty_folder() -> None:
    folder = Path(tempfile.mkdtemp(prefix="model-worker-"))
    os.chdir(folder)
    # Nothing can be created in a folder that is deleted.
    folder.rmdir()


def _end_with_the_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, *map(ctypes.c_ulong, (signal.SIGKILL, 0, 0, 0)))
    if os.getppid() != parent:
        os._exit(1)


def _end_first_without_memory() -> None:
    """Have the system end this process before others when it runs out of memory."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


# Files

_READ = 1 << 2 | 1 << 3  # LANDLOCK_ACCESS_FS_READ_FILE and _READ_DIR
# What Landlock forbids unless a rule allows it, by the version that added it: accesses to files, TCP, and other processes.
_FILE_ACCESS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP_VERSION, _TCP = 4, 0b11
_SCOPE_VERSION, _SCOPES = 6, 0b11
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_RULE = 1, 1


def _library_folders() -> Iterator[Path]:
    """Yield what the libraries read while they load and run a model."""
    yield from map(Path, (sys.prefix, sys.base_prefix, "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache"))
    yield from (Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages"))
    yield Path(__file__).parents[1]  # the package localcloud
    yield Path(f"/proc/{os.getpid()}")
    yield from map(Path, ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/dev/null", "/dev/urandom"))


def _restrict_files(system: ctypes.CDLL, readable: list[Path]) -> None:
    version = system.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < 1:
        return
    access = max(bits for since, bits in _FILE_ACCESS.items() if since <= version)
    attributes = struct.pack(
        "QQQ", access, _TCP if version >= _TCP_VERSION else 0, _SCOPES if version >= _SCOPE_VERSION else 0
    )
    size = 24 if version >= _SCOPE_VERSION else 16 if version >= _TCP_VERSION else 8
    rules = system.syscall(_CREATE_RULESET, attributes, size, 0)
    if rules < 0:
        return
    for path in readable:
        if not path.exists():
            continue
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        allowed = _READ if path.is_dir() else _READ & ~(1 << 3)
        system.syscall(_ADD_RULE, rules, _PATH_RULE, struct.pack("=Qi", allowed, opened), 0)
        os.close(opened)
    system.syscall(_RESTRICT_SELF, rules, 0)
    os.close(rules)


# System calls

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
# The newest call that was reviewed for this table. Newer ones are refused as unknown.
_NEWEST = 462
# The numbers of the refused calls on x86_64 and arm64; None where the call does not exist.
# https://github.com/torvalds/linux/blob/v6.10/arch/x86/entry/syscalls/syscall_64.tbl
# https://github.com/torvalds/linux/blob/v6.10/include/uapi/asm-generic/unistd.h
_Call = tuple[int | None, int | None]
_REFUSED: dict[str, _Call] = {
    # connections
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept4": (288, 242),
    # processes
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "unshare": (272, 97),
    "setns": (308, 268),
    "setrlimit": (160, 164),
    # changes of files
    "creat": (85, None),
    "truncate": (76, 45),
    "fallocate": (285, 47),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    # the system
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "swapon": (167, 224),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
}
_OPEN: _Call = (2, None)
_OPENAT, _OPENAT2 = (257, 56), (437, 437)
_CLONE, _CLONE3, _TGKILL, _PRLIMIT = (56, 220), (435, 435), (234, 131), (302, 261)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CLONE_THREAD = 0x10000
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16


def _restrict_calls(system: ctypes.CDLL) -> None:
    if platform.machine() not in _ARCHITECTURES:
        return
    instructions = [struct.pack("HBBI", *each) for each in _filter(*_ARCHITECTURES[platform.machine()])]
    program = ctypes.create_string_buffer(b"".join(instructions))
    header = ctypes.create_string_buffer(struct.pack("HP", len(instructions), ctypes.addressof(program)))
    address = ctypes.addressof(header)
    system.prctl(_SET_SECCOMP, *map(ctypes.c_ulong, (_FILTER_MODE, address, 0, 0)))


def _filter(architecture: int, column: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the instructions of the filter: operation, jump if true, jump if false, operand."""
    refused, unknown = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    yield _LOAD, 0, 0, _ARCHITECTURE_OFFSET
    yield _JUMP_EQUAL, 1, 0, architecture
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, _NUMBER_OFFSET
    yield _JUMP_GREATER, 0, 1, _NEWEST
    yield _RETURN, 0, 0, unknown
    # Callers use older calls instead of these, whose flags a filter can't read.
    for newer in (_CLONE3, _OPENAT2):
        yield _JUMP_EQUAL, 0, 1, newer[column]
        yield _RETURN, 0, 0, unknown
    for call in _REFUSED.values():
        number = call[column]
        if number is not None:
            yield _JUMP_EQUAL, 0, 1, number
            yield _RETURN, 0, 0, refused
    # A file may be opened for reading only, a thread may be created but no process, and a signal goes to this process.
    opens: list[tuple[_Call, int]] = [(_OPEN, 1), (_OPENAT, 2)]
    for opening, argument in opens:
        number = opening[column]
        if number is not None:
            yield _JUMP_EQUAL, 0, 4, number
            yield _LOAD, 0, 0, _ARGUMENTS_OFFSET + 8 * argument
            yield _JUMP_BITS, 0, 1, _WRITING
            yield _RETURN, 0, 0, refused
            yield _RETURN, 0, 0, _ALLOW
    yield _JUMP_EQUAL, 0, 4, _CLONE[column]
    yield _LOAD, 0, 0, _ARGUMENTS_OFFSET
    yield _JUMP_BITS, 1, 0, _CLONE_THREAD
    yield _RETURN, 0, 0, refused
    yield _RETURN, 0, 0, _ALLOW
    yield _JUMP_EQUAL, 0, 4, _TGKILL[column]
    yield _LOAD, 0, 0, _ARGUMENTS_OFFSET
    yield _JUMP_EQUAL, 1, 0, os.getpid()
    yield _RETURN, 0, 0, refused
    yield _RETURN, 0, 0, _ALLOW
    # Limits may be read (the third argument is a null pointer) but not set.
    yield _JUMP_EQUAL, 0, 5, _PRLIMIT[column]
    yield _LOAD, 0, 0, _ARGUMENTS_OFFSET + 16
    yield _JUMP_EQUAL, 0, 2, 0
    yield _LOAD, 0, 0, _ARGUMENTS_OFFSET + 20
    yield _JUMP_EQUAL, 1, 0, 0
    yield _RETURN, 0, 0, refused
    yield _RETURN, 0, 0, _ALLOW
