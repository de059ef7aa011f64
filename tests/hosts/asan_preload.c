// Lets a module that was built with the address sanitizer be loaded into an Envoy that was not: LD_PRELOAD this.
//
// Envoy is linked with an allocator of its own, whose malloc comes before that of any preloaded library, and which starts
// through functions that the sanitizer intercepts: preloading the sanitizer itself ends before main. So it comes with the
// module, as the library that it is, and three things are seen to here:
// - Envoy's allocator places its memory at random addresses, some of them where the sanitizer's shadow or its heap has to
//   be: those ranges (gcc's and clang's for x86-64) are held until the module is loaded.
// - The module and the libraries that come with it find the sanitizer's functions before Envoy's and the C library's
//   (RTLD_DEEPBIND): all of its memory is the sanitizer's, none of Envoy's is.
// - Threads that start later are known to the sanitizer.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef __x86_64__
#error "where the shadow is, is known for x86-64 only"
#endif

static const struct {
    uintptr_t first;
    uintptr_t end;
} ranges[] = {
    {0x7fff7000, 0x10007fff8000},     // shadow
    {0x600000000000, 0x640010000000}, // heap, with its tables behind it
};
#define RANGES (sizeof ranges / sizeof ranges[0])

typedef int thread_start(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);

static bool is_held;
static thread_start *start_thread; // NULL until the sanitizer is there

__attribute__((constructor)) static void hold_ranges(void)
{
    for (size_t i = 0; i < RANGES; i++) {
        void *wanted = (void *)ranges[i].first;
        if (mmap(wanted, ranges[i].end - ranges[i].first, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != wanted) {
            fputs("asan_preload: memory that the sanitizer needs is taken\n", stderr);
            abort();
        }
    }
    is_held = true;
    unsetenv("LD_PRELOAD"); // children are not meant
}

static void release_ranges(void)
{
    for (size_t i = 0; is_held && i < RANGES; i++)
        munmap((void *)ranges[i].first, ranges[i].end - ranges[i].first);
    is_held = false;
}

static void *libc_function(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

void *dlopen(const char *path, int flags)
{
    void *(*real)(const char *, int) = (void *(*)(const char *, int))libc_function("dlopen");
    if (!path || !strstr(path, "libweir_envoy"))
        return real(path, flags);
    release_ranges();
    void *module = real(path, flags | RTLD_DEEPBIND);
    if (module)
        start_thread = (thread_start *)dlsym(module, "__interceptor_pthread_create");
    return module;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    thread_start *create = start_thread ? start_thread : (thread_start *)libc_function("pthread_create");
    return create(thread, attributes, start, argument);
}
