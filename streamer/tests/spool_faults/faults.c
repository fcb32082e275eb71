/*
 * Counts what a process does to the files below FAULT_BELOW, each kind of call for itself, adds a
 * line "KIND NUMBER" to the file FAULT_LOG for each call, and lets the call FAULT_CALL ("KIND
 * NUMBER") go wrong as FAULT_HOW says:
 *
 *   fail    it fails, and does nothing
 *   several the same, and the next four calls of any kind fail too
 *   before  the process is killed instead
 *   after   the process is killed as soon as the call has returned
 *   short   of a write, half is written, then the process is killed
 *
 * Before that it adds the line "hit". A file is below a folder if its absolute path is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { FOLDER, CREATE, OPEN, WRITE, SYNC, RENAME, UNLINK, TRUNCATE, KINDS };

static const char *const names[KINDS] = {
    "folder", "create", "open", "write", "sync", "rename", "unlink", "truncate",
};
static const int errors[KINDS] = { ENOSPC, ENOSPC, ENOSPC, ENOSPC, EIO, EIO, EIO, EIO };
static atomic_long counts[KINDS];

/* How many more calls are to fail. */
static atomic_int failing;

enum how { GO_ON, FAIL, AFTER, SHORT };

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void note(const char *line)
{
    int saved = errno;
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC;
    int log = (int)syscall(SYS_openat, AT_FDCWD, getenv("FAULT_LOG"), flags, 0644);
    syscall(SYS_write, log, line, strlen(line));
    syscall(SYS_close, log);
    errno = saved;
}

static void end(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

/* What is to become of a call, which is counted. */
static enum how fate(enum kind kind)
{
    char call[64];
    snprintf(call, sizeof call, "%s %ld\n", names[kind], atomic_fetch_add(&counts[kind], 1) + 1);
    note(call);
    if (atomic_load(&failing) > 0 && atomic_fetch_sub(&failing, 1) > 0) {
        errno = errors[kind];
        return FAIL;
    }
    const char *wanted = getenv("FAULT_CALL"), *how = getenv("FAULT_HOW");
    size_t length = strlen(call) - 1;
    if (!wanted || !how || strlen(wanted) != length || strncmp(wanted, call, length) != 0)
        return GO_ON;
    note("hit\n");
    if (strcmp(how, "before") == 0)
        end();
    if (strcmp(how, "after") == 0)
        return AFTER;
    if (strcmp(how, "short") == 0)
        return SHORT;
    if (strcmp(how, "several") == 0)
        atomic_store(&failing, 4);
    errno = errors[kind];
    return FAIL;
}

/* Ends a call that has returned. */
static long ended(enum how how, long result)
{
    if (how == AFTER || how == SHORT)
        end();
    return result;
}

static int is_below(const char *path)
{
    const char *below = getenv("FAULT_BELOW");
    size_t length = below ? strlen(below) : 0;
    return length && strncmp(path, below, length) == 0 && (path[length] == '/' || !path[length]);
}

static int link_is_below(const char *link, const char *name)
{
    char path[PATH_MAX * 2];
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return 0;
    snprintf(path + length, sizeof path - (size_t)length, "%s%s", *name ? "/" : "", name);
    return is_below(path);
}

static int file_is_below(int file)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int saved = errno, result = link_is_below(link, "");
    errno = saved;
    return result;
}

static int name_is_below(int folder, const char *name)
{
    char link[64] = "/proc/self/cwd";
    if (*name == '/')
        return is_below(name);
    if (folder != AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    int saved = errno, result = link_is_below(link, name);
    errno = saved;
    return result;
}

static int changes(int flags)
{
    return (flags & O_CREAT) || (flags & O_ACCMODE) != O_RDONLY;
}

#define COUNTED(is_ours, kind, call) \
    enum how how = (is_ours) ? fate(kind) : GO_ON; \
    return how == FAIL ? -1 : (__typeof__(call))ended(how, call)

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

#define OPEN_LIKE(name) \
    int name(const char *path, int flags, ...) \
    { \
        REAL(name); \
        MODE(flags) \
        COUNTED(changes(flags) && name_is_below(AT_FDCWD, path), flags & O_CREAT ? CREATE : OPEN, \
                real(path, flags, mode)); \
    }

#define OPENAT_LIKE(name) \
    int name(int folder, const char *path, int flags, ...) \
    { \
        REAL(name); \
        MODE(flags) \
        COUNTED(changes(flags) && name_is_below(folder, path), flags & O_CREAT ? CREATE : OPEN, \
                real(folder, path, flags, mode)); \
    }

OPEN_LIKE(open)
OPEN_LIKE(open64)
OPENAT_LIKE(openat)
OPENAT_LIKE(openat64)

ssize_t write(int file, const void *bytes, size_t length)
{
    REAL(write);
    enum how how = file_is_below(file) ? fate(WRITE) : GO_ON;
    return how == FAIL ? -1 : ended(how, real(file, bytes, how == SHORT ? length / 2 : length));
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    REAL(writev);
    COUNTED(file_is_below(file), WRITE, real(file, parts, count));
}

#define PWRITE_LIKE(name, place) \
    ssize_t name(int file, const void *bytes, size_t length, place offset) \
    { \
        REAL(name); \
        enum how how = file_is_below(file) ? fate(WRITE) : GO_ON; \
        size_t some = how == SHORT ? length / 2 : length; \
        return how == FAIL ? -1 : ended(how, real(file, bytes, some, offset)); \
    }

PWRITE_LIKE(pwrite, off_t)
PWRITE_LIKE(pwrite64, off64_t)

#define FILE_LIKE(name) \
    int name(int file) \
    { \
        REAL(name); \
        COUNTED(file_is_below(file), SYNC, real(file)); \
    }

FILE_LIKE(fsync)
FILE_LIKE(fdatasync)

int ftruncate(int file, off_t length)
{
    REAL(ftruncate);
    COUNTED(file_is_below(file), TRUNCATE, real(file, length));
}

int ftruncate64(int file, off64_t length)
{
    REAL(ftruncate64);
    COUNTED(file_is_below(file), TRUNCATE, real(file, length));
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    COUNTED(name_is_below(AT_FDCWD, from), RENAME, real(from, to));
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    REAL(renameat);
    COUNTED(name_is_below(from_folder, from), RENAME, real(from_folder, from, to_folder, to));
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    REAL(renameat2);
    COUNTED(name_is_below(from_folder, from), RENAME, real(from_folder, from, to_folder, to, flags));
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    COUNTED(name_is_below(AT_FDCWD, path), FOLDER, real(path, mode));
}

int unlink(const char *path)
{
    REAL(unlink);
    COUNTED(name_is_below(AT_FDCWD, path), UNLINK, real(path));
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat);
    COUNTED(name_is_below(folder, path), UNLINK, real(folder, path, flags));
}
