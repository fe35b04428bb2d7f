// The functions that code compiled with -fsanitize=thread calls for each memory access, and with
// -fsanitize=bounds,signed-integer-overflow,... where it finds undefined behaviour. libtsan and libubsan are
// not linked: these take their place, hidden in the module.
#include "runtime.hpp"

using emulator::check_access;
using emulator::Use;

namespace {
// Of an integral size: the type promises alignment, as the hardware demands.
void check_aligned(void* p, unsigned size, Use use, const void* pc) {
    if (reinterpret_cast<uintptr_t>(p) % size && emulator::state.current)
        emulator::stop("misaligned access of " + std::to_string(size) +
                       " bytes: " + describe(*emulator::state.current->thread) + ", at " +
                       emulator::describe_return_address(pc));
    check_access(p, size, use, pc);
}

void undefined(const char* what, const void* pc) {
    if (!emulator::state.current) return;
    emulator::stop(std::string(what) + ": " + describe(*emulator::state.current->thread) + ", at " +
                   emulator::describe_return_address(pc));
}
}  // namespace

extern "C" {
#define CALLER __builtin_return_address(0)
#define MEMORY_HOOKS(size)                                                                           \
    void __tsan_read##size(void* p) { check_aligned(p, size, Use::read, CALLER); }                   \
    void __tsan_write##size(void* p) { check_aligned(p, size, Use::write, CALLER); }                 \
    void __tsan_volatile_read##size(void* p) { check_aligned(p, size, Use::read, CALLER); }          \
    void __tsan_volatile_write##size(void* p) { check_aligned(p, size, Use::write, CALLER); }        \
    void __tsan_unaligned_read##size(void* p) { check_access(p, size, Use::read, CALLER); }          \
    void __tsan_unaligned_write##size(void* p) { check_access(p, size, Use::write, CALLER); }        \
    void __tsan_unaligned_volatile_read##size(void* p) { check_access(p, size, Use::read, CALLER); } \
    void __tsan_unaligned_volatile_write##size(void* p) { check_access(p, size, Use::write, CALLER); }
MEMORY_HOOKS(1)
MEMORY_HOOKS(2)
MEMORY_HOOKS(4)
MEMORY_HOOKS(8)
MEMORY_HOOKS(16)
void __tsan_read_range(void* p, size_t size) { check_access(p, size, Use::read, CALLER); }
void __tsan_write_range(void* p, size_t size) { check_access(p, size, Use::write, CALLER); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}

#define UNDEFINED_HOOKS(name, what)                                \
    void __ubsan_handle_##name(void*) { undefined(what, CALLER); } \
    void __ubsan_handle_##name##_abort(void*) { undefined(what, CALLER); }
UNDEFINED_HOOKS(out_of_bounds, "array index out of bounds")
UNDEFINED_HOOKS(add_overflow, "signed integer overflow in +")
UNDEFINED_HOOKS(sub_overflow, "signed integer overflow in -")
UNDEFINED_HOOKS(mul_overflow, "signed integer overflow in *")
UNDEFINED_HOOKS(negate_overflow, "signed integer overflow in unary -")
UNDEFINED_HOOKS(divrem_overflow, "integer division by zero or overflow")
UNDEFINED_HOOKS(shift_out_of_bounds, "shift out of bounds")
UNDEFINED_HOOKS(type_mismatch_v1, "misaligned access")
UNDEFINED_HOOKS(float_cast_overflow, "float to integer conversion out of range")
}
