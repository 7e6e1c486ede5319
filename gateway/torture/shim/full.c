/* A disk that runs full: what a process writes into one folder fails with ENOSPC, in the middle of a write too, once
 * there is no room left. Loaded before a process (LD_PRELOAD); knows nothing of what the files mean.
 *
 * WATCHFIRE_FOLDER is the folder. WATCHFIRE_ROOM is a file that holds how many bytes are left from now on, or `-`: as
 * many as one likes. Whoever changes it changes the room; what files grow is taken from it, what is removed is given
 * back, but no more than the file's second number, if it has one: as if somebody else had taken the rest. */
#define _GNU_SOURCE
#include <errno.h>
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

#define FDS 4096

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX], room[PATH_MAX], said[32];
static unsigned char is_ours[FDS];
static int64_t left, back;
static int is_bounded;

__attribute__((constructor)) static void begin(void) {
    const char *of = getenv("WATCHFIRE_FOLDER"), *bound = getenv("WATCHFIRE_ROOM");
    if (!of || !bound) return;
    strncpy(folder, of, sizeof folder - 1);
    strncpy(room, bound, sizeof room - 1);
}

static int ours(const char *path) { return folder[0] && strncmp(path, folder, strlen(folder)) == 0; }

/* What the file says; anew only when it has changed. */
static void look(void) {
    char now[sizeof said] = {0};
    int fd = (int)syscall(SYS_openat, AT_FDCWD, room, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    long n = syscall(SYS_read, fd, now, sizeof now - 1);
    syscall(SYS_close, fd);
    if (n <= 0 || strcmp(now, said) == 0) return;
    strcpy(said, now);
    is_bounded = now[0] != '-';
    char *end = now;
    left = is_bounded ? strtoll(now, &end, 10) : 0;
    back = is_bounded && *end == ' ' ? atoll(end) : INT64_MAX;
}

/* How much of `n` bytes at `place` of a file fits. */
static size_t fits(int fd, uint64_t place, size_t n) {
    look();
    if (!is_bounded) return n;
    struct stat about;
    if (fstat(fd, &about) != 0) return n;
    uint64_t size = (uint64_t)about.st_size, end = place + n;
    if (end <= size) return n;
    uint64_t grows = end - (place > size ? place : size);
    if ((int64_t)grows <= left) {
        left -= (int64_t)grows;
        return n;
    }
    uint64_t some = left > 0 ? (uint64_t)left : 0;
    left = 0;
    return n - (size_t)(grows - some);
}

static void give_back(int64_t bytes) {
    look();
    if (!is_bounded) return;
    if (bytes > back) bytes = back;
    left += bytes;
    back -= bytes;
}

static int opened(const char *path, int flags, mode_t mode) {
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && fd < FDS) is_ours[fd] = (unsigned char)ours(path);
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
    if (fd >= 0 && fd < FDS) is_ours[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

static ssize_t written(int fd, const void *data, size_t n, off_t place, int has_place) {
    if (fd < 0 || fd >= FDS || !is_ours[fd] || n == 0)
        return has_place ? syscall(SYS_pwrite64, fd, data, n, place) : syscall(SYS_write, fd, data, n);
    pthread_mutex_lock(&one);
    uint64_t at = (uint64_t)place;
    struct stat about;
    if (!has_place)
        at = (fcntl(fd, F_GETFL) & O_APPEND) && fstat(fd, &about) == 0 ? (uint64_t)about.st_size
                                                                       : (uint64_t)lseek(fd, 0, SEEK_CUR);
    size_t some = fits(fd, at, n);
    ssize_t done = -1;
    if (some == 0) errno = ENOSPC;
    else done = has_place ? syscall(SYS_pwrite64, fd, data, some, place) : syscall(SYS_write, fd, data, some);
    pthread_mutex_unlock(&one);
    return done;
}
ssize_t write(int fd, const void *data, size_t n) { return written(fd, data, n, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t place) { return written(fd, data, n, place, 1); }
ssize_t pwrite64(int fd, const void *data, size_t n, off_t place) { return written(fd, data, n, place, 1); }
ssize_t writev(int fd, const struct iovec *parts, int n) {
    if (fd < 0 || fd >= FDS || !is_ours[fd]) return syscall(SYS_writev, fd, parts, n);
    ssize_t sum = 0;
    for (int i = 0; i < n; i++) {
        ssize_t done = write(fd, parts[i].iov_base, parts[i].iov_len);
        if (done < 0) return sum ? sum : done;
        sum += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return sum;
}

static int cut(int fd, off_t length) {
    struct stat about;
    int counts = fd >= 0 && fd < FDS && is_ours[fd] && fstat(fd, &about) == 0 && about.st_size > length;
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (counts && done == 0) {
        pthread_mutex_lock(&one);
        give_back(about.st_size - length);
        pthread_mutex_unlock(&one);
    }
    return done;
}
int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off_t length) { return cut(fd, length); }

static int removed(int at, const char *path, int flags) {
    struct stat about;
    int counts = (at == AT_FDCWD ? ours(path) : folder[0] != 0) && !(flags & AT_REMOVEDIR) &&
                 fstatat(at, path, &about, AT_SYMLINK_NOFOLLOW) == 0;
    int done = (int)syscall(SYS_unlinkat, at, path, flags);
    if (counts && done == 0) {
        pthread_mutex_lock(&one);
        give_back(about.st_size);
        pthread_mutex_unlock(&one);
    }
    return done;
}
int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int unlinkat(int at, const char *path, int flags) { return removed(at, path, flags); }
