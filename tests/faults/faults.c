/* Let the n-th call to the system fail: a library for LD_PRELOAD, as SQLite's tests have one.

   Counted are calls that touch a file under one folder, and those that make memory or processes.
   `faults_arm` says which call fails and how; until then, and after `faults_disarm`, all go through.
   Linux with glibc alone. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum way { ONCE = 1, FROM_THEN_ON, SHORT_WRITE, KILLED }; /* as WAYS in faults.py */

static volatile long count, nth;
static volatile int way, armed;
static size_t large; /* requests for so many bytes of memory are counted; 0: none */
static char folder[4096];
static char last[64]; /* the name of the call that failed */
static int log_to = -1; /* a descriptor that is told each change of a file; -1: none */
static int say_to = -1, hear_from = -1; /* before each call: a byte there, then one from here */

void faults_arm(const char *under, long at, int how, size_t bytes) {
    snprintf(folder, sizeof folder, "%s", under);
    count = 0, nth = at, way = how, large = bytes, armed = 1, last[0] = 0;
}

long faults_disarm(void) {
    armed = 0;
    return count;
}

const char *faults_last(void) { return last; }

void faults_log(int descriptor) { log_to = descriptor; }

void faults_step(int say, int hear) { say_to = say, hear_from = hear; }

/* Tell the log of a change: name, path, another path or a number, and what was written. */
static void note(const char *name, const char *path, const char *more, const void *bytes, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    char head[9000];
    if (!armed || log_to < 0) return;
    if (!real) real = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    int length = snprintf(head, sizeof head, "%s\t%s\t%s\t%zu\n", name, path, more, size);
    int error = errno;
    if (real(log_to, head, length) != length || real(log_to, bytes, size) != (ssize_t)size) abort();
    errno = error;
}

/* Whether this call fails; one that is counted by being here. */
static int fails(const char *name) {
    if (!armed) return 0;
    long now = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    char byte = 0;
    if (say_to >= 0 && (syscall(SYS_write, say_to, &byte, 1) != 1 ||
                        syscall(SYS_read, hear_from, &byte, 1) != 1))
        _exit(98); /* whoever says when to go on has gone */
    if (now != nth && !(way == FROM_THEN_ON && now > nth)) return 0;
    if (now == nth) snprintf(last, sizeof last, "%s", name);
    if (way == KILLED) raise(SIGKILL);
    return 1;
}

/* The whole path of a file, by its name under an open folder or by its descriptor alone. */
static const char *whole(int at, const char *path) {
    static __thread char found[8192];
    char base[4096] = "";
    if (path[0] == '/') return path;
    if (at == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return "";
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t got = readlink(link, base, sizeof base - 1);
        if (got < 0) return "";
        base[got] = 0;
    }
    snprintf(found, sizeof found, "%s%s%s", base, path[0] ? "/" : "", path);
    return found;
}

static int path_is_ours(int at, const char *path) {
    return armed && path && !strncmp(whole(at, path), folder, strlen(folder));
}

static int is_ours(int descriptor) { return path_is_ours(descriptor, ""); }

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)
#define REFUSE(number, result) do { errno = (number); return (result); } while (0)

static int mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
}
static int noted(int descriptor, int flags) {
    if (descriptor >= 0 && flags & O_CREAT) note("create", whole(descriptor, ""), "", "", 0);
    if (descriptor >= 0 && flags & O_TRUNC) note("truncate", whole(descriptor, ""), "0", "", 0);
    return descriptor;
}
#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, name, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        int mode = mode_of(flags, rest); \
        va_end(rest); \
        if (!path_is_ours(AT_FDCWD, path)) return real(path, flags, mode); \
        if (fails("open")) REFUSE(EIO, -1); \
        return noted(real(path, flags, mode), flags); \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        REAL(int, name, int, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        int mode = mode_of(flags, rest); \
        va_end(rest); \
        if (!path_is_ours(at, path)) return real(at, path, flags, mode); \
        if (fails("open")) REFUSE(EIO, -1); \
        return noted(real(at, path, flags, mode), flags); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int descriptor, const void *bytes, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    if (is_ours(descriptor) && fails("write")) {
        if (way == SHORT_WRITE) return real(descriptor, bytes, (size + 1) / 2);
        if (size > 1) real(descriptor, bytes, size / 2); /* a full disk takes what it can */
        REFUSE(ENOSPC, -1);
    }
    if (is_ours(descriptor)) {
        char offset[32];
        snprintf(offset, sizeof offset, "%ld", (long)lseek(descriptor, 0, SEEK_CUR));
        note("write", whole(descriptor, ""), offset, bytes, size);
    }
    return real(descriptor, bytes, size);
}

ssize_t read(int descriptor, void *bytes, size_t size) {
    REAL(ssize_t, read, int, void *, size_t);
    if (is_ours(descriptor) && fails("read")) REFUSE(EIO, -1);
    return real(descriptor, bytes, size);
}

#define ONE(type, name, error, result, ours, parameters, arguments) \
    NOTED(type, name, error, result, ours, (void)0, parameters, arguments)
#define NOTED(type, name, error, result, ours, said, parameters, arguments) \
    type name parameters { \
        REAL(type, name, TYPES parameters); \
        if (!(ours)) return real arguments; \
        if (fails(#name)) REFUSE(error, result); \
        said; \
        return real arguments; \
    }
#define SAY(name, path, more) note(name, path, more, "", 0)
static const char *digits(long number) {
    static __thread char text[32];
    snprintf(text, sizeof text, "%ld", number);
    return text;
}
static void say_rename(const char *from, const char *to) {
    char first[8192];
    snprintf(first, sizeof first, "%s", whole(AT_FDCWD, from));
    note("rename", first, whole(AT_FDCWD, to), "", 0);
}
#define TYPES(...) __VA_ARGS__
NOTED(int, fsync, EIO, -1, is_ours(fd), SAY("fsync", whole(fd, ""), ""), (int fd), (fd))
NOTED(int, fdatasync, EIO, -1, is_ours(fd), SAY("fsync", whole(fd, ""), ""), (int fd), (fd))
ONE(int, fchmod, EPERM, -1, is_ours(fd), (int fd, mode_t mode), (fd, mode))
NOTED(int, ftruncate, ENOSPC, -1, is_ours(fd), SAY("truncate", whole(fd, ""), digits(size)),
      (int fd, off_t size), (fd, size))
NOTED(int, ftruncate64, ENOSPC, -1, is_ours(fd), SAY("truncate", whole(fd, ""), digits(size)),
      (int fd, off64_t size), (fd, size))
ONE(int, flock, ENOLCK, -1, is_ours(fd), (int fd, int how), (fd, how))
NOTED(int, rename, EIO, -1, path_is_ours(AT_FDCWD, to), say_rename(from, to),
      (const char *from, const char *to), (from, to))
NOTED(int, unlink, EACCES, -1, path_is_ours(AT_FDCWD, path),
      SAY("unlink", whole(AT_FDCWD, path), ""), (const char *path), (path))
NOTED(int, mkdir, ENOSPC, -1, path_is_ours(AT_FDCWD, path),
      SAY("mkdir", whole(AT_FDCWD, path), ""), (const char *path, mode_t mode), (path, mode))
ONE(DIR *, opendir, EMFILE, NULL, path_is_ours(AT_FDCWD, path), (const char *path), (path))
ONE(DIR *, fdopendir, EMFILE, NULL, is_ours(fd), (int fd), (fd))
ONE(pid_t, fork, EAGAIN, -1, armed, (void), ())
ONE(void *, mmap, ENOMEM, MAP_FAILED, armed &&(flags &MAP_SHARED),
    (void *at, size_t size, int protection, int flags, int fd, off_t offset),
    (at, size, protection, flags, fd, offset))
ONE(void *, mmap64, ENOMEM, MAP_FAILED, armed &&(flags &MAP_SHARED),
    (void *at, size_t size, int protection, int flags, int fd, off64_t offset),
    (at, size, protection, flags, fd, offset))

/* Memory. glibc's own names, since dlsym allocates. */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static int is_large(size_t size) { return armed && large && size >= large; }
void *malloc(size_t size) {
    if (is_large(size) && fails("malloc")) REFUSE(ENOMEM, NULL);
    return __libc_malloc(size);
}
void *calloc(size_t number, size_t size) {
    if (is_large(number * size) && fails("calloc")) REFUSE(ENOMEM, NULL);
    return __libc_calloc(number, size);
}
void *realloc(void *old, size_t size) {
    if (is_large(size) && fails("realloc")) REFUSE(ENOMEM, NULL);
    return __libc_realloc(old, size);
}
