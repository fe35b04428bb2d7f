// Which memory accesses of a launch happen before which, in CUDA's memory model.
//
// An access carries the epoch (barriers and blocks counted), the thread, and the thread's clock within its
// warp. Barriers order the threads of a block; __syncwarp the lanes it names; a __threadfence followed by an
// atomic orders blocks. Shuffles and votes order nothing.
#include "runtime.hpp"

#include <algorithm>

namespace emulator {
namespace {
struct Publication {
    const void* address;
    uint32_t block_start, epoch;
    unsigned thread;
};
struct Acquisition {
    const void* address;
    uint32_t epoch;
    unsigned thread;
    size_t seen;  // publications made before it
};
std::vector<Publication> publications;  // of this launch
std::vector<Acquisition> acquisitions;  // of this block
std::vector<uint32_t> fence_epoch;      // by thread: where it last called __threadfence

void fill_clocks(Warp& warp) {
    for (unsigned lane = 0; lane < 32; ++lane) {
        std::fill_n(warp.clock[lane], 32, uint16_t(0));
        warp.clock[lane][lane] = 1;
    }
    warp.has_clocks = true;
}

bool acquired(const Publication& publication, size_t index, const Access& now) {
    return std::any_of(acquisitions.begin(), acquisitions.end(), [&](const Acquisition& acquisition) {
        return acquisition.address == publication.address && index < acquisition.seen &&
               (acquisition.thread == now.thread || acquisition.epoch < now.epoch);
    });
}

bool published_by_earlier_block(const Access& earlier, const Access& now) {
    for (size_t i = 0; i < publications.size(); ++i) {
        const Publication& publication = publications[i];
        const bool covers = earlier.epoch >= publication.block_start &&
                            (earlier.epoch < publication.epoch ||
                             (earlier.epoch == publication.epoch && earlier.thread == publication.thread));
        if (covers && acquired(publication, i, now)) return true;
    }
    return false;
}

bool lane_is_before(unsigned thread, unsigned clock, const Access& now) {
    const Warp& warp = state.warps[now.thread >> 5];
    return warp.has_clocks && clock <= warp.clock[now.thread & 31][thread & 31];
}
}  // namespace

bool is_ordered(const Access& earlier, const Access& now) {
    if (earlier.epoch < state.block_start) return published_by_earlier_block(earlier, now);
    if (earlier.epoch < now.epoch) return true;
    return earlier.thread >> 5 == now.thread >> 5 && lane_is_before(earlier.thread, earlier.clock, now);
}

// `last_read` stands for all lanes in `reader_lanes` of its warp, and by its flags for others.
bool are_readers_ordered(const Access& last_read, uint32_t reader_lanes, const Access& now) {
    if (last_read.earlier_blocks && acquisitions.empty()) return false;
    if (last_read.epoch < state.block_start) return published_by_earlier_block(last_read, now);
    if (last_read.epoch < now.epoch) return true;
    if (last_read.several_warps || last_read.thread >> 5 != now.thread >> 5) return false;
    const uint32_t others = reader_lanes & ~(1u << (now.thread & 31));
    for (unsigned lane = 0; lane < 32; ++lane)
        if (others >> lane & 1 && !lane_is_before(lane, last_read.clock, now)) return false;
    return true;
}

void start_epoch() {
    ++state.epoch;
    for (Warp& warp : state.warps) warp.has_clocks = false;
}

void order_lanes(Warp& warp, unsigned mask) {
    if (!warp.has_clocks) fill_clocks(warp);
    uint16_t latest[32] = {};
    for (unsigned lane = 0; lane < 32; ++lane)
        for (unsigned other = 0; other < 32 && mask >> lane & 1; ++other)
            latest[other] = std::max(latest[other], warp.clock[lane][other]);
    for (unsigned lane = 0; lane < 32; ++lane) {
        if (!(mask >> lane & 1)) continue;
        std::copy_n(latest, 32, warp.clock[lane]);
        // A clock that has run out stays: later races are then missed, none is invented.
        if (warp.clock[lane][lane] < last_clock) ++warp.clock[lane][lane];
    }
}

void memory_fence() {
    fence_epoch.resize(state.threads.size());
    fence_epoch[state.current->thread->linear] = state.epoch;
}

void order_by_atomic(const void* address) {
    const unsigned thread = state.current->thread->linear;
    if (!publications.empty()) acquisitions.push_back({address, state.epoch, thread, publications.size()});
    if (thread < fence_epoch.size() && fence_epoch[thread] >= state.block_start)
        publications.push_back({address, state.block_start, fence_epoch[thread], thread});
}

void start_launch_ordering() {
    publications.clear();
    fence_epoch.clear();
    state.launch_start = state.epoch + 1;
}

void start_block_ordering() {
    start_epoch();
    state.block_start = state.epoch;
    acquisitions.clear();
}
}  // namespace emulator
