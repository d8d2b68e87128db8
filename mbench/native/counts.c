/* A plugin for QEMU's user-mode emulators: exact counts of the instructions that a library executed, and the traffic
 * between the levels of a model of a processor's caches.
 *
 *   qemu-aarch64 -plugin ./counts.so,out=FILE,match=/model.so[,l1=BYTES:WAYS:LINE[,l2=…[,l3=…]]] PROGRAM...
 *
 * Counted are the blocks of code of every file whose path ends in `match`. The program marks what belongs together by
 * calling functions of its own: between mbench_roi_begin and mbench_roi_end each mbench_mark ends a segment. The last
 * such region is the one that is written:
 *
 *   B <block> <hex instruction,...>       the block's instructions; each line once
 *   S                                     a segment begins
 *   D <block> <executions>                in this segment
 *   T <level> <fills> <write-backs>       lines, in this segment; level 1 is nearest to the processor
 *   E                                     the end; without it the file is truncated
 *
 * Built for one interface of QEMU: -DMBENCH_QEMU_PLUGIN_API=1 for QEMU up to 8.2, 2 for 9.0, 3 from 9.1 on.
 *
 * The caches: write-back, write-allocate, least recently used, no prefetch; each level looked up where the one before
 * missed. Pages are numbered in the order in which the library first touches them, so that nothing depends on where the
 * system puts memory. They begin empty and stay warm from run to run. One thread at a time may run the library's code.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The part of QEMU's public plugin interface that is used; the header qemu-plugin.h comes with no package of Debian 12.
 * Source: include/qemu/qemu-plugin.h of QEMU 7.2 and 10.0. */
typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct {
  const char *target_name;
  struct { int min, cur; } version;
  bool system_emulation;
} qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { NO_REGISTERS = 0, READ_AND_WRITE = 3 };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *,
                                      void (*)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *), int, int, void *);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *);
unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t);
#if MBENCH_QEMU_PLUGIN_API < 3
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
static void copy_code(const struct qemu_plugin_insn *insn, uint8_t *to, size_t size) {
  memcpy(to, qemu_plugin_insn_data(insn), size);
}
#else
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
static void copy_code(const struct qemu_plugin_insn *insn, uint8_t *to, size_t size) {
  qemu_plugin_insn_data(insn, to, size);
}
#endif
#define PUBLIC __attribute__((visibility("default")))
PUBLIC int qemu_plugin_version = MBENCH_QEMU_PLUGIN_API;

enum { BUCKETS = 1 << 16, MAX_LEVELS = 3, MAX_MAPS = 8192, LONGEST_INSN = 16, PAGE_BITS = 12 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char out_path[4096], match[256];

static void *allocated(void *memory) {
  if (!memory) {
    fprintf(stderr, "mbench counts: out of memory\n");
    abort();
  }
  return memory;
}

/* ------------------------------------------------------------------------------------------------------------ caches */
typedef struct {
  uint64_t tag; /* 0: empty */
  uint64_t used;
  bool dirty;
} Line;
typedef struct {
  Line *lines;
  uint64_t sets, mask, ways, fills, write_backs;
  unsigned bits; /* of the place within a line */
} Level;
static Level levels[MAX_LEVELS];
static int level_count;
static uint64_t tick;

/* Look an address up in a level and in those behind it; returns its line in this level. `size` bits of it come from the
 * level before, whole: a line of that size needs no fetching. */
static Line *touch(int number, uint64_t address, bool write, unsigned size) {
  if (number == level_count) return NULL;
  Level *level = &levels[number];
  uint64_t tag = address >> level->bits;
  Line *set = &level->lines[(level->mask ? tag & level->mask : tag % level->sets) * level->ways], *oldest = set;
  tick++;
  for (uint64_t way = 0; way < level->ways; way++) {
    if (set[way].tag == tag) {
      set[way].used = tick;
      set[way].dirty |= write;
      return &set[way];
    }
    if (set[way].used < oldest->used) oldest = &set[way];
  }
  if (oldest->dirty) {
    level->write_backs++;
    touch(number + 1, oldest->tag << level->bits, true, level->bits);
  }
  if (size < level->bits) {
    level->fills++;
    touch(number + 1, address, false, 0);
  }
  *oldest = (Line){tag, tick, write};
  return oldest;
}

/* Pages by the order of their first use. */
typedef struct Page {
  struct Page *next;
  uint64_t address, number;
} Page;
static Page *pages[BUCKETS];
static uint64_t page_count;

static uint64_t page_number(uint64_t address) {
  static Page *last;
  if (last && last->address == address) return last->number;
  Page **bucket = &pages[address % BUCKETS], *page = *bucket;
  while (page && page->address != address) page = page->next;
  if (!page) {
    page = allocated(malloc(sizeof *page));
    *page = (Page){*bucket, address, ++page_count};
    *bucket = page;
  }
  last = page;
  return page->number;
}

static void touch_line(uint64_t address, bool write) {
  static Line *last;
  static uint64_t last_line;
  uint64_t in_page = address & ((1u << PAGE_BITS) - 1), moved = page_number(address >> PAGE_BITS) << PAGE_BITS | in_page;
  if (last && moved >> levels->bits == last_line) { /* it is the latest one already */
    last->dirty |= write;
    return;
  }
  last = touch(0, moved, write, 0);
  last_line = moved >> levels->bits;
}

static void on_memory(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
  (void)cpu;
  (void)data;
  bool write = qemu_plugin_mem_is_store(info);
  uint64_t last = address + (UINT64_C(1) << qemu_plugin_mem_size_shift(info)) - 1;
  touch_line(address, write);
  if (last >> levels->bits != address >> levels->bits) touch_line(last, write);
}

static bool add_level(const char *text) {
  uint64_t bytes, ways, line;
  if (sscanf(text, "%" SCNu64 ":%" SCNu64 ":%" SCNu64, &bytes, &ways, &line) != 3) return false;
  if (!ways || !line || line & (line - 1) || bytes < ways * line || level_count == MAX_LEVELS) return false;
  if (line > 1u << PAGE_BITS) return false;
  Level *level = &levels[level_count++];
  level->bits = (unsigned)__builtin_ctzll(line);
  level->ways = ways;
  level->sets = bytes / (ways * line);
  level->mask = level->sets & (level->sets - 1) ? 0 : level->sets - 1; /* division is slow */
  level->lines = allocated(calloc(level->sets * ways, sizeof *level->lines));
  return true;
}

/* ------------------------------------------------------------------------------------------------------------ blocks */
typedef struct Block { /* a block that is translated again finds its old self */
  struct Block *in_bucket, *next;
  uint64_t address, last_address, executions, before;
  uint32_t id, count, bytes, hash, first_size, last_size;
  bool counted;
  uint8_t *code, *sizes;
} Block;
static Block *buckets[BUCKETS], *first, **end = &first;
static uint32_t block_count;

static Block **bucket_of(uint64_t address) { return &buckets[(uint32_t)address * 2654435761u % BUCKETS]; }

/* QEMU 7.2 lists an x86 instruction that crosses a page twice: truncated as the last one of a block, and whole as the
 * first one of the next. */
static bool last_is_cut(const Block *block) {
  if (block->count < 2) return false;
  for (Block *other = *bucket_of(block->last_address); other; other = other->in_bucket)
    if (other->address == block->last_address && other->first_size > block->last_size) return true;
  return false;
}

typedef struct {
  uint64_t low, high;
  bool wanted;
} Map;
static Map maps[MAX_MAPS];
static int map_count;

/* The emulator's own /proc/self/maps names every file that the program has mapped. */
static void read_maps(void) {
  FILE *file = fopen("/proc/self/maps", "r");
  char line[8192];
  map_count = 0;
  while (file && fgets(line, sizeof line, file) && map_count < MAX_MAPS) {
    uint64_t low, high;
    int at = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %n", &low, &high, &at) < 2 || !at) continue;
    line[strcspn(line, "\n")] = 0;
    size_t length = strlen(line + at), wanted = strlen(match);
    bool ends = wanted && length >= wanted && !strcmp(line + at + length - wanted, match);
    if (length) maps[map_count++] = (Map){low, high, ends};
  }
  if (file) fclose(file);
}

static bool is_counted(uint64_t host_address) {
  for (int again = 0; again < 2; again++) {
    for (int i = 0; i < map_count; i++)
      if (host_address >= maps[i].low && host_address < maps[i].high) return maps[i].wanted;
    if (!again) read_maps();
  }
  return false;
}

static void describe(struct qemu_plugin_tb *tb, Block *block, uint8_t *code, uint8_t *sizes) {
  uint32_t hash = 2166136261u;
  size_t count = qemu_plugin_tb_n_insns(tb);
  for (size_t i = 0; i < count; i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
    size_t size = qemu_plugin_insn_size(insn);
    copy_code(insn, code + block->bytes, size);
    for (size_t k = 0; k < size; k++) hash = (hash ^ code[block->bytes + k]) * 16777619u;
    if (!i) block->first_size = size;
    block->bytes += size;
    sizes[i] = block->last_size = size;
    block->last_address = qemu_plugin_insn_vaddr(insn);
  }
  block->count = count;
  block->hash = hash;
}

static Block *block_of(struct qemu_plugin_tb *tb) {
  size_t count = qemu_plugin_tb_n_insns(tb);
  struct qemu_plugin_insn *lead = qemu_plugin_tb_get_insn(tb, 0);
  Block fresh = {.address = qemu_plugin_insn_vaddr(lead)}, **bucket = bucket_of(fresh.address);
  uint8_t *code = allocated(malloc(count * LONGEST_INSN)), *sizes = allocated(malloc(count));
  describe(tb, &fresh, code, sizes);
  Block *block = *bucket;
  while (block && !(block->address == fresh.address && block->count == fresh.count && block->hash == fresh.hash))
    block = block->in_bucket;
  if (block) {
    free(code);
    free(sizes);
    return block;
  }
  uint64_t host = (uint64_t)(uintptr_t)qemu_plugin_insn_haddr(lead);
  fresh.counted = is_counted(host ? host : fresh.address);
  fresh.id = block_count++;
  fresh.code = code;
  fresh.sizes = sizes;
  fresh.in_bucket = *bucket;
  block = allocated(malloc(sizeof *block));
  *block = fresh;
  *bucket = *end = block;
  end = &block->next;
  return block;
}

/* ---------------------------------------------------------------------------------------------------------- segments */
static FILE *segments; /* in memory, until the program ends */
static char *segments_text;
static size_t segments_size;
static bool region_ended;

static void end_segment(bool write) {
  if (write) fprintf(segments, "S\n");
  for (Block *block = first; block; block = block->next) {
    uint64_t executions = block->executions - block->before;
    block->before = block->executions;
    if (write && executions && block->counted) fprintf(segments, "D %" PRIu32 " %" PRIu64 "\n", block->id, executions);
  }
  for (int i = 0; i < level_count; i++) {
    if (write) fprintf(segments, "T %d %" PRIu64 " %" PRIu64 "\n", i + 1, levels[i].fills, levels[i].write_backs);
    levels[i].fills = levels[i].write_backs = 0;
  }
}

static void on_begin(unsigned cpu, void *data) {
  (void)cpu;
  (void)data;
  pthread_mutex_lock(&lock);
  rewind(segments); /* forget all before */
  region_ended = false;
  end_segment(false);
  pthread_mutex_unlock(&lock);
}

static void on_mark(unsigned cpu, void *last) {
  (void)cpu;
  pthread_mutex_lock(&lock);
  if (!region_ended) end_segment(true);
  if (last) {
    fflush(segments);
    region_ended = true;
  }
  pthread_mutex_unlock(&lock);
}

static void on_block(unsigned cpu, void *count) {
  (void)cpu;
  __atomic_fetch_add((uint64_t *)count, 1, __ATOMIC_RELAXED);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  static int mark_of_the_end;
  pthread_mutex_lock(&lock);
  Block *block = block_of(tb);
  pthread_mutex_unlock(&lock);
  const char *symbol = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(tb, 0));
  if (symbol && !strcmp(symbol, "mbench_roi_begin")) qemu_plugin_register_vcpu_tb_exec_cb(tb, on_begin, NO_REGISTERS, NULL);
  if (symbol && !strcmp(symbol, "mbench_mark")) qemu_plugin_register_vcpu_tb_exec_cb(tb, on_mark, NO_REGISTERS, NULL);
  if (symbol && !strcmp(symbol, "mbench_roi_end"))
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_mark, NO_REGISTERS, &mark_of_the_end);
  if (!block->counted) return;
  qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, NO_REGISTERS, &block->executions);
  for (size_t i = 0; level_count && i < qemu_plugin_tb_n_insns(tb); i++)
    qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), on_memory, NO_REGISTERS, READ_AND_WRITE, NULL);
}

static void write_block(FILE *file, const Block *block) {
  const uint8_t *code = block->code;
  uint32_t count = block->count - last_is_cut(block);
  fprintf(file, "B %" PRIu32 " ", block->id);
  for (uint32_t i = 0; i < count; i++) {
    if (i) fputc(',', file);
    for (int k = 0; k < block->sizes[i]; k++) fprintf(file, "%02x", *code++);
  }
  fputc('\n', file);
}

static void on_exit_of_program(qemu_plugin_id_t id, void *data) {
  (void)id;
  (void)data;
  pthread_mutex_lock(&lock);
  fflush(segments);
  long size = ftell(segments);
  FILE *file = fopen(out_path, "w");
  if (file) {
    for (Block *block = first; block; block = block->next)
      if (block->counted && block->executions) write_block(file, block);
    if (region_ended) fwrite(segments_text, 1, (size_t)size, file);
    if (region_ended) fputs("E\n", file);
  }
  if (!file || fclose(file)) fprintf(stderr, "mbench counts: %s cannot be written\n", out_path);
  pthread_mutex_unlock(&lock);
}

PUBLIC int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **options) {
  bool good = !info->system_emulation;
  for (int i = 0; good && i < count; i++) {
    const char *value = strchr(options[i], '=');
    if (!value) good = false;
    else if (!strncmp(options[i], "out=", 4)) good = snprintf(out_path, sizeof out_path, "%s", value + 1) < (int)sizeof out_path;
    else if (!strncmp(options[i], "match=", 6)) good = snprintf(match, sizeof match, "%s", value + 1) < (int)sizeof match;
    else if (options[i][0] == 'l' && options[i][1] == '1' + level_count) good = add_level(value + 1);
    else good = false;
    if (!good) fprintf(stderr, "mbench counts: option '%s' is not known or wrong\n", options[i]);
  }
  if (!good || !*out_path || !*match || !(segments = open_memstream(&segments_text, &segments_size))) return -1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_atexit_cb(id, on_exit_of_program, NULL);
  return 0;
}
