// The C functions that Python calls: one kernel launch, and what it left behind.
#include "runtime.hpp"

#include <link.h>
#include <signal.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>

namespace emulator {
ModuleImage image;

namespace {
thread_local volatile char shared_memory_anchor;  // touching it makes the loader allocate the thread's block
sigjmp_buf* fault_return;

int find_image(dl_phdr_info* module, size_t, void*) {
    ModuleImage found;
    bool mine = false;
    for (int i = 0; i < module->dlpi_phnum; ++i) {
        const auto& segment = module->dlpi_phdr[i];
        char* begin = reinterpret_cast<char*>(module->dlpi_addr + segment.p_vaddr);
        char* end = begin + segment.p_memsz;
        if (segment.p_type == PT_TLS && module->dlpi_tls_data) {
            found.shared_begin = static_cast<char*>(module->dlpi_tls_data);
            found.shared_end = found.shared_begin + segment.p_memsz;
        }
        if (segment.p_type != PT_LOAD) continue;
        found.begin = found.begin ? std::min(found.begin, begin) : begin;
        found.end = std::max(found.end, end);
        const char* here = reinterpret_cast<char*>(&image);
        mine = mine || (here >= begin && here < end);
    }
    if (mine) image = found;
    return mine;
}

const char* fault_name(int signal, const char* address) {
    if (signal == SIGFPE) return "integer division by zero";
    const char* stack = state.current ? state.current->stack : nullptr;
    if (stack && address >= stack - guard_size && address < stack) return "stack overflow of a thread";
    return "invalid memory access";
}

void on_fault(int signal_number, siginfo_t* info, void*) {
    if (!fault_return) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
        return;
    }
    std::string message = fault_name(signal_number, static_cast<char*>(info->si_addr));
    if (state.current && state.current->thread) message += ": " + describe(*state.current->thread);
    fail(message);
    siglongjmp(*fault_return, 1);
}

// Turns faults of the kernel into failures of the launch while it lives.
class FaultHandlers {
    static constexpr int signals[] = {SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction old_actions[3];
    stack_t old_stack{};

  public:
    FaultHandlers() {
        static char stack[65536];
        stack_t alternative{};
        alternative.ss_sp = stack;
        alternative.ss_size = sizeof stack;
        sigaltstack(&alternative, &old_stack);
        struct sigaction action{};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        for (int i = 0; i < 3; ++i) sigaction(signals[i], &action, &old_actions[i]);
    }
    ~FaultHandlers() {
        fault_return = nullptr;
        for (int i = 0; i < 3; ++i) sigaction(signals[i], &old_actions[i], nullptr);
        sigaltstack(&old_stack, nullptr);
    }
};

void run_blocks(size_t count) {
    std::vector<size_t> blocks(state.shuffled ? count : 0);
    for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = i;
    std::shuffle(blocks.begin(), blocks.end(), state.random);
    for (size_t i = 0; i < count && !state.failed; ++i) {
        const size_t block = state.shuffled ? blocks[i] : i;
        blockIdx = {unsigned(block % gridDim.x), unsigned(block / gridDim.x % gridDim.y),
                    unsigned(block / (size_t(gridDim.x) * gridDim.y))};
        start_block_checks();
        run_block();
    }
}
}  // namespace

std::string describe_block() {
    char text[64];
    snprintf(text, sizeof text, "(%u, %u, %u)", blockIdx.x, blockIdx.y, blockIdx.z);
    return text;
}

std::string describe(const Thread& thread) {
    char text[64];
    snprintf(text, sizeof text, "(%u, %u, %u)", thread.index.x, thread.index.y, thread.index.z);
    return "block " + describe_block() + " thread " + text;
}

std::string describe(const Location& where) {
    return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

uint32_t code_offset(const void* return_address) {
    // The call itself is the byte before the address to which it returns.
    return uint32_t(static_cast<const char*>(return_address) - image.begin - 1);
}

std::string describe_return_address(const void* address) {
    char text[32];
    snprintf(text, sizeof text, "{pc:%x}", code_offset(address));
    return text;
}

void refuse(const char* what, Location where) {
    stop(std::string(what) + ": " + describe(*state.current->thread) + ", at " + describe(where));
}
}  // namespace emulator

using namespace emulator;
#define EXPORTED __attribute__((visibility("default")))

extern "C" {
EXPORTED const char* emulator_message() { return state.message.c_str(); }

EXPORTED void emulator_counts(uint64_t* counts) {
    counts[0] = bytes_read;
    counts[1] = bytes_written;
    counts[2] = static_shared_bytes_used();
}

EXPORTED void emulator_shared_variables(const SharedVariable* variables, int count) {
    describe_shared_variables(variables, count);
}

// Returns 0, or 1 where the launch failed. `seed` 0 is the plain order of blocks and threads.
EXPORTED int emulator_launch(const Kernel* kernel, const unsigned* grid, const unsigned* block,
                             void** arguments, size_t dynamic_size, unsigned seed, int checked,
                             const Array* arrays, int array_count) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    state.kernel = kernel;
    state.arguments = arguments;
    state.failed = false;
    state.message.clear();
    state.shuffled = seed != 0;
    state.random.seed(seed);
    shared_memory_anchor = 1;
    dl_iterate_phdr(find_image, nullptr);
    start_launch_checks(arrays, array_count, dynamic_size, checked);
    prepare_threads(blockDim);
    {
        FaultHandlers handlers;
        sigjmp_buf here;
        fault_return = &here;
        if (!sigsetjmp(here, 1)) run_blocks(size_t(grid[0]) * grid[1] * grid[2]);
    }
    if (state.failed) abandon_fibers();
    return state.failed;
}
}
