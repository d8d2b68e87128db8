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
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
typedef unsigned uint;
struct alignas(4) short2 { short x, y; };
struct alignas(8) short4 { short x, y, z, w; };
typedef unsigned char uchar;
struct alignas(2) char2 { signed char x, y; };
struct alignas(2) uchar2 { uchar x, y; };
struct alignas(16) longlong2 { int64_t x, y; };
struct alignas(16) longlong4 { int64_t x, y, z, w; };
static inline char2 make_char2(signed char x, signed char y) { return {x, y}; }
static inline uchar2 make_uchar2(uchar x, uchar y) { return {x, y}; }
static inline longlong2 make_longlong2(int64_t x, int64_t y) { return {x, y}; }
static inline longlong4 make_longlong4(int64_t x, int64_t y, int64_t z, int64_t w) { return {x, y, z, w}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
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

// Arithmetic of quantised networks (CUDA Math API; of dot products, PTX ISA "dp4a").
static inline float __fmaf_rn(float x, float y, float z) { return std::fma(x, y, z); }
static inline int __float2int_rn(float value) { return int(std::lrint(value)); }
template <typename Left> static int dot(int left, int right, int sum) {
  for (int byte = 0; byte < 4; ++byte) sum += int(Left(left >> 8 * byte)) * int(int8_t(right >> 8 * byte));
  return sum;
}
static inline int __dp4a(int left, int right, int sum) { return dot<int8_t>(left, right, sum); }
static inline int dot_u8_s8(int left, int right, int sum) { return dot<uint8_t>(left, right, sum); }
static inline int __byte_perm(unsigned one, unsigned other, unsigned order) {
  uint64_t both = uint64_t(other) << 32 | one;
  unsigned chosen = 0;
  for (int byte = 0; byte < 4; ++byte) chosen |= unsigned(both >> 8 * (order >> 4 * byte & 7) & 255) << 8 * byte;
  return int(chosen);
}

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

// mma.sync.m16n8k16 and m16n8k32 (PTX ISA, "Matrix Fragments for …"): a warp's threads show each other what they hold, four
// registers of rows and two of columns, and each makes its four sums. One that is ahead shows its next operands beside these.
struct Shown { alignas(16) unsigned char left[16], right[8]; int number; };
static Shown shown[32][32][2];
static int products[1024];
template <typename Left, typename Right, typename Sum> static void mma(const void* left, const void* right, Sum* sums) {
  constexpr int OWN = 4 / sizeof(Left), HALF = 4 * OWN;  // numbers of a register, and steps of a row's four threads
  int warp = running / 32, lane = running % 32, number = products[running]++;
  Shown& own = shown[warp][lane][number % 2];
  std::memcpy(own.left, left, sizeof own.left);
  std::memcpy(own.right, right, sizeof own.right);
  own.number = number;
  swapcontext(&fibers[running].context, &scheduler);
  for (int sum = 0; sum < 4; ++sum) {
    int row = lane / 4 + sum / 2 * 8, column = lane % 4 * 2 + sum % 2;
    for (int step = 0; step < 2 * HALF; ++step) {
      const Shown& of_row = shown[warp][row % 8 * 4 + step % HALF / OWN][number % 2];
      const Shown& of_column = shown[warp][column * 4 + step % HALF / OWN][number % 2];
      if (of_row.number != number || of_column.number != number) faults |= DIVERGED;
      int later = step / HALF, own = step % OWN;
      const Left* rows = reinterpret_cast<const Left*>(of_row.left) + (2 * later + row / 8) * OWN;
      const Right* columns = reinterpret_cast<const Right*>(of_column.right) + later * OWN;
      sums[sum] += Sum(rows[own]) * Sum(columns[own]);
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
