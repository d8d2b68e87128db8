// CUDA C on a CPU: the threads of a block are fibers, which run one after the other from barrier to barrier.
//
// Shared memory begins as NaN, with NaN behind it, in each block. An order of 0 runs the threads upwards, 1 downwards:
// what one thread reads of another's without a barrier in between is missing in one of the two. Vectors have to be
// aligned as on a GPU. `faults` says what went wrong. Tensor cores' products are those of the PTX reference.
//
// C++14 of GNU, and few headers: what they hold is read again for each kernel that is compiled.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <ucontext.h>

#define __global__ static
#define __launch_bounds__(count)
#define __forceinline__ inline
template <typename Value> static inline Value max(Value one, Value other) { return one < other ? other : one; }
template <typename Value> static inline Value min(Value one, Value other) { return other < one ? other : one; }

struct Place { int x = 0, y = 0, z = 0; };
static Place threadIdx, blockIdx;
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
typedef _Float16 half;
struct alignas(4) half2 { half x, y; };
struct alignas(8) half4 { half x, y, z, w; };
static inline half2 make_half2(half x, half y) { return {x, y}; }
static inline half4 make_half4(half x, half y, half z, half w) { return {x, y, z, w}; }
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline half __float2half_rn(float value) { return half(value); }
static inline unsigned __pack_half2(half x, half y) {
  half2 pair = {x, y};
  unsigned bits;
  std::memcpy(&bits, &pair, 4);
  return bits;
}
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

enum Fault { NONE = 0, MISALIGNED = 1, DIVERGED = 2, BEYOND_SHARED = 4 };
static int faults;

template <typename Vector, typename Element> static Vector& at(Element* address) {
  using Plain = std::remove_const_t<Element>;
  if (reinterpret_cast<uintptr_t>(address) % sizeof(Vector)) faults |= MISALIGNED;
  return *reinterpret_cast<Vector*>(const_cast<Plain*>(address));
}

static constexpr int STACK = 1 << 16, SHARED = 48 << 10, GUARD = 16 << 10, MOST_THREADS = 1024;
struct Fiber { ucontext_t context; void* stack; bool done; int taken; };
static Fiber fibers[MOST_THREADS];
static ucontext_t scheduler;
static int running;
static void (*body)();
alignas(128) static unsigned char arena[SHARED + GUARD], blank[SHARED + GUARD];
static constexpr uint32_t NO_NUMBER = 0x7fc07fc0;  // a NaN as a float, and as two halves

// An array in shared memory: the same for all threads, since all of them declare the same ones in the same order.
template <typename Element> static Element* shared_array(int count) {
  Fiber& fiber = fibers[running];
  fiber.taken += (count * int(sizeof(Element)) + 15) / 16 * 16;  // the first array ends where the guard begins
  if (fiber.taken > SHARED) { faults |= BEYOND_SHARED; fiber.taken = SHARED; }
  return reinterpret_cast<Element*>(arena + SHARED - fiber.taken);
}

static void __syncthreads() { swapcontext(&fibers[running].context, &scheduler); }

// mma.sync.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16"): a warp's threads show each other what they hold, and
// each makes its four sums. One that is ahead shows its next operands beside these.
struct Shown { half left[8], right[4]; int number; };
static Shown shown[32][32][2];
static int products[1024];
static void mma(const half* left, const half* right, float* sums) {
  int warp = running / 32, lane = running % 32, number = products[running]++;
  Shown& own = shown[warp][lane][number % 2];
  std::memcpy(own.left, left, sizeof own.left);
  std::memcpy(own.right, right, sizeof own.right);
  own.number = number;
  swapcontext(&fibers[running].context, &scheduler);
  for (int sum = 0; sum < 4; ++sum) {
    int row = lane / 4 + sum / 2 * 8, column = lane % 4 * 2 + sum % 2;
    for (int step = 0; step < 16; ++step) {
      const Shown& of_row = shown[warp][row % 8 * 4 + step % 8 / 2][number % 2];
      const Shown& of_column = shown[warp][column * 4 + step % 8 / 2][number % 2];
      if (of_row.number != number || of_column.number != number) faults |= DIVERGED;
      sums[sum] += float(of_row.left[step / 8 * 4 + row / 8 * 2 + step % 2]) * float(of_column.right[step / 8 * 2 + step % 2]);
    }
  }
}

static void enter() { body(); fibers[running].done = true; }

static void run_block(int threads, int order) {
  std::memcpy(arena, blank, sizeof arena);
  for (int number = 0; number < threads; ++number) {
    Fiber& fiber = fibers[number];
    fiber.done = false; fiber.taken = 0;
    products[number] = 0;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
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
  if (std::memcmp(arena + SHARED, blank + SHARED, GUARD)) faults |= BEYOND_SHARED;
}

static int run_grid(const int* grid, int order, void (*kernel)()) {
  faults = NONE; body = kernel;
  for (int byte = 0; byte < SHARED + GUARD; byte += 4) std::memcpy(blank + byte, &NO_NUMBER, 4);
  for (int number = 0; number < grid[3]; ++number) fibers[number].stack = std::malloc(STACK);
  for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x) run_block(grid[3], order);
  for (int number = 0; number < grid[3]; ++number) std::free(fibers[number].stack);
  return faults;
}
