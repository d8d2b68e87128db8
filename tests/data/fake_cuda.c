/* A stand-in for CUDA's runtime (libcudart.so.13) and driver (libcuda.so.1), as far as TVM's CUDA runtime calls them.

It has a device's time, and no device: a launch computes nothing and takes FAKE_KERNEL_US of the device, which works off
its one stream in order and waits where it has nothing to do; the host does not wait for it. Memory is the host's, and
there are FAKE_MEMORY_MB of it. After FAKE_LAUNCHES launches the device is lost.

Built twice by tests/fake_cuda.py: with and without -DDRIVER. Signatures: cuda_runtime_api.h and cuda.h of CUDA 13. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

#ifdef DRIVER
extern int fake_launch(void);
typedef void *handle;
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "Fake GPU", length); return 0; }
int cuFuncSetAttribute(handle function, int attribute, int value) { return 0; }
int cuGetErrorName(int code, const char **name) { *name = "CUDA_ERROR_UNKNOWN"; return 0; }
int cuGetErrorString(int code, const char **text) { *text = "unknown error"; return 0; }
int cuLaunchKernelEx(const void *config, handle function, void **arguments, void **extra) { return fake_launch(); }
int cuModuleGetFunction(handle *function, handle module, const char *name) { *function = (handle)1; return 0; }
int cuModuleLoadData(handle *module, const void *image) { *module = (handle)1; return 0; }
int cuModuleUnload(handle module) { return 0; }
int cuTensorMapEncodeTiled(void) { return 801; }
#else
static int64_t device_ns; /* when the device will have done all that is in the stream */
static size_t used;
static long launches;
static int lost, capturing;
static int64_t captured_ns; /* what the kernels take that are being captured in a graph */

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}
static void work_ns(int64_t duration) {
    int64_t now = now_ns();
    device_ns = (device_ns > now ? device_ns : now) + duration;
}
int fake_launch(void) {
    if (++launches > number("FAKE_LAUNCHES", 1L << 40)) lost = 1;
    int64_t kernel_ns = number("FAKE_KERNEL_US", 50) * 1000;
    if (capturing) captured_ns += kernel_ns;
    else work_ns(kernel_ns);
    return lost ? 999 : 0;
}
int cudaStreamSynchronize(void *stream) {
    while (now_ns() < device_ns) usleep(10);
    return lost ? 999 : 0;
}
int cudaEventCreate(void **event) { return (*event = calloc(1, sizeof(int64_t))) ? 0 : 2; }
int cudaEventDestroy(void *event) { free(event); return 0; }
int cudaEventRecord(void *event, void *stream) { work_ns(0); *(int64_t *)event = device_ns; return lost ? 999 : 0; }
int cudaEventSynchronize(void *event) {
    while (now_ns() < *(int64_t *)event) usleep(10);
    return lost ? 999 : 0;
}
int cudaEventElapsedTime(float *ms, void *start, void *stop) {
    *ms = (*(int64_t *)stop - *(int64_t *)start) * 1e-6f;
    return 0;
}
int cudaLaunchHostFunc(void *stream, void (*function)(void *), void *data) {
    work_ns((intptr_t)data * 1000); /* the function is usleep: the device waits for that long */
    return 0;
}
int cudaMalloc(void **pointer, size_t bytes) {
    if (used + bytes > (size_t)number("FAKE_MEMORY_MB", 4096) << 20) return 2;
    size_t *block = calloc(1, bytes + 512);
    block[0] = bytes;
    used += bytes;
    *pointer = (char *)(((uintptr_t)block + 511) & ~(uintptr_t)255);
    ((size_t **)*pointer)[-1] = block;
    return 0;
}
int cudaFree(void *pointer) {
    size_t *block = ((size_t **)pointer)[-1];
    used -= block[0];
    free(block);
    return 0;
}
int cudaMallocHost(void **pointer, size_t bytes) { return (*pointer = malloc(bytes)) ? 0 : 2; }
int cudaFreeHost(void *pointer) { free(pointer); return 0; }
int cudaMemGetInfo(size_t *left, size_t *total) {
    *total = (size_t)number("FAKE_MEMORY_MB", 4096) << 20;
    *left = *total - used;
    return 0;
}
int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream) {
    cudaStreamSynchronize(stream);
    memcpy(to, from, bytes);
    return lost ? 999 : 0;
}
int cudaMemcpyPeerAsync(void) { return 801; }
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
        case 1: *value = 1024; return 0;             /* threads a block */
        case 10: *value = 32; return 0;              /* warp size */
        case 16: *value = 132; return 0;             /* multiprocessors */
        case 38: *value = 50 << 20; return 0;        /* L2 */
        case 75: *value = 9; return 0;               /* compute capability */
        case 76: *value = 0; return 0;
        case 97: *value = 232448; return 0;          /* shared memory a block, opted in */
        default: *value = 0; return 0;
    }
}
int cudaGetDevice(int *device) { *device = 0; return 0; }
int cudaSetDevice(int device) { return device ? 101 : 0; }
int cudaGetDeviceCount(int *count) { *count = 1; return 0; }
int cudaGetDeviceProperties(void *properties, int device) { return 801; }
int cudaDriverGetVersion(int *version) { *version = number("FAKE_DRIVER", 13000); return 0; }
int cudaRuntimeGetVersion(int *version) { *version = 13000; return 0; }
const char *cudaGetErrorName(int code) {
    return code == 2 ? "cudaErrorMemoryAllocation" : code == 999 ? "cudaErrorUnknown" : "cudaErrorNotSupported";
}
const char *cudaGetErrorString(int code) {
    return code == 2 ? "out of memory" : code == 999 ? "unknown error" : "operation not supported";
}
int cudaGetLastError(void) { return 0; }
int cudaPeekAtLastError(void) { return 0; }
int cudaStreamCreate(void **stream) { *stream = (void *)8; return 0; }
int cudaStreamCreateWithFlags(void **stream, unsigned flags) { return cudaStreamCreate(stream); }
int cudaStreamDestroy(void *stream) { return 0; }
int cudaStreamWaitEvent(void *stream, void *event, unsigned flags) { return 0; }
int cudaGraphDestroy(void *graph) { return 0; }
int cudaGraphExecDestroy(void *graph) { return 0; }
int cudaGraphInstantiate(void **exec, void *graph, void *a, void *b, size_t size) { *exec = graph; return 0; }
int cudaGraphLaunch(void *exec, void *stream) { work_ns((intptr_t)exec); return lost ? 999 : 0; } /* is its duration */
int cudaStreamBeginCapture(void *stream, int mode) { capturing = 1; captured_ns = 0; return 0; }
int cudaStreamEndCapture(void *stream, void **graph) { capturing = 0; *graph = (void *)(intptr_t)captured_ns; return 0; }
#endif
