/* Notes every change that a process makes to the files of one folder, in their order, and each of its syncs, so that
 * what a power cut would have left can be made from it. Loaded before a process (LD_PRELOAD); knows nothing of what the
 * files mean. What is written to standard output is noted too: it tells what the process had promised by then.
 *
 * WATCHFIRE_TRACE is the file of notes, WATCHFIRE_FOLDER the folder. A note: operation (1 byte), length of the path (4),
 * place (8), length of the data (8), path, data; the least byte first. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 'c', WRITE = 'w', LENGTH = 'l', SYNC = 's', FOLDER_SYNC = 'd', REMOVE = 'r', RENAME = 'n', FOLDER = 'f', TOLD = 't' };
#define FDS 4096

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static int notes = -1;
static char folder[PATH_MAX];
static char *paths[FDS];

__attribute__((constructor)) static void begin(void) {
    const char *to = getenv("WATCHFIRE_TRACE"), *of = getenv("WATCHFIRE_FOLDER");
    if (!to || !of) return;
    strncpy(folder, of, sizeof folder - 1);
    notes = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void all(const void *from, size_t n) {
    const char *at = from;
    while (n) {
        long done = syscall(SYS_write, notes, at, n);
        if (done <= 0) _exit(99);
        at += done;
        n -= (size_t)done;
    }
}

static void note(char op, const char *path, uint64_t place, const void *data, uint64_t n) {
    if (notes < 0) return;
    unsigned char head[21];
    uint32_t length = (uint32_t)strlen(path);
    head[0] = (unsigned char)op;
    memcpy(head + 1, &length, 4);
    memcpy(head + 5, &place, 8);
    memcpy(head + 13, &n, 8);
    all(head, sizeof head);
    all(path, length);
    if (n) all(data, n);
}

static int ours(const char *path) { return notes >= 0 && strncmp(path, folder, strlen(folder)) == 0; }
static const char *path_of(int fd) { return fd >= 0 && fd < FDS ? paths[fd] : NULL; }

static int opened(const char *path, int flags, mode_t mode) {
    if (!ours(path)) return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    pthread_mutex_lock(&one);
    int is_new = (flags & O_CREAT) && access(path, F_OK) != 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && fd < FDS) {
        free(paths[fd]);
        paths[fd] = strdup(path);
        if (is_new) note(CREATE, path, 0, NULL, 0);
        else if (flags & O_TRUNC) note(LENGTH, path, 0, NULL, 0);
    }
    pthread_mutex_unlock(&one);
    return fd;
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return opened(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    return opened(path, flags, mode);
}

int close(int fd) {
    pthread_mutex_lock(&one);
    if (fd >= 0 && fd < FDS) {
        free(paths[fd]);
        paths[fd] = NULL;
    }
    int done = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&one);
    return done;
}

static uint64_t end_of(int fd) {
    struct stat about;
    if ((fcntl(fd, F_GETFL) & O_APPEND) && fstat(fd, &about) == 0) return (uint64_t)about.st_size;
    return (uint64_t)lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *data, size_t n) {
    const char *path = path_of(fd);
    if (!path && fd != 1) return syscall(SYS_write, fd, data, n);
    pthread_mutex_lock(&one);
    uint64_t place = path ? end_of(fd) : 0;
    ssize_t done = syscall(SYS_write, fd, data, n);
    if (done > 0) note(path ? WRITE : TOLD, path ? path : "", place, data, (uint64_t)done);
    pthread_mutex_unlock(&one);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    const char *path = path_of(fd);
    if (!path) return syscall(SYS_writev, fd, parts, n);
    ssize_t sum = 0;
    /* One by one: a writer must stand a short write. */
    for (int i = 0; i < n; i++) {
        ssize_t done = write(fd, parts[i].iov_base, parts[i].iov_len);
        if (done < 0) return sum ? sum : done;
        sum += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return sum;
}

static ssize_t written_at(int fd, const void *data, size_t n, off_t place) {
    const char *path = path_of(fd);
    if (!path) return syscall(SYS_pwrite64, fd, data, n, place);
    pthread_mutex_lock(&one);
    ssize_t done = syscall(SYS_pwrite64, fd, data, n, place);
    if (done > 0) note(WRITE, path, (uint64_t)place, data, (uint64_t)done);
    pthread_mutex_unlock(&one);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t place) { return written_at(fd, data, n, place); }
ssize_t pwrite64(int fd, const void *data, size_t n, off_t place) { return written_at(fd, data, n, place); }

static int cut(int fd, off_t length) {
    const char *path = path_of(fd);
    pthread_mutex_lock(&one);
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (path && done == 0) note(LENGTH, path, (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&one);
    return done;
}
int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off_t length) { return cut(fd, length); }

/* Nothing is really synced: what would have been is what counts. */
static int synced(int fd) {
    const char *path = path_of(fd);
    if (!path) return 0;
    struct stat about;
    pthread_mutex_lock(&one);
    note(fstat(fd, &about) == 0 && S_ISDIR(about.st_mode) ? FOLDER_SYNC : SYNC, path, 0, NULL, 0);
    pthread_mutex_unlock(&one);
    return 0;
}
int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }
/* As on a disk with a cache of its own: promises nothing. */
int sync_file_range(int fd, off_t from, off_t n, unsigned flags) {
    (void)fd, (void)from, (void)n, (void)flags;
    return 0;
}

int unlink(const char *path) {
    pthread_mutex_lock(&one);
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (done == 0 && ours(path)) note(REMOVE, path, 0, NULL, 0);
    pthread_mutex_unlock(&one);
    return done;
}
int rename(const char *from, const char *to) {
    pthread_mutex_lock(&one);
    int done = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (done == 0 && ours(from)) note(RENAME, from, 0, to, strlen(to));
    pthread_mutex_unlock(&one);
    return done;
}
int mkdir(const char *path, mode_t mode) {
    pthread_mutex_lock(&one);
    int done = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (done == 0 && ours(path)) note(FOLDER, path, 0, NULL, 0);
    pthread_mutex_unlock(&one);
    return done;
}
