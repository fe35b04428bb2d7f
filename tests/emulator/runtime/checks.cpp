// Checks each memory access of a kernel: bounds, data races, reads of unset shared memory, writes through
// const pointers, alignment. The compiler reports accesses through the hooks in sanitizer_hooks.cpp.
#include "runtime.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace emulator {
namespace {
// What is known of 4, 8 or 16 bytes of memory: an element. Accesses of an earlier launch or block are
// recognised by their epoch, so cells are never cleared.
struct Cell {
    Access write, read;
    uint32_t reader_lanes, write_code, read_code;
    uint32_t set_block : 28, set_parts : 4;  // shared memory: what this block has set
};
static_assert(sizeof(Cell) == 32);
constexpr int shared_shift = 2, widest_shift = 4;

struct Region {
    Array array;
    char* shadow_begin;
    int shift;
    Cell* cells;
};

// 2^28 epochs fit into a Cell.
constexpr uint32_t last_epoch = 0x0fff0000;
constexpr size_t kept_shadow = size_t(256) << 20, dynamic_shared_capacity = 227 * 1024;
constexpr uint64_t step_limit = uint64_t(1) << 31;

bool enabled;
bool in_atomic;
std::vector<Region> regions;
size_t last_region;
Cell* shadow;
size_t shadow_bytes;
std::vector<Cell> static_cells, dynamic_cells;
std::vector<SharedVariable> variables;
alignas(1024) char dynamic_memory[dynamic_shared_capacity];
size_t dynamic_size;

// Where an access falls: the cells of its memory, and how messages name it.
struct Place {
    Cell* cells;
    int shift;
    size_t offset, origin;  // of the access and of the named array, from the start of the cells
    const char *kind, *name;
    bool shared;

    std::string describe() const {
        return std::string(kind) + name + ", byte " + std::to_string(offset - origin);
    }
};

std::string bytes(size_t count) { return std::to_string(count) + (count == 1 ? " byte" : " bytes"); }

std::string by_whom(const void* return_address) {
    return describe(*state.current->thread) + ", at " + describe_return_address(return_address);
}

char* round_down(char* address) {
    return address - reinterpret_cast<uintptr_t>(address) % (size_t(1) << widest_shift);
}

Cell* shadow_of_size(size_t cells) {
    const size_t needed = std::max<size_t>(cells, 1) * sizeof(Cell);
    if (needed > shadow_bytes || state.epoch > last_epoch ||
        (shadow_bytes > kept_shadow && needed <= kept_shadow)) {
        if (shadow) munmap(shadow, shadow_bytes);
        shadow_bytes = (needed * 3 / 2 + 0xffff) & ~size_t(0xffff);
        void* pages = mmap(nullptr, shadow_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (pages == MAP_FAILED) abort();
        shadow = static_cast<Cell*>(pages);
    }
    return shadow;
}

// Arrays that overlap share their cells, so that a race between two views is seen.
void lay_out_regions(const Array* arrays, int count) {
    regions.clear();
    for (int i = 0; i < count; ++i) regions.push_back({arrays[i], nullptr, 0, nullptr});
    std::sort(regions.begin(), regions.end(),
              [](const Region& a, const Region& b) { return a.array.begin < b.array.begin; });
    std::vector<size_t> first_cells;
    size_t cells = 0;
    for (size_t first = 0, next; first < regions.size(); first = next) {
        char* const begin = round_down(regions[first].array.begin);
        char* end = begin;
        int shift = widest_shift;
        for (next = first; next < regions.size() && (next == first || regions[next].array.begin < end);
             ++next) {
            end = std::max(end, regions[next].array.begin + regions[next].array.size);
            shift = std::min(shift, regions[next].array.cell_shift);
        }
        for (size_t i = first; i < next; ++i) {
            regions[i].shadow_begin = begin;
            regions[i].shift = shift;
            first_cells.push_back(cells);
        }
        cells += (size_t(end - begin) >> shift) + 1;
    }
    Cell* base = shadow_of_size(cells);
    for (size_t i = 0; i < regions.size(); ++i) regions[i].cells = base + first_cells[i];
    last_region = 0;
}

bool contains(const Region& region, const char* p, size_t size) {
    return p >= region.array.begin && p + size <= region.array.begin + region.array.size;
}

[[noreturn]] void race(const Place& place, const char* kind, const Access& other, uint32_t other_code,
                       const void* pc) {
    const bool same_block = other.epoch >= state.block_start;
    char code[32];
    snprintf(code, sizeof code, "{pc:%x}", other_code);
    stop(std::string("data race (") + kind + ") on " + place.describe() + ": " + by_whom(pc) +
         ", is not ordered after thread #" + std::to_string(other.thread) +
         (same_block ? " of the same block" : " of an earlier block") + " at " + code);
}

[[noreturn]] void out_of_bounds(const char* p, size_t size, Use use, const void* pc) {
    size_t nearest = SIZE_MAX;
    std::string neighbour =
        p < reinterpret_cast<char*>(4096) ? "through a null pointer" : "near no array of the launch";
    const auto consider = [&](const char* begin, size_t length, const std::string& label) {
        if (!length) return;
        const bool before = p < begin;
        const size_t distance = before ? size_t(begin - p) : size_t(p + size - (begin + length));
        if (distance >= nearest || distance > (1 << 20)) return;
        nearest = distance;
        neighbour = bytes(distance) + (before ? " before the start of " : " past the end of ") + label;
    };
    for (const Region& region : regions) consider(region.array.begin, region.array.size, region.array.label);
    for (const SharedVariable& variable : variables)
        consider(image.shared_begin + variable.offset, variable.size,
                 std::string("shared array ") + variable.name);
    consider(dynamic_memory, dynamic_size, "dynamic shared memory");
    stop(std::string("out-of-bounds ") + (use == Use::read ? "read" : "write") + " of " + bytes(size) + ", " +
         neighbour + ": " + by_whom(pc));
}

void note_read(Cell& cell, const Access& now, uint32_t code) {
    Access read = now;
    uint32_t lanes = 1u << (now.thread & 31);
    const Access& last = cell.read;
    if (last.epoch >= state.launch_start) {
        read.earlier_blocks = last.earlier_blocks || last.epoch < state.block_start;
        const bool concurrent =
            last.epoch == now.epoch && !readers_happened_before(last, cell.reader_lanes, now);
        if (concurrent && last.thread >> 5 == now.thread >> 5) {
            lanes |= cell.reader_lanes;
            read.several_warps = last.several_warps;
            read.clock = std::min<unsigned>(last.clock, now.clock);
        } else if (concurrent) {
            read.several_warps = true;
        }
    }
    cell.read = read;
    cell.reader_lanes = lanes;
    cell.read_code = code;
}

void touch(const Place& place, Cell& cell, const Access& now, Use use, const void* pc) {
    if (place.shared && cell.set_block != state.block_start) {
        cell = Cell{};  // each block has its own shared memory
        cell.set_block = state.block_start;
    }
    if (place.shared && use != Use::write && now.parts & ~cell.set_parts)
        stop("read of unset shared memory, " + place.describe() + ": " + by_whom(pc));
    const bool both_atomic = use == Use::atomic && cell.write.atomic;
    if (cell.write.parts & now.parts && !both_atomic && !happened_before(cell.write, now))
        race(place, use == Use::read ? "read after write" : "write after write", cell.write, cell.write_code,
             pc);
    if (use == Use::read) return note_read(cell, now, code_offset(pc));
    if (cell.read.parts & now.parts && !readers_happened_before(cell.read, cell.reader_lanes, now))
        race(place, "write after read", cell.read, cell.read_code, pc);
    cell.write = now;
    cell.write_code = code_offset(pc);
    cell.set_parts |= now.parts;
}

void touch_all(const Place& place, size_t size, Use use, const void* pc) {
    Access now = access_now(use == Use::atomic);
    const size_t width = size_t(1) << place.shift;
    const int part_shift = std::max(place.shift - 2, 0);
    for (size_t begin = place.offset, end = place.offset + size; begin < end;) {
        const size_t cell = begin >> place.shift, next = std::min(end, (cell + 1) * width);
        const size_t first_part = begin % width >> part_shift, last_part = (next - 1) % width >> part_shift;
        now.parts = (2u << last_part) - (1u << first_part);
        touch(place, place.cells[cell], now, use, pc);
        begin = next;
    }
}

bool check_static_shared(char* p, size_t size, Use use, const void* pc) {
    if (p < image.shared_begin || p >= image.shared_end) return false;
    const size_t offset = size_t(p - image.shared_begin);
    for (const SharedVariable& variable : variables)
        if (offset >= variable.offset && offset + size <= variable.offset + variable.size) {
            touch_all({static_cells.data(), shared_shift, offset, variable.offset, "shared array ",
                       variable.name, true},
                      size, use, pc);
            return true;
        }
    out_of_bounds(p, size, use, pc);
}

bool check_global(char* p, size_t size, Use use, const void* pc) {
    if (last_region >= regions.size() || !contains(regions[last_region], p, size)) {
        last_region = 0;
        while (last_region < regions.size() && !contains(regions[last_region], p, size)) ++last_region;
        if (last_region == regions.size()) return false;
    }
    const Region& region = regions[last_region];
    const auto writable = [&](const Region& other) {
        return other.array.writable && contains(other, p, size);
    };
    if (use != Use::read && !std::any_of(regions.begin(), regions.end(), writable))
        stop(std::string("write through a const pointer, ") + region.array.label + ": " + by_whom(pc));
    (use == Use::read ? bytes_read : bytes_written) += size;
    touch_all({region.cells, region.shift, size_t(p - region.shadow_begin),
               size_t(region.array.begin - region.shadow_begin), "", region.array.label, false},
              size, use, pc);
    return true;
}
}  // namespace

uint64_t bytes_read, bytes_written;

void check_access(const void* address, size_t size, Use use, const void* pc) {
    if (!enabled || in_atomic || !state.current || !size) return;
    char* p = static_cast<char*>(const_cast<void*>(address));
    if (p >= state.current->stack && p < state.current->stack + stack_size) return;
    if (++state.steps > step_limit)
        stop("endless loop: the block has made " + std::to_string(step_limit) + " memory accesses; " +
             by_whom(pc));
    if (p >= dynamic_memory && p + size <= dynamic_memory + dynamic_size)
        return touch_all({dynamic_cells.data(), shared_shift, size_t(p - dynamic_memory), 0, "",
                          "dynamic shared memory", true},
                         size, use, pc);
    if (check_global(p, size, use, pc) || check_static_shared(p, size, use, pc)) return;
    const bool in_dynamic = p >= dynamic_memory && p < dynamic_memory + sizeof dynamic_memory;
    if (!in_dynamic && p >= image.begin && p < image.end) return;  // __constant__ tables and literals
    out_of_bounds(p, size, use, pc);
}

void atomic_begin(void* address, unsigned size) {
    const void* pc = __builtin_return_address(0);
    if (reinterpret_cast<uintptr_t>(address) % size)
        stop("misaligned access: an atomic function on " + bytes(size) + ", " + by_whom(pc));
    check_access(address, size, Use::atomic, pc);
    order_by_atomic(address);
    in_atomic = true;
}
void atomic_end() { in_atomic = false; }

void checked_copy(void* to, const void* from, size_t size) {
    const void* pc = __builtin_return_address(0);
    check_access(from, size, Use::read, pc);
    check_access(to, size, Use::write, pc);
    std::memmove(to, from, size);
}

void* dynamic_shared() { return dynamic_memory; }

void start_launch_checks(const Array* arrays, int count, size_t dynamic, bool on) {
    enabled = on;
    in_atomic = false;
    dynamic_size = dynamic;
    bytes_read = bytes_written = 0;
    lay_out_regions(arrays, count);
    static_cells.resize((size_t(image.shared_end - image.shared_begin) >> shared_shift) + 1);
    dynamic_cells.resize((dynamic >> shared_shift) + 1);
    if (state.epoch > last_epoch) {
        state.epoch = 0;
        std::fill(static_cells.begin(), static_cells.end(), Cell{});
        std::fill(dynamic_cells.begin(), dynamic_cells.end(), Cell{});
    }
    start_launch_ordering();
}

// Unset shared memory reads as NaN or -1 where the checks are off.
void start_block_checks() {
    state.steps = 0;
    start_block_ordering();
    for (const SharedVariable& variable : variables)
        std::memset(image.shared_begin + variable.offset, 0xff, variable.size);
    std::memset(dynamic_memory, 0xff, dynamic_size);
}

void describe_shared_variables(const SharedVariable* table, int count) {
    variables.assign(table, table + count);
}

// By the last block: the variables of other kernels of the module do not count.
size_t static_shared_bytes_used() {
    size_t used = 0;
    for (const SharedVariable& variable : variables) {
        const auto first = static_cells.begin() + long(variable.offset >> shared_shift);
        const bool touched =
            std::any_of(first, first + long((variable.size + 3) >> shared_shift),
                        [](const Cell& cell) { return cell.set_block == state.block_start; });
        if (touched) used += variable.size;
    }
    return used;
}
}  // namespace emulator
