"""The names of the standard library that Windows or macOS lacks, as patterns.

From the manual's notes on availability and the platform checks of typeshed. Some count as missing
although newer versions of Python have them there: `os.fchmod` and `os.lchmod` on Windows,
`os.sched_yield` on macOS.
"""

import re

MODULES = {
    *("crypt", "curses", "fcntl", "grp", "nis", "ossaudiodev", "posix", "pty", "pwd", "readline"),
    *("resource", "spwd", "syslog", "termios", "tty"),
}

_SCHEDULER = r"sched_\w+|SCHED_\w+"
_LINUX = (
    r"CLONE_\w+|EFD_\w+|GRND_\w+|MFD_\w+|O_(DIRECT|LARGEFILE|NOATIME|PATH|RSYNC|TMPFILE)|PIDFD_\w+|"
    r"POSIX_FADV_\w+|P_PIDFD|RTLD_DEEPBIND|RWF_\w+|SPLICE_\w+|"
    r"ST_(APPEND|MANDLOCK|NOATIME|NODEV|NODIRATIME|NOEXEC|RELATIME|SYNCHRONOUS|WRITE)|TFD_\w+|"
    r"XATTR_\w+|copy_file_range|eventfd\w*|fdatasync|getrandom|[gs]etres[gu]id|(get|set|list|remove)"
    r"xattr|memfd_create|pidfd_open|pipe2|posix_fa\w+|setns|splice|timerfd_\w+|unshare"
)
_UNIX = (
    r"CLD_\w+|EX_(?!OK)\w+|F_\w*LOCK|F_TEST|NGROUPS_MAX|"
    r"O_(?!RDONLY|WRONLY|RDWR|APPEND|CREAT|EXCL|TRUNC|BINARY|NOINHERIT|RANDOM|SEQUENTIAL|TEMPORARY|"
    r"SHORT_LIVED|TEXT)\w+|POSIX_\w+|PRIO_\w+|P_(ALL|PG?ID)|RTLD_\w+|SEEK_(DATA|HOLE)|ST_\w+|"
    r"W[A-Z]+|(l?ch|f?ch)(flags|mod|own)(?<!^chmod)|chroot|confstr\w*|ctermid|environb|fchdir|"
    r"fork(pty)?|f?pathconf\w*|f?statvfs|fwalk|gete?[gu]id|getenvb|getgroup\w+|getloadavg|"
    r"[gs]etpg(id|rp)|[gs]etpriority|[gs]etsid|grantpt|initgroups|killpg|lockf|login_tty|major|"
    r"makedev|minor|mkfifo|mknod|nice|openpty|posix_\w+|p(read|write)v?|ptsname|readv|writev|"
    r"register_at_fork|sendfile|sete?[gu]id|setgroups|setre[gu]id|spawn[lv]pe?|sync|sysconf\w*|"
    r"tc[gs]etpgrp|ttyname|uname|unlockpt|wait|wait[34]|waitid\w*|waitstatus_to_exitcode"
)

MISSING = {
    "windows": {
        "os": f"{_UNIX}|{_LINUX}|{_SCHEDULER}",
        "signal": r"ITIMER_\w+|ItimerError|SIG_(UN)?BLOCK|SIG_SETMASK|Sigmasks|alarm|[gs]etitimer|"
        r"pause|pidfd_send_signal|pthread_\w+|siginterrupt|sigpending|sigtimedwait|sigwait\w*|"
        r"struct_siginfo|SIG(?!ABRT|BREAK|FPE|ILL|INT|SEGV|TERM)[A-Z0-9]+",
        "sys": "abiflags|[gs]etdlopenflags",
        "socket": r"AF_UNIX|SO_REUSEPORT|MSG_(DONTWAIT|NOSIGNAL)|SOCK_(CLOEXEC|NONBLOCK)|recv_fds|"
        "send_fds|sethostname",
        "mmap": r"MADV_\w+|MAP_\w+|PROT_\w+",
        "time": r"CLOCK_\w+|clock_\w+|pthread_getcpuclockid|tzset",
        "select": r"EPOLL\w+|KQ_\w+|PIPE_BUF|POLL\w+|epoll|kevent|kqueue|poll",
        "asyncio": r"\w*ChildWatcher|open_unix_connection|start_unix_server",
        "locale": "LC_MESSAGES",
    },
    "macos": {
        "os": f"{_LINUX}|{_SCHEDULER}",
        "signal": "SIG(CLD|POLL|PWR|RTMAX|RTMIN|STKFLT)|pidfd_send_signal|sigtimedwait|sigwaitinfo|"
        "struct_siginfo",
        "socket": r"AF_(NETLINK|PACKET|VSOCK)|SOCK_(CLOEXEC|NONBLOCK)|MSG_MORE",
        "mmap": r"MADV_(DO|DONT)(DUMP|FORK)|MADV_HUGEPAGE|"
        "MAP_(DENYWRITE|EXECUTABLE|POPULATE|STACK)",
        "select": r"EPOLL\w+|epoll",
    },
}


def is_missing(system: str, module: str, name: str) -> bool:
    """Whether a module of the standard library lacks a name on "windows" or "macos"."""
    pattern = MISSING[system].get(module)
    return pattern is not None and re.fullmatch(pattern, name) is not None
