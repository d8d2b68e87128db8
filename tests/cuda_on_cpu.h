// CUDA C on a CPU: the threads of a block are fibers, which run one after the other from barrier to barrier.
//
// Shared memory begins as NaN, with NaN behind it, in each block. An order of 0 runs the threads upwards, 1 downwards:
// what one thread reads of another's without a barrier in between is missing in one of the two. Vectors have to be
// aligned as on a GPU. `faults` says what went wrong.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <ucontext.h>
#include <vector>

#define __global__ static
#define __launch_bounds__(count)
#define __forceinline__ inline
using std::max;
using std::min;

struct Place { int x = 0, y = 0, z = 0; };
static Place threadIdx, blockIdx;
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

enum Fault { NONE = 0, MISALIGNED = 1, DIVERGED = 2, BEYOND_SHARED = 4 };
static int faults;

template <typename Vector, typename Element> static Vector& at(Element* address) {
  using Plain = std::remove_const_t<Element>;
  if (reinterpret_cast<uintptr_t>(address) % sizeof(Vector)) faults |= MISALIGNED;
  return *reinterpret_cast<Vector*>(const_cast<Plain*>(address));
}

static constexpr int STACK = 1 << 16, SHARED = 48 << 10, GUARD = 16 << 10;
struct Fiber { ucontext_t context; std::vector<char> stack = std::vector<char>(STACK); bool done; int taken; };
static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static int running;
static void (*body)();
alignas(128) static unsigned char arena[SHARED + GUARD];
static bool beyond() {
  float nan = std::numeric_limits<float>::quiet_NaN();
  for (int byte = SHARED; byte < SHARED + GUARD; byte += 4)
    if (std::memcmp(arena + byte, &nan, 4)) return true;
  return false;
}

// An array in shared memory: the same for all threads, since all of them declare the same ones in the same order.
template <typename Element> static Element* shared_array(int count) {
  Fiber& fiber = fibers[running];
  fiber.taken += (count * int(sizeof(Element)) + 15) / 16 * 16;  // the first array ends where the guard begins
  if (fiber.taken > SHARED) { faults |= BEYOND_SHARED; fiber.taken = SHARED; }
  return reinterpret_cast<Element*>(arena + SHARED - fiber.taken);
}

static void __syncthreads() { swapcontext(&fibers[running].context, &scheduler); }

static void enter() { body(); fibers[running].done = true; }

static void run_block(int threads, int order) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  for (int byte = 0; byte < SHARED + GUARD; byte += 4) std::memcpy(arena + byte, &nan, 4);
  for (int number = 0; number < threads; ++number) {
    Fiber& fiber = fibers[number];
    fiber.done = false; fiber.taken = 0;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, enter, 0);
  }
  for (int left = threads; left;) {
    int before = left;
    for (int turn = 0; turn < threads; ++turn) {
      running = order ? threads - 1 - turn : turn;
      if (fibers[running].done) continue;
      threadIdx.x = running;
      swapcontext(&scheduler, &fibers[running].context);
      left -= fibers[running].done;
    }
    if (left && left != before) { faults |= DIVERGED; return; }
  }
  if (beyond()) faults |= BEYOND_SHARED;
}

static int run_grid(const int* grid, int order, void (*kernel)()) {
  faults = NONE; body = kernel;
  if (int(fibers.size()) < grid[3]) fibers.resize(grid[3]);
  for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x) run_block(grid[3], order);
  return faults;
}
