/* A clock that is wrong by as many seconds as the file named by CLOCK_OFFSET says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    FILE *file = result || clock != CLOCK_REALTIME ? NULL : fopen(getenv("CLOCK_OFFSET"), "r");
    long offset = 0;
    if (file) {
        if (fscanf(file, "%ld", &offset) == 1)
            time->tv_sec += offset;
        fclose(file);
    }
    return result;
}
