// What the scheduler, the checks and the C entry points share. Never instrumented.
#pragma once
#define FASTIMG_EMULATOR_RUNTIME 1
#include <cstdint>
#include <string>
#include <vector>

#include "cuda_device.hpp"
#include "fiber.hpp"
#include "kernel_table.hpp"
#undef memcpy

namespace emulator {
struct Thread {
    uint3 index;
    unsigned linear;
};

struct Fiber {
    Context context;
    char* stack;
    Thread* thread;
};

// Lanes of one mask that wait for each other. A lane may enter the next exchange before another has read
// the last one's values, hence two sets of them.
struct Meeting {
    unsigned mask = 0, arrived = 0;
    WarpFunction kind{};
    Location where;
    int parity = 0;
    uint64_t values[2][32];
    unsigned present[2];
};

struct Warp {
    unsigned existing = 0, alive = 0;
    std::vector<Meeting> meetings;
    // Filled by the first __syncwarp after a barrier. clock[i][i] is lane i's own time, which each of its
    // __syncwarp advances; clock[i][j] the latest time of lane j that lane i is ordered after.
    bool has_clocks = false;
    uint16_t clock[32][32];
};

// splitmix64: a scheduler needs many cheap numbers, not good ones.
class Random {
    uint64_t counter = 0;

  public:
    using result_type = uint32_t;
    static constexpr result_type min() { return 0; }
    static constexpr result_type max() { return UINT32_MAX; }
    void seed(uint64_t value) { counter = value; }
    result_type operator()() {
        uint64_t z = counter += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return result_type(z >> 32);
    }
};

struct State {
    const Kernel* kernel;
    void** arguments;
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    Random random;
    bool shuffled = false, failed = false;
    std::string message;
    Fiber* current = nullptr;  // null while the scheduler itself runs
    uint32_t epoch = 0;        // counts blocks and barriers, over all launches
    uint32_t launch_start = 0, block_start = 0;
    uint64_t steps = 0;  // memory accesses of the block
};
extern State state;

// scheduler.cpp
void prepare_threads(dim3 block);
void run_block();
void abandon_fibers();
void fail(const std::string& message);
[[noreturn]] void stop(const std::string& message);  // ends the launch from inside a fiber

// ordering.cpp: which accesses happen before which
struct Access {
    uint32_t epoch;
    uint32_t parts : 4;  // the quarters of a cell's memory that it touched
    uint32_t thread : 10, clock : 15, atomic : 1, several_warps : 1, earlier_blocks : 1;
};
static_assert(sizeof(Access) == 8);
constexpr uint16_t last_clock = (1 << 15) - 1;

inline Access access_now(bool atomic) {
    const unsigned linear = state.current->thread->linear;
    const Warp& warp = state.warps[linear >> 5];
    Access access{};
    access.epoch = state.epoch;
    access.thread = linear;
    access.clock = warp.has_clocks ? warp.clock[linear & 31][linear & 31] : 1;
    access.atomic = atomic;
    return access;
}
bool is_ordered(const Access& earlier, const Access& now);  // for accesses of this launch
bool are_readers_ordered(const Access& last_read, uint32_t reader_lanes, const Access& now);
inline bool happened_before(const Access& earlier, const Access& now) {
    const bool own = earlier.thread == now.thread && earlier.epoch >= state.block_start;
    return own || earlier.epoch < state.launch_start || is_ordered(earlier, now);
}
inline bool readers_happened_before(const Access& last_read, uint32_t reader_lanes, const Access& now) {
    return last_read.epoch < state.launch_start || are_readers_ordered(last_read, reader_lanes, now);
}
void start_epoch();                           // a barrier: everything before is ordered
void order_lanes(Warp& warp, unsigned mask);  // a __syncwarp
void order_by_atomic(const void* address);    // a fence and an atomic publish to later blocks
void start_launch_ordering();
void start_block_ordering();

// checks.cpp
struct Array {
    char* begin;
    size_t size;
    const char* label;
    bool writable;
    int cell_shift;  // log2 of the bytes that one cell of shadow memory stands for
};
struct SharedVariable {
    size_t offset, size;
    const char* name;
};
enum class Use { read, write, atomic };
void check_access(const void* address, size_t size, Use use, const void* return_address);
void start_launch_checks(const Array* arrays, int count, size_t dynamic_size, bool enabled);
void start_block_checks();
void describe_shared_variables(const SharedVariable* variables, int count);
size_t static_shared_bytes_used();
extern uint64_t bytes_read, bytes_written;

// launch.cpp. Python replaces `{pc:…}` in a message by the source line.
std::string describe_block();
std::string describe(const Thread& thread);
std::string describe(const Location& where);
std::string describe_return_address(const void* address);
uint32_t code_offset(const void* address);
struct ModuleImage {
    char *begin = nullptr, *end = nullptr;                // code and data, without thread-local storage
    char *shared_begin = nullptr, *shared_end = nullptr;  // the static shared memory: thread-local storage
};
extern ModuleImage image;
}  // namespace emulator
