// Runs the threads of a block as fibers on one processor, with barriers and warp functions.
//
// A fiber that has finished one thread takes the next that has not started, so that a kernel without
// barriers never switches. Where the schedule is shuffled, threads start, and wake, in random order.
#include "runtime.hpp"

#include <algorithm>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulator {
State state;

namespace {
Context scheduler_context;
std::vector<Fiber*> all_fibers, idle, ready, at_barrier;
std::vector<std::vector<Fiber*>> at_meeting;  // by warp
std::vector<unsigned> order;
size_t next_thread;
unsigned alive;

struct {
    unsigned arrived = 0, votes = 0;
    Barrier kind{};
    Location where;
    int result = 0;
} barrier;

Fiber& current() { return *state.current; }

void yield_to_scheduler() {
    switch_context(current().context, scheduler_context);
    threadIdx = current().thread->index;
}

void wake(std::vector<Fiber*>& fibers) {
    if (state.shuffled) std::shuffle(fibers.begin(), fibers.end(), state.random);
    ready.insert(ready.end(), fibers.begin(), fibers.end());
    fibers.clear();
}

void complete_barrier() {
    if (barrier.arrived < state.threads.size()) return;
    switch (barrier.kind) {
        case Barrier::plain: barrier.result = 0; break;
        case Barrier::count: barrier.result = int(barrier.votes); break;
        case Barrier::all: barrier.result = barrier.votes == barrier.arrived; break;
        case Barrier::any: barrier.result = barrier.votes != 0; break;
    }
    barrier.arrived = barrier.votes = 0;
    start_epoch();
    wake(at_barrier);
}

void complete_meeting(unsigned warp_index, Meeting& meeting) {
    Warp& warp = state.warps[warp_index];
    if (!meeting.arrived || meeting.arrived != (meeting.mask & warp.alive)) return;
    meeting.present[meeting.parity] = meeting.arrived;
    meeting.arrived = 0;
    meeting.parity ^= 1;
    if (meeting.kind == WarpFunction::sync) order_lanes(warp, meeting.mask);
    std::vector<Fiber*>& waiting = at_meeting[warp_index];
    const auto others = std::stable_partition(waiting.begin(), waiting.end(), [&](Fiber* fiber) {
        return !(meeting.mask >> (fiber->thread->linear & 31) & 1);
    });
    std::vector<Fiber*> met(others, waiting.end());
    waiting.erase(others, waiting.end());
    wake(met);
}

void retire(Thread& thread) {
    Warp& warp = state.warps[thread.linear >> 5];
    --alive;
    warp.alive &= ~(1u << (thread.linear & 31));
    for (Meeting& meeting : warp.meetings) complete_meeting(thread.linear >> 5, meeting);
}

void fiber_body() {
    for (;;) {
        while (next_thread < order.size()) {
            Thread& thread = state.threads[order[next_thread++]];
            current().thread = &thread;
            threadIdx = thread.index;
            state.kernel->call(state.arguments);
            retire(thread);
        }
        idle.push_back(state.current);
        switch_context(current().context, scheduler_context);
    }
}

Fiber* idle_fiber() {
    if (idle.empty()) {
        Fiber* fiber = new Fiber{};
        fiber->stack = allocate_stack();
        start_context(fiber->context, fiber->stack, fiber_body);
        all_fibers.push_back(fiber);
        idle.push_back(fiber);
    }
    Fiber* fiber = idle.back();
    idle.pop_back();
    return fiber;
}

std::string lanes(unsigned mask) {
    char text[16];
    snprintf(text, sizeof text, "0x%08x", mask);
    return text;
}

// No thread can go on: says why, in the terms of the kernel.
std::string explain_deadlock() {
    std::string barrier_text;
    if (barrier.arrived)
        barrier_text = std::to_string(barrier.arrived) + " of " + std::to_string(state.threads.size()) +
                       " threads wait for __syncthreads at " + describe(barrier.where);
    for (size_t warp = 0; warp < state.warps.size(); ++warp)
        for (const Meeting& meeting : state.warps[warp].meetings)
            if (meeting.arrived)
                return "divergent warp function (deadlock): in block " + describe_block() + ", warp " +
                       std::to_string(warp) + ", lanes " + lanes(meeting.arrived) + " wait at " +
                       describe(meeting.where) + " for lanes " +
                       lanes(meeting.mask & state.warps[warp].alive & ~meeting.arrived) +
                       ", which never come" + (barrier.arrived ? "; " + barrier_text : "");
    return "divergent barrier: in block " + describe_block() + ", " + barrier_text +
           ", the others have returned";
}

void start_block() {
    next_thread = 0;
    alive = unsigned(state.threads.size());
    barrier.arrived = barrier.votes = 0;
    for (Warp& warp : state.warps) {
        warp.meetings.clear();
        warp.alive = warp.existing;
    }
    if (state.shuffled) std::shuffle(order.begin(), order.end(), state.random);
}
}  // namespace

void fail(const std::string& message) {
    if (!state.failed) state.message = message;
    state.failed = true;
}

void prepare_threads(dim3 block) {
    const size_t count = size_t(block.x) * block.y * block.z, warps = (count + 31) / 32;
    state.threads.assign(count, {});
    state.warps.assign(warps, {});
    at_meeting.assign(warps, {});
    order.resize(count);
    ready.clear();
    at_barrier.clear();
    for (unsigned linear = 0; linear < count; ++linear) {
        Thread& thread = state.threads[linear];
        thread.linear = order[linear] = linear;
        thread.index = {linear % block.x, linear / block.x % block.y, linear / (block.x * block.y)};
        state.warps[linear >> 5].existing |= 1u << (linear & 31);
    }
}

void run_block() {
    start_block();
    while (alive > 0 && !state.failed) {
        const bool unstarted = next_thread < order.size();
        Fiber* fiber;
        if (unstarted && (ready.empty() || !state.shuffled || state.random() & 1)) {
            fiber = idle_fiber();
        } else if (!ready.empty()) {
            fiber = ready.back();
            ready.pop_back();
        } else {
            fail(explain_deadlock());
            return;
        }
        state.current = fiber;
        if (fiber->thread) threadIdx = fiber->thread->index;
        switch_context(scheduler_context, fiber->context);
        state.current = nullptr;
    }
}

// After a failure the fibers stand in the middle of the kernel: start them afresh.
void abandon_fibers() {
    state.current = nullptr;
    idle.clear();
    for (Fiber* fiber : all_fibers) {
        fiber->thread = nullptr;
        start_context(fiber->context, fiber->stack, fiber_body);
        idle.push_back(fiber);
    }
}

void stop(const std::string& message) {
    fail(message);
    switch_context(current().context, scheduler_context);
    abort();  // a failed launch resumes no fiber
}

unsigned lane_index() { return current().thread->linear & 31; }

int block_barrier(Barrier kind, bool predicate, Location where) {
    const Thread& thread = *current().thread;
    if (!barrier.arrived) {
        barrier.kind = kind;
        barrier.where = where;
    } else if (kind != barrier.kind || where.line() != barrier.where.line()) {
        stop("divergent barrier: " + describe(thread) + " is at " + describe(where) +
             " while other threads wait at " + describe(barrier.where));
    }
    ++barrier.arrived;
    barrier.votes += predicate;
    at_barrier.push_back(state.current);
    complete_barrier();
    yield_to_scheduler();
    return barrier.result;
}

const uint64_t* warp_exchange(unsigned mask, WarpFunction kind, uint64_t bits, unsigned* present,
                              Location where) {
    const Thread& thread = *current().thread;
    const unsigned lane = lane_index(), warp_index = thread.linear >> 5;
    std::vector<Meeting>& meetings = state.warps[warp_index].meetings;
    if (!(mask >> lane & 1))
        stop("lane missing in a warp mask: " + describe(thread) +
             " calls a warp function whose mask does not name"
             " lane " +
             std::to_string(lane) + ", at " + describe(where));
    size_t i = 0;
    while (i < meetings.size() && meetings[i].mask != mask) ++i;
    if (i == meetings.size()) meetings.emplace_back().mask = mask;
    Meeting& meeting = meetings[i];
    if (!meeting.arrived) {
        meeting.kind = kind;
        meeting.where = where;
    } else if (meeting.kind != kind || meeting.where.line() != where.line()) {
        stop("divergent warp function: " + describe(thread) + " is at " + describe(where) +
             " while other lanes of its mask are at " + describe(meeting.where));
    }
    meeting.arrived |= 1u << lane;
    const int parity = meeting.parity;
    meeting.values[parity][lane] = bits;
    at_meeting[warp_index].push_back(state.current);
    complete_meeting(warp_index, meeting);
    yield_to_scheduler();
    const Meeting& met = state.warps[warp_index].meetings[i];
    *present = met.present[parity];
    return met.values[parity];
}
}  // namespace emulator
