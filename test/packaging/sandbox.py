"""Runs a command under the restrictions of a systemd unit, where there is no systemd to do it.

sandbox.py SETTINGS COMMAND [ARGUMENT...]

SETTINGS is JSON: "uid" (null: stay who we are), "calls" (what SystemCallFilter= allows; the rest
fails with EPERM, as SystemCallErrorNumber=EPERM says) and "families" (what
RestrictAddressFamilies= allows, by number). RestrictNamespaces=true, NoNewPrivileges=true and
SystemCallArchitectures=native are always applied, in the way that systemd does it.
"""

import ctypes
import errno
import json
import os
import sys

ALLOW = 0x7FFF0000
EQUAL, GREATER_OR_EQUAL, MASKED_EQUAL = 4, 5, 7
CLONE_NEW = [0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]
LAST_FAMILY = 46


class Comparison(ctypes.Structure):
    _fields_ = [
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    ]


library = ctypes.CDLL("libseccomp.so.2")
library.seccomp_init.restype = ctypes.c_void_p
library.seccomp_load.argtypes = [ctypes.c_void_p]
library.seccomp_rule_add_array.argtypes = [
    ctypes.c_void_p,
    ctypes.c_uint32,
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.POINTER(Comparison),
]


def fails_with(number):
    return 0x00050000 | number


def add(context, action, name, *comparisons):
    call = library.seccomp_syscall_resolve_name(name.encode())
    if call < 0:  # Unknown to the library, or not a call of this machine.
        return
    array = (Comparison * len(comparisons))(*comparisons)
    status = library.seccomp_rule_add_array(context, action, call, len(comparisons), array)
    if status < 0:
        sys.exit(f"sandbox.py: rule for {name}: {os.strerror(-status)}")


def load(context):
    status = library.seccomp_load(context)
    if status < 0:
        sys.exit(f"sandbox.py: loading a filter: {os.strerror(-status)}")


def address_families(families):
    context = library.seccomp_init(ALLOW)
    refuse = fails_with(errno.EAFNOSUPPORT)
    for family in range(LAST_FAMILY):
        if family not in families:
            add(context, refuse, "socket", Comparison(0, EQUAL, family, 0))
    add(context, refuse, "socket", Comparison(0, GREATER_OR_EQUAL, LAST_FAMILY, 0))
    load(context)


def namespaces():
    context = library.seccomp_init(ALLOW)
    # A filter can't look at the flags of clone3, so that it has to seem missing.
    add(context, fails_with(errno.ENOSYS), "clone3")
    add(context, fails_with(errno.EPERM), "setns")
    for flag in CLONE_NEW:
        for name in ("clone", "unshare"):
            add(context, fails_with(errno.EPERM), name, Comparison(0, MASKED_EQUAL, flag, flag))
    load(context)


def system_calls(calls):
    context = library.seccomp_init(fails_with(errno.EPERM))
    for name in calls:
        add(context, ALLOW, name)
    load(context)


def main():
    settings = json.loads(sys.argv[1])
    if settings["uid"] is not None:
        os.setgroups([])
        os.setgid(settings["uid"])
        os.setuid(settings["uid"])
    address_families(settings["families"])
    namespaces()
    # Last, since it refuses what loads filters.
    system_calls(settings["calls"])
    os.execv(sys.argv[2], sys.argv[2:])


main()
